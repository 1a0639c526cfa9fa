"""Rule 19: all traffic on the candidate after the last stage, not yet promoted, every criterion awake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.plan import Plan, parse_plan, plan_text
from rollout.policy import Phase
from tests.rollout.runs import PLAN, Run, at_weight, brief

TEXT = plan_text("phase-c")[0]
PROMOTED = [("promote", 100, "stage_passed"), ("finish", 100, "stage_passed")]
HALF_AN_HOUR = replace(PLAN, bake=1800.0)


def baking(plan: Plan = PLAN) -> tuple[Run, float]:
    """A rollout that has just begun to bake, and when its last window opened; periods begin 20 s after that and come late."""
    run, t = at_weight(100, plan)
    for minute in range(3):
        run.metrics(t + 170 + 60 * minute, t + 20 + 60 * minute)
    assert brief(run(t + 300, "tick")) == [("bake", 100, "stage_passed")]
    assert run.state.phase is Phase.BAKING
    return run, t


def fourth(run: Run, t: float, **values: Any) -> list[dict[str, Any]]:
    return run.metrics(t + 360, t + 200, **values)


def fifth(run: Run, t: float, **values: Any) -> list[dict[str, Any]]:
    """The last that began in the window."""
    return run.metrics(t + 420, t + 260, **values)


def test_promoted_when_the_last_period_of_the_window_was_told_and_good() -> None:
    run, t = baking()
    assert fourth(run, t) == []
    assert run.ticks(int(t) + 361, int(t) + 419, 7) == []
    assert brief(fifth(run, t)) == PROMOTED
    assert run.all[-2]["reason"] == (
        "5 metric periods of the last window and the bake arrived and were good: candidate becomes stable"
    )
    assert run.all[-1]["outcome"] == "promoted"


@pytest.mark.parametrize("first", [fourth, fifth])
def test_a_release_that_breaks_in_the_last_minutes_of_its_window_is_taken_back(first: Any) -> None:
    """Minute 13: its numbers come when the window is over."""
    run, t = baking()
    last = fifth if first is fourth else fourth
    if first is fifth:
        last(run, t)
    assert brief(first(run, t, errors=5)) == [("set_weight", 5, "error_rate"), ("hold", 5, "error_rate")]
    assert brief(run.all) != PROMOTED


def test_every_criterion_is_awake() -> None:
    run, t = baking()
    assert brief(run.metrics(t + 360, t + 200, p95=3.0))[0] == ("set_weight", 50, "latency_p95")
    run, t = baking()
    assert brief(run.metrics(t + 360, t + 200, db_connection_errors=1)) == [
        ("set_weight", 0, "db_connection_errors")
    ]
    run, t = baking()
    for second in (301, 306, 311):
        run(t + second, "health", colour="candidate", failed=["deep"])
    assert brief(run.all[-1:]) == [("set_weight", 0, "health")]
    run, t = baking()
    assert brief(run(t + 301, "traffic", weight=60)) == [("hold", 60, "traffic")]
    run, t = baking(parse_plan(TEXT + "\nalarms: {cpu: abort}\n"))
    assert brief(run(t + 301, "alarm", name="cpu", tier="warning", state="ALARM")) == [
        ("set_weight", 0, "alarm")
    ]
    run, t = baking(PLAN.with_metrics(delay=1000.0))
    (blind,) = run(t + 300 + 360, "tick")  # the last answer came at 300 s
    assert (blind["criterion"], blind["weight"]) == ("blind", 0)


def test_a_failed_last_health_round_waits() -> None:
    run, t = baking()
    fourth(run, t)
    run(t + 415, "health", colour="candidate", failed=["deep"])
    assert fifth(run, t) == []
    assert brief(run(t + 421, "health", colour="candidate", failed=[])) == PROMOTED


def test_a_period_that_is_not_told_in_time_holds() -> None:
    run, t = baking()
    fifth(run, t)
    assert run.ticks(int(t) + 421, int(t) + 479) == []
    (held,) = run(t + 480, "tick")  # 180 s, and the longest poll, after the end of the fourth
    assert (held["decision"], held["weight"], held["criterion"]) == ("hold", 100, "inconclusive")
    assert held["reason"] == (
        f"not promoted: no metrics of the period up to {t + 260:.0f} s within 3 min 40 s of its end"
    )
    assert run.state.phase is Phase.HELD


@pytest.mark.parametrize(
    "values", [{"requests": 0, "errors": None}, {"p95": None}, {"db_connection_errors": None}, {"errors": 1}]
)
def test_a_period_told_without_being_good_waits_and_then_holds(values: dict[str, Any]) -> None:
    """1 error of 100 is at the limit: no breach, but not good."""
    run, t = baking()
    fourth(run, t, **values)
    assert fifth(run, t) == []
    for second in range(430, 780, 50):
        assert run.metrics(t + second, t + second - 100) == []
    (held,) = run(t + 300 + 180 + 300, "tick")
    assert brief([held]) == [("hold", 100, "inconclusive")]
    assert held["reason"] == "not promoted: 1 metric period of the last window and the bake not good"


def test_a_revision_that_makes_it_good_promotes() -> None:
    run, t = baking()
    fourth(run, t, requests=0, errors=None)
    fifth(run, t)
    assert brief(run.metrics(t + 500, t + 200)) == PROMOTED


def test_what_is_known_in_part_is_not_told() -> None:
    """Database errors are told at once, before the requests are known."""
    run, t = baking()
    fifth(run, t)
    assert run.metrics(t + 430, t + 200, requests=None, errors=None, p95=None) == []
    assert brief(run(t + 480, "tick")) == [("hold", 100, "inconclusive")]


def test_a_plan_of_m_of_n_lives_with_a_period_that_is_no_breach() -> None:
    text = TEXT.replace("{limit: 1, rollback: {to: 5}}", "{limit: 1, rollback: {to: 5}, breaches: 2, of: 3}")
    run, t = baking(parse_plan(text))
    assert fourth(run, t, errors=3) == []
    assert brief(fifth(run, t)) == PROMOTED
    run, t = baking(parse_plan(text))
    fourth(run, t)
    assert fifth(run, t, errors=3) == [], "the newest may be the first of two"
    assert brief(run.metrics(t + 480, t + 320)) == PROMOTED


def test_a_longer_bake_wants_every_period_up_to_its_end() -> None:
    run, t = baking(HALF_AN_HOUR)
    assert HALF_AN_HOUR.bake == 1800
    for minute in range(3, 34):
        assert run.metrics(t + 180 + 60 * minute, t + 20 + 60 * minute) == []
    assert run.ticks(int(t) + 2161, int(t) + 2200) == []
    assert brief(run.metrics(t + 2220, t + 20 + 60 * 34)) == PROMOTED  # began 40 s before the bake was over


def test_a_longer_bake_takes_back_what_breaks_in_it() -> None:
    run, t = baking(HALF_AN_HOUR)
    for minute in range(3, 20):
        run.metrics(t + 180 + 60 * minute, t + 20 + 60 * minute)
    assert brief(run.metrics(t + 1380, t + 1220, errors=9))[0] == ("set_weight", 5, "error_rate")


def test_a_hole_in_a_longer_bake_holds_when_it_is_overdue() -> None:
    run, t = baking(HALF_AN_HOUR)
    for minute in (3, 4, 5, 7, 8):
        run.metrics(t + 120 + 60 * minute, t + 20 + 60 * minute)
    assert run.ticks(int(t) + 601, int(t) + 659) == []
    (held,) = run(t + 20 + 420 + 220, "tick")
    assert held["reason"].startswith(f"not promoted: no metrics of the period up to {t + 440:.0f} s")


def test_the_operator_pauses_resumes_and_aborts() -> None:
    run, t = baking()
    assert brief(run(t + 301, "operator", command="pause")) == [("hold", 100, "operator")]
    assert fourth(run, t) == fifth(run, t) == []
    assert run(t + 430, "operator", command="resume") == []
    assert (run.state.phase, run.state.window_start) == (Phase.WATCHING, t + 430), "a full new window"
    run, t = baking()
    assert brief(run(t + 301, "operator", command="abort")) == [("set_weight", 0, "operator")]
    assert run.state.phase is Phase.ABORTED


def test_a_hold_in_the_bake_times_out_as_any_other() -> None:
    run, t = baking()
    run(t + 480, "tick")
    assert run.state.phase is Phase.HELD
    assert brief(run(run.state.held_since + 600, "tick")) == [("set_weight", 0, "hold_timeout")]


def test_after_a_gap_a_whole_window_is_baked() -> None:
    """What fell due unwatched promotes nothing, and what was not told in the gap holds nothing."""
    run, t = baking()
    fourth(run, t)
    assert run(t + 2000, "resumed", since=t + 365) == []
    assert run.state.phase is Phase.BAKING
    assert fifth(run, t + 1600) == []  # the last of the old window, and told at last
    for minute in range(4):
        assert run.metrics(t + 2180 + 60 * minute, t + 2020 + 60 * minute) == []
    assert brief(run.metrics(t + 2420, t + 2260)) == PROMOTED


def test_a_plan_without_a_key_for_it_bakes_as_long_as_its_numbers_need() -> None:
    assert PLAN.bake == parse_plan(TEXT.replace("bake: 0s", "# bake: 0s")).bake == 0
    assert parse_plan(TEXT.replace("bake: 0s", "bake: 30m")) == HALF_AN_HOUR
    assert HALF_AN_HOUR.scaled(10).bake == 180


def test_it_does_not_matter_how_late_somebody_ticks() -> None:
    """The bake began when the window was over, so what began after that is not asked for."""
    run, t = at_weight(100)
    for minute in range(4):
        run.metrics(t + 61 + 60 * minute, t + 60 * minute)
    assert brief(run.metrics(t + 306, t + 240)) == [("bake", 100, "stage_passed"), *PROMOTED]
