"""Plans that share a rehearsal have the rows of a rehearsal each, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollout.plan import Comparison, Limit, Plan, Rollback, Stage
from simulate.controlplane import Record, Rehearsal, World
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios import find
from simulate.study.job import basic
from simulate.tune.shared import Ended, Troupe, together
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
_TOLD = [field.name for field in fields(Record) if field.name not in ("decisions", "events")]

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
    return replace(
        SHORT,
        name=draw(st.sampled_from("ab")),
        stages=tuple(map(Stage, weights, windows[: len(weights)])),
        error_rate=draw(limits(st.sampled_from([0.5, 1.0, 2.0, 5.0]))),
        latency_p95=draw(limits(st.sampled_from([0.09, 0.5, 2.0]))),
        db_connection_errors=Limit(draw(st.sampled_from([0, 5])), draw(rollbacks)),
        min_periods=draw(st.integers(1, 2)),
        min_requests=draw(st.sampled_from([1, 20, 60])),
        max_extension=draw(st.sampled_from([120.0, 300.0])),
        metric_delay=draw(st.sampled_from([180.0, 180.0, 120.0])),
        comparison=draw(st.sampled_from([None, Comparison(5, 0.5, Rollback.ABORT)])),
    )


def rows(scenario: str, world: World, ended: Ended) -> tuple[dict[str, object], dict[str, float]]:
    found, record = find(scenario), ended.record
    told = {name: getattr(record, name) for name in _TOLD}
    own = found.findings(found.values(WORLDS[scenario]), record)
    slow = [tuple(ended.plane.latency_histogram(colour)) for colour in (STABLE, CANDIDATE)]
    return told | {"latencies": slow}, {**basic(world, record), **own}


@pytest.mark.parametrize("scenario", WORLDS)
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(company=st.lists(plans(), min_size=2, max_size=6), replication=st.integers(0, 1000))
def test_shared_or_not_the_rows_are_the_same(scenario: str, company: list[Plan], replication: int) -> None:
    world = world_of(scenario, WORLDS[scenario])
    seen = []
    for ended in together(world, Troupe.of(company), 3, replication):
        for number in ended.plans:
            own = Rehearsal(world, company[number], 3, replication)
            alone = Ended((number,), own.run(), own.plane, 0.0)
            assert repr(rows(scenario, world, ended)) == repr(rows(scenario, world, alone))
            seen.append(number)
    assert sorted(seen) == list(range(len(company)))
