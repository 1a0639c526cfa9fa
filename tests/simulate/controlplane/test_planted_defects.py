"""The checks of the control plane must notice a defect in it: here are some, planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from statistics import correlation
from typing import Any

import pytest

from rollout.plan import load_plan
from rollout.policy.events import Traffic
from simulate.controlplane import Draws, Rehearsal, Stream
from simulate.controlplane.cloudwatch import NEVER, Arrival, Closed, CloudWatch
from simulate.controlplane.world import Delivery
from tests.simulate.rehearsals import check, rehearse, short_plan

Patch = Callable[[pytest.MonkeyPatch], None]


def _no_delay(patch: pytest.MonkeyPatch) -> None:
    """Metrics are told when their period closes."""

    def looks(self: CloudWatch, closed: Closed, arrival: Arrival, *, edge: bool) -> list[int]:
        return [self.poll_after(self.end_of(closed.number))]

    def read(self: CloudWatch, closed: Closed, arrival: Arrival, now: int) -> Any:
        return real(self, closed, Arrival(now, now, now), now)

    real = CloudWatch.read
    patch.setattr(CloudWatch, "looks", looks)
    patch.setattr(CloudWatch, "read", read)


def _stale_weight(patch: pytest.MonkeyPatch) -> None:
    """The policy is told the weight that was in force before."""

    def receive(self: Rehearsal, *events: Any) -> None:
        if len(self.result.weights) > 1:
            stale = self.result.weights[-2][1]
            events = tuple(replace(e, weight=stale) if isinstance(e, Traffic) else e for e in events)
        real(self, *events)

    real = Rehearsal.receive
    patch.setattr(Rehearsal, "receive", receive)


def _weight_before_it_is_in_force(patch: pytest.MonkeyPatch) -> None:
    """The commanded weight is taken for the one in force."""

    def move(self: Rehearsal, weight: float, *, increase: bool, by_api: bool) -> None:
        real(self, weight, increase=increase, by_api=by_api)
        self.agenda.at(self.now + 1, lambda run: run.receive(Traffic(run.now / 1000, weight)))

    real = Rehearsal._move
    patch.setattr(Rehearsal, "_move", move)


def _wrong_side(patch: pytest.MonkeyPatch) -> None:
    """The candidate's metrics are stable's."""

    def read(self: CloudWatch, closed: Closed, arrival: Arrival, now: int) -> Any:
        return real(self, replace(closed, sides=(closed.sides[1], closed.sides[0])), arrival, now)

    real = CloudWatch.read
    patch.setattr(CloudWatch, "read", read)


def _dropped_period(patch: pytest.MonkeyPatch) -> None:
    """Every third period is forgotten."""

    def looks(self: CloudWatch, closed: Closed, arrival: Arrival, *, edge: bool) -> list[int]:
        return [] if closed.number % 3 == 0 else real(self, closed, arrival, edge=edge)

    real = CloudWatch.looks
    patch.setattr(CloudWatch, "looks", looks)


def _no_data_is_good_data(patch: pytest.MonkeyPatch) -> None:
    """Periods that are overdue are told with what the data plane knows."""

    def read(self: CloudWatch, closed: Closed, arrival: Arrival, now: int) -> Any:
        return real(self, closed, replace(arrival, balancer=min(arrival.balancer, now)), now)

    real = CloudWatch.read
    patch.setattr(CloudWatch, "read", read)


@pytest.mark.parametrize(
    ("plant", "values"),
    [
        (_no_delay, {}),
        (_stale_weight, {}),
        (_weight_before_it_is_in_force, {}),
        (_wrong_side, {}),
        (_dropped_period, {}),
        (_no_data_is_good_data, {"missing_percent": 40}),
    ],
)
def test_a_defect_is_noticed(plant: Patch, values: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    check(rehearse("healthy", values, plan=short_plan()))
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check(rehearse("healthy", values, plan=short_plan()))


def test_a_stream_used_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two things that share their luck go together; streams of their own do not."""

    def together() -> float:
        pairs = [
            (Draws(1, n).uniform(Stream.BALANCER_DELAY, 0), Draws(1, n).uniform(Stream.APPLICATION_DELAY, 0))
            for n in range(200)
        ]
        mean_a, mean_b = (sum(pair[k] for pair in pairs) / len(pairs) for k in (0, 1))
        return abs(sum((a - mean_a) * (b - mean_b) for a, b in pairs) / len(pairs)) * 12  # a correlation

    assert together() < 0.25
    real = Draws.uniform
    monkeypatch.setattr(Draws, "uniform", lambda self, stream, n: real(self, Stream.PHASE, n))
    assert together() > 0.5


def test_each_source_of_metrics_has_luck_of_its_own() -> None:
    """Delays of the load balancer, the application and the edge, and which of their periods go missing."""

    def columns(missing: float) -> tuple[list[int], ...]:
        source = CloudWatch(Delivery(missing=missing), load_plan("phase-c"), Draws(1, 0), 0)
        found = [(source.arrival(n), source.end_of(n)) for n in range(400)]
        late = [(a.balancer - end, a.application - end, a.edge - end) for a, end in found]
        return tuple(list(column) for column in zip(*late, strict=True))

    for delays in (columns(0.0), [[int(ms > NEVER // 2) for ms in one] for one in columns(0.5)]):
        for one, other in combinations(delays, 2):
            assert abs(correlation(one, other)) < 0.2  # four standard deviations of 400 independent pairs
