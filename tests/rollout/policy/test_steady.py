"""Rule 21: after the promotion failed health rounds lead to an undo, and nothing else does."""

from __future__ import annotations

import pytest

from rollout.plan import load_plan, parse_plan, plan_text
from rollout.policy import IllegalEvent, Phase, State, decide, due_times, initial_state
from rollout.policy.events import (
    Alarm,
    Decision,
    EdgeMetrics,
    Event,
    Health,
    Metrics,
    Operator,
    Reason,
    Resumed,
    Started,
    Tick,
    Traffic,
    event_to_json,
    parse_event,
)
from rollout.policy.timeline import Timeline

PLAN = load_plan("phase-c")
DAY = 86_400.0
BEGUN = Started(0, promoted=True, watch_s=DAY)


def heard(*events: Event, plan: object = PLAN) -> tuple[State, list[Decision]]:
    decided: list[Decision] = []
    state = initial_state()
    for event in events:
        state, decisions = decide(plan, state, event)  # type: ignore[arg-type]
        decided += decisions
    return state, decided


def rounds(role: str, *times: float) -> list[Health]:
    return [Health(t, role, ("ready",)) for t in times]


def test_it_begins_with_everything_on_the_candidate_and_moves_nothing() -> None:
    state, decided = heard(BEGUN, Traffic(1, 100), Tick(3600))
    assert decided == []
    assert (state.phase, state.commanded, state.seen, state.settled) == (Phase.STEADY, 100, 100, True)


def test_one_round_alerts_two_prepare_three_undo() -> None:
    state, decided = heard(BEGUN, *rounds("candidate", 30, 60, 90))
    assert [(d.decision.value, d.weight) for d in decided] == [
        ("alert", None), ("prepare_rollback", None), ("set_weight", 0)
    ]  # fmt: skip
    assert decided[-1].reason.startswith("undo: candidate failed ready: 3 of the 3 failed health rounds")
    assert (state.phase, state.abort_criterion) == (Phase.ABORTED, Reason.HEALTH)


def test_a_clean_round_begins_anew() -> None:
    events = [*rounds("candidate", 30, 60), Health(90, "candidate", ()), *rounds("candidate", 120, 150)]
    assert all(d.decision != "set_weight" for d in heard(BEGUN, *events)[1])


def test_nothing_goes_to_an_old_colour_that_fails_too_until_it_is_well() -> None:
    events: list[Event] = [*rounds("stable", 29), *rounds("candidate", 30, 60, 90, 120)]
    state, decided = heard(BEGUN, *events)
    assert state.phase is Phase.STEADY
    assert [d.reason for d in decided if d.decision == "alert"][-1] == (
        "candidate failed ready: 3 of the 3 failed health rounds in a row that abort; stable fails too, so nothing is moved"
    )
    assert len(decided) == 5, "said once"
    state, decided = heard(BEGUN, *events, Health(149, "stable", ()), *rounds("candidate", 150))
    assert (state.phase, decided[-1].weight) == (Phase.ABORTED, 0)


def test_a_shut_front_door_undoes_only_when_the_old_colour_passes() -> None:
    open_, shut = (
        Health(1, "front_door", ()),
        [Health(t, "front_door", ("page",)) for t in (30.0, 60.0, 90.0)],
    )
    state, decided = heard(BEGUN, open_, Health(2, "candidate", ()), *rounds("stable", 3), *shut)
    assert state.phase is Phase.STEADY
    assert decided[-1].reason.endswith("; stable does not pass its own probes either")
    state, decided = heard(BEGUN, open_, Health(2, "candidate", ()), Health(3, "stable", ()), *shut)
    assert (state.phase, decided[-1].weight, decided[-1].criterion) == (Phase.ABORTED, 0, Reason.FRONT_DOOR)
    assert decided[-1].reason.endswith("while stable passes its own")


def test_metrics_alarms_and_the_rate_limit_are_silent() -> None:
    plan = parse_plan(plan_text("phase-c")[0] + "alarms: {cpu: abort}\n")
    bad = Metrics(200, "candidate", 60, 120, requests=1000, errors=900, p95=9.0, db_connection_errors=7)
    edge = EdgeMetrics(200, 60, 120, 500, 500)
    state, decided = heard(BEGUN, bad, edge, plan=plan)
    assert (state.phase, decided) == (Phase.STEADY, [])
    state, decided = heard(BEGUN, Alarm(5, "cpu", "immediate", "ALARM"), plan=plan)
    assert (state.phase, [d.decision.value for d in decided]) == (Phase.STEADY, ["alert"])


def test_without_metrics_it_is_not_blind() -> None:
    assert heard(BEGUN, Tick(7200))[1] == []


def test_the_operator_undoes_and_cannot_pause_or_resume() -> None:
    state, decided = heard(BEGUN, Operator(50, "abort"))
    assert (state.phase, decided[0].reason) == (Phase.ABORTED, "undo: ordered by the operator")
    _, decided = heard(BEGUN, Operator(50, "abort", reason="orders are lost"))
    assert decided[0].reason == "undo: ordered by the operator: orders are lost"
    for command, message in (
        ("pause", "nothing to pause: the release is promoted"),
        ("resume", "nothing to resume: the rollout is steady"),
    ):
        with pytest.raises(IllegalEvent, match=message):
            heard(BEGUN, Operator(50, command))


def test_a_weight_that_somebody_moved_is_told_and_left() -> None:
    state, decided = heard(BEGUN, Traffic(10, 60), Traffic(15, 60), Traffic(20, 100))
    assert (state.phase, state.commanded) == (Phase.STEADY, 100)
    assert [d.decision.value for d in decided] == ["alert", "alert"]
    assert "60 %, not the 100 % of before" in decided[0].reason


def test_it_ends_when_its_time_is_over_whoever_was_away() -> None:
    state, decided = heard(BEGUN, Tick(DAY - 1))
    assert DAY in due_times(PLAN, state)
    state, decided = heard(BEGUN, Resumed(DAY + 5, 100))
    assert state.phase is Phase.FINISHED
    assert [(d.decision.value, d.outcome, d.weight) for d in decided] == [("finish", "watched", 100)]
    assert decided[0].reason == "watched for 24 h after the promotion, as ordered: nobody watches from now on"


def test_an_undo_from_it_is_verified_and_ends_undone() -> None:
    minutes = [
        Metrics(t + 90, "stable", t - 60, t, requests=100, errors=0, p95=0.2, db_connection_errors=0)
        for t in (160, 220, 280, 340, 400)
    ]
    state, decided = heard(
        BEGUN, *rounds("candidate", 30, 60, 90), Traffic(95, 0), *minutes, Health(491, "stable", ()), Tick(600)
    )  # fmt: skip
    assert (state.phase, decided[-1].outcome, decided[-1].verified) == (Phase.FINISHED, "undone", True)


def test_its_timeline_begins_with_the_first_failed_round() -> None:
    timeline, state = Timeline(PLAN), initial_state()
    events: list[Event] = [BEGUN, *rounds("candidate", 30, 60, 90), Traffic(95, 0)]
    for event in events:
        state, decisions = decide(PLAN, state, event)
        timeline.receive(event, decisions)
    (retreat,) = timeline.retreats
    assert (retreat.detected, retreat.decided, retreat.moved) == (30, 90, 95)


def test_the_json_form() -> None:
    told = {"t": 0, "event": "started", "promoted": True, "watch_s": DAY}
    assert event_to_json(BEGUN) == told
    assert parse_event(told) == BEGUN
