"""The release policy: (plan, state, event) -> (state, decisions). No clock, no I/O, nothing random.

The same function decides under a simulated clock, in the lab and in production, so what was rehearsed is what decides
at 2 a.m. Rules it keeps, whatever the plan:

- Time never runs backwards, and time-outs fall due in order: a time-out that fell due before an event is acted on
  before the event is received, so the result does not depend on how often somebody ticks.
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

from rollout.plan import WHOLE, Plan
from rollout.policy import deadlines, edge_limit, front_door, identity, metric_rules, steady
from rollout.policy.events import (
    FRONT_DOOR,
    Alarm,
    Checked,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Health,
    Limit,
    Metrics,
    MetricsError,
    Operator,
    Reason,
    Resumed,
    Started,
    Tick,
    Traffic,
)
from rollout.policy.state import (
    AT_WORK,
    ON_STABLE,
    REMEMBERED,
    STOPPED,
    Cause,
    IllegalEvent,
    Phase,
    State,
    changed,
)
from rollout.policy.step import Measured, Step

__all__ = ["IllegalEvent", "Phase", "State", "decide", "initial_state"]


def initial_state() -> State:
    return State()


def decide(plan: Plan, state: State, event: Event) -> tuple[State, tuple[Decision, ...]]:
    """Receives one event. Returns the next state and what to do, in order. Raises :class:`IllegalEvent`."""
    _refuse_illegal(state, event)
    step = Step(plan, state, event)
    if isinstance(event, Resumed):
        deadlines.resume(step)
    elif not (isinstance(event, Operator) and event.command == "abort"):  # which wins over everything
        deadlines.act(step, before_event=True)
    if step.state.phase is not Phase.FINISHED:
        _receive(step)
        deadlines.act(step, before_event=False)
    elif isinstance(event, Operator):
        raise IllegalEvent("the rollout is finished: start a new one")
    return step.state, tuple(step.decisions)


def _refuse_illegal(state: State, event: Event) -> None:
    if event.t < state.t:
        raise IllegalEvent(f"time runs backwards: {event.t:g} s after {state.t:g} s")
    if (state.phase is Phase.READY) != isinstance(event, Started):
        raise IllegalEvent("the first event must be 'started', and only the first")
    if isinstance(event, Resumed) and event.since > event.t:
        raise IllegalEvent(f"resumed at {event.t:g} s, before the gap began at {event.since:g} s")
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


def _receive(step: Step) -> None:
    match step.event:
        case Started() as event:
            start(step, event)
        case Traffic(weight=weight):
            receive_traffic(step, weight)
        case Health() as event:
            receive_health(step, event)
        case Metrics() as event:
            metric_rules.receive_metrics(step, event)
            front_door.receive_metrics(step, event)
        case EdgeMetrics() | Limit() as event:
            edge_limit.receive(step, event)
        case Alarm() as event:
            metric_rules.receive_alarm(step, event)
        case Checked(failed=failed):
            receive_checks(step, failed)
        case Operator() as event:
            receive_operator(step, event)
        case Resumed() | MetricsError() | Tick():
            # What the deadlines see: :func:`rollout.policy.deadlines.resume` has acted on the first, a failed query is only the
            # absence of a successful one, and time is time.
            pass


def start(step: Step, event: Started) -> None:
    step.state = changed(step.state, rate_limit=event.rate_limit, baseline_rpm=event.baseline_rpm or 0)
    identity.approve(step, event)
    if event.undo or event.promoted:
        # The roles are as they were before the promotion.
        everything = ((step.t, WHOLE),)
        step.state = changed(step.state, promoted=True, commanded=WHOLE, seen=WHOLE, seen_history=everything)
    if event.promoted:
        step.move(Cause.PROMOTED)
        step.state = changed(step.state, watch_s=event.watch_s, window_start=step.t)
    elif event.undo:
        step.abort(Reason.OPERATOR, _ordered(event.reason))
    else:
        step.move(Cause.STARTED)
        step.command(step.plan.stages[0].weight, Reason.STARTED, "the first stage begins")


def receive_traffic(step: Step, weight: float) -> None:
    """Rule 11: a weight (percent) read back at the load balancer."""
    if step.state.phase is Phase.STEADY:
        steady.receive_traffic(step, weight)
        return
    if not step.state.seen_history or step.state.seen != weight:
        history = (*step.state.seen_history, (step.t, weight))[-REMEMBERED:]
        step.state = changed(step.state, seen=weight, seen_history=history)
    state = step.state
    measured: Measured = {"value": weight, "limit": state.commanded}
    if weight == state.commanded:
        if not state.settled:
            step.state = changed(state, settled=True)
            if state.phase in (Phase.MOVING, Phase.ABORTED):
                step.move(Cause.SEEN)
                if step.state.phase is Phase.VERIFYING:
                    front_door.opened(step)
                step.state = changed(step.state, window_start=step.t)
    elif not state.settled and weight == state.before:
        pass  # still on its way
    elif weight > state.commanded:
        if state.phase is Phase.VERIFYING:
            step.move(Cause.LOST)
        step.command(
            state.commanded,
            Reason.TRAFFIC,
            f"{weight:g} % seen above the commanded {state.commanded:g} %: reissued",
            **measured,
        )
    else:
        _adopt(step, weight, measured)


def _adopt(step: Step, weight: float, measured: Measured) -> None:
    """A weight below the commanded one: whoever set it had a reason."""
    state = step.state
    reason = (
        f"the load balancer shows {weight:g} %, not the commanded {state.commanded:g} %: {weight:g} % is kept"
    )
    step.state = changed(state, commanded=weight, settled=True)
    step.hold(Reason.TRAFFIC, reason, **measured)


def receive_health(step: Step, event: Health) -> None:
    """Rule 5: a round of probes."""
    if event.role == FRONT_DOOR:
        front_door.receive(step, event)
        return
    front_door.receive_direct(step, event)
    before, rule = step.state, step.plan.health
    failed = ", ".join(event.failed)
    if event.role == "stable":
        streak = before.stable_streak + 1 if failed else 0
        step.state = changed(before, stable_streak=streak)
        if streak == rule.alert_after:
            rounds = "1 health round" if streak == 1 else f"{streak} health rounds in a row"
            reason = f"stable failed {failed} in {rounds}"
            step.page(Reason.HEALTH, reason, value=streak, limit=rule.alert_after)
    else:
        if before.phase in ON_STABLE:
            return
        streak = before.candidate_streak + 1 if failed else 0
        step.state = changed(before, candidate_streak=streak)
        judge_streak(step, streak, failed)
    identity.receive(step, event)
    both = min(step.state.candidate_streak, step.state.stable_streak)
    if failed and both and not min(before.candidate_streak, before.stable_streak):
        step.page(
            Reason.HEALTH,
            "candidate and stable both fail their probes: rollback will not cure this",
            value=both,
            limit=rule.alert_after,
        )


def judge_streak(step: Step, streak: int, failed: str) -> None:
    """What so many failed rounds in a row of the candidate lead to; ``failed`` names the probes of the newest."""
    rule = step.plan.health
    rounds = f"{streak} of the {rule.abort_after} failed health rounds in a row that abort"
    reason = f"candidate failed {failed}: {rounds}"
    if streak >= rule.abort_after and step.state.phase is Phase.STEADY and step.state.stable_streak:
        if streak == rule.abort_after:
            nowhere = f"{reason}; stable fails too, so nothing is moved"
            step.page(Reason.HEALTH, nowhere, value=streak, limit=rule.abort_after)
    elif streak >= rule.abort_after:
        step.abort(Reason.HEALTH, reason, value=streak, limit=rule.abort_after)
    elif streak == rule.prepare_after:
        step.emit(
            DecisionKind.PREPARE_ROLLBACK, Reason.HEALTH, reason, value=streak, limit=rule.prepare_after
        )
    elif streak == rule.alert_after:
        step.page(Reason.HEALTH, reason, value=streak, limit=rule.alert_after)


def receive_checks(step: Step, failed: tuple[str, ...]) -> None:
    """Rule 15: what no longer holds, after a gap, of that which had to be true before the rollout."""
    if not failed:
        return
    reason = f"after a time in which nobody watched: {'; '.join(failed)}"
    if step.state.phase in AT_WORK:
        step.hold(Reason.PREFLIGHT, reason)
    else:
        step.page(Reason.PREFLIGHT, reason)


def _ordered(reason: str | None) -> str:
    return ": ".join(filter(None, ("ordered by the operator", reason)))


def receive_operator(step: Step, event: Operator) -> None:
    state = step.state
    if event.command == "abort":
        step.abort(Reason.OPERATOR, _ordered(event.reason))
    elif event.command == "pause":
        if state.phase is Phase.STEADY:
            raise IllegalEvent("nothing to pause: the release is promoted, and watched")
        if state.phase not in (*AT_WORK, *STOPPED):
            raise IllegalEvent(f"nothing to pause: the rollout is {state.phase}, all traffic goes to stable")
        held_since = state.held_since if state.phase in STOPPED else step.t
        step.move(Cause.PAUSE)
        step.state = changed(step.state, reminded_at=step.t, held_since=held_since)
        step.emit(DecisionKind.HOLD, Reason.OPERATOR, "paused by the operator", weight=state.commanded)
    else:
        _resume(step)


def _resume(step: Step) -> None:
    state = step.state
    if state.phase in ON_STABLE:
        raise IllegalEvent("after an abort the weight never rises again: start a new rollout")
    if state.phase not in STOPPED:
        raise IllegalEvent(f"nothing to resume: the rollout is {state.phase}")
    if refusal := identity.refusal(state):
        raise IllegalEvent(refusal)
    metric_rules.spend_known(step)
    metric_rules.count_anew(step)
    front_door.count_anew(step)
    if state.commanded == 0:
        step.move(Cause.RESUME_MOVING)
        first = step.plan.stages[0].weight
        step.command(first, Reason.OPERATOR, "resumed by the operator: the first stage again")
    elif state.settled:
        step.move(Cause.RESUME)
        step.state = changed(step.state, window_start=step.t)
    else:
        step.move(Cause.RESUME_MOVING)
