"""Everything around the controller of a rehearsal: the clock, the data plane, its metrics, alarms and people, and faults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from rollout.plan import Plan
from rollout.policy.events import Alarm, EdgeMetrics, Event, Metrics, MetricsError
from simulate.controlplane import alarms
from simulate.controlplane.agenda import Agenda
from simulate.controlplane.cloudwatch import NEVER, Arrival, Closed, CloudWatch
from simulate.controlplane.draws import Draws, Stream
from simulate.controlplane.result import RehearsalResult
from simulate.controlplane.world import (
    Change,
    Fault,
    Reaction,
    Redeploy,
    Surge,
    Switch,
    TrafficRule,
    World,
)
from simulate.dataplane import CANDIDATE, STABLE, DataPlane, Model


def model_for(model: Model, plan: Plan) -> Model:
    """The model with the plan's metric period and probe time-out."""
    return replace(model, period_s=plan.metrics.period, probe_timeout_s=plan.health.timeout)


class Surroundings(ABC):
    """Times are whole milliseconds from the start of the rollout, which is ``t0`` after that of the data plane."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        seed: int,
        replication: int,
        plane: DataPlane | None,
        *,
        thorough: bool,
    ) -> None:
        self.world, self.plan, self.thorough = world, plan, thorough
        self.draws = Draws(seed, replication)
        self.result = RehearsalResult()
        if plane is None:
            plane = DataPlane(model_for(world.model, plan), seed, replication)
        else:
            plane.restart(seed, replication)
        self.plane = plane
        phase = int(self.draws.uniform(Stream.PHASE, 0) * round(plan.metrics.period * 1000))
        self.t0 = round(world.warm_up_s * 1000) + phase
        self.cloudwatch = CloudWatch(world.delivery, plan, self.draws, self.t0)
        self.now = 0
        self.down = False  # the controller is dead
        self._failing: set[str] = set()  # alarms in ALARM
        self._reacted: set[int] = set()  # numbers of the world's reactions
        self._surge, self.shut = 1.0, False
        self.versions = dict(zip((STABLE, CANDIDATE), world.versions, strict=True))  # that run
        self.agenda: Agenda[Surroundings] = Agenda(self)

    def copy(self) -> Self:
        """Another rehearsal that stands where this one does and goes on independently."""
        other = object.__new__(type(self))
        other.__dict__ |= self.__dict__
        other.plane = self.plane.copy()
        other.cloudwatch = self.cloudwatch.copy()
        other.result = self.result.copy()
        other._failing, other._reacted = set(self._failing), set(self._reacted)
        other.agenda = self.agenda.copy(other)
        return other

    @abstractmethod
    def worth_telling(self, reports: Sequence[Metrics | EdgeMetrics]) -> Sequence[Metrics | EdgeMetrics]:
        """What of the metrics that a poll found could change anything."""

    @abstractmethod
    def hear(self, alarm: str) -> None:
        """People hear of an alarm."""

    @abstractmethod
    def receive(self, *events: Event) -> None:
        """The controller receives what happens at one moment, in this order. The last act of an entry of the agenda."""

    def begin(self) -> None:
        """Lets traffic flow up to the start, and enters what is known of the future into the agenda."""
        world, at = self.world, self.agenda.at
        self.plane.advance(self.t0 / 1000)
        self.enter_faults(world.faults)
        for ms in self.cloudwatch.failing_polls():
            at(ms, Surroundings._query_fails)
        number = self.plane.periods
        at(self.cloudwatch.end_of(number), Surroundings._close_period, number)

    def enter_faults(self, faults: Sequence[Fault], first: int = 0) -> None:
        """Their times are from now; the place of their luck is counted from ``first``."""
        for number, fault in enumerate(faults, first):
            place = number if fault.place is None else fault.place
            late = self.draws.time(fault.spread, Stream.FAULT, place)
            self.agenda.at(self.now + round(1000 * (fault.at_s + late)), Surroundings._fault, fault)

    def close(self) -> None:
        """Completes the metric period in which the rehearsal stands."""
        result, plane = self.result, self.plane
        result.watched = self.now / 1000
        plane.watch_probes(0, 0)
        whole = (self.t0 + self.now) // self.cloudwatch.period + 1
        plane.advance(max(plane.now, whole * self.plan.metrics.period))
        first = self.t0 // self.cloudwatch.period
        for number in range(first + len(result.periods), plane.periods):
            result.periods.append(self._closed(number))

    # --- metrics

    def _closed(self, number: int) -> Closed:
        plane = self.plane
        sides = plane.period(number, STABLE), plane.period(number, CANDIDATE)
        start = (self.cloudwatch.end_of(number) - self.cloudwatch.period) / 1000
        return Closed(number, start, sides, plane.edge(number))

    def _close_period(self, number: int) -> None:
        closed = self._closed(number)
        arrival = self.cloudwatch.arrival(number)
        self.result.periods.append(closed)
        edge = self.thorough or closed.edge.rate_limited > 0
        for ms in self.cloudwatch.looks(closed, arrival, edge=edge):
            self.agenda.at(ms, Surroundings._poll, closed, arrival)
        self._look_at_alarms(closed, arrival)
        self.agenda.at(self.cloudwatch.end_of(number + 1), Surroundings._close_period, number + 1)

    def _poll(self, closed: Closed, arrival: Arrival) -> None:
        if not self.down:
            self.receive(*self.worth_telling(self.cloudwatch.read(closed, arrival, self.now)))

    def _query_fails(self) -> None:
        self.receive(MetricsError(self.now / 1000, "the query failed"))

    def look_again(self) -> None:
        """A controller that was resumed asks for all periods that are closed."""
        look = self.cloudwatch.poll_after(self.now)
        for closed in self.result.periods:
            self.agenda.at(look, Surroundings._poll, closed, self.cloudwatch.arrival(closed.number))

    # --- alarms, and people who react to them

    def _look_at_alarms(self, closed: Closed, arrival: Arrival) -> None:
        beyond = alarms.beyond(closed)
        read = max(arrival.balancer, arrival.application)
        if beyond == self._failing or read >= NEVER:
            return
        for name in sorted(beyond ^ self._failing):
            place = closed.number * len(alarms.PLACE) + alarms.PLACE[name]
            waits = self.draws.uniform(Stream.ALARM, place) * alarms.EVALUATION_S
            state = "ALARM" if name in beyond else "OK"
            self.agenda.at(read + round(1000 * waits), Surroundings._alarm, name, state)
        self._failing = beyond

    def _alarm(self, name: str, state: str) -> None:
        """An alarm changes its state: people learn of it at once, the controller at its next poll."""
        if state == "ALARM":
            self.result.alarms.append((self.now / 1000, name))
            self.hear(name)
            for number, reaction in enumerate(self.world.reactions):
                if reaction.alarm == name and number not in self._reacted:
                    self._reacted.add(number)
                    place = number if reaction.place is None else reaction.place
                    late = self.draws.time(reaction.delay, Stream.REACTION, place)
                    self.agenda.at(self.now + round(1000 * late), Surroundings._react, reaction)
        self.agenda.at(self.cloudwatch.poll_after(self.now), Surroundings._report_alarm, name, state)

    def _report_alarm(self, name: str, state: str) -> None:
        self.receive(Alarm(self.now / 1000, name, alarms.TIER[name], state))

    def _react(self, reaction: Reaction) -> None:
        self.result.faults.append((self.now / 1000, reaction.sentence))
        self._change(reaction.changes)

    # --- the world

    def _fault(self, fault: Fault) -> None:
        self.result.faults.append((self.now / 1000, fault.sentence))
        self._change(fault.changes)
        if fault.alarm:
            self._alarm(fault.alarm, "ALARM")

    def _change(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            match change:
                case Switch(colour, values):
                    self.plane.switch(colour, **values)
                case Surge(factor):
                    self._surge = factor
                    self._let_in()
                case TrafficRule(shut):
                    self.shut = shut
                    self._let_in()
                case Redeploy(colour, version):
                    self.versions = self.versions | {colour: version}

    def _let_in(self) -> None:
        """Users' requests come to the colours, if the rule lets them."""
        self.plane.set_traffic(0.0 if self.shut else self._surge)
