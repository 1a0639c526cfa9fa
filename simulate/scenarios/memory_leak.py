"""Risk 7: the new version's memory grows with every request."""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import Fault, Record, Switch, World
from simulate.dataplane import CANDIDATE, Memory
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults


def _build(values: Values, world: World) -> World:
    memory = Memory(
        base_mb=values["memory_mb"], spread_mb=values["memory_mb"] / 50, limit_mb=values["limit_mb"]
    )
    candidate = replace(world.model.candidate, memory=memory, restart_s=values["restart_s"])
    leak = values["leak_mb_per_request"]
    fault = Fault(
        f"each request leaves {leak:g} MB in the candidate's replica",
        0,
        (Switch(CANDIDATE, {"memory_mb_per_request": leak}),),
    )
    return with_faults(replace(world, model=replace(world.model, candidate=candidate)), fault)


def _findings(values: Values, record: Record) -> Mapping[str, float]:
    sides = [closed.sides[CANDIDATE] for closed in record.periods]
    found = {
        "memory_percent_at_most": 100 * max(side.memory for side in sides),
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
    mitigation="a warning at 85 %, restart at the limit, and a restart planned for low traffic",
    risk=7,
    probability=15,
    build=_build,
    parameters=(
        Parameter("leak_mb_per_request", 0.005, "MB", "that each request leaves in its replica", 0, 1e6),
        Parameter("memory_mb", 200, "MB", "of a replica at its start", 1, 1e6),
        Parameter("limit_mb", 512, "MB", "at which a replica is killed", 1, 1e6),
        Parameter(
            "restart_s", 150, "s", "until a killed replica is back (the guide: 2-3 min)", 0.001, 86_400
        ),
    ),
    findings=_findings,
)
