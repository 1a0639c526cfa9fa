"""Every query of the metrics fails for a while: the rollout is blind."""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import RehearsalResult, World
from simulate.scenarios.error_regression import SCENARIO as ERRORS
from simulate.scenarios.scenario import Parameter, Scenario, Values


def _build(values: Values, world: World) -> World:
    begins = values["blackout_at_s"]
    if values["error_percent"]:
        world = ERRORS.build({**values, "begins_s": begins}, world)
    outages = sorted((*world.delivery.outages, (begins, begins + values["blackout_s"])))
    return replace(world, delivery=replace(world.delivery, outages=tuple(outages)))


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    begins, ends = values["blackout_at_s"], values["blackout_at_s"] + values["blackout_s"]
    raised = sum(1 for (_, low), (t, high) in result.steps if high > low and begins + 15 < t < ends)
    return {"stages_passed_blind": float(raised)}


SCENARIO = Scenario(
    name="metric-blackout",
    sentence="every query of the metrics fails for a while",
    symptom="no metrics; nothing can be judged",
    mitigation="no data is never good data: no stage passes, and 6 min without an answer abort",
    build=_build,
    parameters=(
        Parameter("blackout_at_s", 100, "s", "from the start until queries fail"),
        Parameter("blackout_s", 900, "s", "for which they fail"),
        Parameter("error_percent", 0, "%", "of the candidate's answers that are 5xx from then on", 0, 100),
    ),
    findings=_findings,
)
