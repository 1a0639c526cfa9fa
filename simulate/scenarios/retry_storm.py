"""A short stall of the database, and clients that try again and again: the load that they make keeps it down."""

from collections.abc import Mapping
from dataclasses import replace

from simulate.controlplane import Fault, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios.scenario import Parameter, Scenario, Values, flag, with_faults


def _build(values: Values, world: World) -> World:
    if not values["mitigation"]:  # every failure is tried again
        retries = replace(world.model.retries, budget=100.0, burst=1e6)
        world = replace(world, model=replace(world.model, retries=retries))
    begins, ends = values["stall_at_s"], values["stall_at_s"] + values["stall_s"]
    return with_faults(
        world,
        Fault(
            "the database stalls: the queries of both colours stand still",
            begins,
            (Switch(STABLE, {"hung": 1}), Switch(CANDIDATE, {"hung": 1})),
        ),
        Fault(
            "the database is well again",
            ends,
            (Switch(STABLE, {"hung": 0}), Switch(CANDIDATE, {"hung": 0})),
        ),
        observe_s=ends + 300,
    )


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    edges = [closed.edge for closed in result.periods]
    late = edges[-1]
    arrivals = sum(edge.arrivals for edge in edges)
    return {
        "attempts_per_request": sum(edge.attempts for edge in edges) / arrivals if arrivals else 0.0,
        "given_up_percent_at_the_end": 100 * late.given_up / max(late.arrivals, 1),
    }


SCENARIO = Scenario(
    name="retry-storm",
    sentence="the database stalls for some seconds, and clients that try again keep it down afterwards",
    symptom="client-side retries increasing, load that does not fall when the cause is gone",
    mitigation="a retry budget that all clients share",
    build=_build,
    parameters=(
        Parameter("stall_at_s", 200, "s", "from the start until the database stalls"),
        Parameter("stall_s", 20, "s", "for which it does"),
        flag("mitigation", 0, "clients share a retry budget (`retry_budget`)"),
    ),
    defaults={
        "rate_per_minute": 6000,
        "retries": 3,
        "retry_budget": 0.1,
        "timeout_s": 2,
        "parallel_queries": 4,
    },
    findings=_findings,
)
