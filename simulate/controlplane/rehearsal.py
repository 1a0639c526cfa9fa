"""One rehearsal: the real policy under a simulated clock, over the data plane.

    >>> from rollout.plan import load_plan
    >>> from simulate.controlplane import Rehearsal, World
    >>> record = Rehearsal(World(), load_plan("phase-c"), seed=7).run()
    >>> record.outcome, record.weights[-1][1]
    ('promoted', 100.0)

It does what `rollout.controller` and `rollout.effects` do to the policy, no more: it tells events when they would be known,
puts commands into effect when they would be, and wakes the policy on the controller's ticks. Left out are events that
change nothing: health rounds that are clean on a clean streak, and ticks before anything is due (``thorough`` tells them all;
a test compares both).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.events import (
    Alarm,
    Criterion,
    Decision,
    DecisionKind,
    Event,
    Health,
    MetricsError,
    Operator,
    Started,
    Tick,
    Traffic,
)
from rollout.plan import Plan
from rollout.policy import IllegalEvent, Phase, State, decide
from simulate.controlplane import alarms
from simulate.controlplane.agenda import Agenda
from simulate.controlplane.cloudwatch import NEVER, ROLES, Arrival, CloudWatch, Closed
from simulate.controlplane.draws import Draws, Stream
from simulate.controlplane.wake import due_times
from simulate.controlplane.world import Change, Fault, Kill, Reaction, Surge, Switch, World
from simulate.dataplane import CANDIDATE, STABLE, DataPlane, Model

DECREASE_LIMIT = 20_000  # ms; as rollout.effects: then a decrease goes through the load balancer's own API
READ_BACK = 500  # ms between read-backs while a weight is to change
_ON_STABLE = (Phase.ABORTED, Phase.VERIFYING)
_STOPPED = (Phase.HELD, Phase.PAUSED)


@dataclass(slots=True)
class Record:
    """What happened. Times are seconds from the start of the rollout, weights percent."""

    outcome: str = "held"  # promoted, aborted, or held when the horizon came first
    verified: bool | None = None
    ended: float = 0.0
    weights: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])  # (t, weight in force)
    decisions: list[Decision] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)  # as they came about, in words
    alarms: list[tuple[float, str]] = field(default_factory=list)  # that went off
    detected: float | None = None  # T+0 of the first retreat: the first failed round, or the event that showed it
    decided: float | None = None
    moved: float | None = None  # its lower weight read back
    held: float = 0.0  # seconds in which traffic stood and a person was asked
    rate_limit: int | None = None  # the last one that came into force
    refused: int = 0  # events that the policy refused
    periods: list[Closed] = field(default_factory=list)  # whole metric periods from the one the rollout began in
    events: list[Event] = field(default_factory=list)  # all that were heard, when asked for


class Rehearsal:
    """``plane`` is taken and restarted if it is given: making one is slower. ``listen`` keeps the events heard."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        seed: int,
        replication: int = 0,
        *,
        plane: DataPlane | None = None,
        listen: bool = False,
        thorough: bool = False,
    ) -> None:
        self.world, self.plan = world, plan
        self.draws = Draws(seed, replication)
        self.state = State()
        self.record = Record()
        self._listen, self._thorough = listen, thorough
        if plane is None:
            plane = DataPlane(model_for(world.model, plan), seed, replication)
        else:
            plane.restart(seed, replication)
        self.plane = plane
        period = round(plan.period * 1000)
        self.t0 = round(world.warm_up_s * 1000) + int(self.draws.uniform(Stream.PHASE, 0) * period)
        self.cloudwatch = CloudWatch(world.delivery, plan, self.draws, self.t0)
        self.now = 0
        self._interval = max(round(plan.health.interval * 1000), 2)
        self._first_round = round(plan.health.timeout * 1000)  # one sent at 0 is judged then
        self._round = -1  # when the last round was judged
        self._next_round = NEVER  # the one to be told whatever it shows
        self._wake = NEVER
        self._command = 0  # number of the newest weight command
        self._busy_until = 0
        self._streak_began: float | None = None
        self._failing: set[str] = set()  # alarms in ALARM
        self._reacted: dict[str, int] = {}
        self._holds = self._alarm_changes = 0
        self._down = False
        self.agenda: Agenda[Rehearsal] = Agenda(self)
        self._begin()

    def copy(self) -> Rehearsal:
        """Another rehearsal that stands where this one does and goes on independently."""
        other = object.__new__(Rehearsal)
        other.__dict__ |= self.__dict__
        other.plane = self.plane.copy()
        other.cloudwatch = self.cloudwatch.copy()
        lists = {name: list(getattr(self.record, name)) for name in _LISTS}
        other.record = replace(self.record, **lists)  # type: ignore[arg-type]
        other._failing, other._reacted = set(self._failing), dict(self._reacted)  # noqa: SLF001 -- our own copy
        other.agenda = self.agenda.copy(other)
        return other

    # --- running

    @property
    def finished(self) -> bool:
        return self.state.phase is Phase.FINISHED or self.now >= self.world.horizon_s * 1000

    def run(self) -> Record:
        """Runs to the end of the rollout, and of the metric period in which it ends."""
        while not self.finished:
            self.step()
        return self.close()

    def step(self) -> None:
        """Goes on to the next thing that happens: a failed probe round, or what is due next."""
        due = self.agenda.next
        if self._advance(due):
            self.now = due
            self.agenda.step()

    def close(self) -> Record:
        """Ends a rehearsal: the metric period that it stands in is completed and its record returned."""
        record = self.record
        record.ended = self.now / 1000
        if self.state.phase in _STOPPED:
            record.held += record.ended - self.state.held_since
        if self.state.phase in _ON_STABLE:
            record.outcome = "aborted"
        self.plane.watch_probes(0, 0)
        whole = (self.t0 + self.now) // self.cloudwatch.period + 1
        self.plane.advance(max(self.plane.now, whole * self.plan.period))
        first = self.t0 // self.cloudwatch.period
        for number in range(first + len(record.periods), self.plane.periods):
            record.periods.append(self._closed(number))
        return record

    def _begin(self) -> None:
        world, plane = self.world, self.plane
        plane.advance(self.t0 / 1000)
        plane.watch_probes(self._interval / 1000, (self.t0 + self._first_round) / 1000)
        at = self.agenda.at
        for number, fault in enumerate(world.faults):
            late = self.draws.time(fault.spread, Stream.FAULT, number)
            at(round(1000 * (fault.at_s + late)), Rehearsal._fault, fault)
        for begins, lasts in world.crashes:
            at(round(1000 * begins), Rehearsal._crash)
            at(round(1000 * (begins + lasts)), Rehearsal._resume)
        for ms in self.cloudwatch.failing_polls():
            at(ms, Rehearsal._query_fails)
        at(round(1000 * world.horizon_s), Rehearsal._nothing)
        at(self.cloudwatch.end_of(plane.periods), Rehearsal._close_period, plane.periods)
        at(0, Rehearsal._start)

    def _start(self) -> None:
        self.hear(Started(0.0))
        self.hear(Traffic(0.0, self.plane.weight))
        if self._thorough:
            self.agenda.at(self._interval // 2, Rehearsal._every_tick)

    def _nothing(self) -> None:
        """Ends the agenda: at the horizon the rehearsal is over."""

    def _advance(self, ms: int) -> bool:
        """Runs the data plane up to ``ms``; false when a probe round to be told came first."""
        while True:
            until = min(ms, self._next_round)
            aim = max((self.t0 + until) / 1000, self.plane.now)
            reached = self.plane.advance(aim)
            at = until if reached == aim else round(1000 * reached) - self.t0
            judged = at - self._first_round
            if judged >= 0 and judged % self._interval == 0 and at > self._round:
                self._round = at
                self.now = at
                if self._judge_round():
                    return False
            if at >= ms:
                return True

    # --- probes

    def _judge_round(self) -> bool:
        """Tells the round judged now, unless it changes nothing. Whether it was told."""
        failed = {role: self.plane.failed_probes(colour) for colour, role in ROLES}
        state = self.state
        on_stable = state.phase in _ON_STABLE  # then the candidate's rounds are not heard
        streak = state.stable_streak or (state.candidate_streak and not on_stable)
        news = failed["stable"] or (failed["candidate"] and not on_stable)
        self._next_round = NEVER
        if self._down or not (news or streak or self._thorough):
            return False
        t = self.now / 1000
        for role, names in failed.items():
            if role == "candidate" and not on_stable:
                self._streak_began = (self._streak_began or t) if names else None
            self.hear(Health(t, role, names))
        self._look_for_rounds()
        return True

    def _look_for_rounds(self) -> None:
        """While a streak lasts, and for the thorough, each round is told; else only those that failed."""
        state = self.state
        streak = state.stable_streak or (state.candidate_streak and state.phase not in _ON_STABLE)
        if streak or self._thorough:
            self._next_round = self._first_round + (
                max(self.now - self._first_round, -1) // self._interval + 1
            ) * self._interval

    # --- the policy

    def hear(self, event: Event) -> None:
        """The policy hears an event, as the controller would tell it; its decisions begin to take effect."""
        if self._down:
            return
        before, record = self.state, self.record
        try:
            self.state, decisions = decide(self.plan, before, event)
        except IllegalEvent:
            record.refused += 1
            return
        if self._listen:
            record.events.append(event)
        commanded = before.commanded
        for decision in decisions:
            record.decisions.append(decision)
            weight = decision.weight or 0.0
            if decision.decision is DecisionKind.SET_WEIGHT:
                if weight < commanded:
                    self._note_retreat(decision)
                self._move(weight, increase=weight > max(commanded, before.seen), by_api=decision.break_glass)
                commanded = weight
            elif decision.decision is DecisionKind.RAISE_RATE_LIMIT:
                took = self.draws.time(self.world.updates.stack, Stream.UPDATE, 1000 + len(record.decisions))
                self.agenda.at(self.now + round(1000 * took), Rehearsal._set_rate_limit, decision.rate_limit)
            elif decision.decision is DecisionKind.HOLD and decision.criterion is not Criterion.OPERATOR:
                self._ask_operator()
            elif decision.decision is DecisionKind.FINISH:
                record.outcome, record.verified = decision.outcome or "", decision.verified
        if before.phase in _STOPPED and self.state.phase not in _STOPPED:
            record.held += event.t - before.held_since
        self._plan_wake()

    def _note_retreat(self, decision: Decision) -> None:
        record = self.record
        if record.decided is None:
            by_health = decision.criterion is Criterion.HEALTH and self._streak_began is not None
            record.detected = self._streak_began if by_health else decision.t
            record.decided = decision.t

    def _plan_wake(self) -> None:
        """The controller ticks twice a probe interval; here only on the tick at which something is due."""
        half = self._interval // 2
        due = min((ms for ms in due_times(self.plan, self.state) if ms > self.now), default=NEVER)
        wake = -(-due // half) * half
        if wake != self._wake and wake < NEVER:
            self._wake = wake
            self.agenda.at(wake, Rehearsal._tick)

    def _tick(self) -> None:
        if self.now == self._wake:
            self._wake = NEVER
            self.hear(Tick(self.now / 1000))
            self._plan_wake()

    def _every_tick(self) -> None:
        self.hear(Tick(self.now / 1000))
        self.agenda.at(self.now + self._interval // 2, Rehearsal._every_tick)

    # --- traffic

    def _move(self, weight: float, *, increase: bool, by_api: bool) -> None:
        """Begins to put a weight into force. A newer command ends one that is still on its way."""
        self._command += 1
        number, updates, draws = self._command, self.world.updates, self.draws
        begins = max(self.now, self._busy_until) if increase else self.now
        took = round(1000 * draws.time(updates.stack, Stream.UPDATE, number))
        fails = updates.failing > 0 and draws.uniform(Stream.UPDATE_FAILS, number) < updates.failing
        if not increase and (by_api or fails or took > DECREASE_LIMIT):
            begins += 0 if by_api else min(took, DECREASE_LIMIT)
            took = round(1000 * draws.time(updates.break_glass, Stream.BREAK_GLASS, number))
            fails = False
        self._busy_until = begins + took
        if not fails:
            self.agenda.at(begins + took, Rehearsal._in_force, number, weight)

    def _in_force(self, number: int, weight: float) -> None:
        if number != self._command:
            return
        self.plane.weight = weight
        if weight != self.record.weights[-1][1]:
            self.record.weights.append((self.now / 1000, weight))
        wait = 1 + int(READ_BACK * self.draws.uniform(Stream.READ_BACK, number))
        self.agenda.at(self.now + wait, Rehearsal._read_back)

    def _read_back(self) -> None:
        weight, record = self.plane.weight, self.record
        if record.decided is not None and record.moved is None and weight == self.state.commanded:
            record.moved = self.now / 1000
        self.hear(Traffic(self.now / 1000, weight))

    def _set_rate_limit(self, per_minute: int) -> None:
        self.record.rate_limit = per_minute
        if self.plane.model.rate_limit:
            self.plane.set_rate_limit(per_minute)

    # --- metrics

    def _closed(self, number: int) -> Closed:
        plane = self.plane
        sides = plane.period(number, STABLE), plane.period(number, CANDIDATE)
        return Closed(number, sides, plane.edge(number))

    def _close_period(self, number: int) -> None:
        closed = self._closed(number)
        arrival = self.cloudwatch.arrival(number)
        self.record.periods.append(closed)
        for ms in self.cloudwatch.looks(closed, arrival):
            self.agenda.at(ms, Rehearsal._poll, closed, arrival)
        self._look_at_alarms(closed, arrival)
        self.agenda.at(self.cloudwatch.end_of(number + 1), Rehearsal._close_period, number + 1)

    def _poll(self, closed: Closed, arrival: Arrival) -> None:
        if not self._down:
            for event in self.cloudwatch.read(closed, arrival, self.now):
                self.hear(event)

    def _query_fails(self) -> None:
        self.hear(MetricsError(self.now / 1000, "the query failed"))

    # --- alarms and people

    def _look_at_alarms(self, closed: Closed, arrival: Arrival) -> None:
        beyond = alarms.beyond(closed)
        if beyond == self._failing:
            return
        read = min(max(arrival.balancer, arrival.application), NEVER)
        if read == NEVER:
            return
        for name in sorted(beyond ^ self._failing):
            self._alarm_changes += 1
            waits = self.draws.uniform(Stream.ALARM, self._alarm_changes) * alarms.EVALUATION_S
            state = "ALARM" if name in beyond else "OK"
            self.agenda.at(read + round(1000 * waits), Rehearsal._alarm, name, state)
        self._failing = beyond

    def _alarm(self, name: str, state: str) -> None:
        """An alarm changes: people hear at once, the controller at its next poll."""
        if state == "ALARM":
            self.record.alarms.append((self.now / 1000, name))
            for reaction in self.world.reactions:
                done = self._reacted.get(reaction.sentence, 0)
                if reaction.alarm == name and done < reaction.most:
                    self._reacted[reaction.sentence] = done + 1
                    late = self.draws.time(reaction.delay, Stream.REACTION, done)
                    self.agenda.at(self.now + round(1000 * late), Rehearsal._react, reaction)
        self.agenda.at(self.cloudwatch.poll_after(self.now), Rehearsal._tell_alarm, name, state)

    def _tell_alarm(self, name: str, state: str) -> None:
        self.hear(Alarm(self.now / 1000, name, alarms.TIER[name], state))

    def _react(self, reaction: Reaction) -> None:
        self.record.faults.append((self.now / 1000, reaction.sentence))
        self._change(reaction.changes)

    def _ask_operator(self) -> None:
        habits = self.world.operator
        if habits and self._holds < habits.most:
            late = self.draws.time(habits.delay, Stream.OPERATOR, self._holds)
            self._holds += 1
            self.agenda.at(self.now + round(1000 * late), Rehearsal._operate, habits.command)

    def _operate(self, command: str) -> None:
        if self.state.phase in _STOPPED:
            self.hear(Operator(self.now / 1000, command))

    # --- the world

    def _fault(self, fault: Fault) -> None:
        self.record.faults.append((self.now / 1000, fault.sentence))
        self._change(fault.changes)
        if fault.alarm:
            self._alarm(fault.alarm, "ALARM")

    def _change(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            match change:
                case Switch(colour, values):
                    self.plane.switch(colour, **values)
                case Surge(factor):
                    self.plane.set_traffic(factor)
                case Kill(colour, replicas, back):
                    self.plane.kill(colour, replicas, back)

    def _crash(self) -> None:
        """The controller dies, and with it an engine that it had started."""
        self._down = True
        self._command += 1

    def _resume(self) -> None:
        """`rollout resume`: the state is the journal's; a command without a result is carried out again."""
        self._down = False
        state = self.state
        look = self.cloudwatch.poll_after(self.now)
        for closed in self.record.periods:
            self.agenda.at(look, Rehearsal._poll, closed, self.cloudwatch.arrival(closed.number))
        if not state.settled:
            self._move(state.commanded, increase=state.commanded > max(state.fallback, state.seen), by_api=False)
        self._look_for_rounds()
        self._plan_wake()


_LISTS = ("weights", "decisions", "faults", "alarms", "periods", "events")


def model_for(model: Model, plan: Plan) -> Model:
    """The model with the plan's metric period and probe time-out."""
    return replace(model, period_s=plan.period, probe_timeout_s=plan.health.timeout)
