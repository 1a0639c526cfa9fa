"""The new version answers some requests with 5xx."""

from simulate.controlplane import Fault, Switch, World
from simulate.dataplane import CANDIDATE
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults


def _build(values: Values, world: World) -> World:
    share = min((values["error_percent"] + values["base_error_percent"]) / 100, 1.0)
    fault = Fault(
        f"{values['error_percent']:g} % of the candidate's requests fail with 500",
        values["begins_s"],
        (Switch(CANDIDATE, {"error_share": share}),),
    )
    return with_faults(world, fault)


SCENARIO = Scenario(
    name="error-regression",
    sentence="the new version answers some requests with 5xx",
    symptom="error rate above 1 %",
    mitigation="automated rollback: to 5 %, or to 0 % when measured at 5 %",
    bad_release=True,
    build=_build,
    parameters=(
        Parameter(
            "error_percent", 5, "%", "of the candidate's answers that are 5xx because of the release", 0, 100
        ),
        Parameter("begins_s", 0, "s", "from the start until the errors begin"),
    ),
)
