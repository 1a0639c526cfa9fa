"""Risk 7: the new version's memory grows with every request.

The mitigation is the guide's automatic restart above 85 % of the limit: a new replica stands before the old one goes, as
in a rolling update, so the colour loses no replica; the few requests in flight there fail. Without it a replica is killed at
its limit and missing for minutes.
"""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import Fault, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE, Memory
from simulate.scenarios.scenario import BadParameter, Parameter, Scenario, Values, flag, with_faults

_AT_ONCE = 0.001  # s


def _ends_at(values: Values) -> float:
    """MB at which a replica ends: killed, or restarted before that."""
    return values["limit_mb"] * (values["restart_percent"] / 100 if values["mitigation"] else 1)


def _build(values: Values, world: World) -> World:
    base, most = values["memory_mb"], _ends_at(values)
    if base >= most:
        raise BadParameter(
            f"'memory_mb' is {base:g}: it takes less than the {most:g} MB at which a replica ends"
        )
    memory = Memory(base_mb=base, spread_mb=base / 50, limit_mb=most)
    candidate = replace(world.model.candidate, memory=memory, restart_s=values["restart_s"])
    if values["mitigation"]:
        candidate = replace(candidate, restart_s=_AT_ONCE, detect_s=0.0)
    leak = values["leak_mb_per_request"]
    fault = Fault(
        f"each request leaves {leak:g} MB in the candidate's replica",
        0,
        (Switch(CANDIDATE, {"memory_mb_per_request": leak}),),
    )
    return with_faults(replace(world, model=replace(world.model, candidate=candidate)), fault)


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    sides = [closed.sides[CANDIDATE] for closed in result.periods]
    found = {
        "memory_percent_at_most": 100
        * max(side.memory for side in sides)
        * _ends_at(values)
        / values["limit_mb"],
        "replica_restarts": float(sum(side.restarts for side in sides)),
    }
    a_minute = values["leak_mb_per_request"] * values["rate_per_minute"] / values["replicas"]
    if a_minute:  # all traffic on the candidate, from a fresh start
        found["hours_to_the_limit"] = (values["limit_mb"] - values["memory_mb"]) / a_minute / 60
    return found


SCENARIO = Scenario(
    name="memory-leak",
    sentence="the new version's memory grows with every request, to its limit after hours",
    symptom="memory usage rises and is not released; out of memory and a restart after hours",
    mitigation="a warning and an automatic restart at 85 %, one replica after the other",
    risk=7,
    probability=15,
    alarm="candidate-memory",
    build=_build,
    parameters=(
        Parameter("leak_mb_per_request", 0.005, "MB", "memory lost in the replica with each request", 0, 1e6),
        Parameter("memory_mb", 200, "MB", "of a replica at its start", 1, 1e6),
        Parameter("limit_mb", 512, "MB", "at which a replica is killed", 1, 1e6),
        Parameter(
            "restart_s", 150, "s", "until a killed replica is back (the guide: 2-3 min)", 0.001, 86_400
        ),
        Parameter(
            "restart_percent", 85, "%", "of the limit at which a replica is restarted in good time", 1, 100
        ),
        flag("mitigation", 1, "replicas are restarted in good time"),
    ),
    findings=_findings,
)
