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
rounds, the rate limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from rollout.events import Criterion, Decision, DecisionKind, Event, Metrics, Tick
from rollout.judge import is_good
from rollout.plan import Limit, Plan, Rollback
from rollout.policy import IllegalEvent, Phase, State, decide
from simulate.controlplane import Record, Rehearsal, World, model_for
from simulate.controlplane.cloudwatch import NEVER
from simulate.dataplane import DataPlane
from simulate.study.job import plane_of

_NO_LIMIT = Limit(0, Rollback.HOLD)
_SILENT = (
    DecisionKind.ALERT,
    DecisionKind.PREPARE_ROLLBACK,
    DecisionKind.PROMOTE,
)  # they change nothing in the world
_TOLD_APART = (Criterion.HEALTH, Criterion.OPERATOR)  # by a rehearsal; of the others it does not ask why
_Decisions = Sequence[Decision] | None


class Mind(NamedTuple):
    """Plans, by number, whose policy is in the same state.

    ``wake``: when it is to be woken (ms); ``fresh``: it has heard something, and that is to be planned anew.
    """

    plans: tuple[int, ...]
    state: State
    wake: int = NEVER
    fresh: bool = False


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
        """Those who decide otherwise leave, and hear the rest of the events in a rehearsal of their own."""
        for place, event in enumerate(events, start=1):
            if self.down or self.state.phase is Phase.FINISHED:
                return
            if hearers := {mind.plans for mind in self.minds if self._is_told(mind, event)}:
                for other in self._tell(event, hearers):
                    other.hear(*events[place:])
        self._look_for_rounds()

    def _is_told(self, mind: Mind, event: Event) -> bool:
        self.plan = self._plans[mind.plans[0]]
        return self.tells(event)

    def _tick_for(self, due: frozenset[int]) -> None:
        """Wakes the plans that asked for this moment when the entry was made, and have not changed their mind."""
        if self.down or self.state.phase is Phase.FINISHED:
            return
        woken = {mind.plans for mind in self.minds if mind.wake == self.now and due.issuperset(mind.plans)}
        if woken:
            self.minds = tuple(m._replace(wake=NEVER) if m.plans in woken else m for m in self.minds)
            self._tell(Tick(self.now / 1000), woken)

    def _tell(self, event: Event, hearers: set[tuple[int, ...]]) -> list[Shared]:
        """Each of the hearers decides. Returns the rehearsals of those who leave."""
        scripts: dict[tuple[object, ...], _Script] = {}
        for mind in self.minds:
            for after, decisions in self._decided(mind, event) if mind.plans in hearers else [(mind, ())]:
                done = _done(after.state, decisions)
                if done in scripts:
                    scripts[done].minds.append(after)
                else:
                    scripts[done] = _Script(decisions, [after])
        mine, *others = scripts.values()
        parted = [self.copy() for _ in others]  # before anything takes effect
        before = self.state
        for rehearsal, script in zip([self, *parted], [mine, *others], strict=True):
            rehearsal._play(event, before, script)  # noqa: SLF001 -- of the same class
        self.parted += parted
        return parted

    def _decided(self, mind: Mind, event: Event) -> list[tuple[Mind, _Decisions]]:
        """The minds that it becomes, and what each decided."""
        found: list[tuple[Mind, _Decisions]] = []
        for plans in self._of_one_mind(mind.plans, event):
            try:
                state, decisions = decide(self._plans[plans[0]], mind.state, event)
            except IllegalEvent:
                found.append((Mind(plans, mind.state, mind.wake), None))
            else:
                found.append((Mind(plans, state, mind.wake, fresh=True), decisions))
        return found

    def _of_one_mind(self, plans: tuple[int, ...], event: Event) -> Iterable[tuple[int, ...]]:
        """Plans that judge a period differently part; one that it is beyond a limit of goes alone from then on."""
        if len(plans) == 1 or not isinstance(event, Metrics) or event.colour != "candidate":
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

    def _play(self, event: Event, before: State, script: _Script) -> None:
        """What was decided begins to take effect."""
        self.minds = tuple(script.minds)
        leader = self.minds[0]
        self.plan, self.state = self._plans[leader.plans[0]], leader.state
        if script.decisions is None:
            self.record.refused += 1
        else:
            self._follow(event, before, script.decisions)
            self._plan_wake()

    def _plan_wake(self) -> None:
        """Those who heard something plan when they are to be woken."""
        due: dict[int, list[int]] = {}
        minds = []
        for mind in self.minds:
            wake = self._wakes(self._plans[mind.plans[0]], mind.state) if mind.fresh else NEVER
            if wake not in (NEVER, mind.wake):
                due.setdefault(wake, []).extend(mind.plans)
                minds.append(Mind(mind.plans, mind.state, wake))
            else:
                minds.append(mind._replace(fresh=False))
        self.minds = tuple(minds)
        for wake, plans in due.items():
            self.agenda.at(wake, Shared._tick_for, frozenset(plans))

    def _resume(self) -> None:
        self.minds = tuple(mind._replace(fresh=True) for mind in self.minds)
        super()._resume()


class _Script(NamedTuple):
    """What some minds decided alike; ``None``: the policy refused the event."""

    decisions: _Decisions
    minds: list[Mind]


def _done(state: State, decisions: _Decisions) -> tuple[object, ...]:
    """What a rehearsal sees of a state and carries out of decisions: where this is equal, it goes on the same."""
    seen = (
        state.phase,
        state.commanded,
        state.settled,
        state.seen,
        state.fallback,
        state.held_since,
        state.candidate_streak,
        state.stable_streak,
    )
    if not decisions:
        return (*seen, "refused") if decisions is None else seen
    return (
        *seen,
        *(
            (
                one.decision,
                one.weight,
                one.criterion in _TOLD_APART and one.criterion,
                one.break_glass,
                one.rate_limit,
                one.outcome,
                one.verified,
            )
            for one in decisions
            if one.decision not in _SILENT
        ),
    )


# --- which plans can share what


def _setting(plan: Plan) -> object:
    """What the clock and the data plane of a rehearsal are made of."""
    return plan.period, plan.metric_delay, plan.health, plan.rate_limit


def _but_limits(plan: Plan) -> Plan:
    """The plan without its name and the limits by which a mind may tell its plans apart."""
    return replace(plan, name="", error_rate=_NO_LIMIT, latency_p95=_NO_LIMIT, db_connection_errors=_NO_LIMIT)


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
    return any(
        value is not None and value > rule.limit
        for rule, value in (
            (plan.error_rate, period.error_rate),
            (plan.latency_p95, period.p95),
            (plan.db_connection_errors, period.db_connection_errors),
        )
    )
