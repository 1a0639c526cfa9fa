"""Plans that share a rehearsal have the rows of a rehearsal each, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.plan import Comparison, Limit, Plan, Rollback, Stage
from rollout.policy.events import Metrics
from simulate.controlplane import Rehearsal, RehearsalResult, World
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios import find
from simulate.studies.replication.job import basic
from simulate.studies.tune.shared import Ended, PlanSet, SharedRehearsal, rehearse_all
from tests.simulate.rehearsals import short_plan, world_of

SHORT = short_plan()
WORLDS: Mapping[str, Mapping[str, float]] = {
    "healthy": {"base_error_percent": 0.5},
    "error-regression": {"error_percent": 2, "begins_s": 100},
    "latency-regression": {"work_factor": 50},
    "pool-exhaustion": {"leaks_per_query": 0.2, "resume_after_s": 30},
    "memory-leak": {"leak_mb_per_request": 1.5, "restart_s": 20},
    "slow-queries": {"slow_percent": 5, "resume_after_s": 60, "base_error_percent": 0.3},
    "migration-failure": {"migration_hangs_s": 90, "migration_limit_s": 60, "update_failures_percent": 30},
    "metric-blackout": {"missing_percent": 10, "base_error_percent": 0.3},
    "controller-crash": {"base_error_percent": 0.5},
    "lb-misconfiguration": {"refused_percent": 3, "update_s": 20, "abort_after_s": 90},
}
_FIELDS = [field.name for field in fields(RehearsalResult) if field.name not in ("decisions", "events")]

rollbacks = st.sampled_from([Rollback.PREVIOUS, Rollback.ABORT, Rollback.HOLD])


@st.composite
def limits(draw: st.DrawFn, values: st.SearchStrategy[float]) -> Limit:
    of = draw(st.integers(1, 3))
    least = draw(st.sampled_from([1, 30]))
    return Limit(draw(values), draw(rollbacks), breaches=draw(st.integers(1, of)), of=of, min_requests=least)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    weights = draw(st.sampled_from([(5, 25, 50, 100), (5, 50, 100), (10, 100)]))
    windows = draw(st.sampled_from([(60.0, 60.0, 60.0, 60.0), (120.0, 60.0, 60.0, 90.0)]))
    named = replace(
        SHORT,
        name=draw(st.sampled_from("ab")),
        stages=tuple(map(Stage, weights, windows[: len(weights)])),
    )
    judging = named.with_criteria(
        error_rate=draw(limits(st.sampled_from([0.5, 1.0, 2.0, 5.0]))),
        latency_p95=draw(limits(st.sampled_from([0.09, 0.5, 2.0]))),
        db_connection_errors=Limit(draw(st.sampled_from([0, 5])), draw(rollbacks)),
        comparison=draw(st.sampled_from([None, Comparison(5, 0.5, Rollback.ABORT)])),
    )
    return judging.with_metrics(
        min_periods=draw(st.integers(1, 2)),
        min_requests=draw(st.sampled_from([1, 20, 60])),
        max_extension=draw(st.sampled_from([120.0, 300.0])),
        delay=draw(st.sampled_from([180.0, 180.0, 120.0])),
    )


def rows(scenario: str, world: World, ended: Ended) -> tuple[dict[str, object], dict[str, float]]:
    found, result = find(scenario), ended.result
    fields_of = {name: getattr(result, name) for name in _FIELDS}
    own = found.findings(found.values(WORLDS[scenario]), result)
    slow = [tuple(ended.plane.latency_histogram(colour)) for colour in (STABLE, CANDIDATE)]
    return fields_of | {"latencies": slow}, {**basic(world, result), **own}


def check(scenario: str, several: Sequence[Plan], replication: int) -> int:
    """Whether everything is as in a rehearsal each; how many rehearsals it took."""
    world = world_of(scenario, WORLDS[scenario])
    seen: list[int] = []
    ran = 0
    for ended in rehearse_all(world, PlanSet.of(several), 3, replication):
        ran += 1
        for number in ended.plans:
            own = Rehearsal(world, several[number], 3, replication)
            alone = Ended((number,), own.run(), own.plane, 0.0)
            assert repr(rows(scenario, world, ended)) == repr(rows(scenario, world, alone))
            seen.append(number)
    assert sorted(seen) == list(range(len(several)))
    return ran


@pytest.mark.parametrize("scenario", WORLDS)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(several=st.lists(plans(), min_size=2, max_size=6), replication=st.integers(0, 1000))
def test_shared_or_not_the_rows_are_the_same(scenario: str, several: list[Plan], replication: int) -> None:
    check(scenario, several, replication)


LIMIT = Limit(1, Rollback.ABORT)
ABORTS = SHORT.with_criteria(error_rate=LIMIT)


@pytest.mark.parametrize("replication", range(3))
def test_a_fork_between_two_events_of_one_moment_receives_the_second(replication: int) -> None:
    """The candidate's period makes one plan abort; the other has yet to hear stable's, to compare with it."""
    compares = SHORT.with_criteria(
        error_rate=Limit(50, Rollback.ABORT), comparison=Comparison(5, 0.5, Rollback.ABORT)
    )
    assert check("error-regression", [ABORTS, compares], replication) == 2


def test_plans_that_act_alike_take_one_rehearsal() -> None:
    patient = replace(ABORTS, hold_timeout=900.0).with_metrics(max_extension=900.0, blind_limit=900.0)
    other = ABORTS.with_criteria(
        latency_p95=Limit(9, Rollback.HOLD), error_rate=replace(LIMIT, min_requests=2)
    )
    assert check("error-regression", [ABORTS, patient, other], 0) == 1


def test_one_policy_state_serves_plans_that_judge_a_period_alike() -> None:
    limits = [2, 5, 5, 1, 1, 7]  # percent; the period has 2 %: no breach of the first, but not good either
    several = [SHORT.with_criteria(error_rate=Limit(limit, Rollback.ABORT)) for limit in limits]
    plan_set = PlanSet.of(several)
    assert [group.plans for group in plan_set.starts[0]] == [(0, 1, 2, 3, 4, 5)]
    shared = SharedRehearsal(World(), plan_set.plans, plan_set.starts[0], 1, 0, None)
    period = Metrics(100, "candidate", 30, 90, 50, 1, 0.1, 0)
    assert {*shared._split((0, 1, 2, 3, 4, 5), period)} == {(0,), (1, 2, 5), (3,), (4,)}


def test_plans_with_another_clock_never_share() -> None:
    slower = SHORT.with_metrics(delay=170.0)
    assert [[group.plans for group in start] for start in PlanSet.of([SHORT, slower, SHORT]).starts] == [
        [(0, 2)],
        [(1,)],
    ]
