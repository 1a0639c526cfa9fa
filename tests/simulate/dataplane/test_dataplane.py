"""The data plane's parts, its handling by a control plane, and bad input."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from simulate.dataplane import (
    CANDIDATE,
    STABLE,
    Backend,
    BadTrace,
    Bursty,
    Clients,
    Constant,
    DataPlane,
    Empirical,
    Exponential,
    LogNormal,
    Memory,
    Model,
    Poisson,
    Pool,
    RateLimit,
    Retries,
    Trace,
    WebSockets,
)
from simulate.dataplane.laws import encode, normal_quantile, sample
from simulate.dataplane.periods import quantile
from simulate.dataplane.streams import Stream, keys, uniform


def test_normal_quantile_is_exact() -> None:
    for u in (1e-300, 1e-10, 0.001, 0.075, 0.3, 0.5, 0.7, 0.95, 1 - 1e-12):
        assert normal_quantile(u) == pytest.approx(stats.norm.ppf(u), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize(
    "law",
    [
        Constant(0.3),
        Exponential(0.3),
        LogNormal.from_quantiles(0.2, 0.6),
        Empirical.from_samples([0.1, 0.2, 0.6]),
    ],
    ids=lambda law: type(law).__name__,
)
def test_a_laws_mean_is_that_of_its_samples(law: Constant | Exponential | LogNormal | Empirical) -> None:
    row, key = encode(law), keys(3)[Stream.QUERY]
    drawn = np.array([sample(row, uniform(key, n)) for n in range(20_000)])
    assert drawn.mean() == pytest.approx(law.mean, abs=5 * drawn.std() / math.sqrt(len(drawn)) + 1e-12)


def test_streams_are_uniform_and_independent() -> None:
    a, b = ([uniform(key, n) for n in range(20_000)] for key in keys(1)[[Stream.QUERY, Stream.WORK]])
    assert stats.kstest(a, "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(a, b).statistic) < 0.03
    assert not set(keys(1).tolist()) & set(keys(1, replication=1).tolist())


def _everything(plane: DataPlane) -> list[object]:
    return [
        (plane.period(n, STABLE), plane.period(n, CANDIDATE), plane.edge(n)) for n in range(plane.periods)
    ]


BUSY = Model(
    Bursty(2000.0, 15.0, 20.0),
    Clients(50, heavy=2, heavy_share=0.3),
    RateLimit(200.0),
    Retries(2),
    websockets=WebSockets(30, 60.0),
    sticky_s=20.0,
)


def test_the_same_seed_is_the_same_run_whatever_ran_before() -> None:
    fresh, used = DataPlane(BUSY, 5, 2), DataPlane(BUSY, 99)
    used.weight = 40
    used.advance(200)
    used.switch(CANDIDATE, hung=1, pool_leak=0.1)
    used.kill(STABLE, 2)
    used.advance(333)
    used.restart(5, 2)
    for plane in (fresh, used):
        plane.weight = 20
        plane.advance(300)
    assert _everything(fresh) == _everything(used)


def test_a_copy_goes_its_own_way_and_the_original_its_own() -> None:
    plane, alone = DataPlane(BUSY, 1), DataPlane(BUSY, 1)
    for run in (plane, alone):
        run.weight = 50
        run.advance(100)
    other = plane.copy()
    other.weight = 0
    other.switch(STABLE, error_share=1.0)
    other.advance(300)
    for run in (plane, alone):
        run.advance(300)
    assert _everything(plane) == _everything(alone) != _everything(other)


def test_one_long_advance_is_many_short_ones() -> None:
    once, often = DataPlane(BUSY, 4), DataPlane(BUSY, 4)
    once.advance(240)
    for k in range(1, 2401):
        often.advance(k / 10)
    assert _everything(once) == _everything(often)


def test_weights_do_not_change_who_asks_for_what() -> None:
    """Common random numbers: under another weight the same requests come at the same times."""
    one, other = DataPlane(Model(), 8, log=True), DataPlane(Model(), 8, log=True)
    other.weight = 60
    for plane in (one, other):
        plane.advance(60)
    ours, theirs = one.attempts(), other.attempts()
    arrived = {(row[0], row[3]) for row in theirs}
    assert sum((row[0], row[3]) in arrived for row in ours) >= len(ours) - 5


def test_a_sticky_client_stays_after_a_rollback() -> None:
    model = Model(Poisson(6000.0), Clients(20), None, sticky_s=30.0)
    sticky, free = DataPlane(model, 1), DataPlane(replace(model, sticky_s=0.0), 1)
    for plane in (sticky, free):
        plane.weight = 50
        plane.advance(60)
        plane.weight = 0
        plane.advance(120)
    assert free.period(1, CANDIDATE).arrived == 0
    assert sticky.period(1, CANDIDATE).arrived > 1000  # each comes within 30 s, so none is ever let go


def test_a_pool_too_small_for_a_hang_refuses() -> None:
    plane = DataPlane(Model(candidate=Backend(pool=Pool(5, wait=Constant(3.0)))), 1)
    plane.weight = 50
    plane.advance(60)
    plane.switch(CANDIDATE, hung=1)
    plane.advance(90)
    plane.switch(CANDIDATE, hung=0)
    plane.advance(180)
    during, after = plane.period(1, CANDIDATE), plane.period(2, CANDIDATE)
    assert during.db_connection_errors > 50
    assert after.db_connection_errors == 0
    assert plane.period(1, STABLE).errors == 0


def test_a_leak_ends_in_a_restart() -> None:
    plane = DataPlane(Model(stable=Backend(memory=Memory(200.0, 10.0, 512.0))), 1)
    plane.switch(STABLE, memory_mb_per_s=4.0)
    plane.advance(75)
    assert plane.period(0, STABLE).memory == pytest.approx((220 + 60 * 4) / 512)
    assert plane.failed_probes(STABLE) == ("targets",)
    plane.advance(120)
    assert plane.period(1, STABLE).restarts == 3
    assert plane.failed_probes(STABLE) == ()


def test_histogram_and_exact_quantiles_agree() -> None:
    plane = DataPlane(Model(Poisson(10_000.0)), 1)
    plane.advance(60)
    p95, histogram = plane.period(0, STABLE).p95, plane.latency_histogram(STABLE)
    assert p95 is not None
    assert quantile(histogram, 0.95) == pytest.approx(p95, rel=0.016)
    assert histogram.sum() == plane.period(0, STABLE).answered


def test_room_is_made_when_it_is_needed() -> None:
    """Ten thousand attempts at once, each with its timers."""
    backend = Backend(1, 10, 20_000, Constant(0.5))
    plane = DataPlane(Model(Poisson(60_000.0), rate_limit=None, stable=backend, timeout_s=600.0), 1, log=True)
    plane.advance(12)
    assert plane.in_flight(STABLE) > 10_000
    assert plane.arrivals == plane.in_flight(STABLE) + len(plane.attempts())


def test_a_trace_is_read_and_followed(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(
        "timestamp,value\n2025-12-20T02:00:00,0\n2025-12-20T02:01:00,600\n2025-12-20T02:02:00,0\n"
    )
    trace = Trace.from_csv(path)
    assert (trace.interval_s, trace.per_minute) == (60.0, 200.0)
    plane = DataPlane(Model(trace), 1)
    plane.advance(180)
    arrivals = [plane.edge(n).arrivals for n in range(3)]
    assert arrivals[0] == arrivals[2] == 0
    assert abs(arrivals[1] - 600) < 5 * math.sqrt(600)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least two"),
        ("timestamp,value\n0,1\n", "at least two"),
        ("0,1\n60,many\n", ":2: 'many' is no count"),
        ("0,1\n60,-1\n", ":2: '-1' is no count"),
        ("0,1\nnoon,1\n", ":2: 'noon' is no timestamp"),
        ("0,1\n60,1,2\n", ":2: it takes two columns"),
        ("0,1\n60,1\n90,1\n", ":3: timestamps must rise by equal steps"),
    ],
)
def test_a_bad_trace_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(BadTrace, match=says.replace("(", r"\(")):
        Trace.from_csv(path)


def test_a_missing_trace() -> None:
    with pytest.raises(BadTrace, match=r"nowhere\.csv: cannot be read"):
        Trace.from_csv(Path("nowhere.csv"))


def test_bad_values_are_named() -> None:
    with pytest.raises(ValueError, match=r"Backend\.replicas is 0"):
        Backend(replicas=0)
    with pytest.raises(ValueError, match="per_minute is -1"):
        Poisson(-1)
    with pytest.raises(ValueError, match="multiple of check_s"):
        RateLimit(10.0, 60.0, 7.0)
    plane = DataPlane(Model(), 1)
    with pytest.raises(ValueError, match="'speed' is not a switch"):
        plane.switch(STABLE, speed=1.0)
    with pytest.raises(ValueError, match="'error_share' is 5"):
        plane.switch(STABLE, error_share=5)
    with pytest.raises(ValueError, match="weight is 101"):
        plane.weight = 101
    plane.advance(10)
    with pytest.raises(ValueError, match="until is 9"):
        plane.advance(9)
    with pytest.raises(IndexError, match="period 0 is not closed"):
        plane.period(0, STABLE)
