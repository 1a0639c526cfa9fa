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
from rollout.journal.resume import ResumeError, recall
from rollout.policy import timing
from rollout.policy.events import DecisionKind, Operator
from rollout.policy.state import ON_STABLE

if TYPE_CHECKING:
    from rollout.control.faulty.night import World

_AT_ONCE = 0.002  # seconds: a request that lands in the instant of the decision was on its way
_UNSEEN = timing.READ_LIMIT + 20  # seconds: a reading that hangs, and one that is old
_SILENT = (DecisionKind.PROMOTE,)


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be was seen, ``at`` seconds of loop time."""

    at: float
    what: str

    def __str__(self) -> str:
        return f"at {self.at:.1f} s: {self.what}"


def of_a_move(world: World, weight: float, by: str) -> Iterator[Violation]:
    """The rollout's own hand never raises traffic above what the policy has decided."""
    before, state, now = world.balancer.weight, world.policy_state(), asyncio.get_running_loop().time()
    if by in STRANGE or weight <= before:
        return
    t = world.controller.t if world.controller else None
    if weight > state.commanded and (t is None or t - state.commanded_at > _AT_ONCE):
        what = f"{by} raised traffic from {before:g} to {weight:g} %, the policy allows {state.commanded:g} %"
        yield Violation(now, what + (" after an abort" if state.phase in ON_STABLE else ""))


def of_an_increase(world: World, weight: int) -> Iterator[Violation]:
    """No increase without its durable intent, and none is begun twice."""
    journal, now = world.journal, asyncio.get_running_loop().time()
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
    if not world.controller or world.ended:
        return
    state = world.controller.state
    if world.balancer.weight > state.commanded and state.settled:
        now = asyncio.get_running_loop().time()
        yield Violation(
            now, f"traffic is at {world.balancer.weight:g} %, the policy says {state.commanded:g} %"
        )


def of_the_end(world: World, weight_at_end: float) -> Iterator[Violation]:
    now, weight = asyncio.get_running_loop().time(), world.balancer.weight
    if world.ended_at - world.strange_at < _UNSEEN:
        return  # moved from elsewhere in the last moment
    if weight != weight_at_end:
        yield Violation(now, f"traffic went from {weight_at_end:g} to {weight:g} % after the end")
    promoted = world.played.exit is Exit.DONE
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
    if (outcome == "promoted") != (world.played.exit is Exit.DONE):
        yield Violation(now, f"exit {world.played.exit}, but the policy finished as {outcome}")
    aborted = any(
        d.decision is DecisionKind.SET_WEIGHT and d.reason.startswith("abort:") for d in past.decisions
    )
    if aborted and world.balancer.weight:
        yield Violation(now, "aborted, but traffic is not on stable")
    worked = not any(fault.startswith("durable") for fault in world.played.faults)
    heard = any(isinstance(event, Operator) and event.command == "abort" for event, _ in past.received)
    if world.told_aborted and not heard and worked:
        yield Violation(now, "the operator was told that the abort is accepted, and it was lost")
    refused = [r for r in records if r.kind == "rejected" and r.body.get("event") != "operator"]
    if refused:
        yield Violation(now, f"the policy refused an event of ours: {refused[0].body}")


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
