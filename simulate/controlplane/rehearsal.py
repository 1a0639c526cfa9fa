"""One rehearsal: the real policy under a simulated clock, over the data plane.

    >>> from rollout.plan import load_plan
    >>> from simulate.controlplane import Rehearsal, World
    >>> result = Rehearsal(World(), load_plan("phase-c"), seed=7).run()
    >>> result.outcome, result.weights[-1][1]
    ('promoted', 100)

It does to the policy what `rollout.control.controller` and `rollout.control.effects` do, and no more: it reports events when they
would be known, puts commands into effect when they would be, and wakes the policy on the controller's ticks. Left out are events that
change nothing (``thorough`` reports them all; a test compares both): health rounds that are clean on a clean streak, ticks
before anything is due, stable's metrics before an abort (unless the plan compares with them), and the edge's while few requests are rate limited.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.plan import Plan
from rollout.policy import IllegalEvent, Phase, State, decide, due_times, timing
from rollout.policy.events import (
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Health,
    Limit,
    Metrics,
    Operator,
    Reason,
    Started,
    Tick,
    Traffic,
)
from simulate.controlplane.cloudwatch import NEVER, ROLES
from simulate.controlplane.draws import Stream
from simulate.controlplane.result import RehearsalResult
from simulate.controlplane.surroundings import Surroundings
from simulate.controlplane.world import World
from simulate.dataplane import DataPlane

_ON_STABLE = (Phase.ABORTED, Phase.VERIFYING)
_STOPPED = (Phase.HELD, Phase.PAUSED)


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
        self._interval = max(round(plan.health.interval * 1000), 2)
        self._first_round = round(plan.health.timeout * 1000)  # one sent at 0 is judged then
        self._judged = -1  # when the last round was judged
        self._next_round = NEVER  # the one to be reported whatever it shows
        self._wake = NEVER
        self._command = 0  # number of the newest weight command
        self._busy_until = 0
        self._streak_began: float | None = None
        self._holds = self._raises = 0
        self.begin()

    # --- running

    def begin(self) -> None:
        super().begin()
        self.plane.watch_probes(self._interval / 1000, (self.t0 + self._first_round) / 1000)
        for begins, lasts in self.world.crashes:
            self.agenda.at(round(1000 * begins), Rehearsal._crash)
            self.agenda.at(round(1000 * (begins + lasts)), Rehearsal._resume)
        self.agenda.at(0, Rehearsal._start)
        self.agenda.at(round(1000 * self.world.observe_s), Rehearsal._look)
        self.agenda.at(round(1000 * self.world.horizon_s), Rehearsal._look)

    def _start(self) -> None:
        if self.thorough:
            self.agenda.at(self._interval // timing.TICKS_A_ROUND, Rehearsal._every_tick)
        self.receive(Started(0.0, self._deployed_limit), Traffic(0.0, self.plane.weight))

    def _look(self) -> None:
        """A time at which the rehearsal may end."""

    @property
    def finished(self) -> bool:
        finished = self.state.phase is Phase.FINISHED and self.now >= self.world.observe_s * 1000
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
            result.outcome = "aborted" if state.phase in _ON_STABLE else "held"
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
        news = self._in_streak or failed["stable"] or (failed["candidate"] and candidate_counts)
        self._next_round = NEVER
        if self.down or self.state.phase is Phase.FINISHED or not (news or self.thorough):
            return False
        t = self.now / 1000
        if candidate_counts:
            self._streak_began = (self._streak_began or t) if failed["candidate"] else None
        self.receive(*(Health(t, role, names) for role, names in failed.items()))
        return True

    @property
    def _in_streak(self) -> bool:
        """Whether a clean round would change something. After an abort the candidate's do not count."""
        state = self.state
        return bool(state.stable_streak or (state.candidate_streak and state.phase not in _ON_STABLE))

    def _look_for_rounds(self) -> None:
        """While a streak lasts, or if ``thorough``, each round is reported; else only those that failed."""
        if self._in_streak or self.thorough:
            done = (self.now - self._first_round) // self._interval  # -1 before the first
            self._next_round = self._first_round + (done + 1) * self._interval

    # --- the policy

    def relevant(self, event: Event) -> bool:
        """Whether an event could change anything; all but metric periods may."""
        if self.thorough or not isinstance(event, Metrics | EdgeMetrics):
            return True
        if isinstance(event, EdgeMetrics):
            return event.share > self.plan.rate_limit.share
        compared = self.plan.criteria.comparison is not None
        return event.role == "candidate" or compared or self.state.phase in _ON_STABLE

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
        self._look_for_rounds()

    def _follow(self, event: Event, before: State, decisions: Sequence[Decision]) -> None:
        """The decisions begin to take effect; ``before`` is the state before the event."""
        result = self.result
        if self._listen:
            result.events.append(event)
        commanded = before.commanded
        for decision in decisions:
            result.decisions.append(decision)
            self._carry_out(decision, commanded)
            if decision.decision is DecisionKind.SET_WEIGHT:
                commanded = decision.weight or 0
        if before.phase in _STOPPED and self.state.phase not in _STOPPED:
            result.held += event.t - before.held_since

    def _carry_out(self, decision: Decision, commanded: float) -> None:
        result = self.result
        match decision.decision:
            case DecisionKind.SET_WEIGHT:
                weight = decision.weight or 0
                if weight < commanded and result.decided is None:
                    by_health = decision.criterion is Reason.HEALTH and self._streak_began is not None
                    result.detected = self._streak_began if by_health else decision.t
                    result.decided = decision.t
                self._move(weight, increase=decision.increase, by_api=decision.break_glass)
            case DecisionKind.RAISE_RATE_LIMIT:
                self._raises += 1
                took = self.draws.time(self.world.updates.stack, Stream.LIMIT, self._raises)
                self.agenda.at(self.now + round(1000 * took), Rehearsal._set_limit, decision.rate_limit)
            case DecisionKind.HOLD if decision.criterion is not Reason.OPERATOR:
                self._ask_operator()
            case DecisionKind.FINISH:
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
        step, due = self._interval // timing.TICKS_A_ROUND, max(due, self.now + 1)
        tick = -(-due // step) * step
        first = self._first_round
        return min(tick, max(first, first - (first - due) // self._interval * self._interval))

    def _tick(self) -> None:
        if self.now == self._wake:
            self._wake = NEVER
            self.receive(Tick(self.now / 1000))

    def _every_tick(self) -> None:
        self.receive(Tick(self.now / 1000))
        self.agenda.at(self.now + self._interval // timing.TICKS_A_ROUND, Rehearsal._every_tick)

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
            self.agenda.at(begins + took, Rehearsal._in_force, number, weight)

    def _in_force(self, number: int, weight: float) -> None:
        if number != self._command:
            return
        self.plane.weight = weight
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

    def _ask_operator(self) -> None:
        habits = self.world.operator
        if habits and self._holds < habits.most:
            late = self.draws.time(habits.delay, Stream.OPERATOR, self._holds)
            self._holds += 1
            self.agenda.at(self.now + round(1000 * late), Rehearsal._operate, habits.command)

    def _operate(self, command: str) -> None:
        if self.state.phase in _STOPPED:
            self.receive(Operator(self.now / 1000, command))

    # --- a crash of the controller

    def _crash(self) -> None:
        """The controller dies, and with it an engine that it had started."""
        self.down = True
        self._command += 1

    def _resume(self) -> None:
        """`rollout resume`: the state is the journal's; a command without a result is carried out again."""
        self.down = False
        state = self.state
        self.look_again()
        if not state.settled:
            self._move(state.commanded, increase=state.raises(state.commanded), by_api=False)
        if state.limit_awaited:
            self.agenda.at(self.now, Rehearsal._report_limit)
        self._look_for_rounds()
        self._plan_wake()
