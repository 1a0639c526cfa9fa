"""`python -m tools.bench`: that it measures what it names, and what it prints. The speeds themselves depend on the machine."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from simulate.controlplane import RehearsalResult
from simulate.studies.replication import measure, rehearsal
from tools.bench import __main__ as command
from tools.bench import measure as bench
from tools.bench.sampling import sampled

pytestmark = pytest.mark.compiled

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
    command.main(["--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [*found] == KEYS
    assert found["ratio"] == pytest.approx(found["kernel_requests_per_s"] / found["oracle_requests_per_s"])
    assert found["kernel_requests_per_s"] > 10 * found["oracle_requests_per_s"] > 0
    assert found["rehearsals_per_s"] > 1


def test_a_rehearsal_of_the_bench_is_a_whole_one() -> None:
    job = bench.rehearsals(1)
    result: RehearsalResult = rehearsal(job, 0).run()
    assert result.outcome == "promoted"
    assert result.ended >= 13 * 60
    assert [weight for _, weight in result.weights] == [0, 5, 25, 50, 100]
    requests = measure(job, 0, 1).column("requests")[0]
    assert requests == pytest.approx(1000 * result.watched / 60, rel=0.1)


@pytest.mark.parametrize("words", [["--json", "--profile"], ["--repeats", "0"]])
def test_bad_input_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(words)
    assert end.value.code == 2
    assert words[-2] in capsys.readouterr().err


def test_samples_fall_where_the_time_goes() -> None:
    def work(seconds: float) -> None:
        until = time.process_time() + seconds
        while time.process_time() < until:
            bench.speed(lambda: sum(range(20_000)), 1)

    found = sampled(lambda: work(0.3))
    assert found.total() > 50
    [(place, samples)] = found.most_common(1)
    assert place.startswith("tools/bench/measure.py:")
    assert samples > 0.8 * found.total()


def test_the_kernel_outruns_the_oracle_and_the_bare_recursion_the_kernel() -> None:
    speeds = bench.bench(scale=0.02, repeats=2)
    assert speeds["ratio"] > 20  # 200 on a quiet machine
    assert speeds["bare_recursion_requests_per_s"] > speeds["kernel_requests_per_s"] > 0
