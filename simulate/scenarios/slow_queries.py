"""Risk 8: some queries of the new version are slow under production load."""

from collections.abc import Mapping

from simulate.controlplane import Fault, RehearsalResult, Switch, World
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios.scenario import Parameter, Scenario, Values, with_faults


def _build(values: Values, world: World) -> World:
    share, added = values["slow_percent"], values["slow_s"]
    fault = Fault(
        f"{share:g} % of the candidate's queries take {added:g} s longer",
        0,
        (Switch(CANDIDATE, {"slow_share": share / 100, "slow_added_s": added}),),
    )
    return with_faults(world, fault)


def _findings(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    return {
        f"{role}_p95_s_at_most": max(
            (closed.sides[colour].p95 or 0.0 for closed in result.periods), default=0.0
        )
        for colour, role in ((CANDIDATE, "candidate"), (STABLE, "stable"))
    }


SCENARIO = Scenario(
    name="slow-queries",
    sentence="some queries of the new version miss an index and take seconds",
    symptom="the dashboard takes 5 s and more, P95 latency above its target",
    mitigation="automated rollback by P95; then an index, tested before the next try",
    risk=8,
    probability=40,
    bad_release=True,
    build=_build,
    parameters=(
        Parameter("slow_percent", 10, "%", "of the candidate's queries that are slow", 0, 100),
        Parameter("slow_s", 5, "s", "additional time of a slow query"),
    ),
    findings=_findings,
)
