"""The bake, after the last stage: all traffic on the candidate, not yet promoted, every criterion awake. Rule 19 of docs/theory.md.

A stage passes on the periods that were received by the end of its window; those that came late, a minute and more of it, are
waited for here. So a release that breaks in the last minute of its last window is still taken back.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan import Plan
from rollout.plan.criteria import CRITERIA
from rollout.plan.plan import LONGEST_LOOK
from rollout.plan.units import duration
from rollout.policy import judge, timing
from rollout.policy.events import DecisionKind, Metrics, Reason
from rollout.policy.state import INSTANT, Cause, State, changed
from rollout.policy.step import Step


def begin(step: Step, reason: str, good: int) -> None:
    step.move(Cause.COMPLETED)
    step.state = changed(step.state, baking_since=step.since)
    weight, needed = step.state.commanded, step.plan.metrics.min_periods
    step.emit(DecisionKind.BAKE, Reason.STAGE_PASSED, reason, weight=weight, value=good, limit=needed)


def over(plan: Plan, state: State) -> float:
    """The end (s) of the time whose periods must all be good: a whole window, and as long as the plan bakes."""
    window = (state.window_start or 0.0) + plan.window_at(state.commanded)
    return max(window, state.baking_since + plan.bake)


def received(plan: Plan, state: State) -> list[Metrics]:
    """The candidate's complete periods that began in that time, in order. Of a longer one the newest that are remembered."""
    periods = [
        period
        for period in judge.whole_periods(state)
        if _since(plan, state) <= period.start < over(plan, state) - INSTANT and period.requests is not None
    ]
    return sorted(periods, key=lambda period: period.start)


def missing_since(plan: Plan, state: State) -> float | None:
    """When the first of these periods that was not received ended, or will end (s); ``None``: every one was received."""
    length, reached = plan.metrics.period, _since(plan, state)
    most = 2 * length  # the first one begins up to a period after the opening
    for period in received(plan, state):
        if period.start - reached >= length - INSTANT:
            return min(reached + most, period.start)
        reached, most = period.end, length
    return reached + most if reached < over(plan, state) - INSTANT else None


def is_over(plan: Plan, state: State) -> bool:
    """Whether a release that has baked for its time may be promoted."""
    return not any(_waits_for(plan, state))


def deadlines(plan: Plan, state: State) -> tuple[float, float]:
    """When a period that was not received holds the rollout, and when whatever is not good does (s)."""
    last = over(plan, state) + plan.metrics.delay + plan.metrics.max_extension
    ended = missing_since(plan, state)
    return (last if ended is None else ended + timing.received_within(plan)), last


def promote(step: Step) -> None:
    plan, weight = step.plan, step.state.commanded
    good, needed = len(received(plan, step.state)), plan.metrics.min_periods
    step.move(Cause.BAKED)
    reason = (
        f"{_periods(good)} of the last window and the bake arrived and were good: candidate becomes stable"
    )
    passed = Reason.STAGE_PASSED
    step.emit(DecisionKind.PROMOTE, passed, reason, weight=weight, value=good, limit=needed)
    step.emit(
        DecisionKind.FINISH, passed, "promoted", weight=weight, outcome="promoted", value=good, limit=needed
    )


def hold(step: Step) -> None:
    """It is inconclusive: a person decides."""
    plan, state = step.plan, step.state
    good = sum(_accepted(plan, period) for period in received(plan, state))
    reason = f"not promoted: {'; '.join(_waits_for(plan, state))}"
    step.hold(Reason.INCONCLUSIVE, reason, value=good, limit=len(received(plan, state)))


def _since(plan: Plan, state: State) -> float:
    return max(state.window_start or 0.0, over(plan, state) - LONGEST_LOOK * plan.metrics.period)


def _accepted(plan: Plan, period: Metrics) -> bool:
    """Good, or beyond a limit without a breach: a plan that asks for M of N periods lives with one."""
    enough = (period.requests or 0) >= plan.metrics.min_requests
    return enough and all(row.is_good(plan, period) or row.is_beyond(plan, period) for row in CRITERIA)


def _waits_for(plan: Plan, state: State) -> Iterator[str]:
    """What is missing, in words."""
    ended = missing_since(plan, state)
    if ended is not None:
        yield f"no metrics of the period up to {ended:.0f} s within {duration(timing.received_within(plan))} of its end"
    bad = sum(not _accepted(plan, period) for period in received(plan, state))
    if bad:
        yield f"{_periods(bad)} of the last window and the bake not good"
    if not judge.newest_is_good(plan, state):
        yield "the newest metric period not good"
    yield from judge.blocking(plan, state)


def _periods(count: int) -> str:
    return f"{count} metric period{'' if count == 1 else 's'}"
