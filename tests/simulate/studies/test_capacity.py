"""`simulate capacity`: its sizes are the smallest that will do, found again by runs of our own, and said as they are."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.workload.pgbouncer_ini import (
    LARGEST_POOL,
    RESERVED_CONNECTIONS,
    SMALLEST_POOL,
    SURGE,
    connections_needed,
)
from simulate.dataplane import STABLE, Bursty, DataPlane, Model, Poisson, Trace
from simulate.studies.capacity import Assumptions, NoSize, Runner, Sizes, hang_table, latency_curve, size
from simulate.studies.capacity.assumptions import busiest, share_of
from simulate.studies.capacity.sizes import limit_model, smallest
from tests.simulate.command import simulate

# One replica's slots are 94 % busy: that is too near to its P95's limit, so a second one is needed for the load.
TIGHT = {"rate_per_minute": 3320, "slots": 4, "p95_ms": 150, "pgbouncers": 1, "query_ms": 30, "hang_s": 7}
RUNS = 6


@cache
def tight() -> Sizes:
    return size(Assumptions.of(TIGHT), Runner(1, RUNS))


def p95_and_lost(model: Model, seed: int = 77) -> tuple[float, float]:
    """The mean P95 (s) of whole metric periods, and the share lost, in runs that share no random number with ours."""
    found, lost, all_ = [], 0, 0
    for replication in range(RUNS):
        plane = DataPlane(model, seed, replication)
        plane.advance(360.0)
        sides = [plane.period(n, STABLE) for n in range(1, 6)]
        found += [side.p95 for side in sides if side.p95 is not None]
        lost += sum(side.errors for side in sides)
        all_ += sum(side.requests for side in sides)
    return float(np.mean(found)), lost / all_


def test_replicas_are_the_fewest_that_will_do() -> None:
    found, assumptions = tight().for_load, tight().assumptions
    p95, lost = p95_and_lost(assumptions.model(found.needed))
    assert p95 < 0.150
    assert lost < 0.001
    assert found.fewer is not None  # it was not busy all the time
    assert p95_and_lost(assumptions.model(found.needed - 1))[0] > 0.150


def test_a_pool_is_the_smallest_that_carries_the_load() -> None:
    found, assumptions = tight().pool_for_load, tight().assumptions
    replicas = tight().for_load.needed
    assert p95_and_lost(assumptions.model(replicas, found.needed))[0] < 0.150
    assert found.fewer is not None
    assert p95_and_lost(assumptions.model(replicas, found.needed - 1))[0] > 0.150


def failed_by_a_hang(model: Model, hang_s: float, seed: int) -> int:
    """Requests that fail in all runs when queries hang."""
    failed = 0
    for replication in range(RUNS):
        plane = DataPlane(model, seed, replication)
        plane.advance(61.0)
        plane.switch(STABLE, hung=1)
        plane.advance(61.0 + hang_s)
        plane.switch(STABLE, hung=0)
        plane.advance(180.0)
        failed += sum(plane.period(n, STABLE).errors for n in range(3))
    return failed


def test_a_pool_is_the_smallest_that_survives_the_hang() -> None:
    given = {"rate_per_minute": 600, "slots": 100, "pgbouncers": 1, "hang_s": 12}
    found = size(Assumptions.of(given), Runner(1, RUNS))
    assert found.pool_for_hang is not None
    needed = found.pool_for_hang.needed
    assert needed > found.pool_for_load.needed
    assert found.pool_size == max(needed, SMALLEST_POOL)
    # 10 requests a second: the first must be in the pool, those of the last 5 s may wait for a connection
    assert needed == pytest.approx(10 * (12 - 5), abs=15)
    assert found.pool_for_hang.fewer is not None
    assert found.pool_for_hang.fewer.worst > 0
    model = found.assumptions.model(found.replicas, needed + 10)  # other seeds, other luck
    assert failed_by_a_hang(model, 12, seed=77) == 0
    smaller = found.assumptions.model(found.replicas, needed - 15)
    assert failed_by_a_hang(smaller, 12, seed=77) > 0


def test_max_connections_are_what_both_colours_can_open() -> None:
    given = {"rate_per_minute": 2000, "slots": 60, "pgbouncers": 2}
    found = size(Assumptions.of(given), Runner(1, 2))
    assert found.max_connections == connections_needed(found.pool_size, found.pgbouncers)
    both = found.max_connections - RESERVED_CONNECTIONS - SURGE * found.pool_size  # nothing is being replaced
    backend = replace(found.whole.stable, replicas=10)

    def opened(max_connections: int) -> int:
        database = replace(found.whole.database, max_connections=max_connections)
        plane = DataPlane(replace(found.whole, stable=backend, candidate=backend, database=database), 1)
        plane.weight = 50
        for colour in (0, 1):
            plane.switch(colour, hung=1)
        plane.advance(60.0)
        return sum(plane.period(0, colour).pool_in_use for colour in (0, 1))

    assert opened(both) == both
    assert opened(both - 1) == both - 1


def test_the_rate_limit_is_the_lowest_that_lets_the_busiest_pass() -> None:
    found = tight()

    def limited(limit: int) -> float:
        refused = attempts = 0
        for replication in range(RUNS):
            plane = DataPlane(limit_model(found.assumptions, limit), 77, replication)
            plane.advance(3660.0)
            edges = [plane.edge(n) for n in range(1, 61)]
            refused += sum(edge.rate_limited for edge in edges)
            attempts += sum(edge.attempts for edge in edges)
        return refused / attempts

    mean = 0.3 * found.assumptions.per_minute
    assert mean < found.rate_limit < mean + 6 * math.sqrt(mean)
    assert limited(found.rate_limit) < 0.001
    assert limited(found.rate_limit - int(math.sqrt(mean))) > 0.001
    assert found.limit.fewer is not None
    assert (found.limit.fewer.limited.high or 0) >= 0.001


def test_a_quiet_client_meets_what_waf_takes() -> None:
    found = size(Assumptions.of({"rate_per_minute": 100, "busiest_percent": 1}), Runner(1, 2))
    assert found.rate_limit == 10


def test_the_curve_agrees_with_theory_and_rises() -> None:
    curve = latency_curve(tight(), Runner(1, RUNS))
    means = [point.measured.mean for point in curve.points]
    assert curve.bounded_by == "the backend's slots"
    for point, mean in zip(curve.points, means, strict=True):
        assert mean is not None
        if point.percent <= 85:
            assert point.closed_form == pytest.approx(mean.mean, rel=0.03)
    assert means[-1] is not None
    assert means[0] is not None
    assert means[-1].mean > 5 * means[0].mean
    last = curve.last_within(0.150, 0.001)
    assert last is not None
    assert last.per_minute <= curve.capacity
    assert 50 <= curve.knee.percent < 100


def test_which_pool_survives_which_hang() -> None:
    found = hang_table(tight(), Runner(1, 2))
    for row in found.found.values():
        failed = [measured.failed.mean for measured in row.values()]
        assert failed == sorted(failed)
    assert [*found.found] == sorted(found.found)
    assert min(found.found) == SMALLEST_POOL
    assert max(found.found) == LARGEST_POOL


def test_any_number_of_workers_finds_the_same() -> None:
    assumptions = Assumptions.of({"rate_per_minute": 500})
    assert size(assumptions, Runner(3, 6)) == size(assumptions, Runner(3, 6, workers=2))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"query_ms": 600, "pgbouncers": 10}, "longer than p95_ms"),
        ({"parallel_queries": 1, "rate_per_minute": 6000}, "parallel_queries is 1"),
        ({"rate_per_minute": 5e6}, "no number of replicas up to 99"),
        ({"rate_per_minute": 2e5, "slots": 400, "pgbouncers": 1, "query_ms": 100}, "no pool_size up to the guide's 100"),
        ({"rate_per_minute": 3000, "hang_s": 40}, "survives a hang of 40 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_met_says_what_bounds_it(given: dict[str, float], words: str) -> None:
    with pytest.raises(NoSize, match=words):
        size(Assumptions.of(given), Runner(1, 2))


def test_a_search_finds_the_smallest_from_any_guess() -> None:
    for smallest_that_will_do in (3, 4, 7, 50, 99, 100):
        for guess in (None, 1, 3, 5, 50, 98, 100, 1000):
            asked: list[int] = []

            def meets(n: int, wanted: int = smallest_that_will_do, asked: list[int] = asked) -> bool:
                asked.append(n)
                return n >= wanted

            assert smallest(3, 100, meets, guess) == smallest_that_will_do
            assert len(asked) == len(set(asked)) <= 16
    assert smallest(3, 100, lambda n: False) is None


def test_of_a_trace_the_busiest_stretch_counts() -> None:
    trace = Trace((10, 10, 60, 90, 30, 0, 0), 60.0)
    assert busiest(trace, 3) == Trace((60, 90, 30), 60.0)
    assert share_of(Bursty(100, 21), 0.1) == Bursty(10, 3)
    assert share_of(Poisson(100), 0.1) == Poisson(10)


# --- the command


Capture = pytest.CaptureFixture[str]
SMALL = ("--replications", "2", "--set", "slots=4", "--rate", "2000")


def test_words_and_json_and_page_say_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    page = tmp_path / "capacity.html"
    assert simulate("capacity", *SMALL, "--html", str(page), monkeypatch=monkeypatch) == 0
    lines = capsys.readouterr().out
    words = " ".join(lines.split())
    assert simulate("capacity", *SMALL, "--json", monkeypatch=monkeypatch) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    for key, name in (
        ("replicas", "replicas"),
        ("poolSize", "pool_size"),
        ("databaseMaxConnections", "max_connections"),
        ("rateLimit", "rate_limit"),
    ):
        line = next(line for line in lines.splitlines() if line.startswith(f"{key}  "))
        assert line.split()[1] == f"{found[name]:,}"
    assert found["bounded_by"] in words
    assert found["rate_per_minute"] == 2000
    assert found["curve"][0]["percent"] == 10
    assert found["curve"][-1]["percent"] == 120
    assert found["knee_per_minute"] <= found["bounds_per_minute"][found["bounded_by"]]
    text = page.read_text()
    assert text.count("<svg") == 4, "each for wide and narrow screens"
    assert "your load 2,000" in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--rate", "0"], "--rate is 0"),
        (["--rate", "-5"], "--rate is -5"),
        (["--rate", "5", "--set", "rate_per_minute=5"], "set the same value"),
        (["--rate", "0.5"], "too little to measure"),
        (["--rate", "nan"], "--rate is nan"),
        (["--set", "slots=nan"], "'slots' is nan"),
        (["--set", "replicas=3"], "leave it out"),
        (["--set", "update_s=3"], "'update_s' is not assumed here"),
        (["--set", "slots=0"], "'slots' is 0"),
        (["--set", "slots"], "it takes key=value"),
        (["--trace", "none.csv"], "none.csv: cannot be read"),
        (["--trace", "none.csv", "--rate", "5"], "its own rate"),
        (["--replications", "1"], "--replications"),
        (["--html", "no/such/folder.html"], "--html"),
    ],
)
def test_bad_input(args: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert simulate("capacity", *args, monkeypatch=monkeypatch) == 2
    assert words in capsys.readouterr().err


def test_what_cannot_be_met_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert (
        simulate(
            "capacity", "--set", "query_ms=600", "--set", "pgbouncers=10", *SMALL[:2], monkeypatch=monkeypatch
        )
        == 1
    )
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith("simulate: no number of replicas up to 99")
