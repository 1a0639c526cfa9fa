"""One rehearsal: the real policy under a simulated clock, over the data plane.

    >>> from rollout.plan import load_plan
    >>> from simulate.controlplane import Rehearsal, World
    >>> result = Rehearsal(World(), load_plan("phase-c"), seed=7).run()
    >>> result.outcome, result.weights[-1][1]
    ('promoted', 100)

It does to the policy what `rollout.control.controller` and `rollout.control.effects` do, and no more: it reports events when they
would be known, puts commands into effect when they would be, and wakes the policy on the controller's ticks. Left out are events that
change nothing (``thorough`` reports them all; a test compares both): health rounds after the first that are clean on a clean streak and
say the approved version, ticks before anything is due, stable's metrics before an abort (unless the plan compares with them, or few
requests came), and the edge's metrics while few requests are rate limited. A colour that fails its
probes does not fail those of the front door here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rollout.plan import WHOLE, Plan
from rollout.policy import IllegalEvent, Phase, State, decide, due_times, front_door, timing
from rollout.policy.events import (
    FRONT_DOOR,
    FRONT_DOOR_PROBES,
    Checked,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Health,
    Limit,
    Metrics,
    Operator,
    Reason,
    Resumed,
    Started,
    Tick,
    Traffic,
)
from simulate.controlplane import aftermath
from simulate.controlplane.alarms import IMMEDIATE, TIER
from simulate.controlplane.cloudwatch import NEVER, ROLES
from simulate.controlplane.draws import Stream
from simulate.controlplane.result import RehearsalResult
from simulate.controlplane.surroundings import Surroundings
from simulate.controlplane.world import Absence, Change, TrafficRule, World
from simulate.dataplane import CANDIDATE, STABLE, DataPlane

_ON_STABLE = (Phase.ABORTED, Phase.VERIFYING)
_STOPPED = (Phase.HELD, Phase.PAUSED)
_CHECKS_S = 5.0  # for the checks that are made again after an absence
_REFUSED = "403"  # by the listener, when the rule lets nobody in
WRITTEN_BACK = "the traffic rule is written back whole: users are let in"


class Rehearsal(Surroundings):
    """``plane`` is reused and restarted if it is given, which is faster than making one. ``listen`` keeps the events received."""

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
        super().__init__(world, plan, seed, replication, plane, thorough=thorough)
        self.state = State()
        self._listen = listen
        self.begin_rounds()
        self._judged = -1  # when the last round was judged
        self._wake = NEVER
        self._command = 0  # number of the newest weight command
        self._busy_until = 0
        self._streak_began: float | None = None
        self._door_streak_began: float | None = None
        self._absent_since = 0.0
        self._told: dict[float, dict[str, int]] = {}  # requests by the start of a period and by role
        self._waiting: tuple[Metrics, ...] = ()  # periods of stable that were not told
        self._few_came = False  # a period of both colours had few requests
        self.alarmed: float | None = None  # the alarm for which somebody undoes the release
        self.until = 0  # ms; the night lasts so long after a promotion
        self._holds = self._raises = 0
        self.begin()

    # --- running

    def begin(self) -> None:
        super().begin()
        self.watch_probes()
        for absence in self.world.absences:
            self.agenda.at(round(1000 * absence.at_s), Rehearsal._leave)
            self.agenda.at(round(1000 * (absence.at_s + absence.lasts_s)), Rehearsal._return, absence)
        self.agenda.at(0, Rehearsal._start)
        self.agenda.at(round(1000 * self.world.observe_s), Rehearsal.look)
        self.agenda.at(round(1000 * self.world.horizon_s), Rehearsal.look)

    def _start(self) -> None:
        self.receive(self.started(), Traffic(0.0, self.plane.weight))

    def started(self, **more: Any) -> Started:
        """What a controller begins with: the deployed limit and the approved versions."""
        stable, candidate = self.world.versions
        baseline = (
            None if more.get("undo") else self._baseline
        )  # as `rollout undo`, which does not wait for it
        limit = self._deployed_limit
        return Started(
            self.now / 1000,
            limit,
            candidate_version=candidate,
            stable_version=stable,
            baseline_rpm=baseline,
            **more,
        )

    @property
    def _baseline(self) -> int:
        """Users' requests a minute before the rollout, as the law or the trace has them in the mean."""
        return round(self.plane.model.arrivals.per_minute)

    def look(self) -> None:
        """A time at which the rehearsal may end."""

    @property
    def finished(self) -> bool:
        until = max(round(1000 * self.world.observe_s), self.until)
        finished = self.state.phase is Phase.FINISHED and self.now >= until
        return finished or self.now >= self.world.horizon_s * 1000

    def run(self) -> RehearsalResult:
        """Runs to the end of the rollout, and of the metric period in which it ends."""
        while not self.finished:
            self.step()
        self.close()
        return self.result

    def step(self) -> None:
        """Goes on to the next thing that happens: a probe round to be reported, or what is due next."""
        due = self.agenda.next
        if self._advance(due):
            self.now = due
            self.agenda.step()

    def close(self) -> None:
        super().close()
        result, state = self.result, self.state
        if state.phase is not Phase.FINISHED:
            result.ended = result.watched
            back = "undone" if state.promoted else "aborted"
            going_on = "promoted" if state.phase is Phase.STEADY else "held"
            result.outcome = back if state.phase in _ON_STABLE else going_on
            if state.phase in _STOPPED:
                result.held += result.ended - state.held_since

    def _advance(self, ms: int) -> bool:
        """Runs the data plane up to ``ms``; false when a probe round was reported on the way."""
        while True:
            until = min(ms, self._next_round)
            aim = max((self.t0 + until) / 1000, self.plane.now)
            reached = self.plane.advance(aim)
            at = until if reached == aim else round(1000 * reached) - self.t0
            since = at - self._first_round
            if since >= 0 and since % self._interval == 0 and at > self._judged:
                self._judged = self.now = at
                if self._judge_round():
                    return False
            if at >= ms:
                return True

    # --- probes

    def _judge_round(self) -> bool:
        """Reports the round that is judged now unless it would change nothing; returns whether it did."""
        failed = {role: self.plane.failed_probes(colour) for colour, role in ROLES}
        candidate_counts = self.state.phase not in _ON_STABLE
        news = self._rounds_matter or failed["stable"] or (failed["candidate"] and candidate_counts)
        self._next_round = NEVER
        if self.down or self.state.phase is Phase.FINISHED or not (news or self.thorough):
            return False
        t = self.now / 1000
        if candidate_counts:
            self._streak_began = (self._streak_began or t) if failed["candidate"] else None
        self._door_streak_began = (self._door_streak_began or t) if self._locked_out else None
        rounds = [
            Health(t, role, failed[role], self._answering(colour, failed[role])) for colour, role in ROLES
        ]
        if self.world.front_door and (self._door_matters or self.thorough):
            refused = FRONT_DOOR_PROBES if self._locked_out else ()
            rounds.append(Health(t, FRONT_DOOR, refused, why=_REFUSED if refused else None))
        self.receive(*rounds)
        return True

    def _answering(self, colour: int, failed: tuple[str, ...]) -> tuple[str, ...]:
        """The versions that a round met: none of a colour that does not answer."""
        return () if "health" in failed else (self.versions[colour],)

    @property
    def _locked_out(self) -> bool:
        return self.shut and self.world.front_door

    @property
    def _door_matters(self) -> bool:
        """Whether a round at the front door would change something: it fails, did before, or is the first."""
        state = self.state
        return self._locked_out or state.front_streak > 0 or not state.front_passed

    @property
    def _rounds_matter(self) -> bool:
        """Whether a clean round would change something. After an abort the candidate's streak does not count."""
        state = self.state
        streak = state.stable_streak or (state.candidate_streak and state.phase not in _ON_STABLE)
        approved = tuple(self.versions[colour] for colour in (STABLE, CANDIDATE)) == self.world.versions
        return bool(streak or state.foreign or not approved or not state.passing or self._new_at_the_door)

    @property
    def _new_at_the_door(self) -> bool:
        return self.world.front_door and self._door_matters

    def begin_rounds(self, interval: float | None = None) -> None:
        """Probe rounds from now on, every ``interval`` seconds (None: the plan's). One is judged a time-out after it was sent."""
        self._interval = max(round((interval or self.plan.health.interval) * 1000), 2)
        self._began = self.now
        self._first_round = self.now + round(self.plan.health.timeout * 1000)
        if self.thorough:
            self.agenda.at(self.now + self._tick_every, Rehearsal._every_tick, self._began)
        self._next_round = NEVER  # the one to be reported whatever it shows

    def watch_probes(self) -> None:
        self.plane.watch_probes(self._interval / 1000, (self.t0 + self._first_round) / 1000)

    def _change(self, changes: tuple[Change, ...]) -> None:
        super()._change(changes)
        self.look_for_rounds()

    def look_for_rounds(self) -> None:
        """While something stands, or if ``thorough``, each round is reported; else only those that failed."""
        if self._rounds_matter or self.thorough:
            done = max((self.now - self._first_round) // self._interval, -1)  # -1 before the first
            self._next_round = self._first_round + (done + 1) * self._interval

    # --- the policy

    @property
    def compares(self) -> bool:
        """Whether stable's periods are compared with the candidate's."""
        return self.plan.criteria.comparison is not None

    def worth_telling(self, reports: Sequence[Metrics | EdgeMetrics]) -> Sequence[Metrics | EdgeMetrics]:
        """Stable's periods wait until both colours together had few requests in one: only then do they say anything (rule 17)."""
        if self.thorough or self.compares or self._few_came:
            return reports
        periods = [report for report in reports if isinstance(report, Metrics)]
        for period in periods:
            both = self._told.get(period.start, {}) | {period.role: period.requests or 0}
            self._told = self._told | {period.start: both}
            if len(both) == len(ROLES) and self._are_few(sum(both.values()), period.end - period.start):
                self._few_came = True
        waiting = self._waiting
        if self._few_came:
            return [*(replace(period, t=self.now / 1000) for period in waiting), *reports]
        if self.state.phase in _ON_STABLE:
            return reports
        stable = [period for period in periods if period.role == "stable"]
        self._waiting = (*waiting, *stable)
        return [report for report in reports if report not in stable]

    def _are_few(self, requests: int, seconds: float) -> bool:
        rate, baseline = 60 * requests / seconds, self._baseline
        return baseline >= front_door.FEWEST and rate < baseline * front_door.SHARE / WHOLE

    def relevant(self, event: Event) -> bool:
        """Whether an event could change anything; all but the edge's periods may."""
        quiet = isinstance(event, EdgeMetrics) and event.share <= self.plan.rate_limit.share
        return self.thorough or not quiet

    def receive(self, *events: Event) -> None:
        """The policy receives events, and its decisions begin to take effect."""
        for event in events:
            if self.down or self.state.phase is Phase.FINISHED:
                return
            if not self.relevant(event):
                continue
            before = self.state
            try:
                self.state, decisions = decide(self.plan, before, event)
            except IllegalEvent:
                self.result.refused += 1
                continue
            self._follow(event, before, decisions)
            self._plan_wake()
        self.look_for_rounds()

    def _follow(self, event: Event, before: State, decisions: Sequence[Decision]) -> None:
        """The decisions begin to take effect; ``before`` is the state before the event."""
        result = self.result
        if self._listen:
            result.events.append(event)
        # A promotion that is taken back had all of the traffic.
        undone = isinstance(event, Started) and event.undo
        commanded = WHOLE if undone else before.commanded
        for decision in decisions:
            result.decisions.append(decision)
            self._carry_out(decision, commanded)
            if decision.decision is DecisionKind.SET_WEIGHT:
                commanded = decision.weight or 0
        if before.phase in _STOPPED and self.state.phase not in _STOPPED:
            result.held += event.t - before.held_since
        aftermath.follow(self, before.phase)

    def _carry_out(self, decision: Decision, commanded: float) -> None:
        result = self.result
        match decision.decision:
            case DecisionKind.SET_WEIGHT:
                weight = decision.weight or 0
                if weight < commanded and result.decided is None:
                    began = {
                        Reason.HEALTH: self._streak_began,
                        Reason.FRONT_DOOR: self._door_streak_began,
                        Reason.OPERATOR: self.alarmed,
                    }.get(decision.criterion)
                    result.detected = decision.t if began is None else began
                    result.decided = decision.t
                self._move(weight, increase=decision.increase, by_api=decision.break_glass)
            case DecisionKind.RAISE_RATE_LIMIT:
                self._raises += 1
                took = self.draws.time(self.world.updates.stack, Stream.LIMIT, self._raises)
                self.agenda.at(self.now + round(1000 * took), Rehearsal._set_limit, decision.rate_limit)
            case DecisionKind.HOLD if decision.criterion is not Reason.OPERATOR:
                self._ask_operator()
            case DecisionKind.FINISH:
                if decision.outcome != "watched":  # it stays promoted
                    result.outcome, result.verified = decision.outcome or "", decision.verified
                result.ended = decision.t

    def _plan_wake(self) -> None:
        wake = self._wakes(self.plan, self.state)
        if wake not in (NEVER, self._wake):
            self._wake = wake
            self.agenda.at(wake, Rehearsal._tick)

    def _wakes(self, plan: Plan, state: State) -> int:
        """The controller wakes the policy twice a probe interval and at each round; here only when something is due."""
        times = (round(1000 * t) for t in due_times(plan, state))
        due = min((ms for ms in times if ms >= self.now), default=NEVER)
        if due == NEVER:
            return NEVER
        step, due = self._tick_every, max(due, self.now + 1)
        tick = self._began - (self._began - due) // step * step
        first = self._first_round
        return min(tick, max(first, first - (first - due) // self._interval * self._interval))

    def _tick(self) -> None:
        if self.now == self._wake:
            self._wake = NEVER
            self.receive(Tick(self.now / 1000))

    @property
    def _tick_every(self) -> int:
        return self._interval // timing.TICKS_A_ROUND

    def _every_tick(self, began: int) -> None:
        if began == self._began:
            self.receive(Tick(self.now / 1000))
            self.agenda.at(self.now + self._tick_every, Rehearsal._every_tick, began)

    # --- its effects

    def _move(self, weight: float, *, increase: bool, by_api: bool) -> None:
        """Begins to put a weight into force. A newer command ends one that is still on its way."""
        self._command += 1
        number, updates, draws = self._command, self.world.updates, self.draws
        begins = max(self.now, self._busy_until) if increase else self.now
        took = round(1000 * draws.time(updates.stack, Stream.UPDATE, number))
        fails = updates.failing > 0 and draws.uniform(Stream.UPDATE_FAILS, number) < updates.failing
        limit = round(1000 * timing.decrease_limit(self.plan.apply_limit))
        if not increase and (by_api or fails or took > limit):
            begins += 0 if by_api else min(took, limit)
            took = round(1000 * draws.time(updates.break_glass, Stream.BREAK_GLASS, number))
            fails = False
        self._busy_until = begins + took
        if not fails:
            self.agenda.at(begins + took, Rehearsal._in_force, number, weight, not increase)

    def _in_force(self, number: int, weight: float, whole: bool) -> None:
        """``whole``: the rule is written back whole, as every decrease does it; an increase changes weights only."""
        if number != self._command:
            return
        self.plane.weight = weight
        if whole and self.shut:
            self.result.faults.append((self.now / 1000, WRITTEN_BACK))
            self._change((TrafficRule(shut=False),))
        if weight != self.result.weights[-1][1]:
            self.result.weights.append((self.now / 1000, weight))
        interval = 1000 * timing.read_back_interval(self.plan, changing=True)
        wait = 1 + int(interval * self.draws.uniform(Stream.READ_BACK, number))
        self.agenda.at(self.now + wait, Rehearsal._read_back)

    def _read_back(self) -> None:
        weight, result = self.plane.weight, self.result
        if result.decided is not None and result.moved is None and weight == self.state.commanded:
            result.moved = self.now / 1000
        self.receive(Traffic(self.now / 1000, weight))

    def _set_limit(self, per_minute: int) -> None:
        self.result.limits.append((self.now / 1000, per_minute))
        if self.plane.model.rate_limit:
            self.plane.set_rate_limit(per_minute)
        self._report_limit()

    @property
    def _deployed_limit(self) -> int | None:
        """Requests per minute and client; ``None`` without a rate rule."""
        rule, raised = self.plane.model.rate_limit, self.result.limits
        if raised:
            return raised[-1][1]
        return round(rule.per_window) if rule else None

    def _report_limit(self) -> None:
        """The deployed limit is read back."""
        if (deployed := self._deployed_limit) is not None:
            self.receive(Limit(self.now / 1000, deployed))

    # --- the operator

    def hear(self, alarm: str) -> None:
        if alarm.startswith("candidate") and TIER[alarm] == IMMEDIATE:
            aftermath.alarmed(self)

    def _ask_operator(self) -> None:
        habits = self.world.operator
        if habits and self._holds < habits.most:
            late = self.draws.time(habits.delay, Stream.OPERATOR, self._holds)
            self._holds += 1
            self.agenda.at(self.now + round(1000 * late), Rehearsal._operate, habits.command)

    def _operate(self, command: str) -> None:
        if self.state.phase in _STOPPED:
            self.receive(Operator(self.now / 1000, command))

    # --- a time in which nobody watches

    def _leave(self) -> None:
        """The controller dies or stands still, and with it an engine that it had started."""
        self.down, self._absent_since = True, self.now / 1000
        self._command += 1
        self._busy_until = self.now

    def _return(self, absence: Absence) -> None:
        """`rollout resume`, with the journal's state, or the machine goes on: the policy learns of the gap, rule 15."""
        self.down = False
        state = self.state
        self.look_again()
        if not state.settled:
            increase = state.raises(state.commanded)
            if (
                absence.suspended or not increase
            ):  # an increase that died with its controller is not begun again
                self._move(state.commanded, increase=increase, by_api=False)
            self.agenda.at(self.now + 1, Rehearsal._read_back)
        if state.limit_awaited:
            self.agenda.at(self.now, Rehearsal._report_limit)
        if not absence.suspended or absence.lasts_s > timing.attention_gap(self.plan.health.interval):
            self.receive(Resumed(self.now / 1000, self._absent_since))
            self.agenda.at(self.now + round(1000 * _CHECKS_S), Rehearsal._check_again)
        else:
            self.receive(Tick(self.now / 1000))

    def _check_again(self) -> None:
        """What had to be true before the rollout, as far as a rehearsal has it: the versions, and a way in for users."""
        if self.state.phase in _ON_STABLE:
            return
        failed = [
            f"version of {role}: {self.versions[colour]} answers"
            for colour, role in ROLES
            if self.versions[colour] != self.world.versions[colour]
        ]
        failed += [f"front door: {_REFUSED}"] if self._locked_out else []
        self.receive(Checked(self.now / 1000, tuple(failed)))
