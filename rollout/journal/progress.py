"""How far the rollout of a journal has come, read without the plan and the policy."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.journal.journal import Record
from rollout.journal.notes import Ended


def ended(records: Sequence[Record]) -> Ended | None:
    """The note that closes a journal; ``None`` while the rollout can go on."""
    notes = (record.note for record in reversed(records))
    return next((note for note in notes if isinstance(note, Ended)), None)


def promotion_begun(records: Sequence[Record]) -> bool:
    """Whether the roles may have been exchanged, and were not taken back since."""
    decided = {record.body.get("decision") for record in records if record.kind == "decision"}
    watched = bool(records) and records[0].body.get("kind") == "watch"
    return "promote" in decided or (watched and "set_weight" not in decided)
