"""`simulate bench`: that it measures what it says, and what its commands print. Speeds themselves are not tested."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from simulate import bench
from simulate.commands import bench as command
from simulate.controlplane import Record
from simulate.sampling import sampled
from simulate.studies.replication import measure, rehearsal
from tests.simulate.command import simulate

KEYS = [
    "kernel_requests_per_s",
    "oracle_requests_per_s",
    "ratio",
    "rehearsals_per_s",
    "bare_recursion_requests_per_s",
]


def test_the_five_numbers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = {"scale": 0.02, "repeats": 1}
    monkeypatch.setattr(command, "bench", lambda **given: bench.bench(**{**given, **small}))
    assert simulate("bench", "--json", monkeypatch=monkeypatch) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [*found] == KEYS
    assert found["ratio"] == pytest.approx(found["kernel_requests_per_s"] / found["oracle_requests_per_s"])
    assert found["kernel_requests_per_s"] > 10 * found["oracle_requests_per_s"] > 0
    assert found["rehearsals_per_s"] > 1


def test_a_rehearsal_of_the_bench_is_a_whole_one() -> None:
    job = bench.rehearsals(1)
    record: Record = rehearsal(job, 0).run()
    assert record.outcome == "promoted"
    assert record.ended >= 13 * 60
    assert [weight for _, weight in record.weights] == [0, 5, 25, 50, 100]
    requests = measure(job, 0, 1).column("requests")[0]
    assert requests == pytest.approx(1000 * record.watched / 60, rel=0.1)


def test_a_profile_is_no_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate("bench", "--json", "--profile", monkeypatch=monkeypatch) == 2
    assert "--profile" in capsys.readouterr().err


def test_looks_fall_where_the_time_goes() -> None:
    def work(seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            bench.speed(lambda: sum(range(20_000)), 1)

    found = sampled(lambda: work(0.3))
    assert found.total() > 50
    [(place, looks)] = found.most_common(1)
    assert place.startswith("simulate/bench.py:")
    assert looks > 0.8 * found.total()
