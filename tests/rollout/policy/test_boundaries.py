"""The policy at its boundaries: two things at the same moment, values at their limits, the first second of a rollout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.plan import Limit, Rollback
from rollout.policy import IllegalEvent, Phase, State, decide, metric_rules
from rollout.policy.events import Decision, DecisionKind, EdgeMetrics, Metrics, Reason, Tick, Traffic
from rollout.policy.judge import highest_seen, target
from rollout.policy.state import REMEMBERED
from rollout.policy.step import Step
from rollout.policy.timeline import Retreat, Timeline
from tests.rollout.runs import PLAN, Run, at_weight, brief

# --- what falls due at the same moment


def test_a_stage_that_has_passed_advances_at_the_moment_it_would_be_blind() -> None:
    run, t = at_weight(5, PLAN.with_metrics(blind_limit=55.0))
    run.metrics(t + 30, t - 40)
    run.metrics(t + 65, t)  # answered 55 s before the window is over
    assert brief(run(t + 120, "tick")) == [("set_weight", 25, "stage_passed")]


def test_a_hold_that_times_out_aborts_before_its_unseen_decrease_is_reissued() -> None:
    run, t = at_weight(50, replace(PLAN, hold_timeout=60.0, apply_limit=60.0))
    run.metrics(t + 70, t, errors=5)  # to 5 %, held, both at this moment
    assert brief(run(t + 130, "tick")) == [("set_weight", 0, "hold_timeout")]


def test_an_unseen_decrease_is_reissued_before_the_reminder_of_a_pause() -> None:
    run, t = at_weight(50, replace(PLAN, hold_timeout=60.0, apply_limit=60.0))
    run.metrics(t + 70, t, errors=5)
    run(t + 70, "operator", command="pause")
    assert brief(run(t + 130, "tick")) == [
        ("set_weight", 5, "traffic"),
        ("alert", None, "traffic"),
        ("alert", None, "operator"),
    ]


def test_blindness_aborts_before_an_unseen_weight_is_reissued() -> None:
    run, t = at_weight(5, replace(PLAN.with_metrics(blind_limit=100.0), apply_limit=60.0))
    assert brief(run(t + 40, "traffic", weight=7)) == [("set_weight", 5, "traffic")]
    assert brief(run(t + 100, "tick")) == [("set_weight", 0, "blind")]


def test_an_unseen_weight_is_reissued_before_an_inconclusive_stage_is_held() -> None:
    run, t = at_weight(5, replace(PLAN, apply_limit=60.0))
    run.metrics(t + 200, t + 100, requests=0, errors=None)
    run(t + 360, "traffic", weight=7)
    assert brief(run(t + 420, "tick")) == [
        ("set_weight", 5, "traffic"),
        ("alert", None, "traffic"),
        ("hold", 5, "inconclusive"),
    ]


# --- a decrease to the weight that is seen is no increase


def decrease_to_what_is_seen() -> tuple[Run, float]:
    """25 % is commanded and 5 % still seen when the stage at 5 % turns out to be bad enough for 5 %."""
    run, t = at_weight(5)
    run.metrics(t + 61, t)
    assert brief(run(t + 120, "tick")) == [("set_weight", 25, "stage_passed")]
    run.metrics(t + 125, t + 60, errors=5)
    assert (run.state.commanded, run.state.before, run.state.fallback) == (5, 5, 25)
    return run, t + 125


def test_an_unseen_decrease_never_falls_back_to_the_weight_it_came_from() -> None:
    run, t = decrease_to_what_is_seen()
    decided = run(t + PLAN.apply_limit, "tick")
    assert brief(decided) == [("set_weight", 5, "traffic"), ("alert", None, "traffic")]
    assert decided[0]["break_glass"] is True


def test_an_unseen_decrease_gets_no_new_time_after_a_gap() -> None:
    run, t = decrease_to_what_is_seen()
    run(t + 40, "resumed", since=t + 1)
    assert run.ticks(int(t) + 41, int(t) + 59) == []
    assert run(t + 60, "tick")[0]["break_glass"] is True


# --- the first second


def test_a_weight_seen_at_the_start_opens_its_window_there() -> None:
    run = Run()
    run(0, "started")
    run(0, "traffic", weight=5)
    (decided,) = run(PLAN.metrics.blind_limit, "tick")
    assert (decided["criterion"], decided["value"]) == ("blind", PLAN.metrics.blind_limit)


# --- what is legal


@pytest.mark.parametrize(
    "event",
    [
        Metrics(60, "candidate", 0, 60),
        Metrics(60, "candidate", 0, 60, requests=3, errors=3),
        Metrics(60, "candidate", 0, 60, requests=0, errors=None),
        EdgeMetrics(60, 0, 60, 0, 0),
    ],
)
def test_a_period_that_has_just_closed_is_legal(event: Metrics | EdgeMetrics) -> None:
    run = Run()
    run(60, "started")
    decide(PLAN, run.state, event)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Metrics(60, "candidate", 60, 60), "not after its start"),
        (Metrics(60, "candidate", 0, 60.001), "it is not closed"),
        (Metrics(60, "candidate", 0, 60, requests=-1), "negative count"),
        (Metrics(60, "candidate", 0, 60, requests=5, errors=-1), "negative count"),
        (Metrics(60, "candidate", 0, 60, db_connection_errors=-1), "negative count"),
        (EdgeMetrics(60, 0, 60, -1, 0), "negative count"),
        (EdgeMetrics(60, 0, 60, 0, -1), "negative count"),
        (Metrics(60, "candidate", 0, 60, requests=3, errors=4), "4 errors in 3 requests"),
        (Metrics(60, "candidate", 0, 60, requests=0, errors=1), "1 errors in 0 requests"),
    ],
)
def test_a_period_that_cannot_be_is_illegal(event: Metrics | EdgeMetrics, message: str) -> None:
    run = Run()
    run(60, "started")
    with pytest.raises(IllegalEvent, match=message):
        decide(PLAN, run.state, event)


def test_a_gap_may_be_as_short_as_nothing() -> None:
    run, t = at_weight(5)
    assert run(t + 10, "resumed", since=t + 10) == []
    with pytest.raises(IllegalEvent, match="before the gap began"):
        run(t + 11, "resumed", since=t + 11.5)


# --- what a period makes


def test_an_abort_wins_over_another_breach_that_asks_for_nothing() -> None:
    plan = PLAN.with_criteria(
        latency_p95=replace(PLAN.criteria.latency_p95, rollback=Rollback.ABORT),
    )
    run, t = at_weight(5, plan)
    decided = run.metrics(t + 70, t, errors=5, p95=3.0)
    assert brief(decided) == [("set_weight", 0, "latency_p95"), ("alert", None, "error_rate")]
    assert run.state.phase is Phase.ABORTED


@pytest.mark.parametrize(("enough", "decided"), [(1, [("set_weight", 0, "latency_p95")]), (2, [])])
def test_what_was_measured_on_an_unknown_number_of_requests_was_measured_on_one(
    enough: int, decided: list[tuple[object, ...]]
) -> None:
    rule = Limit(2.0, Rollback.ABORT, min_requests=enough)
    run, t = at_weight(50, PLAN.with_criteria(latency_p95=rule))
    assert brief(run.metrics(t + 70, t, requests=None, errors=None, p95=3.0)) == decided


@pytest.mark.parametrize("errors", [0, 1])
def test_of_m_of_n_periods_those_at_or_below_the_limit_do_not_count(errors: int) -> None:
    rule = Limit(0.5, Rollback.ABORT, breaches=2, of=2)
    run, t = at_weight(100, PLAN.with_criteria(error_rate=rule))
    run.metrics(t + 61, t, requests=200, errors=errors)
    assert run.metrics(t + 121, t + 60, requests=200, errors=2) == []
    assert brief(run.metrics(t + 181, t + 120, requests=200, errors=2)) == [("set_weight", 0, "error_rate")]


@pytest.mark.parametrize(("p95", "passes"), [(1.99, True), (2.0, False)])
def test_a_period_with_exactly_enough_requests_is_good_below_the_limit(p95: float, passes: bool) -> None:
    run, t = at_weight(5)
    run.metrics(t + 61, t, requests=PLAN.metrics.min_requests, p95=p95)
    assert bool(run(t + 120, "tick")) is passes


def test_the_weight_of_a_period_is_what_stood_at_its_start_or_was_seen_before_its_end() -> None:
    state = State(seen_history=((10.0, 50), (20.0, 5), (80.0, 25)))
    assert highest_seen(state, 9, 10) == 0
    assert highest_seen(state, 10, 20) == 50
    assert highest_seen(state, 20, 80) == 5
    assert highest_seen(state, 20, 80.001) == 25
    assert highest_seen(state, 19.999, 20) == 50


@pytest.mark.parametrize(("measured_at", "to"), [(5, 0), (6, 5), (25, 5), (0, 0)])
def test_back_to_a_weight_is_nothing_from_there_and_below(measured_at: float, to: float) -> None:
    assert target(PLAN, PLAN.criteria.error_rate, measured_at) == to


# --- the rate limit


@pytest.mark.parametrize(
    ("start", "limited", "raised"),
    [(60, 6, True), (60, 5, False), (59.5, 6, False)],
)
def test_the_rate_limit_rises_above_its_share_in_a_period_that_counts(
    start: float, limited: int, raised: bool
) -> None:
    run = Run(replace(PLAN, rate_limit=replace(PLAN.rate_limit, share=5.0)))
    run(0, "started")
    run(1, "traffic", weight=5)
    decided = run(
        120, "metrics", colour="edge", start=start, end=120, requests=100 - limited, rate_limited=limited
    )
    assert [d["decision"] for d in decided] == ["raise_rate_limit"] * raised


def test_a_period_that_ends_where_the_cap_was_paged_does_not_page_it_again() -> None:
    run = Run()
    run(0, "started", rate_limit=PLAN.rate_limit.cap)
    run(1, "traffic", weight=5)
    assert run(120, "metrics", colour="edge", start=60, end=120, requests=50, rate_limited=50)
    assert run(121, "metrics", colour="edge", start=90, end=120, requests=50, rate_limited=50) == []
    assert run(122, "metrics", colour="edge", start=90, end=121, requests=50, rate_limited=50)


def test_the_limit_rises_to_its_cap_and_no_further() -> None:
    rule = PLAN.rate_limit
    for deployed, raised in ((rule.cap - 1, rule.cap), (rule.cap, None)):
        run = Run()
        run(0, "started", rate_limit=deployed)
        run(1, "traffic", weight=5)
        (decided,) = run(120, "metrics", colour="edge", start=60, end=120, requests=50, rate_limited=50)
        assert decided.get("rate_limit") == raised


# --- what is remembered


def test_periods_kept_and_spent_are_bounded_and_the_newest_stay() -> None:
    run = Run()
    run(0, "started")
    for end in range(1, REMEMBERED + 9):
        run.metrics(end, end - 1, end=end)
    assert [len(run.state.periods), run.state.periods[-1].end] == [REMEMBERED, REMEMBERED + 8]
    step = Step(PLAN, State(), Tick(0))
    metric_rules.spend(step, *((float(n), n + 1.0) for n in range(REMEMBERED + 8)))
    assert len(step.state.spent) == REMEMBERED
    assert step.state.spent[-1] == (REMEMBERED + 7, REMEMBERED + 8)


# --- the timeline


def test_a_milestone_at_its_deadline_is_in_time() -> None:
    limits = PLAN.verification.deadlines
    at = (limits.decided, limits.moved, limits.flowing, limits.stable)
    assert Retreat(0, Reason.ERROR_RATE, 0, *at).late(PLAN) == ()
    assert Retreat(0, Reason.ERROR_RATE, 0, *(t + 0.1 for t in at)).late(PLAN) == (
        "decided",
        "moved",
        "flowing",
        "stable",
    )


def test_milestones_are_reached_once_and_at_a_weight_below_the_one_ordered_too() -> None:
    order = Decision(60, DecisionKind.SET_WEIGHT, Reason.ERROR_RATE, "x", "", weight=5)
    timeline = Timeline(PLAN)
    up = Decision(0, DecisionKind.SET_WEIGHT, Reason.STARTED, "x", "", weight=25)
    timeline.receive(Traffic(0, 0), [up])
    timeline.receive(Traffic(60, 25), [order])
    for t, weight in ((61, 5.1), (62, 0), (63, 5)):
        timeline.receive(Traffic(t, weight), [])
    for t, start in ((70, 2), (130, 62), (190, 122)):  # ends with the move, begins with it, after it
        timeline.receive(Metrics(t, "stable", start, start + 60, 900, 0, 0.2, 0), [])
    (retreat,) = timeline.retreats
    assert (retreat.moved, retreat.flowing, retreat.stable) == (62, 130, 130)


def test_a_command_at_the_weight_that_stands_is_no_retreat() -> None:
    timeline = Timeline(PLAN)
    for weight in (0, 25, 25):
        order = Decision(0, DecisionKind.SET_WEIGHT, Reason.TRAFFIC, "x", "", weight=weight)
        timeline.receive(Traffic(0, 25), [order])
    assert timeline.retreats == []
