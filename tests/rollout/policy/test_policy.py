"""The policy rule by rule (the numbers are those of docs/theory.md). Events are written as a replay file has them."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.plan import parse_plan, plan_text
from rollout.policy import IllegalEvent, Phase, decide, initial_state
from rollout.policy.events import Tick, parse_event
from rollout.policy.metric_rules import spend
from rollout.policy.state import REMEMBERED
from rollout.policy.step import Step
from tests.rollout.runs import PLAN, Run, at_weight, brief

# --- 1: stages and windows


def test_stages_are_the_guides() -> None:
    assert [(s.weight, s.window) for s in PLAN.stages] == [(5, 120), (25, 180), (50, 180), (100, 300)]


def test_a_good_release_goes_through_all_stages_to_promotion() -> None:
    run, t = at_weight(100)
    assert run.metrics(t + 120, t + 30) == []
    assert brief(run(t + 300, "tick")) == [("bake", 100, "stage_passed")]
    for minute in (1, 2, 3):
        assert run.metrics(t + 300 + 10 * minute, t + 30 + 60 * minute) == []
    assert brief(run.metrics(t + 370, t + 270)) == [
        ("promote", 100, "stage_passed"),
        ("finish", 100, "stage_passed"),
    ]
    assert [d["weight"] for d in run.all if d["decision"] == "set_weight"] == [5, 25, 50, 100]
    assert run.all[-1]["outcome"] == "promoted"


def test_a_window_starts_when_the_commanded_weight_is_seen_and_repeats_do_not_restart_it() -> None:
    run = Run()
    assert brief(run(0, "started")) == [("set_weight", 5, "started")]
    assert run(3, "traffic", weight=0) == []  # still on its way
    run(30, "traffic", weight=5)
    run(100, "traffic", weight=5)
    run.metrics(145, 60)
    assert run.ticks(146, 149) == []
    assert brief(run(150, "tick")) == [("set_weight", 25, "stage_passed")]


# --- 2 to 4: criteria


@pytest.mark.parametrize(
    ("weight", "values", "expected"),
    [
        (50, {"errors": 2}, [("set_weight", 5, "error_rate"), ("hold", 5, "error_rate")]),
        (25, {"errors": 2}, [("set_weight", 5, "error_rate"), ("hold", 5, "error_rate")]),
        (5, {"errors": 2}, [("set_weight", 0, "error_rate"), ("hold", 0, "error_rate")]),
        (100, {"p95": 2.01}, [("set_weight", 50, "latency_p95"), ("hold", 50, "latency_p95")]),
        (50, {"p95": 2.01}, [("set_weight", 25, "latency_p95"), ("hold", 25, "latency_p95")]),
        (5, {"p95": 2.01}, [("set_weight", 0, "latency_p95"), ("hold", 0, "latency_p95")]),
        (5, {"db_connection_errors": 1}, [("set_weight", 0, "db_connection_errors")]),
        (100, {"db_connection_errors": 1}, [("set_weight", 0, "db_connection_errors")]),
    ],
)
def test_a_breach_sends_traffic_where_the_guide_says(
    weight: int, values: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    run, t = at_weight(weight)
    assert brief(run.metrics(t + 70, t, **values)) == expected


@pytest.mark.parametrize("values", [{"errors": 1}, {"p95": 2.0}])
def test_equal_to_the_limit_is_no_breach_but_no_pass_either(values: dict[str, Any]) -> None:
    run, t = at_weight(5)
    assert run.metrics(t + 61, t, **values) == []
    assert run(t + 125, "tick") == []
    assert brief(run.metrics(t + 130, t + 60)) == [("set_weight", 25, "stage_passed")]


def test_a_decision_names_criterion_value_limit_and_event() -> None:
    run, t = at_weight(5)
    decision = run.metrics(t + 70, t, requests=52, errors=1)[0]
    assert decision["value"] == pytest.approx(100 / 52, abs=1e-6)
    assert decision["limit"] == 1
    assert decision["event"] == "metrics"
    assert decision["reason"] == "error rate 1.923 % (1 of 52 requests) is above 1 %: 0 %"


# --- 5: health


def test_three_failed_rounds_alert_prepare_and_abort() -> None:
    run, t = at_weight(5)
    rounds = [run(t + 5 * n, "health", colour="candidate", failed=["ready"]) for n in (1, 2, 3, 4)]
    assert [brief(r) for r in rounds] == [
        [("alert", None, "health")],
        [("prepare_rollback", None, "health")],
        [("set_weight", 0, "health")],
        [],
    ]
    assert (rounds[2][0]["value"], rounds[2][0]["limit"]) == (3, 3)


def test_a_clean_round_ends_the_streak_and_thaws_advancing() -> None:
    run, t = at_weight(5)
    run.metrics(t + 61, t)
    run(t + 110, "health", colour="candidate", failed=["targets"])
    run(t + 115, "health", colour="candidate", failed=["targets", "deep"])
    assert run(t + 121, "tick") == []  # frozen though the window is over and the data are good
    assert brief(run(t + 122, "health", colour="candidate", failed=[])) == [
        ("set_weight", 25, "stage_passed")
    ]
    assert brief(run(t + 125, "health", colour="candidate", failed=["ready"])) == [("alert", None, "health")]


def test_stable_failing_too_is_paged_as_not_curable_and_still_aborts() -> None:
    run, t = at_weight(5)
    run(t + 1, "health", colour="stable", failed=["deep"])
    first = run(t + 2, "health", colour="candidate", failed=["deep"])
    assert any("rollback will not cure" in d["reason"] for d in first)
    assert not any(
        "will not cure" in d["reason"] for d in run(t + 6, "health", colour="stable", failed=["deep"])
    )
    run(t + 7, "health", colour="candidate", failed=["deep"])
    last = run(t + 12, "health", colour="candidate", failed=["deep"])
    assert ("set_weight", 0, "health") in brief(last)


def test_health_counts_before_the_first_weight_is_seen_and_while_held() -> None:
    run = Run()
    run(0, "started")
    for n in (1, 2):
        run(5 * n, "health", colour="candidate", failed=["health"])
    assert brief(run(15, "health", colour="candidate", failed=["health"])) == [("set_weight", 0, "health")]
    held, t = at_weight(25)
    held.metrics(t + 60, t, errors=5)
    for n in (1, 2):
        held(t + 60 + 5 * n, "health", colour="candidate", failed=["health"])
    assert brief(held(t + 75, "health", colour="candidate", failed=["health"])) == [
        ("set_weight", 0, "health")
    ]


# --- 6: where a breach was measured


def test_a_late_period_counts_where_it_was_measured_and_never_twice() -> None:
    run, t = at_weight(25)
    assert brief(run.metrics(t + 61, t, errors=3))[0] == ("set_weight", 5, "error_rate")
    run(t + 63, "traffic", weight=5)
    again = run.metrics(t + 121, t + 60, errors=3)  # 25 % until t + 63
    assert brief(again) == [("alert", None, "error_rate")]
    worse = run.metrics(t + 185, t + 120, errors=3)  # all of it at 5 %
    assert brief(worse) == [("set_weight", 0, "error_rate"), ("hold", 0, "error_rate")]


def test_a_breach_while_an_increase_is_in_flight_counts_from_the_commanded_weight() -> None:
    run, t = at_weight(5)
    run.metrics(t + 61, t)
    run(t + 120, "tick")
    assert run.state.commanded == 25
    assert brief(run.metrics(t + 123, t + 60, errors=3)) == [
        ("set_weight", 5, "error_rate"),
        ("hold", 5, "error_rate"),
    ]


def test_a_late_breach_after_a_resume_holds_again() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t, errors=3)
    run(t + 63, "traffic", weight=5)
    run(t + 100, "operator", command="resume")
    assert brief(run.metrics(t + 125, t + 60, errors=3)) == [("hold", 5, "error_rate")]


def test_a_period_from_before_the_rollout_says_nothing_about_it() -> None:
    run = Run()
    run(0, "started")
    assert run.metrics(1, -60, end=0, errors=50) == []


# --- 7: advancing, no data, blind


def test_a_period_that_began_before_the_window_does_not_count() -> None:
    run, t = at_weight(5)
    run.metrics(t + 59, t - 1)
    assert run(t + 120, "tick") == []
    assert brief(run.metrics(t + 121, t)) == [("set_weight", 25, "stage_passed")]


@pytest.mark.parametrize(
    "values",
    [
        {"requests": 0, "errors": None, "p95": None, "db_connection_errors": None},
        {"p95": None},
        {"errors": None},
        {"db_connection_errors": None},
        {"requests": None, "errors": None},
    ],
)
def test_no_data_and_unmeasured_values_block_and_end_inconclusive(values: dict[str, Any]) -> None:
    run, t = at_weight(5)
    decisions = []
    for n in range(1, 8):
        decisions += run.metrics(t + 60 * n, t + 60 * (n - 1), **values)
    assert brief(decisions) == [("hold", 5, "inconclusive")]
    assert decisions[0]["t"] == t + 120 + 300


def test_without_a_successful_query_for_the_blind_limit_it_aborts() -> None:
    run, t = at_weight(5)
    for n in range(1, 12):
        assert run(t + 30 * n, "metrics_error", reason="throttled") == []
    assert brief(run(t + 360, "tick")) == [("set_weight", 0, "blind")]


def test_blindness_counts_from_the_windows_start_at_the_earliest() -> None:
    run, t = at_weight(25)  # the last query succeeded before this window began
    assert run(t + 359, "tick") == []
    assert brief(run(t + 360, "tick")) == [("set_weight", 0, "blind")]


def test_data_that_arrive_just_when_a_time_out_falls_due_are_heard_first() -> None:
    run, t = at_weight(5)
    assert run.metrics(t + 360, t + 300) != []  # blind would be due now; the stage passes instead
    assert run.all[-1]["criterion"] == "stage_passed"


def test_an_event_long_after_a_time_out_does_not_rescue_it() -> None:
    run, t = at_weight(5)
    assert brief(run.metrics(t + 500, t + 400)) == [("set_weight", 0, "blind")]


# --- 8: several breaches


def test_of_several_breaches_the_lowest_weight_wins_and_all_are_recorded() -> None:
    run, t = at_weight(50)
    decisions = run.metrics(t + 61, t, errors=3, p95=2.5)
    assert brief(decisions)[:2] == [("set_weight", 5, "error_rate"), ("hold", 5, "error_rate")]
    assert {b["criterion"] for b in decisions[0]["breaches"]} == {"error_rate", "latency_p95"}
    assert ("alert", None, "latency_p95") in brief(decisions)
    run, t = at_weight(50)
    decisions = run.metrics(t + 61, t, errors=3, p95=2.5, db_connection_errors=2)
    assert brief(decisions)[0] == ("set_weight", 0, "db_connection_errors")
    assert len([d for d in decisions if d["decision"] == "set_weight"]) == 1


# --- 9: the edge


def edge(run: Run, t: float, start: float, limited: int) -> list[dict[str, Any]]:
    return run(
        t,
        "metrics",
        colour="edge",
        start=start,
        end=start + 60,
        requests=1000 - limited,
        rate_limited=limited,
    )


def test_more_than_five_percent_limited_raises_the_limit() -> None:
    run, t = at_weight(5)
    t += 60
    assert edge(run, t + 60, t, 50) == []  # 5 % is not more than 5 %
    raised = edge(run, t + 62, t, 51)  # the same period, revised
    assert brief(raised) == [("raise_rate_limit", None, "rate_limited")]
    assert (raised[0]["rate_limit"], raised[0]["value"], raised[0]["limit"]) == (1500, 5.1, 5)
    assert edge(run, t + 63, t, 60) == []


def test_the_limit_rises_from_the_deployed_one() -> None:
    run = Run()
    run(0, "started", rate_limit=3000)
    run(1, "traffic", weight=5)
    assert edge(run, 121, 61, 60)[0]["rate_limit"] == 3500


def test_the_limit_is_not_raised_while_held_and_a_429_never_moves_traffic() -> None:
    run, t = at_weight(5)
    run(t + 1, "operator", command="pause")
    assert edge(run, t + 61, t, 500) == []
    assert run.state.commanded == 5


# --- 10: alarms


@pytest.mark.parametrize(
    ("tier", "state", "expected"),
    [
        ("immediate", "ALARM", [("page", "alarm")]),
        ("warning", "ALARM", [("warning", "alarm")]),
        ("notice", "ALARM", []),
        ("immediate", "OK", []),
    ],
)
def test_alarms_are_told_by_tier_and_move_nothing(
    tier: str, state: str, expected: list[tuple[str, str]]
) -> None:
    run, t = at_weight(5)
    decisions = run(t + 1, "alarm", name="cpu", tier=tier, state=state)
    assert [(d["severity"], d["criterion"]) for d in decisions] == expected
    assert run.state.phase is Phase.WATCHING


def test_a_plan_may_promote_an_alarm_to_a_criterion() -> None:
    text = plan_text("phase-c")[0] + "\nalarms: {db-cpu: abort, cpu: previous, queue: hold}\n"
    run, t = at_weight(50, parse_plan(text))
    assert brief(run(t + 1, "alarm", name="queue", tier="warning", state="ALARM")) == [("hold", 50, "alarm")]
    assert brief(run(t + 2, "alarm", name="cpu", tier="warning", state="ALARM"))[0] == (
        "set_weight",
        25,
        "alarm",
    )
    assert brief(run(t + 3, "alarm", name="db-cpu", tier="notice", state="ALARM")) == [
        ("set_weight", 0, "alarm")
    ]


# --- 11: traffic


def test_an_increase_not_seen_in_time_goes_back_and_holds() -> None:
    run, t = at_weight(5)
    run.metrics(t + 61, t)
    run(t + 120, "tick")
    run(t + 150, "traffic", weight=5)
    assert run(t + 179, "tick") == []
    assert brief(run(t + 180, "tick")) == [("set_weight", 5, "traffic"), ("hold", 5, "traffic")]


def test_a_decrease_not_seen_in_time_breaks_glass_and_pages_until_it_is_seen() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t, errors=3)
    run(t + 100, "traffic", weight=25)
    first = run(t + 121, "tick")
    assert brief(first) == [("set_weight", 5, "traffic"), ("alert", None, "traffic")]
    assert first[0]["break_glass"] is True
    assert first[1]["severity"] == "page"
    assert run(t + 180, "tick") == []
    assert brief(run(t + 181, "tick"))[0] == ("set_weight", 5, "traffic")
    run(t + 182, "traffic", weight=5)
    assert run(t + 300, "tick") == []


def test_seen_above_the_commanded_weight_is_reissued() -> None:
    run, t = at_weight(25)
    assert brief(run(t + 5, "traffic", weight=50)) == [("set_weight", 25, "traffic")]
    assert run(t + 6, "traffic", weight=50) == []  # on its way
    run(t + 8, "traffic", weight=25)
    assert run.state.window_start == t  # an open window stays open


def test_seen_below_the_commanded_weight_is_adopted_and_held() -> None:
    run, t = at_weight(25)
    assert brief(run(t + 5, "traffic", weight=10)) == [("hold", 10, "traffic")]
    run(t + 6, "operator", command="resume")
    run.metrics(t + 70, t + 6)
    assert run(t + 125, "tick") == []
    assert brief(run(t + 126, "tick")) == [("set_weight", 25, "stage_passed")]  # the 5 % window, then 25 %


# --- 12: holds


def test_resume_opens_a_full_window_at_the_held_weight_and_skips_nothing() -> None:
    run, t = at_weight(50)
    run.metrics(t + 61, t, errors=3)
    run(t + 63, "traffic", weight=5)
    assert run(t + 200, "operator", command="resume") == []
    run.metrics(t + 262, t + 200)
    assert run.ticks(int(t + 263), int(t + 319)) == []
    assert brief(run(t + 320, "tick")) == [("set_weight", 25, "stage_passed")]


def test_resume_from_zero_begins_with_the_first_stage() -> None:
    run, t = at_weight(5)
    run.metrics(t + 61, t, errors=3)
    run(t + 63, "traffic", weight=0)
    assert brief(run(t + 70, "operator", command="resume")) == [("set_weight", 5, "operator")]
    run(t + 72, "traffic", weight=5)
    assert run.state.window_start == t + 72


def test_a_hold_times_out_into_an_abort() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t, errors=3)
    run(t + 63, "traffic", weight=5)
    assert run.ticks(int(t + 64), int(t + 660)) == []
    assert brief(run(t + 661, "tick")) == [("set_weight", 0, "hold_timeout")]


def test_a_second_breach_does_not_prolong_the_hold() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t, errors=3)
    run(t + 63, "traffic", weight=5)
    run.metrics(t + 191, t + 130, errors=3)
    run(t + 193, "traffic", weight=0)
    assert run.ticks(int(t + 194), int(t + 660)) == []
    assert brief(run(t + 661, "tick")) == [("set_weight", 0, "hold_timeout")]


def test_a_pause_never_times_out_but_reminds() -> None:
    run, t = at_weight(25)
    assert brief(run(t + 10, "operator", command="pause")) == [("hold", 25, "operator")]
    decisions = run.ticks(int(t + 11), int(t + 1900), 7)
    assert brief(decisions) == [("alert", None, "operator")] * 3
    assert run.state.phase is Phase.PAUSED
    assert brief(run.metrics(t + 1960, t + 1850, end=t + 1910, errors=9))[0] == (
        "set_weight",
        5,
        "error_rate",
    )


def test_a_late_breach_that_lowers_nothing_does_not_end_a_pause() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t, errors=3)
    run(t + 63, "traffic", weight=5)
    run(t + 70, "operator", command="pause")
    assert brief(run.metrics(t + 121, t + 60, errors=3)) == [("alert", None, "error_rate")]
    assert run.state.phase is Phase.PAUSED


def test_resume_without_a_hold_is_illegal() -> None:
    run, t = at_weight(5)
    with pytest.raises(IllegalEvent, match="nothing to resume"):
        run(t + 1, "operator", command="resume")


# --- 13: abort and verification


def aborted() -> tuple[Run, float]:
    run, t = at_weight(50)
    assert brief(run(t + 1, "operator", command="abort")) == [("set_weight", 0, "operator")]
    run(t + 3, "traffic", weight=0)
    return run, t + 3


def test_after_an_abort_resume_is_illegal_and_the_weight_never_rises() -> None:
    run, t = aborted()
    with pytest.raises(IllegalEvent, match="never rises"):
        run(t + 1, "operator", command="resume")
    assert brief(run(t + 2, "traffic", weight=50)) == [("set_weight", 0, "traffic")]


def test_the_verification_watches_stable_for_five_minutes() -> None:
    run, t = aborted()
    for minute in range(4):
        start = t + 1 + 60 * minute
        run.metrics(start + 60, start, colour="stable", requests=10000, errors=9, p95=0.499)
    assert run(t + 299, "tick") == []
    finish = run(t + 300, "tick")
    assert brief(finish) == [("finish", 0, "operator")]
    assert (finish[0]["outcome"], finish[0]["verified"]) == ("aborted", True)


@pytest.mark.parametrize(
    ("values", "criterion"), [({"requests": 1000, "errors": 1}, "error_rate"), ({"p95": 0.5}, "latency_p95")]
)
def test_a_failed_verification_pages_once_and_changes_no_weight(
    values: dict[str, Any], criterion: str
) -> None:
    run, t = aborted()
    paged = run.metrics(t + 70, t, colour="stable", **values)
    assert brief(paged) == [("alert", None, criterion)]
    for minute in range(1, 5):
        finish = run.metrics(t + 70 + 60 * minute, t + 60 * minute, colour="stable", **values)
    assert brief(finish) == [("finish", 0, "operator")]
    assert finish[0]["verified"] is False


@pytest.mark.parametrize("values", [{"errors": None, "p95": None}, {"p95": None}, {"errors": None}])
def test_an_unmeasured_period_of_stable_verifies_nothing(values: dict[str, Any]) -> None:
    run, t = aborted()
    run.metrics(t + 70, t, colour="stable", **values)
    assert run(t + 479, "tick") == []
    assert [d["decision"] for d in run(t + 480, "tick")] == ["alert", "finish"]
    assert run.all[-1]["verified"] is False


def test_a_bad_period_of_stable_that_is_revised_to_good_is_verified() -> None:
    run, t = aborted()
    assert brief(run.metrics(t + 70, t, colour="stable", errors=5)) == [("alert", None, "error_rate")]
    for minute in range(5):
        run.metrics(t + 130 + 60 * minute, t + 60 * minute, colour="stable", errors=0)
    assert run.all[-1]["verified"] is True


def test_without_stable_data_the_verification_waits_for_the_metric_delay_and_is_red() -> None:
    run, t = aborted()
    assert run(t + 479, "tick") == []
    assert [d["decision"] for d in run(t + 480, "tick")] == ["alert", "finish"]
    assert run.all[-1]["verified"] is False


def test_the_operators_abort_wins_in_every_phase() -> None:
    for act in (
        lambda run, t: None,
        lambda run, t: run(t, "operator", command="pause"),
        lambda run, t: run.metrics(t, t - 60, errors=50),
    ):
        run, t = at_weight(25)
        act(run, t + 61)
        assert ("set_weight", 0, "operator") in brief(run(t + 62, "operator", command="abort"))
        assert run.state.phase is Phase.ABORTED


# --- 14: repeats, revisions, illegal events


def test_an_identical_period_is_ignored_and_a_revised_one_judged_anew() -> None:
    run, t = at_weight(25)
    assert run.metrics(t + 61, t, errors=1) == []
    assert run.metrics(t + 62, t, errors=1) == []
    assert brief(run.metrics(t + 63, t, errors=2))[0] == ("set_weight", 5, "error_rate")
    assert run.metrics(t + 64, t, errors=2) == []  # not even recorded again


def test_stable_metrics_never_move_the_candidate() -> None:
    run, t = at_weight(25)
    assert run.metrics(t + 61, t, colour="stable", errors=90, p95=9.0, db_connection_errors=70) == []


def test_an_illegal_event_raises_and_changes_nothing() -> None:
    run, t = at_weight(5)
    before = run.state
    for event in (
        {"t": t - 1, "event": "tick"},
        {"t": t, "event": "started"},
        {"t": t + 9, "event": "metrics", "colour": "candidate", "start": t, "end": t + 60, "requests": 1},
        {"t": t + 90, "event": "metrics", "colour": "candidate", "start": t + 60, "end": t},
        {
            "t": t + 90,
            "event": "metrics",
            "colour": "candidate",
            "start": t,
            "end": t + 60,
            "requests": 1,
            "errors": 2,
        },
    ):
        with pytest.raises(IllegalEvent):
            decide(PLAN, run.state, parse_event(event))
    assert run.state is before
    with pytest.raises(IllegalEvent, match="first event"):
        Run()(0, "tick")


def test_what_falls_due_before_an_event_may_end_the_rollout() -> None:
    run, t = aborted()
    run.metrics(t + 70, t, colour="stable")
    late = run.metrics(t + 500, t + 400, errors=90, db_connection_errors=5)
    assert brief(late) == [("alert", None, "blind"), ("finish", 0, "operator")]


def test_an_abort_is_heard_before_a_promotion_that_fell_due() -> None:
    run, t = at_weight(100)
    run.metrics(t + 299, t + 200)
    assert brief(run(t + 310, "operator", command="abort")) == [("set_weight", 0, "operator")]


def test_after_the_end_events_change_nothing_and_orders_are_illegal() -> None:
    run, t = at_weight(100)
    for minute in range(5):
        run.metrics(t + 61 + 60 * minute, t + 60 * minute)
    assert run.state.phase is Phase.FINISHED
    assert run.metrics(t + 400, t + 300, errors=99) == []
    with pytest.raises(IllegalEvent, match="finished"):
        run(t + 401, "operator", command="abort")


def test_an_alarm_of_the_plan_names_its_value_and_limit() -> None:
    run, t = at_weight(25, parse_plan(plan_text("phase-c")[0] + "\nalarms: {cpu: previous}\n"))
    decision = run(t + 10, "alarm", name="cpu", tier="warning", state="ALARM")[0]
    assert (decision["value"], decision["limit"], decision["weight"]) == (1, 0, 5)


def test_a_decrease_that_was_not_seen_before_a_gap_gets_no_more_time_after_it() -> None:
    run, t = at_weight(25)
    assert run.metrics(t + 70, t, errors=5)[0]["weight"] == 5
    assert run(t + 90, "resumed", since=t + 71) == []
    assert run.ticks(int(t) + 91, int(t) + 129) == []
    assert run(t + 130, "tick")[0]["break_glass"] is True


def test_an_inconclusive_stage_says_that_it_is_the_newest_period_however_many_were_good() -> None:
    run, t = at_weight(100)
    for minute in range(2):
        run.metrics(t + 61 + 60 * minute, t + 60 * minute)
    run.metrics(t + 300, t + 240, requests=0)
    run.ticks(int(t) + 301, int(t) + 601, 20)
    reason = next(d["reason"] for d in [*run.all, *run(t + 602, "tick")] if d["criterion"] == "inconclusive")
    assert reason == "the extension is over and the newest metric period is not good"


def test_what_is_remembered_is_bounded() -> None:
    run = Run()
    run(0, "started")
    for second in range(1, 200):
        run(second, "traffic", weight=second % 2)
    assert len(run.state.seen_history) == REMEMBERED == 64
    assert run.state.seen_history[-1] == (199, 1)


def test_a_period_counts_when_any_of_it_is_in_the_rollout() -> None:
    for end, decided in ((0, []), (0.5, [("set_weight", 0, "error_rate"), ("hold", 0, "error_rate")])):
        run = Run()
        run(0, "started")
        run(1, "traffic", weight=5)
        assert brief(run.metrics(70, end - 60, end=end, errors=5)) == decided


def test_spent_periods_are_bounded_and_each_is_kept_once() -> None:
    step = Step(PLAN, initial_state(), Tick(0))
    for minute in range(100):
        spend(step, (60.0 * minute, 60.0 * minute + 60), (0.0, 60.0))
    assert len(step.state.spent) == len(set(step.state.spent)) == REMEMBERED
    assert (99 * 60.0, 100 * 60.0) in step.state.spent


def test_a_hold_that_times_out_as_its_decrease_is_overdue_aborts() -> None:
    run, t = at_weight(
        25, parse_plan(plan_text("phase-c")[0].replace("hold_timeout: 10m", "hold_timeout: 60s"))
    )
    assert run.metrics(t + 70, t, errors=5)[0]["weight"] == 5
    assert brief(run(t + 130, "tick")) == [("set_weight", 0, "hold_timeout")]


def test_no_stage_passes_while_traffic_is_astray() -> None:
    """Somebody else gives the candidate everything; until the reissued weight is seen, good numbers pass nothing."""
    run, t = at_weight(5)
    over = t + PLAN.window_at(5)
    run(over - 2, "traffic", weight=100)
    assert brief(run.all[-1:]) == [("set_weight", 5, "traffic")]
    run.metrics(over + 1, over - 61)
    assert not [d for d in run.all if d.get("weight") == 25]
    run(over + 2, "traffic", weight=5)
    assert brief(run.all[-1:]) == [("set_weight", 25, "stage_passed")]
