"""Replay: the policy on recorded or hand-written events, one JSON object a line.

A line is an event (``{"t":0,"event":"started"}``) or a record of a rollout's journal, whose events are replayed with
the plan that the journal began with. With another plan the decisions that differ are marked. A bad line raises
:class:`ReplayError` naming file and line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.journal import Record, parse_journal
from rollout.journal.header import Header
from rollout.plan import Plan, load_plan
from rollout.policy import IllegalEvent, decide, initial_state
from rollout.policy.events import BadEvent, Event, comparable, parse_event

_LASTING = ("t", "decision", "weight", "criterion")  # of a decision's keys those that every version has had


class ReplayError(ValueError):
    """The events cannot be replayed; the message names the file, the line and the fix."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: its events with their line numbers and, if it is a journal, its header and decisions."""

    source: str
    events: tuple[tuple[int, Event], ...]
    header: Header | None = None
    decided: tuple[dict[str, Any], ...] = ()


def read_recording(data: bytes, source: str) -> Recording:
    """Reads events or a journal. Raises :class:`ReplayError` at the first bad line, :class:`JournalError`."""
    text = data.decode("utf-8", "replace")
    first = next((line for line in text.splitlines() if line.strip()), "")
    recording = (
        _journal(parse_journal(data, source), source)
        if _is_record(first)
        else Recording(source, tuple(_events(text, source)))
    )
    if not recording.events:
        raise ReplayError(f"{source}: no events in it; the first is " + '{"t":0,"event":"started"}')
    return recording


def _is_record(line: str) -> bool:
    try:
        return "kind" in json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return False


def _journal(records: Sequence[Record], source: str) -> Recording:
    events = []
    for record in records:
        if record.kind == "event":
            try:
                events.append((record.seq, parse_event(record.body)))
            except BadEvent as error:
                raise ReplayError(f"{source}:{record.seq}: {error}") from None
    decided = tuple(dict(record.body) for record in records if record.kind == "decision")
    return Recording(source, tuple(events), Header.read(records[0]) if records else None, decided)


def _events(text: str, source: str) -> Iterator[tuple[int, Event]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, object_pairs_hook=_without_repeats)
            if not isinstance(found, dict):
                raise BadEvent("a line is one JSON object, such as " + '{"t":0,"event":"started"}')
            yield number, parse_event(found)
        except BadEvent as error:
            raise ReplayError(f"{source}:{number}: {error}") from None
        except (ValueError, RecursionError) as error:
            raise ReplayError(f"{source}:{number}: not JSON: {error}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of which the second of two equal keys would silently win."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise BadEvent(f"key '{next(key for key in keys if keys.count(key) > 1)}' appears twice")
    return found


def replay(recording: Recording, plan: Plan) -> Iterator[dict[str, Any]]:
    """The decisions of ``plan`` on the recorded events, in their JSON form. Raises :class:`ReplayError`."""
    state = initial_state()
    for number, event in recording.events:
        try:
            state, decisions = decide(plan, state, event)
        except IllegalEvent as error:
            raise ReplayError(f"{recording.source}:{number}: illegal event: {error}") from None
        for decision in decisions:
            yield decision.to_json()


def differences(
    then: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]], keys: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Decisions only taken then and only taken now, each in order, compared by ``keys`` (none: what is
    comparable)."""

    def essence(decision: dict[str, Any]) -> str:
        kept = {k: v for k, v in decision.items() if k in keys} if keys else comparable(decision)
        return json.dumps(kept, sort_keys=True)

    def only(these: Sequence[dict[str, Any]], those: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        left = Counter(essence(decision) for decision in those)
        found = []
        for decision in these:
            if left[essence(decision)]:
                left[essence(decision)] -= 1
            else:
                found.append(decision)
        return found

    return only(then, now), only(now, then)


def in_words(decision: dict[str, Any]) -> str:
    """One decision as a line for people."""
    weight = f" {decision['weight']:g} %" if decision.get("weight") is not None else ""
    return f"{decision['t']:>8.1f} s  {decision['decision']}{weight}  [{decision['criterion']}] {decision['reason']}"


def main_replay(
    path: str, plan_name: str | None, as_json: bool, out: Callable[[str], None], note: Callable[[str], None]
) -> int:
    """The command ``rollout replay``: decisions go to ``out``, remarks to ``note``; returns the exit code.

    1 when a journal's own plan does not lead to the decisions it recorded. Raises :class:`ReplayError` (an illegal event
    after the decisions before it were printed, an unreadable line before any) and :class:`rollout.plan.PlanError`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ReplayError(f"{path}: cannot read these events: {error}") from None
    recording = read_recording(data, path)
    header = recording.header
    if plan_name:
        plan = load_plan(plan_name).scaled(header.time_scale if header else 1)
    else:
        plan = header.plan if header else load_plan("phase-c")
    decided = []
    for decision in replay(recording, plan):
        decided.append(decision)
        out(json.dumps(decision) if as_json else in_words(decision))
    if header is None:
        return 0
    keys: Sequence[str] = ()
    if header.other_rules:
        keys = _LASTING
        note(f"{header.other_rules}: compared by {', '.join(keys)} only")
    lost, new = differences(recording.decided, decided, keys)
    if not lost and not new:
        note(f"the same {len(decided)} decisions as recorded")
        return 0
    for mark, some in (("-", lost), ("+", new)):
        for decision in some:
            note(f"{mark} {in_words(decision)}")
    note(f"{len(lost)} recorded decisions (-) were not taken, {len(new)} others (+) were")
    return 0 if plan_name else 1
