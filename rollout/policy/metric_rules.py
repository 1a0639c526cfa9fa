"""What the policy makes of metric periods and of alarms: breaches and retreats, and the rate limit.

Rules 2 to 4, 6, 8 and 10 of docs/theory.md.
"""

from __future__ import annotations

from rollout.plan import Limit
from rollout.policy import judge, verification
from rollout.policy.events import UNKNOWN, Alarm, Breach, DecisionKind, Metrics, Reason, Severity
from rollout.policy.state import ON_STABLE, REMEMBERED, STOPPED, Phase, changed
from rollout.policy.step import Measured, Step


def receive_metrics(step: Step, event: Metrics) -> None:
    if event.role == "candidate":
        step.state = changed(step.state, answered_at=step.t)
    if not step.remember(event):
        return
    if event.end <= 0:
        return  # what the role did before this rollout says nothing about it
    found: list[Breach] = []
    if event.role == "candidate":
        found = judge.breaches(step.plan, step.state, event)
    elif step.state.phase is Phase.VERIFYING:
        verification.receive_metrics(step, event)
    if step.plan.criteria.comparison is not None and _pair(step, event):
        found += judge.compared(step.plan, step.state)
    _retreat(step, found)


def _pair(step: Step, event: Metrics) -> bool:
    """Puts the period beside the other role's, in place of an earlier version. Whether there is a pair to judge."""
    state = step.state
    if event.start <= state.counted_to or state.phase in ON_STABLE:
        return False
    pair, pairs = judge.pair_of(state, event), state.pairs
    for index, known in enumerate(pairs):
        if (known.start, known.end) == (event.start, event.end):
            pairs = (*pairs[:index], *([pair] if pair else []), *pairs[index + 1 :])
            step.state = changed(state, pairs=pairs)
            return pair is not None
    if pair:
        step.state = changed(state, pairs=(*pairs, pair))
    return pair is not None


def _retreat(step: Step, breaches: list[Breach]) -> None:
    """The lowest resulting weight wins; every breach is recorded."""
    if not breaches or step.state.phase in (*ON_STABLE, Phase.STEADY):
        return
    worst = min(breaches, key=lambda b: -1.0 if b.target is None else b.target)
    measured: Measured = {"value": worst.value, "limit": worst.limit}
    all_of_them: Measured = {**measured, "breaches": tuple(breaches)}
    commanded = step.state.commanded
    spend(step, *(period for breach in breaches for period in breach.periods))
    count_anew(step)
    if worst.target is None:
        step.abort(worst.criterion, worst.words, **all_of_them)
    elif worst.target < commanded:
        step.command(worst.target, worst.criterion, f"{worst.words}: {worst.target:g} %", **all_of_them)
        step.hold(worst.criterion, worst.words, **measured)
    elif step.state.phase in STOPPED:
        step.page(worst.criterion, f"{worst.words}; already held at {commanded:g} %", **all_of_them)
    else:
        step.hold(worst.criterion, f"{worst.words}; from before the move to {commanded:g} %", **all_of_them)
    for other in breaches:
        if other is not worst:
            step.page(
                other.criterion, f"{other.words} in the same period", value=other.value, limit=other.limit
            )


def spend(step: Step, *periods: tuple[float, float]) -> None:
    """Periods (start, end) of the candidate that make no breach any more."""
    spent = (*step.state.spent, *(period for period in periods if period not in step.state.spent))
    step.state = changed(step.state, spent=spent[-REMEMBERED:])


def spend_known(step: Step) -> None:
    """What a person knew when they resumed is not held against the release again."""
    spend(step, *((period.start, period.end) for period in judge.candidates(step.state)))


def count_anew(step: Step) -> None:
    """What led to a retreat, or was there when a person resumed, is not used again: not by M of N, not to compare."""
    state = step.state
    newest = max((p.start for p in judge.candidates(state)), default=state.counted_to)
    step.state = changed(state, counted_to=max(newest, state.counted_to), pairs=())


def receive_alarm(step: Step, event: Alarm) -> None:
    _read_alarm(step, event)
    standing = step.state.standing_alarms
    if event.state == "OK" and event.name in standing:
        step.state = changed(step.state, standing_alarms=tuple(n for n in standing if n != event.name))
    if event.state != "ALARM" or event.name in standing:
        return  # an alarm that stands acts once, whoever reports it again
    step.state = changed(step.state, standing_alarms=(*standing, event.name))
    action = step.plan.alarms.get(event.name)
    if action and step.state.phase is not Phase.STEADY:
        target = judge.target(step.plan, Limit(0, action), step.state.commanded)
        _retreat(step, [Breach(Reason.ALARM, 1, 0, target, f"alarm {event.name} is in ALARM")])
    elif event.tier != "notice":
        severity = Severity.PAGE if event.tier == "immediate" else Severity.WARNING
        step.emit(DecisionKind.ALERT, Reason.ALARM, f"{event.tier} alarm {event.name}", severity=severity)


def _read_alarm(step: Step, event: Alarm) -> None:
    """An alarm of the plan that cannot be read is no quiet one: no stage passes until it can, and people are told."""
    unread = tuple(name for name in step.state.unread_alarms if name != event.name)
    if event.state == UNKNOWN and event.name in step.plan.alarms:
        unread = (*unread, event.name)
        if event.name not in step.state.unread_alarms:
            step.page(Reason.ALARM, f"alarm {event.name} cannot be read: no stage passes until it can")
    step.state = changed(step.state, unread_alarms=unread)
