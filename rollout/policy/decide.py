"""The release policy: (plan, state, event) -> (state, decisions). No clock, no I/O, nothing random.

The same function decides under a simulated clock, in the lab and in production, so what was rehearsed is what decides
at 2 a.m. Rules it keeps, whatever the plan:

- Time never runs backwards, and time-outs fall due in order: a time-out that fell due before an event is acted on
  before the event is heard, so the result does not depend on how often somebody ticks.
- The weight only rises when a stage has passed on data: no data is never good data.
- Where a breach was *measured* decides where it sends the traffic, so a late period counts, and never counts twice.
- After an abort the weight never rises again.
- An illegal event raises :class:`IllegalEvent` and changes nothing.

``TRANSITIONS`` in :mod:`rollout.policy.state` is the whole protocol; docs/theory.md holds the diagram made from it.

    >>> from rollout.plan import load_plan
    >>> state, (first,) = decide(load_plan("phase-c"), State(), Started(t=0))
    >>> first.decision, first.weight, state.phase
    (<DecisionKind.SET_WEIGHT: 'set_weight'>, 5, <Phase.MOVING: 'moving'>)
"""

from __future__ import annotations

from collections.abc import Callable

from rollout.plan import Plan
from rollout.policy import judge
from rollout.policy.events import (
    Alarm,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Health,
    Metrics,
    MetricsError,
    Operator,
    Reason,
    Started,
    Tick,
    Traffic,
)
from rollout.policy.metric_rules import MetricRules
from rollout.policy.state import AT_WORK, ON_STABLE, REMEMBERED, STOPPED, Cause, IllegalEvent, Phase, State

__all__ = ["IllegalEvent", "Phase", "State", "decide", "initial_state"]

_Deadline = tuple[float, int, Callable[[], None]]  # due (s), order among equals, what to do


def initial_state() -> State:
    return State()


def decide(plan: Plan, state: State, event: Event) -> tuple[State, tuple[Decision, ...]]:
    """Hears one event. Returns the next state and what to do, in order. Raises :class:`IllegalEvent`."""
    _refuse_illegal(state, event)
    step = _Policy(plan, state, event)
    if not (isinstance(event, Operator) and event.command == "abort"):  # which wins over everything
        step.act_on_deadlines(before_event=True)
    if step.state.phase is not Phase.FINISHED:
        step.hear()
        step.act_on_deadlines(before_event=False)
    elif isinstance(event, Operator):
        raise IllegalEvent("the rollout is finished: start a new one")
    return step.state, tuple(step.decisions)


def _refuse_illegal(state: State, event: Event) -> None:
    if event.t < state.t:
        raise IllegalEvent(f"time runs backwards: {event.t:g} s after {state.t:g} s")
    if (state.phase is Phase.READY) != isinstance(event, Started):
        raise IllegalEvent("the first event must be 'started', and only the first")
    if isinstance(event, Metrics | EdgeMetrics):
        if not event.start < event.end:
            raise IllegalEvent(
                f"the period ends at {event.end:g} s, not after its start at {event.start:g} s"
            )
        if event.end > event.t:
            raise IllegalEvent(
                f"the period ends at {event.end:g} s, later than now, {event.t:g} s: it is not closed"
            )
        counts = [event.requests, *_other_counts(event)]
        if any(count is not None and count < 0 for count in counts):
            raise IllegalEvent(f"negative count in the period from {event.start:g} s to {event.end:g} s")
        if isinstance(event, Metrics) and event.requests is not None and (event.errors or 0) > event.requests:
            raise IllegalEvent(f"{event.errors} errors in {event.requests} requests")


def _other_counts(event: Metrics | EdgeMetrics) -> tuple[int | None, ...]:
    if isinstance(event, EdgeMetrics):
        return (event.rate_limited,)
    return (event.errors, event.db_connection_errors)


class _Policy(MetricRules):
    """The rules: what falls due, and what each event means."""

    # --- time-outs

    def act_on_deadlines(self, before_event: bool) -> None:
        """Acts on what falls due, earliest first: strictly before the event, or up to and with it."""
        while due := self._due():
            at, _, act = min(due, key=lambda item: item[:2])
            if at > self.t or (before_event and at == self.t):
                return
            act()

    def _due(self) -> list[_Deadline]:
        plan, state = self.plan, self.state
        due: list[_Deadline] = []
        if not state.settled:
            due.append((state.commanded_at + plan.apply_limit, 2, self._not_applied))
        if state.phase is Phase.WATCHING and state.window_start is not None:
            over = state.window_start + plan.window_at(state.commanded)
            blind_since = max(state.answered_at, state.window_start)
            due.append((blind_since + plan.metrics.blind_limit, 1, self._blind))
            due.append((over + plan.metrics.max_extension, 3, self._inconclusive))
            if over <= self.t and self._may_advance():
                due.append((over, 0, self._advance))
        elif state.phase is Phase.HELD:
            due.append((state.held_since + plan.hold_timeout, 1, self._hold_timed_out))
        elif state.phase is Phase.PAUSED:
            due.append((state.reminded_at + plan.hold_timeout, 4, self._remind))
        elif state.phase is Phase.VERIFYING and state.window_start is not None:
            watched = state.window_start + plan.verification.watch
            if not any(judge.is_measured(p) for p in self.stable_periods()):
                watched += plan.metrics.delay  # the last chance for data; without any it is not verified
            due.append((watched, 4, self.verified))
        return due

    def _not_applied(self) -> None:
        state, limit = self.state, self.plan.apply_limit
        waited = f"{state.commanded:g} % not seen at the load balancer within {limit:g} s"
        measured = {"value": state.seen, "limit": state.commanded}
        if state.commanded > state.before and state.phase not in ON_STABLE:
            back = state.fallback
            self.command(back, Reason.TRAFFIC, f"{waited}: back to {back:g} %", **measured)
            self.hold(Reason.TRAFFIC, waited, **measured)
            return
        self.command(state.commanded, Reason.TRAFFIC, f"{waited}: break-glass", break_glass=True, **measured)
        self.page(
            Reason.TRAFFIC, f"{waited}; the rule is changed through the load balancer's API", **measured
        )

    def _blind(self) -> None:
        state, limit = self.state, self.plan.metrics.blind_limit
        since = max(state.answered_at, state.window_start or 0.0)
        self.abort(
            Reason.BLIND,
            f"no successful query of the candidate for {limit:g} s",
            value=self.t - since,
            limit=limit,
        )

    def _inconclusive(self) -> None:
        reason = "the extension is over without enough good periods"
        if judge.compares(self.plan, self.state):
            reason += " that were compared with stable's"
        if self.state.candidate_streak:
            reason = "the extension is over and the last health round was not clean"
        elif pending := judge.pending(self.plan, self.state):
            reason = (
                f"the extension is over and {' and '.join(pending)} was beyond its limit in the newest period"
            )
        self.hold(
            Reason.INCONCLUSIVE,
            reason,
            value=judge.good_periods(self.plan, self.state),
            limit=self.plan.metrics.min_periods,
        )

    def _hold_timed_out(self) -> None:
        held, limit = self.t - self.state.held_since, self.plan.hold_timeout
        self.abort(Reason.HOLD_TIMEOUT, f"held for {held:g} s and nobody resumed", value=held, limit=limit)

    def _remind(self) -> None:
        held = self.t - self.state.held_since
        self.set(reminded_at=self.t)
        self.page(
            Reason.OPERATOR,
            f"still paused by the operator at {self.state.commanded:g} %, for {held:g} s",
            value=held,
        )

    # --- advancing

    def _may_advance(self) -> bool:
        # The guide continues only while health checks pass, so one failed round already waits for the next.
        return (
            not self.state.candidate_streak
            and judge.good_periods(self.plan, self.state) >= self.plan.metrics.min_periods
            and not judge.pending(self.plan, self.state)
        )

    def _advance(self) -> None:
        state, needed = self.state, self.plan.metrics.min_periods
        good = judge.good_periods(self.plan, self.state)
        reason = f"{state.commanded:g} % held its window with {good} good period(s)"
        following = self.plan.above(state.commanded)
        if following:
            self.move(Cause.PASSED)
            self.command(following.weight, Reason.STAGE_PASSED, reason, value=good, limit=needed)
            return
        self.move(Cause.COMPLETED)
        said = {"weight": state.commanded, "value": good, "limit": needed}
        self.say(DecisionKind.PROMOTE, Reason.STAGE_PASSED, f"{reason}: candidate becomes stable", **said)
        self.say(DecisionKind.FINISH, Reason.STAGE_PASSED, "promoted", outcome="promoted", **said)

    # --- events

    def hear(self) -> None:
        match self.event:
            case Started(rate_limit=rate_limit):
                first = self.plan.stages[0]
                self.move(Cause.STARTED, rate_limit=rate_limit)
                self.command(first.weight, Reason.STARTED, "the first stage begins")
            case Traffic(weight=weight):
                self._hear_traffic(weight)
            case Health():
                self._hear_health(self.event)
            case Metrics():
                self.hear_metrics(self.event)
            case EdgeMetrics():
                self.hear_edge(self.event)
            case Alarm():
                self.hear_alarm(self.event)
            case Operator(command=command):
                self._hear_operator(command)
            case MetricsError() | Tick():
                pass  # a failed query is only the absence of a successful one; time is seen by the deadlines

    def _hear_traffic(self, weight: float) -> None:
        state = self.state
        if not state.seen_history or state.seen != weight:
            self.set(seen=weight, seen_history=(*state.seen_history, (self.t, weight))[-REMEMBERED:])
        measured = {"value": weight, "limit": state.commanded}
        if weight == state.commanded:
            if not state.settled:
                self.set(settled=True)
                if state.phase in (Phase.MOVING, Phase.ABORTED):
                    self.move(Cause.SEEN, window_start=self.t)
        elif not state.settled and weight == state.before:
            pass  # still on its way
        elif weight > state.commanded:
            if state.phase is Phase.VERIFYING:
                self.move(Cause.LOST)
            self.command(
                state.commanded,
                Reason.TRAFFIC,
                f"{weight:g} % seen above the commanded {state.commanded:g} %: reissued",
                **measured,
            )
        else:
            reason = f"{weight:g} % seen below the commanded {state.commanded:g} %: adopted"
            self.set(commanded=weight, settled=True)
            if state.phase is Phase.PAUSED:
                self.say(DecisionKind.HOLD, Reason.TRAFFIC, reason, weight=weight, **measured)
            else:
                self.hold(Reason.TRAFFIC, reason, **measured)

    def _hear_health(self, event: Health) -> None:
        state, rule = self.state, self.plan.health
        if event.role == "stable":
            streak = state.stable_streak + 1 if event.failed else 0
            self.set(stable_streak=streak)
            if streak == rule.alert_after:
                self.page(
                    Reason.HEALTH,
                    f"stable fails {', '.join(event.failed)}",
                    value=streak,
                    limit=rule.alert_after,
                )
        else:
            if state.phase in ON_STABLE:
                return
            streak = state.candidate_streak + 1 if event.failed else 0
            self.set(candidate_streak=streak)
            self._judge_streak(streak, ", ".join(event.failed))
        both = min(self.state.candidate_streak, self.state.stable_streak)
        if event.failed and both and not min(state.candidate_streak, state.stable_streak):
            self.page(
                Reason.HEALTH,
                "candidate and stable both fail their probes: rollback will not cure this",
                value=both,
                limit=rule.alert_after,
            )

    def _judge_streak(self, streak: int, failed: str) -> None:
        rule = self.plan.health
        rounds = f"candidate failed {failed} in {streak} round(s) in a row"
        if streak >= rule.abort_after:
            self.abort(Reason.HEALTH, rounds, value=streak, limit=rule.abort_after)
        elif streak == rule.prepare_after:
            self.say(
                DecisionKind.PREPARE_ROLLBACK,
                Reason.HEALTH,
                rounds,
                value=streak,
                limit=rule.prepare_after,
            )
        elif streak == rule.alert_after:
            self.page(Reason.HEALTH, rounds, value=streak, limit=rule.alert_after)

    def _hear_operator(self, command: str) -> None:
        state = self.state
        if command == "abort":
            self.abort(Reason.OPERATOR, "ordered by the operator")
        elif command == "pause":
            if state.phase not in (*AT_WORK, *STOPPED):
                raise IllegalEvent(
                    f"nothing to pause: the rollout is {state.phase}, all traffic goes to stable"
                )
            fresh = state.phase not in STOPPED
            self.move(Cause.PAUSE, reminded_at=self.t, held_since=self.t if fresh else state.held_since)
            self.say(DecisionKind.HOLD, Reason.OPERATOR, "paused by the operator", weight=state.commanded)
        else:
            self._resume()

    def _resume(self) -> None:
        state = self.state
        if state.phase in ON_STABLE:
            raise IllegalEvent("after an abort the weight never rises again: start a new rollout")
        if state.phase not in STOPPED:
            raise IllegalEvent(f"nothing to resume: the rollout is {state.phase}")
        self.count_anew()
        if state.commanded == 0:
            self.move(Cause.RESUME_MOVING)
            first = self.plan.stages[0].weight
            self.command(first, Reason.OPERATOR, "resumed by the operator: the first stage again")
        elif state.settled:
            self.move(Cause.RESUME, window_start=self.t)
        else:
            self.move(Cause.RESUME_MOVING)
