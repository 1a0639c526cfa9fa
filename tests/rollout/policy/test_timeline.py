"""T+0 to T+5 as they really happened."""

from __future__ import annotations

from rollout.plan import load_plan
from rollout.policy.events import Decision, DecisionKind, Event, Health, Metrics, Reason, Traffic
from rollout.policy.timeline import Retreat, Timeline

PLAN = load_plan("phase-c")


def command(t: float, weight: float, criterion: Reason) -> Decision:
    return Decision(t, DecisionKind.SET_WEIGHT, criterion, "x", "", weight=weight)


def stable(t: float, start: float, requests: int = 900, errors: int = 0) -> Metrics:
    return Metrics(t, "stable", start, start + 60, requests, errors, 0.2, 0)


def follow(*steps: tuple[Event, list[Decision]]) -> Timeline:
    timeline = Timeline(PLAN)
    for event, decisions in steps:
        timeline.hear(event, decisions)
    return timeline


RAISED: tuple[Event, list[Decision]] = (Traffic(0, 0), [command(0, 25, Reason.STARTED)])


def test_an_abort_by_health_began_with_the_first_failed_round() -> None:
    timeline = follow(
        RAISED,
        (Health(40, "candidate", ("deep",)), []),
        (Health(45, "candidate", ()), []),
        (Health(50, "candidate", ("deep",)), []),
        (Health(50, "stable", ("deep",)), []),
        (Health(55, "candidate", ("deep",)), []),
        (Health(60, "candidate", ("deep",)), [command(60, 0, Reason.HEALTH)]),
        (Traffic(61, 25), []),
        (Traffic(63, 0), []),
        (stable(70, -10), []),  # ended before the move
        (stable(100, 40), []),  # the move is in it
        (stable(160, 100, errors=9), []),  # not back to normal
        (stable(220, 160), []),
    )
    (retreat,) = timeline.retreats
    assert retreat == Retreat(0, Reason.HEALTH, 50, 60, 63, 100, 220)
    assert retreat.late(PLAN) == ()


def test_what_was_late_or_never_came_is_named() -> None:
    assert Retreat(0, Reason.ERROR_RATE, 0, 0, 121, 200).late(PLAN) == ("moved", "flowing", "stable")


def test_steps_up_and_reissues_are_no_retreats() -> None:
    timeline = follow(
        RAISED,
        (Traffic(5, 50), [command(5, 25, Reason.TRAFFIC)]),
        (Traffic(6, 25), [command(6, 50, Reason.STAGE_PASSED)]),
    )
    assert timeline.retreats == []


def test_a_fall_back_and_the_abort_after_it_are_two() -> None:
    timeline = follow(
        RAISED,
        (stable(65, 0), [command(65, 5, Reason.ERROR_RATE)]),
        (Traffic(67, 5), []),
        (Traffic(665, 5), [command(665, 0, Reason.HOLD_TIMEOUT)]),
        (Traffic(668, 0), []),
    )
    assert [(r.weight, r.detected, r.moved) for r in timeline.retreats] == [(5, 65, 67), (0, 665, 668)]
