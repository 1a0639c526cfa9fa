"""An undo is an abort with the roles exchanged: the promoted release is the candidate, with all of the traffic."""

from __future__ import annotations

import pytest

from rollout.plan import load_plan
from rollout.policy import IllegalEvent, Phase, State, decide, initial_state
from rollout.policy.events import (
    BadEvent,
    Decision,
    DecisionKind,
    Event,
    Health,
    Metrics,
    Operator,
    Reason,
    Started,
    Tick,
    Traffic,
    event_to_json,
    parse_event,
)
from rollout.policy.timeline import Timeline

PLAN = load_plan("phase-c")


def heard(*events: Event) -> tuple[State, list[Decision]]:
    decided: list[Decision] = []
    state = initial_state()
    for event in events:
        state, decisions = decide(PLAN, state, event)
        decided += decisions
    return state, decided


def good(role: str, start: float, t: float) -> Metrics:
    return Metrics(t, role, start, start + 60, requests=1000, errors=0, p95=0.2, db_connection_errors=0)


def test_an_undo_commands_0_at_once_from_100() -> None:
    state, (first,) = heard(Started(0, undo=True, reason="checkout is broken"))
    assert (first.decision, first.weight, first.criterion) == (DecisionKind.SET_WEIGHT, 0, Reason.OPERATOR)
    assert first.reason == "undo: ordered by the operator: checkout is broken"
    assert not first.increase
    assert (state.phase, state.commanded, state.seen, state.before) == (Phase.ABORTED, 0, 100, 100)
    assert heard(Started(0, undo=True))[1][0].reason == "undo: ordered by the operator"


def test_it_is_verified_as_after_an_abort_and_ends_undone() -> None:
    minutes = [good("stable", 2 + 60 * i, 150 + 60 * i) for i in range(5)]
    state, decided = heard(
        Started(0, undo=True),
        Traffic(0.5, 100),
        Traffic(2, 0),
        *minutes,
        Health(391, "stable", ()),
        Tick(500),
    )
    assert state.phase is Phase.FINISHED
    assert [d.decision for d in decided] == [DecisionKind.SET_WEIGHT, DecisionKind.FINISH]
    assert (decided[-1].outcome, decided[-1].verified, decided[-1].weight) == ("undone", True, 0)


def test_while_users_do_not_get_in_it_is_not_verified() -> None:
    """Nobody has watched the front door before an undo, so it need not have passed."""
    minutes = [good("stable", 2 + 60 * i, 150 + 60 * i) for i in range(5)]
    shut = [Health(375 + 5.0 * n, "front_door", ("health",)) for n in range(3)]
    _, decided = heard(
        Started(0, undo=True),
        Traffic(2, 0),
        *minutes[:-1],
        *shut,
        minutes[-1],
        Health(391, "stable", ()),
        Tick(700),
    )
    assert (decided[-1].outcome, decided[-1].verified) == ("undone", False)


def test_stable_that_was_bad_is_not_verified() -> None:
    bad = Metrics(150, "stable", 2, 62, requests=1000, errors=50, p95=0.2, db_connection_errors=0)
    _, decided = heard(Started(0, undo=True), Traffic(2, 0), bad, Tick(700))
    assert (decided[-1].outcome, decided[-1].verified) == ("undone", False)


def test_the_weight_that_is_still_on_its_way_is_no_surprise_and_any_other_is_reissued() -> None:
    assert len(heard(Started(0, undo=True), Traffic(1, 100))[1]) == 1
    _, decided = heard(Started(0, undo=True), Traffic(1, 60))
    assert [d.weight for d in decided if d.decision is DecisionKind.SET_WEIGHT] == [0, 0]


def test_a_weight_that_is_not_seen_goes_through_break_glass() -> None:
    _, decided = heard(Started(0, undo=True), Tick(61))
    assert [d.break_glass for d in decided if d.decision is DecisionKind.SET_WEIGHT] == [False, True]


def test_the_promoted_release_can_move_nothing_any_more() -> None:
    dead = [Health(float(t), "candidate", ("ready",)) for t in (3, 8, 13)]
    bad = Metrics(150, "candidate", 2, 62, requests=100, errors=100, p95=9.0, db_connection_errors=9)
    state, decided = heard(Started(0, undo=True), Traffic(2, 0), *dead, bad)
    assert (state.phase, len(decided)) == (Phase.VERIFYING, 1)
    with pytest.raises(IllegalEvent, match="never rises again"):
        decide(PLAN, state, Operator(151, "resume"))


def test_the_timeline_knows_that_all_traffic_was_on_the_candidate() -> None:
    timeline, state = Timeline(PLAN), initial_state()
    for event in (Started(0, undo=True), Traffic(2, 0), good("stable", 2, 150)):
        state, decisions = decide(PLAN, state, event)
        timeline.receive(event, decisions)
    (retreat,) = timeline.retreats
    assert (retreat.detected, retreat.decided, retreat.moved, retreat.stable) == (0, 0, 2, 150)


def test_the_json_form_is_a_started_with_a_word_more() -> None:
    assert event_to_json(Started(0)) == {"t": 0, "event": "started"}
    undo = Started(0, rate_limit=1000, undo=True, reason="slow")
    assert event_to_json(undo) == {
        "t": 0, "event": "started", "rate_limit": 1000, "undo": True, "reason": "slow"
    }  # fmt: skip
    assert parse_event(event_to_json(undo)) == undo
    assert parse_event({"t": 0, "event": "started", "undo": None, "reason": None}) == Started(0)
    with pytest.raises(BadEvent, match="'undo' is 1: it takes true or false"):
        parse_event({"t": 0, "event": "started", "undo": 1})
