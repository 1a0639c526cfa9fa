"""The controller dies in the middle of a rollout and is resumed from its journal."""

from dataclasses import replace

from simulate.controlplane import World
from simulate.scenarios.error_regression import SCENARIO as ERRORS
from simulate.scenarios.scenario import Parameter, Scenario, Values


def _build(values: Values, world: World) -> World:
    if values["error_percent"]:
        world = ERRORS.build({**values, "begins_s": values["crash_at_s"]}, world)
    return replace(world, crashes=(*world.crashes, (values["crash_at_s"], values["down_s"])))


SCENARIO = Scenario(
    name="controller-crash",
    sentence="the controller dies in the middle of a rollout and is resumed from its journal",
    symptom="nobody watches; traffic stays as it is",
    mitigation="`rollout resume` continues from the journal and ends in the same place",
    build=_build,
    parameters=(
        Parameter("crash_at_s", 200, "s", "from the start until the controller dies"),
        Parameter("down_s", 120, "s", "until it is resumed", 0.001, 86_400),
        Parameter(
            "error_percent", 0, "%", "of the candidate's answers that are 5xx from the crash on", 0, 100
        ),
    ),
)
