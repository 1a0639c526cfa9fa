"""Breadth first over the states of ``decide`` itself, checking at each transition what must hold whatever the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rollout.explore.canonical import NOW, canonical
from rollout.explore.letters import letters
from rollout.plan import Plan
from rollout.policy import decide
from rollout.policy.events import Decision, DecisionKind, Event, Reason, Started
from rollout.policy.state import ON_STABLE, STOPPED, IllegalEvent, Phase, State

_BY_ITSELF = (Reason.STARTED, Reason.STAGE_PASSED)

Check = Callable[[Plan, State, State, Sequence[Decision]], bool]


def _weights(decisions: Sequence[Decision]) -> Iterator[Decision]:
    return (d for d in decisions if d.decision is DecisionKind.SET_WEIGHT)


def _never_up_after_abort(plan: Plan, before: State, after: State, decisions: Sequence[Decision]) -> bool:
    gone = before.phase in ON_STABLE
    for decision in _weights(decisions):
        if gone and decision.weight:
            return False
        gone = gone or decision.reason.startswith("abort:")
    return not gone or after.commanded == 0


def _one_stage_at_a_time(plan: Plan, before: State, after: State, decisions: Sequence[Decision]) -> bool:
    following = plan.above(before.commanded)
    return all(
        following is not None and d.weight == following.weight
        for d in _weights(decisions)
        if d.weight is not None and d.criterion in _BY_ITSELF and d.weight > before.commanded
    )


def _rises_on_data_or_by_a_person(
    plan: Plan, before: State, after: State, decisions: Sequence[Decision]
) -> bool:
    return all(
        d.criterion in (*_BY_ITSELF, Reason.OPERATOR)
        for d in _weights(decisions)
        if d.weight is not None and d.weight > max(before.commanded, before.fallback)
    )


def _stopped_stays(plan: Plan, before: State, after: State, decisions: Sequence[Decision]) -> bool:
    if before.phase not in STOPPED or any(d.criterion is Reason.OPERATOR for d in _weights(decisions)):
        return True
    return all((d.weight or 0) <= max(before.commanded, before.fallback) for d in _weights(decisions))


def _promoted_when_all_is_seen(
    plan: Plan, before: State, after: State, decisions: Sequence[Decision]
) -> bool:
    if not any(d.decision is DecisionKind.PROMOTE for d in decisions):
        return True
    last = plan.stages[-1].weight
    return before.commanded == last == before.seen and not after.candidate_streak


def _finished_says_so(plan: Plan, before: State, after: State, decisions: Sequence[Decision]) -> bool:
    finished = any(d.decision is DecisionKind.FINISH for d in decisions)
    return finished == (after.phase is Phase.FINISHED)


INVARIANTS: dict[str, Check] = {
    "after an abort the weight never rises": _never_up_after_abort,
    "it rises by one stage at a time": _one_stage_at_a_time,
    "it rises on data or by a person": _rises_on_data_or_by_a_person,
    "held or paused, it rises by a person only": _stopped_stays,
    "promoted only when all traffic was seen on a healthy candidate": _promoted_when_all_is_seen,
    "the end is said once": _finished_says_so,
}


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold, and the events that lead there; an exception counts, too."""

    invariant: str
    events: tuple[Event, ...]


@dataclass(slots=True)
class Explored:
    """What was seen. ``depth``: all states that so many events lead to; ``frontier``: states that nothing was tried in."""

    states: int = 1
    transitions: int = 0
    depth: int = 0
    frontier: int = 1
    broken: Broken | None = None

    @property
    def closed(self) -> bool:
        return not self.frontier and not self.broken


@dataclass(slots=True)
class Explorer:
    """``stop`` is asked now and then, and ends the search."""

    plan: Plan
    stop: Callable[[Explored], bool]
    _numbers: dict[State, int] = field(default_factory=dict)
    _parents: list[tuple[int, str]] = field(default_factory=list)

    def run(self) -> Explored:
        begun, _ = decide(self.plan, State(), Started(t=NOW))
        found, layer = Explored(), [canonical(self.plan, begun)]
        self._numbers, self._parents = {layer[0]: 0}, [(-1, "")]
        while layer:
            following: list[State] = []
            for tried, state in enumerate(layer):
                if tried % 64 == 0 and self.stop(found):
                    found.frontier = len(layer) - tried + len(following)
                    return found
                found.broken = self._try(state, found, following)
                if found.broken:
                    found.frontier = len(layer) - tried - 1 + len(following)
                    return found
            found.depth, layer = found.depth + 1, following
            found.frontier = len(layer)
        return found

    def _try(self, state: State, found: Explored, following: list[State]) -> Broken | None:
        number = self._numbers[state]
        for name, event in letters(self.plan, state):
            try:
                after, decisions = decide(self.plan, state, event)
            except IllegalEvent:
                continue
            except Exception as error:  # noqa: BLE001 -- the policy has no business raising anything else
                return Broken(f"{type(error).__name__}: {error}", self._path(number, name))
            found.transitions += 1
            for invariant, holds in INVARIANTS.items():
                if not holds(self.plan, state, after, decisions):
                    return Broken(invariant, self._path(number, name))
            reached = canonical(self.plan, after)
            if reached not in self._numbers:
                self._numbers[reached] = len(self._parents)
                self._parents.append((number, name))
                found.states += 1
                following.append(reached)
        return None

    def _path(self, number: int, last: str) -> tuple[Event, ...]:
        """The events from the start, at their own times."""
        names = [last]
        while number:
            number, name = self._parents[number]
            names.append(name)
        events: list[Event] = [Started(t=NOW)]
        state, _ = decide(self.plan, State(), events[0])
        for name in reversed(names):
            event = dict(letters(self.plan, state)).get(name)
            if event is None:
                break
            events.append(event)
            try:
                state, _ = decide(self.plan, state, event)
            except Exception:  # noqa: BLE001 -- what the path is about
                break
        return tuple(events)
