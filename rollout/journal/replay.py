"""Replay: the policy on recorded or hand-written events, one JSON object a line.

A line is an event (``{"t":0,"event":"started"}``) or a record of a rollout's journal, whose events are replayed with
the plan that the journal began with, or with another one up to the first decision that differs. A bad line raises
:class:`ReplayError` naming file and line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.journal import Record, parse_journal
from rollout.journal.header import Header
from rollout.journal.journal import WHERE_JOURNALS_ARE
from rollout.plan import Plan, load_plan
from rollout.policy import IllegalEvent, decide, initial_state
from rollout.policy.events import BadEvent, Event, comparable, kind_of, parse_event

_LASTING = ("t", "decision", "weight", "criterion")  # of a decision's keys those that every version has had


Decided = dict[str, Any]  # a decision's JSON form


class ReplayError(ValueError):
    """The events cannot be replayed; the message names the file, the line and the fix."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds: its events with their line numbers and, if it is a journal, its header and decisions."""

    source: str
    events: tuple[tuple[int, Event], ...]
    header: Header | None = None
    decided: tuple[Sequence[Decided], ...] = ()  # of a journal: what each event led to


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
    events: list[tuple[int, Event]] = []
    decided: list[list[Decided]] = []
    for record in records:
        if record.kind == "event":
            try:
                events.append((record.seq, parse_event(record.body)))
            except BadEvent as error:
                raise ReplayError(f"{source}:{record.seq}: {error}") from None
            decided.append([])
        elif record.kind == "decision":
            if not decided:
                raise ReplayError(f"{source}:{record.seq}: a decision before the first event")
            decided[-1].append(dict(record.body))
    return Recording(source, tuple(events), Header.read(records[0]) if records else None, tuple(decided))


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


def replay(recording: Recording, plan: Plan) -> Iterator[list[Decided]]:
    """What ``plan`` decides on each recorded event, in its JSON form. Raises :class:`ReplayError`."""
    state = initial_state()
    for number, event in recording.events:
        try:
            state, decisions = decide(plan, state, event)
        except IllegalEvent as error:
            raise ReplayError(f"{recording.source}:{number}: illegal event: {error}") from None
        yield [decision.to_json() for decision in decisions]


def in_words(decision: dict[str, Any]) -> str:
    """One decision as a line for people."""
    weight = f" {decision['weight']:g} %" if decision.get("weight") is not None else ""
    return f"{decision['t']:>8.1f} s  {decision['decision']}{weight}  [{decision['criterion']}] {decision['reason']}"


def main_replay(
    path: str, plan_name: str | None, as_json: bool, out: Callable[[str], None], note: Callable[[str], None]
) -> int:
    """The command ``rollout replay``: decisions go to ``out``, remarks to ``note``; returns the exit code.

    A journal is followed to the first event on which its own decisions were others: after it the recorded traffic is no
    longer what these decisions would have led to. 1 when that happens under the journal's own plan. Raises
    :class:`ReplayError` (an illegal event after the decisions before it were printed, an unreadable line before any),
    :class:`JournalError` and :class:`rollout.plan.PlanError`.
    """
    recording = read_recording(*_read(path))
    header = recording.header
    if plan_name:
        plan = load_plan(plan_name).scaled(header.time_scale if header else 1)
    else:
        plan = header.plan if header else load_plan("phase-c")
    keys: Sequence[str] = ()
    if header and header.other_rules:
        keys = _LASTING
        note(f"{header.other_rules}: comparing only time, decision, weight and criterion")
    count = 0
    then: list[Decided] = []
    now: list[Decided] = []
    for number, decisions in enumerate(replay(recording, plan)):
        for decision in decisions:
            out(json.dumps(decision) if as_json else in_words(decision))
        now += decisions
        if header is None:
            continue
        then += recording.decided[number]
        last = number == len(recording.events) - 1
        if not last and recording.events[number + 1][1].t == recording.events[number][1].t:
            continue  # which of two events at one instant led to a decision makes no difference
        # Of the last event's decisions a crash may have swallowed some.
        if _essence(then, keys) != _essence(now[: len(then)] if last else now, keys):
            for line in _difference(recording, number, then, now, count, plan_name):
                note(line)
            return 0 if plan_name else 1
        count += len(then)
        then, now = [], []
    if header:
        note(f"the same {count} decisions as recorded")
    return 0


def _read(path: str) -> tuple[bytes, str]:
    """The bytes of a file, or of stdin for ``-``, and what messages call it."""
    if path == "-":
        return sys.stdin.buffer.read(), "stdin"
    try:
        return Path(path).read_bytes(), path
    except OSError as error:
        raise ReplayError(
            f"{path}: cannot read these events: {error.strerror}; {WHERE_JOURNALS_ARE}"
        ) from None


def _essence(decisions: Sequence[Decided], keys: Sequence[str]) -> list[dict[str, Any]]:
    """What of decisions is compared: ``keys``, or without any all that is comparable."""
    if not keys:
        return [comparable(decision) for decision in decisions]
    return [{key: decision[key] for key in keys if key in decision} for decision in decisions]


def _difference(
    recording: Recording,
    number: int,
    then: Sequence[Decided],
    now: Sequence[Decided],
    count: int,
    plan_name: str | None,
) -> Iterator[str]:
    line, event = recording.events[number]
    shown = f"{kind_of(event)} event at {event.t:g} s (record {line})"
    yield f"alike for {count} decision{'' if count == 1 else 's'}; differs at the {shown}:"
    for mark, decisions in (("recorded:", then), ("now:", now)):
        for decision in decisions or ({},):
            yield f"  {mark:<10}{in_words(decision) if decision else 'no decision'}"
    if plan_name:
        yield (
            "The comparison ends here: the traffic recorded after this followed the recorded decisions, so it does not show "
            f"what {plan_name} would have met."
        )
    else:
        yield "The journal's own plan does not lead to the decisions that it recorded."
