"""What must hold whatever fails: on the load balancer's true weight, the journal, the exit code and what people were told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.control.effects import describe
from rollout.control.exits import Exit
from rollout.control.faulty.ports import STRANGE
from rollout.journal.notes import Page, Untold
from rollout.journal.resume import Past, ResumeError, recall
from rollout.journal.store import TERM
from rollout.journal.stored import SEND_LIMIT
from rollout.policy import timing
from rollout.policy.events import DecisionKind, Operator
from rollout.policy.state import ON_STABLE

if TYPE_CHECKING:
    from rollout.control.faulty.night import Run, World

_AT_ONCE = 0.002  # seconds: a request that lands in the instant of the decision was on its way
_UNSEEN = timing.READ_LIMIT + 20  # seconds: a reading that hangs, and one that is old
_HEARD = (
    60.0  # seconds: an abort from elsewhere is heard at a look at the marks, and its weight by a read-back
)
_SILENT = (DecisionKind.PROMOTE,)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be was seen, ``at`` seconds of loop time."""

    at: float
    what: str

    def __str__(self) -> str:
        return f"at {self.at:.1f} s: {self.what}"


def of_a_move(world: World, run: Run | None, weight: float, by: str) -> Iterator[Violation]:
    """The rollout's own hand never raises traffic above what the policy has decided."""
    before, now = world.balancer.weight, asyncio.get_running_loop().time()
    if by in STRANGE or weight <= before or run is None:
        return
    state = run.state
    t = run.controller.t if run.controller else None
    if weight > state.commanded and (t is None or t - state.commanded_at > _AT_ONCE):
        what = f"{by} raised traffic from {before:g} to {weight:g} %, the policy allows {state.commanded:g} %"
        yield Violation(now, what + (" after an abort" if state.phase in ON_STABLE else ""))


def of_a_takeover(other: Run, now: float) -> Iterator[Violation]:
    """A second controller is let in only when the first has not renewed its lease for its whole term."""
    if now - other.renewed_at < TERM - 1:
        yield Violation(now, f"a second controller was let in {now - other.renewed_at:.1f} s after a renewal")


def of_a_process(run: Run, now: float) -> Iterator[Violation]:
    """Who has learned that another took the lease decides nothing any more."""
    lost = run.lost_t
    if lost is None or run.journal is None:
        return
    late = [record.body for record in run.journal.records if record.kind == "event" and record.t > lost]
    if late:
        yield Violation(now, f"the controller {run.machine.name} decided on without its lease: {late[0]}")


def of_an_increase(world: World, run: Run, weight: int) -> Iterator[Violation]:
    """No increase without its durable intent, none is begun twice, and never do two controllers raise at once."""
    journal, now = run.journal, asyncio.get_running_loop().time()
    if any(other is not run for other in world.raising):
        yield Violation(now, f"two controllers raise traffic at once, {run.machine.name} to {weight} %")
    if run.superseded_at is not None and now - run.superseded_at > SEND_LIMIT:
        late = now - run.superseded_at
        yield Violation(now, f"an increase to {weight} % is begun {late:.1f} s after another took the lease")
    intents = [
        record
        for record in (journal.records if journal else [])
        if record.kind == "intent" and record.body.get("increase") and record.body["weight"] == weight
    ]
    if not intents or not journal or intents[-1].seq > journal.durable_to:
        yield Violation(now, f"an increase to {weight} % without its durable intent")
        return
    newest = intents[-1]
    results = {
        record.body.get("effect")
        for record in journal.records
        if record.kind == "result" and record.body.get("stopped")
    }
    if (
        newest.body["effect"] not in results
        and sum(i.body["effect"] == newest.body["effect"] for i in intents) > 1
    ):
        yield Violation(now, f"the increase to {weight} % was begun twice")


def of_the_calm(world: World) -> Iterator[Violation]:
    """Some time after the world began to behave traffic is not above what the policy says."""
    run = world.run
    if not run or not run.controller or world.ended:
        return
    state = run.state
    if world.balancer.weight > state.commanded and state.settled:
        now = asyncio.get_running_loop().time()
        yield Violation(
            now, f"traffic is at {world.balancer.weight:g} %, the policy says {state.commanded:g} %"
        )


def of_the_end(world: World, weight_at_end: float) -> Iterator[Violation]:
    now, weight = asyncio.get_running_loop().time(), world.balancer.weight
    if world.finished_at - world.strange_at < _UNSEEN:
        return  # moved from elsewhere in the last moment
    if weight != weight_at_end:
        yield Violation(now, f"traffic went from {weight_at_end:g} to {weight:g} % after the end")
    promoted, kind = world.played.exit is Exit.DONE, world.chapter.kind
    if kind == "watch":
        if not promoted and weight:
            yield Violation(now, f"exit {world.played.exit}, but traffic is at {weight:g} %")
        yield from _told(world, now)
        yield from _journal(world, now)
        return
    if promoted and (weight != 100 or not world.balancer.promoted):  # noqa: PLR2004 -- all of it
        yield Violation(
            now, f"exit 0, but traffic is at {weight:g} % and promoted is {world.balancer.promoted}"
        )
    if not promoted and weight:
        yield Violation(now, f"exit {world.played.exit}, but traffic is at {weight:g} %")
    if not promoted and world.balancer.promoted:
        yield Violation(now, f"exit {world.played.exit}, but the roles are swapped")
    yield from _told(world, now)
    yield from _journal(world, now)


def _journal(world: World, now: float) -> Iterator[Violation]:
    records = world.played.records
    try:
        past = recall(world.plan, records)
    except ResumeError as error:
        yield Violation(now, f"the journal cannot be continued: {error}")
        return
    finish = [d for d in past.decisions if d.decision is DecisionKind.FINISH]
    outcome = finish[-1].outcome if finish else None
    if (outcome in ("promoted", "watched")) != (world.played.exit is Exit.DONE):
        yield Violation(now, f"exit {world.played.exit}, but the policy finished as {outcome}")
    aborted = any(
        d.decision is DecisionKind.SET_WEIGHT and d.reason.startswith(("abort:", "undo:"))
        for d in past.decisions
    )
    if aborted and world.balancer.weight:
        yield Violation(now, "aborted, but traffic is not on stable")
    worked = not any(fault.startswith("durable") for fault in world.played.faults)
    heard = any(isinstance(event, Operator) and event.command == "abort" for event, _ in past.received)
    if world.told_aborted and not heard and worked:
        yield Violation(now, "the operator was told that the abort is accepted, and it was lost")
    yield from _heard(world, past, now)
    if world.shared:
        stored = world.shared.lines(world.chapter.name)
        if not "".join(record.to_line() for record in records).encode().startswith(stored):
            yield Violation(now, "the store has another journal than the one that was ended")
    refused = [r for r in records if r.kind == "rejected" and r.body.get("event") != "operator"]
    if refused:
        yield Violation(now, f"the policy refused an event of ours: {refused[0].body}")


def _heard(world: World, past: Past, now: float) -> Iterator[Violation]:
    """What somebody on another machine aborted or undid, and left the mark of, is neither promoted nor watched to the end."""
    ends = (d.t for d in past.decisions if d.outcome in ("promoted", "watched"))
    late = next(ends, 0.0) - world.marked_at if world.marked_at is not None else 0.0
    if late > _HEARD:
        yield Violation(
            now, f"{world.chapter.kind} ended well {late:.0f} s after an abort from another machine"
        )


def _told(world: World, now: float) -> Iterator[Violation]:
    """Whatever was decided or paged reached somebody, or it is on the screen that it reached nobody."""
    sent = {(subject, body.partition("\n")[0]) for _, subject, body in world.notifier.sent}
    notes = [record.note for record in world.played.records]
    shown = {note.subject for note in notes if isinstance(note, Untold)}
    due = [(note.subject[:100], note.text) for note in notes if isinstance(note, Page)]
    decisions = recall(world.plan, world.played.records).decisions
    due += [describe(decision) for decision in decisions if decision.decision not in _SILENT]
    for subject, body in due:
        if (subject, body.partition("\n")[0]) not in sent and subject not in shown:
            yield Violation(now, f"nobody was told: {subject}")
