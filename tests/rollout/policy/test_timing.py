"""The timing around the policy: each figure, and what it must fit into."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from rollout.plan import load_plan
from rollout.policy import timing

PLAN = load_plan("phase-c")


def test_the_policy_is_fed_often_enough_for_its_limits() -> None:
    assert timing.poll_interval(PLAN) == 10.0
    assert timing.POLLS_A_PERIOD == 6
    # Three queries fit into the time after which the policy is blind, but none takes half a minute.
    assert timing.poll_limit(PLAN) == 30.0
    hasty = replace(PLAN, metrics=replace(PLAN.metrics, blind_limit=60.0))
    assert timing.poll_limit(hasty) == 20.0
    # Twice in each round of probes, so that a time-out is late by less than one.
    assert timing.TICKS_A_ROUND == 2
    assert timing.MISSED_ROUNDS == 3


def test_a_changing_weight_is_read_back_each_half_second() -> None:
    assert timing.read_back_interval(PLAN, changing=True) == 0.5
    assert timing.read_back_interval(PLAN, changing=False) == 5.0
    fast = PLAN.scaled(60)
    assert timing.read_back_interval(fast, changing=True) == fast.health.interval < 0.5
    assert timing.UNREADABLE == 3
    assert timing.SETTLE_GAP == 0.5


def test_a_decrease_is_over_before_the_guides_second_minute() -> None:
    assert timing.decrease_limit(60.0) == 20.0
    assert timing.decrease_limit(6.0) == 6.0
    assert timing.DISK_WAIT == 1.0
    # Tried again after 1, 2, 5 and then each 10 s.
    assert list(accumulate(timing.RETRY_WAIT)) == [1.0, 3.0, 8.0, 18.0]
    assert (
        timing.DISK_WAIT + timing.DECREASE_LIMIT + sum(timing.RETRY_WAIT) < PLAN.verification.deadlines.moved
    )


def test_what_follows_a_release_is_bounded() -> None:
    assert (timing.RECONCILE_LIMIT, timing.DRAIN_LIMIT) == (120.0, 300.0)
    assert (timing.PROMOTE_LIMIT, timing.PROMOTE_TRIES) == (60.0, 3)
    assert (timing.READ_LIMIT, timing.CHECK_LIMIT, timing.RAISE_LIMIT) == (20.0, 20.0, 120.0)
    assert timing.NOTIFY_LIMIT == 10.0


def test_metrics_are_as_late_as_simulator_and_odds_assume() -> None:
    assert (timing.METRIC_DELAY_P50, timing.METRIC_DELAY_P95) == (75.0, 150.0)
