"""Replay: the policy on recorded or hand-written events, one JSON object a line.

A line is an event (``{"t":0,"event":"started"}``) or a record of a rollout's journal, whose events are replayed with
the plan that the journal began with. With another plan the decisions that differ are marked. A bad line raises
:class:`ReplayError` naming file and line.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from rollout.plan import Plan, load_plan, parse_plan
from rollout.policy import IllegalEvent, decide, initial_state
from rollout.policy.events import BadEvent, Event, parse_event


class ReplayError(ValueError):
    """The events cannot be replayed; the message names the file, the line and the fix."""


@dataclass(slots=True)
class Recording:
    """What a file holds: its events with their line numbers and, if it is a journal, what was decided then."""

    source: str
    events: list[tuple[int, Event]] = field(default_factory=list)
    plan: Plan | None = None
    time_scale: float = 1.0
    decided: list[dict[str, Any]] | None = None  # None: not a journal


def read_recording(lines: Iterable[str], source: str) -> Recording:
    """Reads events or a journal. Raises :class:`ReplayError` at the first bad line.

    The last line of a journal may be torn, as a crash leaves it; it is left out.
    """
    recording = Recording(source)
    numbered = [(number, text) for number, text in enumerate(lines, start=1) if text.strip()]
    for number, text in numbered:
        try:
            line = json.loads(text, object_pairs_hook=_without_repeats)
        except BadEvent as error:
            raise ReplayError(f"{source}:{number}: {error}") from None
        except (ValueError, RecursionError) as error:
            if recording.decided is not None and number == numbered[-1][0]:
                break
            raise ReplayError(f"{source}:{number}: not JSON: {error}") from None
        if not isinstance(line, dict):
            raise ReplayError(
                f"{source}:{number}: a line is one JSON object, such as " + '{"t":0,"event":"started"}'
            )
        try:
            _take(recording, number, line)
        except (BadEvent, ValueError) as error:
            raise ReplayError(f"{source}:{number}: {error}") from None
    if not recording.events:
        raise ReplayError(f"{source}: no events in it; the first is " + '{"t":0,"event":"started"}')
    return recording


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of which the second of two equal keys would silently win."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise BadEvent(f"'{next(key for key in keys if keys.count(key) > 1)}' stands twice")
    return found


def _take(recording: Recording, number: int, line: dict[str, Any]) -> None:
    if "kind" not in line:
        recording.events.append((number, parse_event(line)))
        return
    body = line.get("body")
    if not isinstance(body, dict):
        raise BadEvent("a journal record needs a 'body'")
    if recording.decided is None:
        recording.decided = []
    if line["kind"] == "rollout" and isinstance(body.get("plan"), str):
        time_scale = body.get("time_scale", 1.0)
        if (
            isinstance(time_scale, bool)
            or not isinstance(time_scale, (int, float))
            or not 0 < time_scale < inf
        ):
            raise BadEvent(f"'time_scale' is {time_scale!r}: it takes a number above 0")
        recording.time_scale = float(time_scale)
        recording.plan = parse_plan(body["plan"], "the journal's plan").scaled(recording.time_scale)
    elif line["kind"] == "event":
        recording.events.append((number, parse_event(body)))
    elif line["kind"] == "decision":
        recording.decided.append(body)


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


def differences(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], ...]:
    """Decisions only taken then and only taken now, each in order; reasons are prose and not compared."""
    return _only(then, now), _only(now, then)


def _only(these: list[dict[str, Any]], those: list[dict[str, Any]]) -> list[dict[str, Any]]:
    left = Counter(_essence(decision) for decision in those)
    found = []
    for decision in these:
        essence = _essence(decision)
        if left[essence]:
            left[essence] -= 1
        else:
            found.append(decision)
    return found


def _essence(decision: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in decision.items() if key != "reason"}, sort_keys=True)


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
    source = Path(path)
    try:
        lines = source.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: cannot read these events: {error}") from None
    recording = read_recording(lines, path)
    plan = load_plan(plan_name).scaled(recording.time_scale) if plan_name else recording.plan
    decided = []
    for decision in replay(recording, plan or load_plan("phase-c")):
        decided.append(decision)
        out(json.dumps(decision) if as_json else in_words(decision))
    if recording.decided is None:
        return 0
    lost, new = differences(recording.decided, decided)
    if not lost and not new:
        note(f"the same {len(decided)} decisions as recorded")
        return 0
    for mark, some in (("-", lost), ("+", new)):
        for decision in some:
            note(f"{mark} {in_words(decision)}")
    note(f"{len(lost)} recorded decisions (-) were not taken, {len(new)} others (+) were")
    return 0 if plan_name else 1
