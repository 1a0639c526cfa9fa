"""The new version's own work takes longer."""

from simulate.controlplane import Fault, Switch, World
from simulate.dataplane import CANDIDATE
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults


def _build(values: Values, world: World) -> World:
    fault = Fault(
        f"the candidate's own work takes {values['work_factor']:g} times as long",
        values["begins_s"],
        (Switch(CANDIDATE, {"work_factor": values["work_factor"]}),),
    )
    return with_faults(world, fault)


SCENARIO = Scenario(
    name="latency-regression",
    sentence="the new version's own work takes many times as long",
    symptom="P95 latency above 2 s",
    mitigation="automated rollback: to the stage before the one it was measured at",
    bad_release=True,
    build=_build,
    parameters=(
        Parameter("work_factor", 50, "times", "by which the candidate's own work takes longer", 0, 1e6),
        Parameter("begins_s", 0, "s", "from the start until it slows down"),
    ),
)
