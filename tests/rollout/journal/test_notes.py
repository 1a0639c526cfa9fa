"""Notes come back from the journal as they were written, and their JSON form stays."""

from __future__ import annotations

import pytest

from rollout.journal import JournalError, Record
from rollout.journal.notes import (
    Attributed,
    BreakGlass,
    Ended,
    EnginesEnded,
    Foreseen,
    Left,
    Note,
    Other,
    Page,
    Reached,
    Reconciled,
    Resumed,
    note_to_json,
    parse_note,
)


@pytest.mark.parametrize(
    ("note", "body"),
    [
        (Resumed("held", 25, 25), {"what": "resumed", "phase": "held", "commanded": 25, "seen": 25}),
        (Reached("moved", 0, 9.5), {"what": "timeline", "milestone": "moved", "weight": 0, "at": 9.5}),
        (
            Ended("promoted", None, 0, []),
            {"what": "ended", "outcome": "promoted", "verified": None, "exit": 0, "retreats": []},
        ),
        (Left("SIGTERM", None), {"what": "left", "why": "SIGTERM", "weight": None}),
        (Page("s", "t"), {"what": "page", "subject": "s", "text": "t"}),
        (
            Attributed("stable", -6, 60, 1),
            {"what": "attribution", "colour": "stable", "start": -6, "requests": 60, "target_5xx": 1}
            | {"elb_502_504": 0, "elb_503": 0, "unanswered": 0},
        ),
        (
            Foreseen(25, ok=False, error="locked"),
            {"what": "foreseen", "weight": 25, "ok": False, "error": "locked"},
        ),
        (Foreseen(25, ok=True), {"what": "foreseen", "weight": 25, "ok": True}),
        (BreakGlass(0, "locked"), {"what": "break_glass", "weight": 0, "because": "locked"}),
        (Reconciled(0, 2.5, 7), {"what": "reconciled", "weight": 0, "took_s": 2.5, "generation": 7}),
        (Reconciled(0), {"what": "reconciled", "weight": 0}),
        (EnginesEnded(["prod-traffic"]), {"what": "engines_ended", "stacks": ["prod-traffic"]}),
        (Other("gossip", {"of": "tomorrow"}), {"what": "gossip", "of": "tomorrow"}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else "",
)
def test_a_note_and_its_json_form(note: Note, body: dict[str, object]) -> None:
    assert note_to_json(note) == body
    assert parse_note(body) == note


def test_a_note_of_a_newer_version_may_have_more() -> None:
    assert parse_note({"what": "page", "subject": "s", "text": "t", "service": "sms"}) == Page("s", "t")


def test_counts_that_the_metrics_source_did_not_give_are_0() -> None:
    assert parse_note({"what": "attribution", "colour": "stable", "start": 0}) == Attributed(
        "stable", 0, 0, 0, 0, 0, 0
    )


@pytest.mark.parametrize(("body", "what"), [({"of": 1}, "note"), ({"what": 3, "of": 1}, "3"), ({"what": None, "of": 1}, "note")])  # fmt: skip
def test_a_note_without_a_kind_is_kept(body: dict[str, object], what: str) -> None:
    assert parse_note(body) == Other(what, {"of": 1})


def test_a_note_that_lacks_a_key_is_named() -> None:
    with pytest.raises(JournalError, match="record 7: the note 'left' lacks 'weight'"):
        _ = Record(7, "", "note", 0, {"what": "left", "why": "SIGTERM"}).note
