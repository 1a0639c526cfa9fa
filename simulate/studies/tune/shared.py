"""One rehearsal for many plans, for as long as they act alike: their rows are bit for bit those of a rehearsal each.

    >>> from rollout.plan import load_plan
    >>> from simulate.controlplane import World
    >>> plan = load_plan("phase-c")
    >>> [ended.plans for ended in rehearse_all(World(), PlanSet.of([plan, plan]), seed=7)]
    [(0, 1)]

Three things are shared, each only as long as that is exact:

- The traffic before the start, by all plans.
- A *trajectory* (clock, traffic, data plane, metrics, faults, alarms), by all plans that have commanded the same at the same
  moments. Limits, windows and time-outs may differ: each plan has its own state of the policy, receives the same events, and is
  woken only at its own times. At the first decision that would change the world for some of them only, the rehearsal forks: a
  copy goes on for those plans.
- A *state of the policy*, by a group of plans that differ in nothing but the limits of error rate, latency and database
  connection errors. One call of the policy serves the group, for as long as no period was beyond any of its limits and each
  period was good for all of it or for none. Otherwise the group splits.

What happens at one moment, in order: every group responds to the events without any effect (``_responses``, which splits groups);
the responses that look alike to the world are put together (``_Response.visible``); the rehearsal is copied for each further kind
(``_fork``); and each rehearsal carries its kind out (``_apply``).

Plans that differ in what the clock or the data plane is made of never share: the metric period and its delay, the probe rounds,
the rate limit, the time after which a decrease goes through the load balancer's own API.
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
from simulate.controlplane import Rehearsal, RehearsalResult, World, model_for
from simulate.controlplane.cloudwatch import NEVER
from simulate.dataplane import DataPlane
from simulate.studies.replication.job import plane_of

_NO_LIMIT = Limit(0, Rollback.HOLD)
# Decisions that change nothing in the world.
_SILENT = (DecisionKind.ALERT, DecisionKind.PREPARE_ROLLBACK, DecisionKind.BAKE, DecisionKind.PROMOTE)
# The only reasons on which a rehearsal acts differently.
_REASONS_THAT_MATTER = (Reason.HEALTH, Reason.FRONT_DOOR, Reason.OPERATOR)


class PolicyGroup(NamedTuple):
    """Plans, by number, that share one state of the policy; ``wake``: when it is to be woken next (ms)."""

    plans: tuple[int, ...]
    state: State
    wake: int = NEVER


@dataclass(frozen=True, slots=True)
class PlanSet:
    """The plans of a sweep. ``starts``: for each rehearsal to start, the groups that it begins with."""

    plans: tuple[Plan, ...]
    starts: tuple[tuple[PolicyGroup, ...], ...]

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> PlanSet:
        starts = []
        for numbers in _equal_places([_setting(plan) for plan in plans]):
            groups = _equal_places([_without_limits(plans[k]) for k in numbers])
            starts.append(tuple(PolicyGroup(tuple(numbers[k] for k in group), State()) for group in groups))
        return cls(tuple(plans), tuple(starts))


class Ended(NamedTuple):
    """A rehearsal that has run, and the plans (by number) whose it is.

    Its ``decisions`` have the reasons of one of the plans. ``since``: when it forked from another rehearsal (s), or 0.
    """

    plans: tuple[int, ...]
    result: RehearsalResult
    plane: DataPlane
    since: float


def rehearse_all(
    world: World, plan_set: PlanSet, seed: int, replication: int = 0, *, borrow: bool = False
) -> Iterator[Ended]:
    """Rehearses every plan.

    ``borrow``: on this process's data plane, which the next rehearsal overwrites: use each before asking for the next.
    """
    for groups in plan_set.starts:
        first = plan_set.plans[groups[0].plans[0]]
        plane = plane_of(model_for(world.model, first)) if borrow else None
        waiting = [SharedRehearsal(world, plan_set.plans, groups, seed, replication, plane)]
        while waiting:
            rehearsal = waiting.pop()
            result = rehearsal.run()
            waiting += rehearsal.forks
            plans = tuple(sorted(k for group in rehearsal.groups for k in group.plans))
            yield Ended(plans, result, rehearsal.plane, rehearsal.since)
            # A rehearsal and its agenda refer to each other: its data plane would wait for the garbage collector.
            vars(rehearsal).clear()


class SharedRehearsal(Rehearsal):
    """A rehearsal of several plans. ``forks``: the rehearsals that were copied from it, each to be run to its end."""

    def __init__(
        self,
        world: World,
        plans: tuple[Plan, ...],
        groups: tuple[PolicyGroup, ...],
        seed: int,
        replication: int,
        plane: DataPlane | None,
    ) -> None:
        self._plans, self.groups = plans, groups
        self.forks: list[SharedRehearsal] = []
        self.since = 0.0
        super().__init__(world, plans[groups[0].plans[0]], seed, replication, plane=plane)

    def copy(self) -> Self:
        other = super().copy()
        other.forks, other.since = [], self.now / 1000
        return other

    # --- events

    @property
    def compares(self) -> bool:
        return any(
            self._plans[k].criteria.comparison is not None for group in self.groups for k in group.plans
        )

    def receive(self, *events: Event) -> None:
        """Plans that decide differently go on in a fork, which receives the rest of the events, too.

        Metric periods of one moment are received together: a plan that compares decides at stable's period, others at the
        candidate's, and to the world that is the same. A plan that acts on two of them receives them one by one.
        """
        periods = all(isinstance(event, Metrics | EdgeMetrics) for event in events)
        moments = [events] if events and periods else [(event,) for event in events]
        while moments:
            if self.down or self.state.phase is Phase.FINISHED:
                return
            moment = moments.pop(0)
            responses = self._responses(moment, self.groups)
            if any(response.acted > 1 for response in responses):
                moments = [*((event,) for event in moment), *moments]
                continue
            for fork in self._fork(moment[-1], responses):
                fork.receive(*(event for later in moments for event in later))
        self.look_for_rounds()

    def _wake_groups(self, due: frozenset[int]) -> None:
        """Wakes the plans that asked for this moment when the entry was made, and have not asked for another since."""
        if self.down or self.state.phase is Phase.FINISHED:
            return
        woken = [
            group._replace(wake=NEVER)
            for group in self.groups
            if group.wake == self.now and due.issuperset(group.plans)
        ]
        if woken:
            tick, names = Tick(self.now / 1000), {group.plans for group in woken}
            rest = [_Response(group) for group in self.groups if group.plans not in names]
            self._fork(tick, [*self._responses((tick,), woken), *rest])

    def _responses(self, moment: tuple[Event, ...], groups: Sequence[PolicyGroup]) -> list[_Response]:
        """What each group makes of the events of a moment; nothing takes effect yet."""
        before, responses = self.state, [*map(_Response, groups)]
        for event in moment:
            responses = [after for response in responses for after in self._respond(response, event)]
        self.state = before
        return responses

    def _respond(self, response: _Response, event: Event) -> list[_Response]:
        """A response after one more event: one for each group into which its group splits."""
        group = response.group
        # `relevant` and `_wakes` look at these.
        self.plan, self.state = self._plans[group.plans[0]], group.state
        if group.state.phase is Phase.FINISHED or not self.relevant(event):
            return [response]
        found = []
        for plans in self._split(group.plans, event):
            plan = self._plans[plans[0]]
            try:
                state, decisions = decide(plan, group.state, event)
            except IllegalEvent:
                refused = response.refused + 1
                found.append(replace(response, group=group._replace(plans=plans), refused=refused))
                continue
            after = PolicyGroup(plans, state, group.wake)
            found.append(response.extended(after, decisions, self._wakes(plan, state)))
        return found

    def _fork(self, event: Event, responses: Sequence[_Response]) -> list[SharedRehearsal]:
        """Groups that respond alike stay together; returns the rehearsals that go on for the others."""
        kinds: dict[tuple[object, ...], list[_Response]] = {}
        for response in responses:
            kinds.setdefault(response.visible(), []).append(response)
        own, *others = kinds.values()
        forks = [self.copy() for _ in others]  # before anything takes effect
        before = self.state
        for rehearsal, kind in zip([self, *forks], [own, *others], strict=True):
            rehearsal._apply(event, before, kind)  # noqa: SLF001 -- of the same class
        self.forks += forks
        return forks

    def _apply(self, event: Event, before: State, responses: Sequence[_Response]) -> None:
        """What was decided begins to take effect.

        The agenda does entries of one millisecond in the order they were made, so wakes that were asked for before the decision are
        entered before its effects, and the later ones after them.
        """
        first = responses[0]
        self.plan, self.state = self._plans[first.group.plans[0]], first.group.state
        self.result.refused += first.refused
        groups = self._enter_wakes([(response.group, response.wakes_before) for response in responses])
        self._follow(event, before, first.decisions)
        self.groups = self._enter_wakes(
            list(zip(groups, (response.wakes_after for response in responses), strict=True))
        )

    def _enter_wakes(self, wakes: Sequence[tuple[PolicyGroup, Sequence[int]]]) -> tuple[PolicyGroup, ...]:
        """The groups after each has asked to be woken at these times, one after the other; the last one holds."""
        due: dict[int, list[int]] = {}
        groups = []
        for group, times in wakes:
            now = group
            for wake in times:
                if wake not in (NEVER, now.wake):
                    due.setdefault(wake, []).extend(group.plans)
                    now = group._replace(wake=wake)
            groups.append(now)
        for wake, plans in due.items():
            self.agenda.at(wake, SharedRehearsal._wake_groups, frozenset(plans))
        return tuple(groups)

    def _plan_wake(self) -> None:
        """Every group asks anew when to be woken."""
        self.groups = self._enter_wakes(
            [(group, [self._wakes(self._plans[group.plans[0]], group.state)]) for group in self.groups]
        )

    def _split(self, plans: tuple[int, ...], event: Event) -> Iterable[tuple[int, ...]]:
        """Plans that judge a period differently part; a plan with a value beyond a limit is alone from then on."""
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
class _Response:
    """What a group makes of a moment: its decisions, and when it asked to be woken (ms), before and after they take effect.

    ``acted``: at how many events it did something to the world; ``refused``: how many events its policy did not accept.
    """

    group: PolicyGroup
    decisions: tuple[Decision, ...] = ()
    wakes_before: tuple[int, ...] = ()
    wakes_after: tuple[int, ...] = ()
    acted: int = 0
    refused: int = 0

    def extended(self, group: PolicyGroup, decisions: Sequence[Decision], wake: int) -> _Response:
        """After one more event."""
        acted = self.acted + any(one.decision not in _SILENT for one in decisions)
        if acted:
            before, after = self.wakes_before, (*self.wakes_after, wake)
        else:
            before, after = (*self.wakes_before, wake), ()
        return _Response(group, (*self.decisions, *decisions), before, after, acted, self.refused)

    def visible(self) -> tuple[object, ...]:
        """All that a rehearsal sees of it: where this is equal, the rehearsal goes on the same."""
        state = self.group.state
        return (
            state.phase,
            state.commanded,
            state.settled,
            state.seen,
            state.fallback,
            state.held_since,
            state.candidate_streak,
            state.stable_streak,
            state.front_streak,
            state.front_passed,
            state.passing,
            state.foreign,
            state.limit_awaited,
            self.refused,
            *(_effect(one) for one in self.decisions if one.decision not in _SILENT),
        )


def _effect(decision: Decision) -> object:
    """What a rehearsal carries out of a decision that is not silent."""
    return (
        decision.decision,
        decision.weight,
        decision.increase,
        decision.criterion in _REASONS_THAT_MATTER and decision.criterion,
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


def _without_limits(plan: Plan) -> Plan:
    """The plan without its name and the limits by which a group may split."""
    return replace(plan, name="").with_criteria(
        error_rate=_NO_LIMIT, latency_p95=_NO_LIMIT, db_connection_errors=_NO_LIMIT
    )


def _equal_places(things: Sequence[object]) -> list[list[int]]:
    """The places of equal things, which need not be hashable."""
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
