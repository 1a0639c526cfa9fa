"""Stable after an abort, on which all traffic is: rule 13 of docs/theory.md.

Its metric periods that lie within the watch are judged together: the errors of all of them over their requests, and each P95.
The policy, the timeline and the odds read here what normal is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rollout.plan import Plan
from rollout.plan.criteria import ERROR_RATE, LATENCY_P95, VERIFIED, Criterion
from rollout.policy import front_door
from rollout.policy.events import Breach, DecisionKind, Metrics, Reason
from rollout.policy.state import INSTANT, Cause, State, changed
from rollout.policy.step import Step

# --- what periods of stable come to


def is_measured(period: Metrics) -> bool:
    """Whether everything that the verification asks for is known."""
    return all(row.value(period) is not None for row in VERIFIED)


def is_normal(plan: Plan, newest: Metrics, periods: Sequence[Metrics]) -> bool:
    """Whether stable is normal again: all of the newest period was measured, its P95 and the errors of all are below."""
    return is_measured(newest) and not any(
        (_beyond(plan, total(periods)), _beyond(plan, newest, LATENCY_P95))
    )


def not_normal(plan: Plan, periods: Sequence[Metrics]) -> list[Breach]:
    """What is not below the verification's limits. What is unmeasured is neither normal nor this."""
    slowest = max(periods, key=lambda period: period.p95 or 0.0, default=None)
    found = (_beyond(plan, total(periods)), _beyond(plan, slowest, LATENCY_P95))
    return [breach for breach in found if breach]


def _beyond(plan: Plan, period: Metrics | None, row: Criterion = ERROR_RATE) -> Breach | None:
    value, limit = row.value(period) if period else None, row.normal(plan)
    if period is None or value is None or value < limit:
        return None
    words = f"{row.measured(period)}, below {row.shown(limit)} was expected"
    return Breach(Reason(row.key), value, limit, None, words)


def total(periods: Iterable[Metrics]) -> Metrics | None:
    """Requests and errors of all periods that have both; ``None`` without any."""
    known = [period for period in periods if period.requests is not None and period.errors is not None]
    if not known:
        return None
    return Metrics(
        max(period.t for period in known),
        known[0].role,
        min(period.start for period in known),
        max(period.end for period in known),
        sum(period.requests or 0 for period in known),
        sum(period.errors or 0 for period in known),
    )


# --- the watch


def over(plan: Plan, state: State) -> float:
    """When the watch is over (s), whatever was received: it is long enough for a whole metric period."""
    return (state.window_start or 0.0) + max(plan.verification.watch, 2 * plan.metrics.period)


def watched(plan: Plan, state: State) -> list[Metrics]:
    """Stable's periods that lie within the watch, in order."""
    opened, closed = state.window_start or 0.0, over(plan, state) + INSTANT
    periods = [
        period
        for period in state.periods
        if isinstance(period, Metrics)
        and period.role == "stable"
        and period.start >= opened
        and period.end <= closed
    ]
    return sorted(periods, key=_place)


def gaps(plan: Plan, state: State, periods: Sequence[Metrics]) -> int:
    """For how many whole periods, of which nothing was received, the watch has room between these."""
    edges = [state.window_start or 0.0]
    for period in periods:
        edges += [period.start, period.end]
    edges.append(over(plan, state))
    room = zip(edges[::2], edges[1::2], strict=True)
    return sum(max(int((until - since + INSTANT) // plan.metrics.period), 0) for since, until in room)


def ends(plan: Plan, state: State) -> float:
    """When it is decided (s): at the end of the watch, or up to ``metrics.delay`` later if that may still verify stable.

    A period that was received without numbers may be revised, and after a failed health round a clean one may come.
    """
    periods = watched(plan, state)
    complete = all(map(is_measured, periods)) and not gaps(plan, state, periods)
    settled = complete and not state.stable_streak and not front_door.is_shut(state)
    hopeless = state.stable_streak >= plan.health.abort_after
    return over(plan, state) + (0.0 if settled or hopeless else plan.metrics.delay)


def receive_metrics(step: Step, event: Metrics) -> None:
    """Pages, once, as soon as the watch so far is not normal."""
    periods = watched(step.plan, step.state)
    if event not in periods or step.state.verification_paged:
        return
    for breach in not_normal(step.plan, periods):
        step.state = changed(step.state, verification_paged=True)
        words = f"stable is not back to normal: {breach.words}"
        step.page(breach.criterion, words, value=breach.value, limit=breach.limit)


def finish(step: Step) -> None:
    """The watch is over."""
    plan, periods = step.plan, watched(step.plan, step.state)
    measured = sum(map(is_measured, periods))
    sample = f"{measured} metric period{'' if measured == 1 else 's'} measured"
    problems = list(_problems(step, periods, measured))
    if problems:
        reason = f"all traffic on stable, not verified: {'; '.join(breach.words for breach in problems)}"
        first = problems[0]
        if not step.state.verification_paged:
            step.page(first.criterion, reason, value=first.value, limit=first.limit)
    else:
        summed = total(periods)
        shown = f", {ERROR_RATE.measured(summed)}" if summed else ""
        watch = f"{plan.verification.watch:g} s"
        reason = f"all traffic on stable, which was normal for {watch} ({sample}{shown})"
    criterion = step.state.abort_criterion or Reason.OPERATOR
    step.move(Cause.VERIFIED)
    step.emit(
        DecisionKind.FINISH,
        criterion,
        reason,
        weight=0,
        value=measured,
        outcome="undone" if step.state.promoted else "aborted",
        verified=not problems,
    )


def _problems(step: Step, periods: Sequence[Metrics], measured: int) -> Iterable[Breach]:
    """Why stable is not verified to be back to normal."""
    plan, state = step.plan, step.state
    yield from not_normal(plan, periods)
    expected = len(periods) + gaps(plan, state, periods)
    if not measured:
        yield Breach(Reason.BLIND, 0, expected, None, "its metrics never came")
    elif measured < expected:
        missing = f"{expected - measured} of {expected} metric periods not measured"
        yield Breach(Reason.BLIND, measured, expected, None, missing)
    if state.stable_streak:
        yield Breach(Reason.HEALTH, state.stable_streak, 0, None, "the last health round failed")
    if front_door.is_shut(state):
        words = "users do not reach it, the last round at the front door failed"
        yield Breach(Reason.FRONT_DOOR, state.front_streak, 0, None, words)


def _place(period: Metrics) -> tuple[float, float]:
    return period.start, period.end
