"""T+0 to T+5 as they really happened."""

from __future__ import annotations

from rollout.plan import load_plan
from rollout.policy.events import FRONT_DOOR, Decision, DecisionKind, Event, Health, Metrics, Reason, Traffic
from rollout.policy.timeline import Retreat, Timeline
from tests.rollout.runs import at_weight

PLAN = load_plan("phase-c")


def command(t: float, weight: float, criterion: Reason) -> Decision:
    return Decision(t, DecisionKind.SET_WEIGHT, criterion, "x", "", weight=weight)


def stable(
    t: float, start: float, requests: int = 900, errors: int | None = 0, p95: float | None = 0.2
) -> Metrics:
    return Metrics(t, "stable", start, start + 60, requests, errors, p95, 0)


def follow(*steps: tuple[Event, list[Decision]]) -> Timeline:
    timeline = Timeline(PLAN)
    for event, decisions in steps:
        timeline.receive(event, decisions)
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
        (stable(161, 100, p95=None), []),  # unmeasured is not normal
        (stable(162, 100, errors=None), []),
        (stable(163, 100, p95=0.5), []),  # nor is what is at the limit
        (stable(220, 160), []),
    )
    (retreat,) = timeline.retreats
    assert retreat == Retreat(0, Reason.HEALTH, 50, 60, 63, 100, 220)
    assert retreat.late(PLAN) == ()


def test_the_timeline_and_the_verification_agree_on_what_is_normal() -> None:
    """A release that was taken back is verified on the data that made stable normal again, and on no other."""
    for p95, normal in ((0.2, True), (None, False), (0.5, False)):
        run, t = at_weight(50)
        timeline = Timeline(PLAN)
        run(t + 1, "operator", command="abort")
        run(t + 2, "traffic", weight=0)
        timeline.receive(Traffic(t + 1, 50), [command(t + 1, 25, Reason.STARTED)])
        timeline.receive(Traffic(t + 1, 50), [command(t + 1, 0, Reason.OPERATOR)])
        timeline.receive(Traffic(t + 2, 0), [])
        for start in (t + 10, t + 70, t + 130, t + 190):
            run.metrics(start + 90, start, colour="stable", p95=p95)
            timeline.receive(stable(start + 90, start, p95=p95), [])
        run(t + 2 + 300 + 180, "tick")
        assert run.all[-1]["decision"] == "finish"
        assert run.all[-1]["verified"] is normal
        assert (timeline.retreats[0].stable is not None) is normal


def test_what_was_late_or_never_came_is_named() -> None:
    assert Retreat(0, Reason.ERROR_RATE, 0, 0, 121, 200).late(PLAN) == ("moved", "flowing", "stable")


def test_traffic_is_seen_to_flow_by_the_front_door_before_any_metric_is_told() -> None:
    """A period of stable's that began before the move may end a minute after it, and is told up to three minutes later."""
    (retreat,) = follow(
        RAISED,
        (Health(50, FRONT_DOOR, ("/",)), []),
        (Health(60, FRONT_DOOR, ("/",)), [command(60, 0, Reason.FRONT_DOOR)]),
        (Traffic(63, 0), []),
        (Health(63, FRONT_DOOR, ()), []),  # may have begun before
        (Health(65, FRONT_DOOR, ("/health",)), []),
        (Health(68, "stable", ()), []),  # round the rule
        (Health(70, FRONT_DOOR, ()), []),
        (stable(260, 60), []),
    ).retreats
    assert (retreat.detected, retreat.moved, retreat.flowing) == (50, 63, 70)


def test_the_front_door_says_nothing_while_the_candidate_has_traffic() -> None:
    (retreat,) = follow(
        RAISED,
        (Traffic(5, 25), [command(5, 5, Reason.ERROR_RATE)]),
        (Traffic(8, 5), []),
        (Health(10, FRONT_DOOR, ()), []),
    ).retreats
    assert retreat.flowing is None


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


def test_a_decision_beside_the_command_hides_no_retreat() -> None:
    page = Decision(60, DecisionKind.ALERT, Reason.HEALTH, "x", "")
    (retreat,) = follow(
        RAISED, (Health(60, "candidate", ("deep",)), [page, command(60, 0, Reason.HEALTH)])
    ).retreats
    assert (retreat.weight, retreat.decided) == (0, 60)


def test_stable_again_is_the_errors_of_every_minute_since_the_move() -> None:
    """9 of 900 and nothing after it: below 0.1 % of all only when 9,001 requests went by."""
    timeline = follow(
        RAISED,
        (Traffic(60, 25), [command(60, 0, Reason.OPERATOR)]),
        (Traffic(63, 0), []),
        (stable(160, 100, errors=9), []),
        (stable(220, 160), []),
        (stable(280, 220, requests=8000), []),
    )
    assert timeline.retreats[0].stable == 280
