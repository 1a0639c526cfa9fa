"""Probes and restarts as the kubelet judges them."""

from __future__ import annotations

import pytest

from simulate.lab.node.probes import Backoff, ProbeSpec, Streak


def settings(success: int = 1, failure: int = 3) -> ProbeSpec:
    probe = {"httpGet": {"port": 1}, "successThreshold": success, "failureThreshold": failure}
    made = ProbeSpec.of(probe)
    assert made is not None
    return made


def test_defaults_are_kubernetes_own() -> None:
    made = ProbeSpec.of({"tcpSocket": {"port": 1}})
    assert made is not None
    assert (made.initial_delay_s, made.period_s, made.timeout_s) == (0, 10, 1)
    assert (made.success_threshold, made.failure_threshold) == (1, 3)
    assert ProbeSpec.of(None) is None


@pytest.mark.parametrize(
    ("start", "thresholds", "results", "verdicts"),
    [
        # Readiness: ready at the first success, unready only after three failures in a row.
        (False, (1, 3), "+--+---", [True, True, True, True, True, True, False]),
        # A success in between starts the count again.
        (True, (1, 2), "-+-+--", [True, True, True, True, True, False]),
        # Two successes in a row are asked for.
        (False, (2, 1), "+-++-", [False, False, False, True, False]),
        # Startup: undecided until either threshold.
        (None, (1, 3), "--+", [None, None, True]),
        (None, (1, 3), "---", [None, None, False]),
    ],
)
def test_streaks(
    start: bool | None, thresholds: tuple[int, int], results: str, verdicts: list[bool | None]
) -> None:
    streak = Streak(settings(*thresholds), start)
    assert [streak.result(result == "+") for result in results] == verdicts


def test_backoff_doubles_to_five_minutes() -> None:
    backoff = Backoff()
    assert [backoff.delay(1) for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_good_minutes_are_forgiven() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.delay(1)
    assert backoff.delay(600) == 0
    assert backoff.delay(1) == 10
