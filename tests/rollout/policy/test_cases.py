"""Situations that users of other release tools reported, as event files in tests/rollout/cases: each once decided wrong here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollout.plan import parse_plan, plan_text
from rollout.policy import IllegalEvent, Phase
from tests.rollout.runs import PLAN, Run, at_weight, brief

CASES = Path(__file__).parents[1] / "cases"
ALARM = "simple378-prod-cpu"
WITH_ALARM = parse_plan(plan_text("phase-c")[0] + f"\nalarms:\n  {ALARM}: previous\n")


def play(name: str, run: Run | None = None) -> Run:
    run = run or Run()
    for line in (CASES / f"{name}.jsonl").read_text().splitlines():
        run(**json.loads(line))
    return run


def weights(run: Run) -> list[float]:
    return [decision["weight"] for decision in run.all if decision["decision"] == "set_weight"]


# --- the newest period of a window must be good


def test_a_stage_whose_traffic_stops_is_not_passed() -> None:
    run = play("traffic-stops-at-100")
    assert weights(run) == [5, 25, 50, 100], "the good minute before the traffic stopped promotes nothing"
    run.ticks(786, 1086)
    assert brief(run.all[-1:]) == [("hold", 100, "inconclusive")]
    assert run.all[-1]["reason"] == "the extension is over and the newest metric period is not good"


@pytest.mark.parametrize(
    "newest",
    [{"requests": 0}, {"requests": None}, {"p95": None}, {"errors": 1}, {"db_connection_errors": None}],
)
def test_a_bad_or_unmeasured_newest_period_waits_for_the_next_good_one(newest: dict[str, Any]) -> None:
    run, t = at_weight(50)
    run.metrics(t + 61, t)
    run.metrics(t + 121, t + 60, **newest)
    assert run.ticks(int(t) + 180, int(t) + 185) == []
    assert brief(run.metrics(t + 190, t + 120)) == [("set_weight", 100, "stage_passed")]


def test_an_older_period_received_late_does_not_stand_for_the_newest() -> None:
    run, t = at_weight(50)
    run.metrics(t + 121, t + 60, requests=0)
    run.metrics(t + 125, t)
    assert run.ticks(int(t) + 180, int(t) + 185) == []


# --- nothing counts twice


def test_a_revised_period_that_led_to_a_retreat_leads_to_no_second_one() -> None:
    run = play("revised-period-counts-twice")
    assert weights(run) == [5, 25, 5, 25], "one minute at 25 %, one retreat"
    assert run.state.phase is Phase.WATCHING


@pytest.mark.parametrize("worse", [{"errors": 90}, {"p95": 9.0}, {"db_connection_errors": 40}])
def test_what_was_known_at_a_resume_breaches_nothing_later(worse: dict[str, Any]) -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t)
    run(t + 70, "operator", command="pause")
    run(t + 80, "operator", command="resume")
    assert run.metrics(t + 90, t, **worse) == [], "whatever a later version of it says"
    assert run.metrics(t + 150, t + 81, end=t + 141, **worse) != [], "a new period counts"


def test_a_late_period_that_nobody_knew_still_counts() -> None:
    run, t = at_weight(25)
    run.metrics(t + 121, t + 60, errors=5)
    run(t + 122, "traffic", weight=5)
    assert brief(run.metrics(t + 130, t, db_connection_errors=1))[:1] == [
        ("set_weight", 0, "db_connection_errors")
    ]


def test_a_standing_alarm_retreats_once() -> None:
    run = play("standing-alarm-told-twice", Run(WITH_ALARM))
    assert weights(run) == [5, 25, 5]
    assert run.state.phase is Phase.HELD


def test_an_alarm_acts_again_after_it_was_ok_and_stands_over_a_resume() -> None:
    run = play("standing-alarm-told-twice", Run(WITH_ALARM))
    alarm = {"name": ALARM, "tier": "warning"}
    run(201, "operator", command="resume")
    assert run(202, "alarm", **alarm, state="ALARM") == [], "it stood before the resume"
    assert run(203, "alarm", **alarm, state="INSUFFICIENT_DATA") == []
    assert run(204, "alarm", **alarm, state="ALARM") == []
    run(205, "alarm", **alarm, state="OK")
    assert brief(run(206, "alarm", **alarm, state="ALARM"))[:1] == [("set_weight", 0, "alarm")]


def test_while_an_alarm_of_the_plan_cannot_be_read_no_stage_passes() -> None:
    run, t = at_weight(50, WITH_ALARM)
    unknown = {"name": ALARM, "tier": "immediate", "state": "UNKNOWN"}
    run.metrics(t + 61, t)
    assert brief(run(t + 62, "alarm", **unknown)) == [("alert", None, "alarm")]
    assert run(t + 63, "alarm", **unknown) == [], "people are told once"
    run.metrics(t + 190, t + 120)
    assert run.ticks(int(t) + 191, int(t) + 200) == []
    (held,) = run.ticks(int(t) + 400, int(t) + 490)
    assert held["reason"] == f"the extension is over and nobody knows the state of {ALARM}"


@pytest.mark.parametrize("state", ["OK", "INSUFFICIENT_DATA"])
def test_an_alarm_that_can_be_read_again_lets_the_stage_pass(state: str) -> None:
    run, t = at_weight(50, WITH_ALARM)
    run.metrics(t + 61, t)
    run(t + 62, "alarm", name=ALARM, tier="immediate", state="UNKNOWN")
    run.metrics(t + 190, t + 120)
    assert brief(run(t + 191, "alarm", name=ALARM, tier="immediate", state=state)) == [
        ("set_weight", 100, "stage_passed")
    ]


def test_an_alarm_that_the_plan_does_not_name_may_be_unknown() -> None:
    run, t = at_weight(50)
    assert run(t + 1, "alarm", name=ALARM, tier="immediate", state="UNKNOWN") == []
    run.metrics(t + 61, t)
    run.metrics(t + 121, t + 60)
    assert brief(run.ticks(int(t) + 170, int(t) + 185))[:1] == [("set_weight", 100, "stage_passed")]


def test_an_alarm_that_is_no_criterion_is_reported_once() -> None:
    run, t = at_weight(25)
    alarm = {"name": "simple378-prod-disk", "tier": "warning", "state": "ALARM"}
    assert brief(run(t + 1, "alarm", **alarm)) == [("alert", None, "alarm")]
    assert run(t + 2, "alarm", **alarm) == []


def test_an_edge_period_from_before_the_start_says_nothing() -> None:
    assert brief(play("edge-period-before-start").all) == [("set_weight", 5, "started")]


# --- attention


def test_after_a_gap_nothing_rises_by_what_fell_due_in_it() -> None:
    run = play("resumed-after-a-gap")
    assert weights(run) == [5, 25, 50, 100, 0]
    assert "promote" not in {decision["decision"] for decision in run.all}
    # What was measured in the gap counts against the release.
    assert ("set_weight", 0, "db_connection_errors") in brief(run.all)


def test_a_gap_opens_a_full_new_window_and_ends_blindness() -> None:
    run, t = at_weight(50)
    run.metrics(t + 61, t)
    assert run(t + 2000, "resumed", since=t + 70) == []
    assert (run.state.phase, run.state.window_start) == (Phase.WATCHING, t + 2000)
    run.metrics(t + 2075, t + 2005)
    assert run.ticks(int(t) + 2100, int(t) + 2179) == []
    assert brief(run(t + 2180, "tick")) == [("set_weight", 100, "stage_passed")]


def test_a_hold_that_timed_out_in_the_gap_aborts() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t, errors=9)
    run(t + 62, "traffic", weight=5)
    assert brief(run(t + 700, "resumed", since=t + 63)) == [("set_weight", 0, "hold_timeout")]


def test_the_operators_pause_outlasts_any_gap() -> None:
    run, t = at_weight(25)
    run(t + 10, "operator", command="pause")
    run(t + 5000, "resumed", since=t + 20)
    assert run.state.phase is Phase.PAUSED


def test_a_decrease_unseen_in_the_gap_goes_through_the_load_balancers_api() -> None:
    run, t = at_weight(25)
    run(t + 5, "operator", command="abort")
    first, _ = run(t + 500, "resumed", since=t + 6)
    assert (first["decision"], first["weight"], first["break_glass"]) == ("set_weight", 0, True)


def test_an_increase_unseen_in_the_gap_has_its_whole_time_again() -> None:
    run = Run()
    run(0, "started")
    assert run(500, "resumed", since=1) == []
    assert run(500 + PLAN.apply_limit - 1, "tick") == []
    assert brief(run(500 + PLAN.apply_limit, "tick")) == [
        ("set_weight", 0, "traffic"),
        ("hold", 0, "traffic"),
    ]


def test_an_increase_seen_after_the_gap_stands() -> None:
    run = Run()
    run(0, "started")
    run(500, "resumed", since=1)
    run(501, "traffic", weight=5)
    assert (run.state.phase, run.state.window_start) == (Phase.WATCHING, 501)


def test_the_watch_over_stable_begins_anew_after_a_gap() -> None:
    run, t = at_weight(25)
    run(t + 5, "operator", command="abort")
    run(t + 7, "traffic", weight=0)
    assert run(t + 1000, "resumed", since=t + 8) == []
    assert (run.state.phase, run.state.window_start) == (Phase.VERIFYING, t + 1000)


def test_a_gap_begins_before_it_ends() -> None:
    run, t = at_weight(25)
    with pytest.raises(IllegalEvent, match="before the gap began"):
        run(t + 1, "resumed", since=t + 2)


# --- verified on every minute of the watch, or not


def test_one_good_minute_of_stable_verifies_nothing() -> None:
    run = play("verified-on-one-minute")
    paged, finish = run.all[-2:]
    assert (finish["decision"], finish["outcome"], finish["verified"]) == ("finish", "aborted", False)
    assert (paged["decision"], paged["severity"], paged["criterion"]) == ("alert", "page", "blind")
    assert finish["reason"] == (
        "all traffic on stable, not verified: 3 of 4 metric periods not measured; the last health round failed"
    )


# --- a pause stays a pause


def paused(weight: int = 50) -> tuple[Run, float]:
    run, t = at_weight(weight)
    run(t + 1, "operator", command="pause")
    return run, t


def still_paused(run: Run) -> None:
    """No time-out takes a decision out of the operator's hands."""
    assert run.state.phase is Phase.PAUSED
    since = int(run.state.t) + 1
    for second in range(since, since + 1300, 5):
        run(second, "traffic", weight=run.state.commanded)
        if second % 60 < 5:
            run.metrics(second, second - 60)
    assert run.state.phase is Phase.PAUSED
    assert {d["decision"] for d in run.all if d["t"] >= since} == {"alert"}, "reminders"


def test_a_breach_under_a_pause_lowers_the_weight_and_stays_paused() -> None:
    run, t = paused()
    assert brief(run.metrics(t + 61, t, errors=5)) == [
        ("set_weight", 5, "error_rate"),
        ("hold", 5, "error_rate"),
    ]
    still_paused(run)
    assert run(t + 1500, "operator", command="resume") == []
    assert run.state.phase is Phase.WATCHING


def test_an_increase_that_is_not_seen_under_a_pause_goes_back_and_stays_paused() -> None:
    run, t = at_weight(25)
    run.metrics(t + 61, t)
    assert brief(run(t + 180, "tick")) == [("set_weight", 50, "stage_passed")]
    run(t + 185, "operator", command="pause")
    assert brief(run(t + 240, "tick")) == [("set_weight", 25, "traffic"), ("hold", 25, "traffic")]
    still_paused(run)


def test_traffic_astray_under_a_pause_is_kept_and_stays_paused() -> None:
    run, t = paused()
    assert brief(run(t + 5, "traffic", weight=10)) == [("hold", 10, "traffic")]
    still_paused(run)


def test_an_alarm_under_a_pause_lowers_the_weight_and_stays_paused() -> None:
    run, t = at_weight(50, WITH_ALARM)
    run(t + 1, "operator", command="pause")
    assert brief(run(t + 5, "alarm", name=ALARM, tier="warning", state="ALARM"))[0] == (
        "set_weight",
        25,
        "alarm",
    )
    still_paused(run)


def test_what_aborts_aborts_under_a_pause_as_well() -> None:
    run, t = paused()
    assert brief(run.metrics(t + 61, t, db_connection_errors=1)) == [
        ("set_weight", 0, "db_connection_errors")
    ]


# --- an alarm of the plan that stands


def standing(weight: int) -> tuple[Run, float]:
    """Resumed although the plan's alarm stands; the time at which the new window opened."""
    run, t = at_weight(weight, parse_plan(plan_text("phase-c")[0] + f"\nalarms:\n  {ALARM}: hold\n"))
    run(t + 1, "alarm", name=ALARM, tier="warning", state="ALARM")
    assert run.state.phase is Phase.HELD
    run(t + 2, "operator", command="resume")
    return run, t + 2


def good_minutes(run: Run, t: float, since: int, until: int) -> list[dict[str, Any]]:
    return [d for minute in range(since, until) for d in run.metrics(t + 60 * minute + 60, t + 60 * minute)]


def test_nothing_passes_while_an_alarm_of_the_plan_stands() -> None:
    run, t = standing(50)
    assert good_minutes(run, t, 0, 7) == []
    (held,) = good_minutes(run, t, 7, 9)
    assert brief([held]) == [("hold", 50, "inconclusive")]
    assert held["reason"] == f"the extension is over and alarm {ALARM} stands"


def test_a_stage_passes_when_the_alarm_is_ok_again() -> None:
    run, t = standing(50)
    good_minutes(run, t, 0, 5)
    assert run(t + 310, "alarm", name=ALARM, tier="warning", state="INSUFFICIENT_DATA") == []
    assert brief(run(t + 320, "alarm", name=ALARM, tier="warning", state="OK")) == [
        ("set_weight", 100, "stage_passed")
    ]


def test_nothing_is_promoted_while_an_alarm_of_the_plan_stands() -> None:
    run, t = at_weight(100, parse_plan(plan_text("phase-c")[0] + f"\nalarms:\n  {ALARM}: hold\n"))
    good_minutes(run, t + 20, 0, 4)
    run(t + 300, "tick")
    assert run.state.phase is Phase.BAKING
    run(t + 301, "alarm", name=ALARM, tier="warning", state="ALARM")
    run(t + 302, "operator", command="resume")
    assert good_minutes(run, t + 302, 0, 9) == []
    (held,) = good_minutes(run, t + 302, 9, 10)
    assert held["reason"] == f"the extension is over and alarm {ALARM} stands"


def test_an_alarm_that_is_no_criterion_blocks_nothing() -> None:
    run, t = at_weight(50, WITH_ALARM)
    run(t + 1, "alarm", name="simple378-prod-disk", tier="warning", state="ALARM")
    assert brief(good_minutes(run, t, 0, 3)) == [("set_weight", 100, "stage_passed")]
