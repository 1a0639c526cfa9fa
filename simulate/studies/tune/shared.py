"""One rehearsal for many plans, for as long as they do the same: their rows are bit for bit those of a rehearsal each.

    >>> from rollout.plan import load_plan
    >>> from simulate.controlplane import World
    >>> plan = load_plan("phase-c")
    >>> [ended.plans for ended in together(World(), Troupe.of([plan, plan]), seed=7)]
    [(0, 1)]

Three things are shared, each only as long as it is exact:

- a *trajectory* (clock, traffic, data plane, metrics, faults, alarms) by all plans that have commanded the same at the same
  moments. Limits, windows and time-outs may differ: each plan has its own state of the policy, hears the same events, and is
  woken at its own times only. At the first decision that would do something else to the world the rehearsal is copied.
- a *mind* (one state, one call of the policy an event) by plans that differ in nothing but the limits of error rate, latency
  and database connection errors, for as long as no period was beyond any of them and each was good for all or for none.
- the traffic before the start by all.

Plans never share that differ in what the clock or the data plane is made of: the metric period and its delay, the probe
rounds, the rate limit, the time after which a decrease breaks the glass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from rollout.plan import Limit, Plan, Rollback
from rollout.plan.criteria import CRITERIA
from rollout.policy import IllegalEvent, Phase, State, decide, timing
from rollout.policy.events import Decision, DecisionKind, EdgeMetrics, Event, Metrics, Reason, Tick
from rollout.policy.judge import is_good
from simulate.controlplane import Record, Rehearsal, World, model_for
from simulate.controlplane.cloudwatch import NEVER
from simulate.dataplane import DataPlane
from simulate.studies.replication.job import plane_of

_NO_LIMIT = Limit(0, Rollback.HOLD)
_SILENT = (
    DecisionKind.ALERT,
    DecisionKind.PREPARE_ROLLBACK,
    DecisionKind.PROMOTE,
)  # they change nothing in the world
_TOLD_APART = (Reason.HEALTH, Reason.OPERATOR)  # by a rehearsal; of the others it does not ask why


class Mind(NamedTuple):
    """Plans, by number, whose policy is in the same state; ``wake``: when it is to be woken (ms)."""

    plans: tuple[int, ...]
    state: State
    wake: int = NEVER


@dataclass(frozen=True, slots=True)
class Troupe:
    """The plans of a sweep. ``scenes``: those that can begin together, as the minds that they begin with."""

    plans: tuple[Plan, ...]
    scenes: tuple[tuple[Mind, ...], ...]

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> Troupe:
        scenes = []
        for numbers in _alike([_setting(plan) for plan in plans]):
            minds = _alike([_but_limits(plans[k]) for k in numbers])
            scenes.append(tuple(Mind(tuple(numbers[k] for k in mind), State()) for mind in minds))
        return cls(tuple(plans), tuple(scenes))


class Ended(NamedTuple):
    """A rehearsal that has run, and the plans (by number) whose it is. Its ``decisions`` are told as one of them says them.

    ``since``: when it left the rehearsal that it was copied from (s), or 0.
    """

    plans: tuple[int, ...]
    record: Record
    plane: DataPlane
    since: float


def together(
    world: World, troupe: Troupe, seed: int, replication: int = 0, *, borrow: bool = False
) -> Iterator[Ended]:
    """Rehearses every plan. ``borrow``: on this process's data plane; then look at each before asking for the next."""
    for minds in troupe.scenes:
        first = troupe.plans[minds[0].plans[0]]
        plane = plane_of(model_for(world.model, first)) if borrow else None
        waiting = [Shared(world, troupe.plans, minds, seed, replication, plane)]
        while waiting:
            rehearsal = waiting.pop()
            record = rehearsal.run()
            waiting += rehearsal.parted
            plans = tuple(sorted(k for mind in rehearsal.minds for k in mind.plans))
            yield Ended(plans, record, rehearsal.plane, rehearsal.since)
            # A rehearsal and its agenda hold each other: its data plane would wait for the garbage collector.
            vars(rehearsal).clear()


class Shared(Rehearsal):
    """A rehearsal of several plans. ``parted`` are the ones that left it, each to be run on."""

    def __init__(
        self,
        world: World,
        plans: tuple[Plan, ...],
        minds: tuple[Mind, ...],
        seed: int,
        replication: int,
        plane: DataPlane | None,
    ) -> None:
        self._plans, self.minds = plans, minds
        self.parted: list[Shared] = []
        self.since = 0.0
        super().__init__(world, plans[minds[0].plans[0]], seed, replication, plane=plane)

    def copy(self) -> Self:
        other = super().copy()
        other.parted, other.since = [], self.now / 1000
        return other

    # --- events

    def hear(self, *events: Event) -> None:
        """Those who decide otherwise leave, and hear the rest of the events in a rehearsal of their own.

        Metric periods told at one moment are heard as one: a plan that compares decides at stable's, another at the candidate's.
        """
        periods = all(isinstance(event, Metrics | EdgeMetrics) for event in events)
        moments = [events] if events and periods else [(event,) for event in events]
        while moments:
            if self.down or self.state.phase is Phase.FINISHED:
                return
            moment = moments.pop(0)
            courses = self._courses(moment, self.minds)
            if any(course.decided > 1 for course in courses):
                moments = [*((event,) for event in moment), *moments]
                continue
            for other in self._part(moment[-1], courses):
                other.hear(*(event for later in moments for event in later))
        self._look_for_rounds()

    def _tick_for(self, due: frozenset[int]) -> None:
        """Wakes the plans that asked for this moment when the entry was made, and have not changed their mind."""
        if self.down or self.state.phase is Phase.FINISHED:
            return
        woken = [m._replace(wake=NEVER) for m in self.minds if m.wake == self.now and due.issuperset(m.plans)]
        if woken:
            tick, names = Tick(self.now / 1000), {mind.plans for mind in woken}
            rest = [_Course(mind) for mind in self.minds if mind.plans not in names]
            self._part(tick, [*self._courses((tick,), woken), *rest])

    def _courses(self, moment: tuple[Event, ...], minds: Sequence[Mind]) -> list[_Course]:
        """Each mind hears the events of a moment; nothing takes effect yet."""
        before, courses = self.state, [*map(_Course, minds)]
        for event in moment:
            courses = [after for course in courses for after in self._heard(course, event)]
        self.state = before
        return courses

    def _heard(self, course: _Course, event: Event) -> list[_Course]:
        """What a course becomes at one more event: one for each mind that it becomes."""
        mind = course.mind
        self.plan, self.state = self._plans[mind.plans[0]], mind.state
        if mind.state.phase is Phase.FINISHED or not self.tells(event):
            return [course]
        found = []
        for plans in self._of_one_mind(mind.plans, event):
            plan = self._plans[plans[0]]
            try:
                state, decisions = decide(plan, mind.state, event)
            except IllegalEvent:
                found.append(
                    replace(course, mind=Mind(plans, mind.state, mind.wake), refused=course.refused + 1)
                )
                continue
            found.append(course.with_(Mind(plans, state, mind.wake), decisions, self._wakes(plan, state)))
        return found

    def _part(self, event: Event, courses: Sequence[_Course]) -> list[Shared]:
        """The courses that do the same stay together. Returns the rehearsals of those who leave."""
        scripts: dict[tuple[object, ...], list[_Course]] = {}
        for course in courses:
            scripts.setdefault(course.done(), []).append(course)
        mine, *others = scripts.values()
        parted = [self.copy() for _ in others]  # before anything takes effect
        before = self.state
        for rehearsal, script in zip([self, *parted], [mine, *others], strict=True):
            rehearsal._play(event, before, script)  # noqa: SLF001 -- of the same class
        self.parted += parted
        return parted

    def _play(self, event: Event, before: State, script: Sequence[_Course]) -> None:
        """What was decided begins to take effect, between the wakes that were planned before and after it."""
        leader = script[0]
        self.plan, self.state = self._plans[leader.mind.plans[0]], leader.mind.state
        self.record.refused += leader.refused
        minds = self._woken([(course.mind, course.earlier) for course in script])
        self._follow(event, before, leader.decisions)
        self.minds = self._woken(list(zip(minds, (course.later for course in script), strict=True)))

    def _woken(self, wakes: Sequence[tuple[Mind, Sequence[int]]]) -> tuple[Mind, ...]:
        """The minds, when each has planned to be woken at these times, one after the other."""
        due: dict[int, list[int]] = {}
        minds = []
        for mind, times in wakes:
            now = mind
            for wake in times:
                if wake not in (NEVER, now.wake):
                    due.setdefault(wake, []).extend(mind.plans)
                    now = Mind(mind.plans, mind.state, wake)
            minds.append(now)
        for wake, plans in due.items():
            self.agenda.at(wake, Shared._tick_for, frozenset(plans))
        return tuple(minds)

    def _plan_wake(self) -> None:
        """Everybody plans anew."""
        self.minds = self._woken(
            [(mind, [self._wakes(self._plans[mind.plans[0]], mind.state)]) for mind in self.minds]
        )

    def _of_one_mind(self, plans: tuple[int, ...], event: Event) -> Iterable[tuple[int, ...]]:
        """Plans that judge a period differently part; one that it is beyond a limit of goes alone from then on."""
        if len(plans) == 1 or not isinstance(event, Metrics) or event.role != "candidate":
            return (plans,)
        alone: list[tuple[int, ...]] = []
        agreed: dict[bool, list[int]] = {}
        for number in plans:
            plan = self._plans[number]
            if _beyond(plan, event):
                alone.append((number,))
            else:
                agreed.setdefault(is_good(plan, event), []).append(number)
        return [*map(tuple, agreed.values()), *alone]


@dataclass(frozen=True, slots=True)
class _Course:
    """What a mind makes of a moment: its decisions, and the times (ms) at which it planned to be woken before and after them.

    ``decided``: at how many events it did something to the world; ``refused``: how many its policy did not take.
    """

    mind: Mind
    decisions: tuple[Decision, ...] = ()
    earlier: tuple[int, ...] = ()
    later: tuple[int, ...] = ()
    decided: int = 0
    refused: int = 0

    def with_(self, mind: Mind, decisions: Sequence[Decision], wake: int) -> _Course:
        decided = self.decided + any(one.decision not in _SILENT for one in decisions)
        if decided:
            earlier, later = self.earlier, (*self.later, wake)
        else:
            earlier, later = (*self.earlier, wake), ()
        return _Course(mind, (*self.decisions, *decisions), earlier, later, decided, self.refused)

    def done(self) -> tuple[object, ...]:
        """What a rehearsal sees of it: where this is equal, it goes on the same."""
        state = self.mind.state
        return (
            state.phase,
            state.commanded,
            state.settled,
            state.seen,
            state.fallback,
            state.held_since,
            state.candidate_streak,
            state.stable_streak,
            self.refused,
            *(_effect(one) for one in self.decisions if one.decision not in _SILENT),
        )


def _effect(decision: Decision) -> object:
    """What a rehearsal carries out of a decision that is not silent."""
    return (
        decision.decision,
        decision.weight,
        decision.increase,
        decision.criterion in _TOLD_APART and decision.criterion,
        decision.break_glass,
        decision.rate_limit,
        decision.outcome,
        decision.verified,
    )


# --- which plans can share what


def _setting(plan: Plan) -> object:
    """What the clock and the data plane of a rehearsal are made of."""
    decrease = timing.decrease_limit(plan.apply_limit)
    return plan.metrics.period, plan.metrics.delay, plan.health, plan.rate_limit, decrease


def _but_limits(plan: Plan) -> Plan:
    """The plan without its name and the limits by which a mind may tell its plans apart."""
    return replace(plan, name="").with_criteria(
        error_rate=_NO_LIMIT, latency_p95=_NO_LIMIT, db_connection_errors=_NO_LIMIT
    )


def _alike(things: Sequence[object]) -> list[list[int]]:
    """The places of equal things; they need no hash."""
    found: list[list[int]] = []
    for place, thing in enumerate(things):
        known = next((places for places in found if things[places[0]] == thing), None)
        if known is None:
            found.append([place])
        else:
            known.append(place)
    return found


def _beyond(plan: Plan, period: Metrics) -> bool:
    """Whether any value is above its limit."""
    return any(row.is_beyond(plan, period) for row in CRITERIA)
