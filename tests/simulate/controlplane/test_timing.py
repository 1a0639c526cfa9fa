"""What feeds the policy, and what carries its decisions out, keeps the same times live, in a rehearsal and in the odds.

Each figure is measured at the real controller, at the simulator and at the odds, as it is and after `rollout.policy.timing` was
changed: so each of them reads it there, and none has a figure of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rollout.control.controller import Controller
from rollout.control.ports import Reading
from rollout.control.testing import FakeCloud, FakeMetrics, FakeTraffic, MemoryJournal, run_virtually
from rollout.control.testing import Release as FakeRelease
from rollout.odds.odds import Release, Rollout
from rollout.plan import load_plan
from rollout.policy import timing
from rollout.policy.events import Event, Metrics
from simulate.controlplane import Draws, Rehearsal
from simulate.controlplane.cloudwatch import CloudWatch
from simulate.controlplane.world import Delivery, Updates
from simulate.dataplane import Constant
from tests.simulate.rehearsals import short_plan, world_of

PLAN = load_plan("phase-c")


def run_live(cloud: FakeCloud, seconds: float, *, then: Callable[[], None] = lambda: None) -> None:
    """Runs the real controller for so long; ``then`` happens 30 s after its start."""

    async def run() -> None:
        loop, now = asyncio.get_running_loop(), cloud.clock.now()
        controller = Controller(
            PLAN,
            ports=cloud.ports,
            metrics=cloud.metrics,
            probes=cloud.probes,
            journal=MemoryJournal(cloud.clock),
            clock=cloud.clock,
            start=now,
        )
        loop.call_later(30, then)
        loop.call_later(seconds, controller.leave, "the test is over")
        await controller.run()

    run_virtually(run())


# --- polls in a metric period: the seconds of one at which something can be heard


def live_polls() -> set[float]:
    polls: list[float] = []

    class Counted(FakeMetrics):
        async def poll(self, t: float) -> Sequence[Reading]:
            polls.append(t)
            return await super().poll(t)

    cloud = FakeCloud()
    cloud.metrics = Counted(cloud.traffic)
    run_live(cloud, 200)
    return {t % PLAN.metrics.period for t in polls}


def simulated_polls() -> set[float]:
    source = CloudWatch(Delivery(), PLAN, Draws(1, 0), 0)
    return {source.poll_after(ms) / 1000 % PLAN.metrics.period for ms in range(0, 120_000, 500)}


def polls_of_the_odds() -> set[float]:
    heard: list[Event] = []

    class Heard(Rollout):
        def _receive(self, event: Event) -> None:
            heard.append(event)
            super()._receive(event)

    chance = np.random.default_rng(1)
    for _ in range(20):
        Heard(PLAN, Release(1000, 0, 0), chance).run()
    # A period that was published before its poll is told at it, never before its end.
    return {event.t % PLAN.metrics.period for event in heard if isinstance(event, Metrics)}


@pytest.mark.parametrize("read", [live_polls, simulated_polls, polls_of_the_odds])
@pytest.mark.parametrize("polls", [6, 3, 2])
def test_polls_a_period(read: Callable[[], set[float]], polls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {round(at, 3) for at in read()} == {0, 10, 20, 30, 40, 50}
    monkeypatch.setattr(timing, "POLLS_A_PERIOD", polls)
    assert {round(at, 3) for at in read()} == {k * PLAN.metrics.period / polls for k in range(polls)}


# --- a decrease whose stack update hangs goes through the load balancer's own API


def live_decrease() -> float:
    """Seconds from the decision until the weight is changed."""
    cloud = FakeCloud(traffic=FakeTraffic(seconds=1))
    cloud.metrics.candidate = FakeRelease(error_rate=5)
    run_live(cloud, 300, then=lambda: setattr(cloud.traffic, "hanging_stack", True))
    (_, raised), (moved, lowered) = cloud.traffic.history[:2]
    assert (raised, lowered) == (5, 0)
    decided = (
        PLAN.metrics.period + cloud.metrics.delay
    )  # the first bad period is heard at the poll when it is published
    return moved - decided


def simulated_decrease() -> float:
    updates = Updates(stack=Constant(40.0), break_glass=Constant(0.0))
    world = replace(world_of("error-regression"), updates=updates)
    result = Rehearsal(world, short_plan(), 1).run()
    assert result.decided is not None
    return next(t for t, weight in result.weights[2:] if weight == 0) - result.decided


@pytest.mark.parametrize("read", [live_decrease, simulated_decrease])
def test_a_decrease_breaks_the_glass(read: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    assert read() == pytest.approx(20, abs=0.01)
    monkeypatch.setattr(timing, "DECREASE_LIMIT", 7.0)
    assert read() == pytest.approx(7, abs=0.01)


def test_no_decrease_waits_longer_than_the_plans_own_limit() -> None:
    assert timing.decrease_limit(PLAN.apply_limit) == timing.DECREASE_LIMIT
    assert timing.decrease_limit(5.0) == 5


# --- a weight that changes is read back


def read_backs(seconds: float) -> list[float]:
    """The times of read-backs, live, while an update is under way that takes so long."""
    times: list[float] = []

    class Looked(FakeTraffic):
        async def read_weight(self) -> float:
            times.append(asyncio.get_running_loop().time())
            return await super().read_weight()

    run_live(FakeCloud(traffic=Looked(seconds=seconds)), seconds)
    return times


def test_a_weight_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def live() -> float:
        times = read_backs(10)
        return max(later - earlier for earlier, later in pairwise(times))

    def simulated() -> float:
        heard = []
        for n in range(12):
            run = Rehearsal(world_of("healthy"), PLAN, 1, n, listen=True)
            while len(run.result.weights) < 2 or run.state.seen == 0:
                run.step()
            heard.append(run.now / 1000 - run.result.weights[1][0])
        return max(heard)

    assert live() == pytest.approx(0.5)
    assert 0.3 < simulated() <= 0.501
    monkeypatch.setattr(timing, "READ_BACK", 2.0)
    assert live() == pytest.approx(2)
    assert 1.2 < simulated() <= 2.001
