"""Risk 5: the new version drops its websockets."""

import math
from collections.abc import Mapping

from simulate.controlplane import Fault, Reaction, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE, Constant
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag, with_faults

_ALARM = "candidate-websocket-drops"


def _build(values: Values, world: World) -> World:
    hazard = -math.log1p(-values["drops_percent_per_minute"] / 100) / 60
    reaction = Reaction(
        _ALARM,
        "the WebSocket server is restarted and its clients fall back to polling: drops end",
        Constant(values["repair_s"]),
        (Switch(CANDIDATE, {"ws_drops_per_s": 0}),),
    )
    return with_faults(
        world,
        Fault(
            f"the candidate drops {values['drops_percent_per_minute']:g} % of its websockets a minute",
            0,
            (Switch(CANDIDATE, {"ws_drops_per_s": hazard}),),
        ),
        reactions=(reaction,) if values["mitigation"] else (),
    )


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    drops = sum(closed.sides[CANDIDATE].ws_drops for closed in result.periods)
    alarm = next((t for t, name in result.alarms if name == _ALARM), None)
    return {
        "websocket_drops": float(drops),
        "websockets_on_candidate_at_the_end": float(result.periods[-1].sides[CANDIDATE].ws_open),
        "websocket_alarms": float(alarm is not None),
    } | ({} if alarm is None else {"websocket_alarm_s": alarm})


SCENARIO = Scenario(
    name="websocket-instability",
    sentence="the new version drops its websockets again and again",
    symptom="WebSocket connections dropping by more than 10 % a minute",
    mitigation="an immediate alarm; the WebSocket server is restarted, clients fall back to polling",
    risk=5,
    probability=20,
    alarm=_ALARM,
    build=_build,
    parameters=(
        Parameter(
            "drops_percent_per_minute", 50, "%", "of the candidate's websockets lost in a minute", 0, 99.9
        ),
        Parameter("repair_s", 300, "s", "from the alarm until the drops end"),
        flag("mitigation", 1, "people react to the alarm"),
    ),
    defaults={"websockets": 500},
    findings=_findings,
)
