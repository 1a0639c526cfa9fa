"""What a journal says about a rollout that its controller did not finish.

The events are run through the policy again; the decisions must come out as they were written down, or the journal was
made by another policy or plan and nobody may continue from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.journal import JournalError, Record
from rollout.journal.header import Header
from rollout.journal.notes import Ended, Page, Reconciled
from rollout.journal.progress import ended, promotion_begun
from rollout.plan import Plan
from rollout.policy import decide
from rollout.policy.events import Decision, DecisionKind, Event, comparable, parse_event
from rollout.policy.state import State

__all__ = [
    "Past",
    "Pending",
    "ResumeError",
    "check_rules",
    "ended",
    "header_under_way",
    "promotion",
    "promotion_begun",
    "recall",
]


class ResumeError(Exception):
    """The journal does not lead to a state to continue from; the message says at which record."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A decision whose effect has no good result yet. ``act``: carry it out; ``notify``: tell people."""

    effect: int
    decision: Decision
    act: bool
    notify: bool


@dataclass(frozen=True, slots=True)
class Past:
    """A rollout as its journal tells it."""

    state: State
    received: tuple[tuple[Event, tuple[Decision, ...]], ...]
    unwritten: tuple[Decision, ...]  # decided by the last event, not yet written when the controller died
    pending: tuple[Pending, ...]
    untold: tuple[tuple[int, Page], ...]  # pages, with their numbers, that no service accepted
    reconcile: bool  # traffic was moved by break-glass and the stack was not brought in line
    ended: Ended | None  # the closing note, when there is one
    stopped: bool = False  # the candidate's pods are gone

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(decision for _, decisions in self.received for decision in decisions)

    @property
    def promoted(self) -> bool:
        """The promotion was ordered, and the journal says that it is done."""
        open_ = (*self.unwritten, *(pending.decision for pending in self.pending if pending.act))
        kinds = [{decision.decision for decision in decisions} for decisions in (self.decisions, open_)]
        return DecisionKind.PROMOTE in kinds[0] and DecisionKind.PROMOTE not in kinds[1]


def check_rules(header: Header) -> None:
    """Raises :class:`ResumeError` when other rules than these began the rollout: they might decide differently."""
    if header.other_rules:
        raise ResumeError(
            f"this rollout cannot be resumed: {header.other_rules}. Resume it with the version of rollout that began it, "
            "or `rollout abort` sends all traffic to stable"
        )


def recall(plan: Plan, records: Sequence[Record]) -> Past:
    """Reads the past from the records of a journal. Raises :class:`ResumeError`."""
    state = State()
    received: list[tuple[Event, tuple[Decision, ...]]] = []
    expected: list[Decision] = []
    written: list[tuple[int, Decision]] = []
    for record in records:
        if record.kind == "event":
            if expected:
                raise ResumeError(
                    f"record {record.seq}: the policy decides {_named(expected[0])}, the journal nothing"
                )
            event = parse_event(record.body)
            state, decisions = decide(plan, state, event)
            received.append((event, decisions))
            expected = list(decisions)
        elif record.kind == "decision":
            if not expected or comparable(expected[0].to_json()) != comparable(record.body):
                wanted = _named(expected[0]) if expected else "nothing"
                raise ResumeError(
                    f"record {record.seq}: the journal says {record.body}, the policy decides {wanted}"
                )
            written.append((record.seq, expected.pop(0)))
    return Past(
        state=state,
        received=tuple(received),
        unwritten=tuple(expected),
        pending=tuple(_pending(written, [r.body for r in records if r.kind == "result"], state.commanded)),
        untold=tuple(_untold(records)),
        reconcile=_must_reconcile(records),
        stopped=any(
            record.kind == "result" and record.body.get("act") == "stop" and bool(record.body.get("ok"))
            for record in records
        ),
        ended=ended(records),
    )


def header_under_way(records: Sequence[Record]) -> Header | None:
    """The header of an unfinished rollout; ``None`` when there is none, or it may have exchanged the roles."""
    if not records or promotion_begun(records):
        return None
    try:
        return Header.read(records[0])
    except JournalError:
        return None  # an abort continues with what the stacks say


def promotion(records: Sequence[Record]) -> Header | None:
    """The header of a release that has all of the traffic for good, or of a watch over it; ``None`` for anything else."""
    return Header.read(records[0]) if promotion_begun(records) else None


def _named(decision: Decision) -> str:
    return f"{decision.decision} ({decision.criterion})"


_ACTS = {
    DecisionKind.SET_WEIGHT: "set_weight",
    DecisionKind.PREPARE_ROLLBACK: "prepare_rollback",
    DecisionKind.RAISE_RATE_LIMIT: "raise_rate_limit",
    DecisionKind.PROMOTE: "promote",
}
_SILENT = (DecisionKind.PREPARE_ROLLBACK, DecisionKind.PROMOTE)  # tell people themselves, or need not
_LATEST_ONLY = (DecisionKind.SET_WEIGHT, DecisionKind.RAISE_RATE_LIMIT)


def _pending(
    written: Sequence[tuple[int, Decision]], results: Sequence[Mapping[str, Any]], commanded: float
) -> list[Pending]:
    answers = {(result.get("effect"), result.get("act")): result for result in results}
    latest = {decision.decision: effect for effect, decision in written}
    pending = []
    for effect, decision in written:
        kind = decision.decision
        act = _ACTS.get(kind)
        again = act is not None and _again(decision, answers.get((effect, act)))
        told = bool(answers.get((effect, "notify"), {}).get("ok"))
        if kind is DecisionKind.PREPARE_ROLLBACK:
            again = not told  # it tells people itself, what it found
        if kind in _LATEST_ONLY and effect != latest[kind]:
            again = False
        if kind is DecisionKind.SET_WEIGHT and decision.weight != commanded:
            again = False  # less was seen since, and is kept
        notify = kind not in _SILENT and not told
        if again or notify:
            pending.append(Pending(effect, decision, again, notify))
    return pending


def _again(decision: Decision, result: Mapping[str, Any] | None) -> bool:
    kind = decision.decision
    if result is None:
        # An increase may have arrived, or still arrive: seen, it stands, else the policy takes it back.
        return not decision.increase
    if kind in (DecisionKind.SET_WEIGHT, DecisionKind.PROMOTE):
        # A refused or failed increase is for the policy to take back, not to be tried twice.
        return not result["ok"] and (kind is DecisionKind.PROMOTE or bool(result.get("stopped")))
    return False


def _untold(records: Sequence[Record]) -> Iterator[tuple[int, Page]]:
    told = {record.body.get("effect") for record in records if record.kind == "result" and record.body["ok"]}
    for record in records:
        if isinstance(record.note, Page) and record.seq not in told:
            yield record.seq, record.note


def _must_reconcile(records: Sequence[Record]) -> bool:
    open_ = False
    for record in records:
        if record.kind == "result" and record.body.get("act") == "set_weight" and record.body.get("ok"):
            open_ = bool(record.body.get("break_glass"))
        elif isinstance(record.note, Reconciled):
            open_ = False
    return open_
