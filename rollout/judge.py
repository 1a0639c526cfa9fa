"""How one metric period is judged: which criteria it breaches, where they send the traffic, whether it is good."""

from __future__ import annotations

from rollout.events import Breach, Criterion, Metrics
from rollout.plan import Limit, Plan, Rollback
from rollout.state import State


def breaches(plan: Plan, state: State, period: Metrics) -> list[Breach]:
    """The candidate criteria beyond their limits in this period, each with the weight (percent) it asks for.

    The weight follows from where the breach was measured: the highest of the commanded weight and those read back
    during the period. So a period that arrives late counts, and never counts twice.
    """
    measured_at = max(state.commanded, highest_seen(state, period.start, period.end))
    return [
        Breach(criterion, value, rule.limit, target(plan, rule, measured_at))
        for criterion, rule, value in (
            (Criterion.DB_CONNECTION_ERRORS, plan.db_connection_errors, period.db_connection_errors),
            (Criterion.ERROR_RATE, plan.error_rate, period.error_rate),
            (Criterion.LATENCY_P95, plan.latency_p95, period.p95),
        )
        if value is not None and value > rule.limit
    ]


def highest_seen(state: State, start: float, end: float) -> float:
    """The highest weight (percent) read back during [start, end), what stood at its start included."""
    highest = at_start = 0.0
    for t, weight in state.seen_history:
        if t <= start:
            at_start = weight
        elif t < end:
            highest = max(highest, weight)
    return max(highest, at_start)


def target(plan: Plan, rule: Limit, measured_at: float) -> float | None:
    """Where a breach measured at this weight sends the traffic (percent); ``None`` is an abort."""
    match rule.rollback:
        case Rollback.ABORT:
            return None
        case Rollback.HOLD:
            return measured_at
        case Rollback.PREVIOUS:
            return plan.below(measured_at)
        case Rollback.FIRST_STEP:
            return rule.to if measured_at > rule.to else 0


def is_good(plan: Plan, period: Metrics) -> bool:
    """Enough requests, everything measured, every value below its limit (equal is no breach, but not good either)."""
    rate = period.error_rate
    return (
        period.requests is not None
        and period.requests >= plan.min_requests
        and rate is not None
        and rate < plan.error_rate.limit
        and period.p95 is not None
        and period.p95 < plan.latency_p95.limit
        and period.db_connection_errors is not None
        # a count: at its limit of 0 it is as good as it can be
        and period.db_connection_errors <= plan.db_connection_errors.limit
    )


def good_periods(plan: Plan, state: State) -> int:
    """How many good whole periods of the candidate began in the open window."""
    start = state.window_start or 0.0
    return sum(
        1
        for period in state.periods
        if isinstance(period, Metrics)
        and period.colour == "candidate"
        and period.start >= start
        and is_good(plan, period)
    )


def is_measured(period: Metrics) -> bool:
    """Whether error rate and P95 are both known."""
    return period.error_rate is not None and period.p95 is not None


def not_normal(plan: Plan, period: Metrics) -> list[Breach]:
    """What in a period of stable after an abort is not below the verification's limits."""
    rule = plan.verification
    return [
        Breach(criterion, value, limit, None)
        for criterion, value, limit in (
            (Criterion.ERROR_RATE, period.error_rate, rule.error_rate),
            (Criterion.LATENCY_P95, period.p95, rule.p95),
        )
        if value is not None and value >= limit
    ]
