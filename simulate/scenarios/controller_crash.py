"""The controller dies in the middle of a rollout and is resumed from its journal, or its machine is suspended for a while."""

from dataclasses import replace

from simulate.controlplane import Absence, World
from simulate.scenarios.error_regression import SCENARIO as ERRORS
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag


def _build(values: Values, world: World) -> World:
    if values["error_percent"]:
        world = ERRORS.build({**values, "begins_s": values["crash_at_s"]}, world)
    absence = Absence(values["crash_at_s"], values["down_s"], suspended=bool(values["suspended"]))
    return replace(world, absences=(*world.absences, absence))


SCENARIO = Scenario(
    name="controller-crash",
    sentence="the controller dies in the middle of a rollout and is resumed from its journal",
    symptom="nobody watches; traffic stays as it is",
    mitigation="the policy learns of the gap: windows begin anew, nothing rises by what fell due in it, and it ends in the same place",
    build=_build,
    parameters=(
        Parameter("crash_at_s", 200, "s", "from the start until the controller dies", 0.001),
        Parameter("down_s", 120, "s", "until it is resumed", 0.001, 86_400),
        flag("suspended", 0, "instead, its machine is suspended, with the traffic update that was under way"),
        Parameter(
            "error_percent", 0, "%", "of the candidate's answers that are 5xx from the crash on", 0, 100
        ),
    ),
)
