"""Somebody breaks the traffic rule: every user gets a 403, and the colours look healthy. The lab's fault of the same name.

While the rule is shut no request is simulated: those that the listener refuses are counted by the rate, and nobody retries.
"""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import WRITTEN_BACK, Fault, RehearsalResult, TrafficRule, World
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag, with_faults

_BROKEN = "somebody changes the traffic rule's conditions: users get the listener's 403"


def _build(values: Values, world: World) -> World:
    fault = Fault(_BROKEN, values["broken_at_s"], (TrafficRule(shut=True),))
    return replace(with_faults(world, fault), front_door=bool(values["front_door"]))


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    at = {sentence: t for t, sentence in result.faults}
    if _BROKEN not in at:
        return {}
    back = at.get(WRITTEN_BACK, max(result.ended, result.watched))
    shut = back - at[_BROKEN]
    return {"refused_requests": values["rate_per_minute"] / 60 * shut, "users_locked_out_s": shut}


SCENARIO = Scenario(
    name="bad-rule",
    sentence="somebody changes the traffic rule's conditions, so users get the listener's 403 instead of a backend",
    symptom="no user is let in, while the probes of both colours pass",
    mitigation="rounds at the front door abort, and the decrease writes the rule back; without them the missing requests hold",
    bad_release=True,
    build=_build,
    parameters=(
        Parameter("broken_at_s", 200, "s", "from the start until the rule is changed"),
        flag("front_door", 1, "the front door is probed"),
    ),
    findings=_findings,
)
