"""Rule 17: the address that users take, and whether their requests arrive at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.policy import Phase, decide
from rollout.policy.events import BadEvent, Health, Reason, event_to_json, parse_event
from rollout.policy.timeline import Timeline
from tests.rollout.runs import PLAN, Run, at_weight, brief


def front(run: Run, t: float, *failed: str, why: str = "") -> list[dict[str, Any]]:
    return run(t, "health", colour="front_door", failed=list(failed), why=why or None)


def direct(run: Run, t: float, *failed: str, colour: str = "candidate") -> list[dict[str, Any]]:
    return run(t, "health", colour=colour, failed=list(failed))


def watched(weight: int = 25) -> tuple[Run, float]:
    """At ``weight``, the front door and both colours have passed."""
    run, t = at_weight(weight)
    front(run, t)
    direct(run, t)
    direct(run, t, colour="stable")
    return run, t


def test_three_failed_rounds_in_a_row_abort_while_a_direct_probe_passes() -> None:
    run, t = watched()
    assert brief(front(run, t + 5, "health")) == [("alert", None, "front_door")]
    assert brief(front(run, t + 10, "health")) == [("prepare_rollback", None, "front_door")]
    (aborted,) = front(run, t + 15, "health", "page", why="/health: 403")
    assert brief([aborted]) == [("set_weight", 0, "front_door")]
    assert aborted["reason"] == (
        "abort: front door failed health, page (/health: 403): 3 of the 3 failed rounds in a row that abort, while "
        "candidate and stable pass their own"
    )
    assert (aborted["value"], aborted["limit"]) == (3, 3)
    assert run.state.phase is Phase.ABORTED


def test_a_clean_round_begins_the_count_anew() -> None:
    run, t = watched()
    for n in range(4):
        front(run, t + 15 * n + 5, "health")
        front(run, t + 15 * n + 10, "health")
        assert front(run, t + 15 * n + 15) == []
    assert run.state.phase is Phase.WATCHING


@pytest.mark.parametrize("passing", ["candidate", "stable"])
def test_one_colour_that_passes_is_enough(passing: str) -> None:
    run, t = watched()
    other = "stable" if passing == "candidate" else "candidate"
    direct(run, t + 1, "deep", colour=other)
    for n in (1, 2, 3):
        front(run, t + 5 * n, "health")
    assert run.state.phase is Phase.ABORTED
    assert f"while {passing} passes its own" in run.all[-1]["reason"]


def test_when_no_direct_probe_passes_it_is_not_the_front_door() -> None:
    run, t = watched()
    direct(run, t + 1, "deep")
    direct(run, t + 1, "deep", colour="stable")
    for n in (1, 2):
        front(run, t + 5 * n, "health")
    (paged,) = front(run, t + 15, "health")
    assert brief([paged]) == [("alert", None, "front_door")]
    assert paged["reason"].endswith("; no colour passes its own probes either")
    assert run.state.phase is Phase.WATCHING
    assert front(run, t + 20, "health") == []
    direct(run, t + 21, colour="stable")
    assert brief(front(run, t + 25, "health")) == [("set_weight", 0, "front_door")]


def test_without_a_direct_round_nothing_is_known_of_the_colours() -> None:
    run, t = at_weight(25)
    front(run, t)
    for n in range(1, 6):
        front(run, t + 5 * n, "health")
    assert run.state.phase is Phase.WATCHING


def test_one_that_never_passed_only_pages_and_delays_nothing() -> None:
    run, t = at_weight(5)
    direct(run, t)
    (paged,) = front(run, t + 5, "page", why="/: 404")
    assert paged["reason"] == "front door failed page (/: 404), and has never passed in this rollout"
    assert [front(run, t + 5 * n, "page") for n in range(2, 24)] == [[]] * 22
    run.metrics(t + 119, t + 50)
    assert brief(run(t + 120, "tick")) == [("set_weight", 25, "stage_passed")]


def test_one_failed_round_delays_advancing() -> None:
    run, t = watched(5)
    run.metrics(t + 115, t + 50)
    front(run, t + 119, "health")
    assert run(t + 120, "tick") == []
    assert brief(front(run, t + 124)) == [("set_weight", 25, "stage_passed")]


def test_what_keeps_a_stage_from_passing_is_named() -> None:
    run, t = watched(5)
    front(run, t + 110, "health")
    run.metrics(t + 300, t + 235)
    (held,) = [d for d in run(t + 420, "tick") if d["decision"] == "hold"]
    assert held["reason"] == "the extension is over and the last round at the front door failed"


@pytest.mark.parametrize("command", ["pause", "held"])
def test_while_stopped_it_aborts_too(command: str) -> None:
    run, t = watched()
    if command == "pause":
        run(t + 1, "operator", command="pause")
    else:
        run(t + 1, "traffic", weight=10)
        assert run.state.phase is Phase.HELD
    for n in (1, 2, 3):
        front(run, t + 5 * n, "health")
    assert run.state.phase is Phase.ABORTED


def watch_over(run: Run, t: float) -> dict[str, Any]:
    """The end of the watch over stable, whose metrics are good."""
    for n in range(5):
        direct(run, t + 82 + 60 * n, colour="stable")
        run.metrics(t + 82 + 60 * n, t + 22 + 60 * n, colour="stable", requests=10_000)
    if run.state.phase is not Phase.FINISHED:
        run(t + 700, "tick")
    return run.all[-1]


def test_still_closed_after_the_abort_pages_again_and_is_not_verified() -> None:
    run, t = watched()
    for n in (1, 2, 3):
        front(run, t + 5 * n, "health")
    assert front(run, t + 20, "health") == []  # the decrease, and the rule with it, is on its way
    run(t + 21, "traffic", weight=0)
    assert front(run, t + 25, "health") == front(run, t + 30, "health") == []
    (paged,) = front(run, t + 35, "health", why="/health: 403")
    assert (
        paged["reason"]
        == "front door still failed health (/health: 403) after the abort: users do not reach stable"
    )
    finish = watch_over(run, t)
    assert (finish["criterion"], finish["verified"]) == ("front_door", False)
    assert "front door" in finish["reason"]


def test_open_again_after_the_abort_is_verified() -> None:
    run, t = watched()
    for n in (1, 2, 3):
        front(run, t + 5 * n, "health")
    run(t + 21, "traffic", weight=0)
    front(run, t + 25)
    finish = watch_over(run, t)
    assert finish["verified"]


def promoted() -> Run:
    run = Run()
    run(0, "started", promoted=True, watch_s=86_400, baseline_rpm=1000)
    front(run, 30)
    direct(run, 30)
    direct(run, 30, colour="stable")
    return run


def test_after_the_promotion_it_is_undone_for_the_rule_is_written_back_with_it() -> None:
    run = promoted()
    front(run, 60, "health")
    front(run, 90, "health")
    (undone,) = front(run, 120, "health")
    assert brief([undone]) == [("set_weight", 0, "front_door")]
    assert undone["reason"].startswith("undo: front door failed health")


def test_after_the_promotion_nothing_is_moved_to_a_colour_that_fails() -> None:
    run = promoted()
    direct(run, 40, "deep", colour="stable")
    for t in (60, 90):
        front(run, t, "health")
    (paged,) = front(run, 120, "health")
    assert paged["reason"].endswith("; stable does not pass its own probes either")
    assert run.state.phase is Phase.STEADY


def test_after_the_promotion_few_requests_say_nothing() -> None:
    run = promoted()
    for n in range(3):
        assert period(run, 40 + 60 * n, 0, 0) == []


def test_the_timeline_begins_with_the_first_failed_round() -> None:
    timeline, (run, t) = Timeline(PLAN), watched()
    state = run.state
    for n, failed in ((1, ("health",)), (2, ()), (3, ("health",)), (4, ("health",)), (5, ("health",))):
        event = Health(t + 5 * n, "front_door", failed)
        state, decisions = decide(PLAN, state, event)
        timeline._commanded = 25
        timeline.receive(event, decisions)
    (retreat,) = timeline.retreats
    assert (retreat.criterion, retreat.detected, retreat.decided) == (Reason.FRONT_DOOR, t + 15, t + 25)


def test_the_json_form() -> None:
    line = {"t": 1, "event": "health", "colour": "front_door", "failed": ["page"], "why": "/: 404"}
    event = parse_event(line)
    assert event == Health(1, "front_door", ("page",), why="/: 404")
    assert event_to_json(event) == line
    with pytest.raises(BadEvent, match="front_door"):
        parse_event(line | {"colour": "edge"})


# --- traffic that stops arriving


def begun(baseline: int | None = 1000) -> tuple[Run, float]:
    run = Run()
    run(0, "started", baseline_rpm=baseline)
    run(1, "traffic", weight=5)
    return run, 1.0


def period(run: Run, start: float, candidate: int | None, stable: int | None) -> list[dict[str, Any]]:
    """One period of both, told 30 s after its end."""
    t = start + 90
    said = run.metrics(t, start, colour="stable", requests=stable)
    return said + run.metrics(t, start, requests=candidate)


def test_far_fewer_requests_than_before_in_two_periods_are_held() -> None:
    run, t = begun()
    assert period(run, t, 5, 94) == []
    (held,) = period(run, t + 60, 5, 94)
    assert brief([held]) == [("hold", 5, "traffic_missing")]
    assert held["reason"] == (
        "99 requests a minute of both colours in 2 periods in a row, 1,000 before the rollout: fewer than 10 %"
    )
    assert (held["value"], held["limit"]) == (99, 100)
    assert period(run, t + 120, 0, 0) == []  # said once


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ([(5, 95), (5, 94), (5, 95), (5, 94)], "10 % is not below 10 %, and one is no two in a row"),
        ([(5, 94), (None, 94), (50, 900), (5, 94)], "what was not told is not few"),
    ],
)
def test_not_few(counts: list[tuple[int | None, int | None]], why: str) -> None:
    run, t = begun()
    for n, (candidate, stable) in enumerate(counts):
        period(run, t + 60 * n, candidate, stable)
        if n == 1:
            run(t + 60 * n + 91, "traffic", weight=5)
    assert not [d for d in run.all if d["criterion"] == "traffic_missing"], why


@pytest.mark.parametrize("baseline", [None, 0, 59])
def test_too_little_before_says_nothing(baseline: int | None) -> None:
    run, t = begun(baseline)
    period(run, t, 0, 0)
    period(run, t + 60, 0, 0)
    assert not [d for d in run.all if d["criterion"] == "traffic_missing"]


def test_periods_from_before_the_rollout_and_before_a_resume_say_nothing() -> None:
    run, t = begun()
    run.metrics(70, -20, colour="stable", requests=0)
    run.metrics(70, -20, requests=0)
    assert period(run, t, 0, 0) == []
    assert brief(period(run, t + 60, 0, 0)) == [("hold", 5, "traffic_missing")]
    run(t + 160, "operator", command="resume")
    assert period(run, t + 120, 0, 0) == []
    assert brief(period(run, t + 180, 0, 0)) == [("hold", 5, "traffic_missing")]


def test_shorter_periods_are_counted_by_the_minute() -> None:
    run = Run(PLAN.scaled(10))
    run(0, "started", baseline_rpm=1000)
    run(1, "traffic", weight=5)
    for n in range(2):
        start = 1 + 6 * n
        run.metrics(start + 9, start, end=start + 6, colour="stable", requests=9)
        run.metrics(start + 9, start, end=start + 6, requests=0)
    assert [d["value"] for d in run.all if d["criterion"] == "traffic_missing"] == [90]


@pytest.mark.parametrize("command", ["pause", "abort"])
def test_elsewhere_it_only_pages(command: str) -> None:
    run, t = begun()
    run(t + 1, "operator", command=command)
    if command == "abort":
        run(t + 2, "traffic", weight=0)
    before = run.state.phase
    said = period(run, t + 5, 0, 0) + period(run, t + 65, 0, 0)
    assert ("alert", None, "traffic_missing") in brief(said)
    assert run.state.phase is before


def test_no_stage_is_passed_while_users_are_missing() -> None:
    """The second of two periods with few requests may be told after the window; the first must be enough to wait."""
    run, t = begun()
    plan = replace(PLAN, metrics=replace(PLAN.metrics, min_requests=1))
    run.plan = plan
    run.metrics(t + 115, t + 50, colour="stable", requests=20)
    run.metrics(t + 115, t + 50, requests=20)
    assert run(t + 120, "tick") == []
    assert run.state.phase is Phase.WATCHING
