"""How one metric period is judged: which criteria it breaches, where they send the traffic, whether it is good."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan import WHOLE, BackTo, Comparison, Limit, Plan, Rollback
from rollout.plan.criteria import CRITERIA, DB_CONNECTION_ERRORS, ERROR_RATE, LATENCY_P95, Criterion
from rollout.policy import front_door
from rollout.policy.compare import Pair, compare
from rollout.policy.events import Breach, Metrics, Reason
from rollout.policy.state import State

# Of breaches that ask for the same weight the first one is the reason.
_ORDER = (DB_CONNECTION_ERRORS, ERROR_RATE, LATENCY_P95)


def breaches(plan: Plan, state: State, period: Metrics) -> list[Breach]:
    """The candidate criteria of which this period makes a breach, each with the weight (percent) it asks for.

    A period that made a breach before, or that was known when a person resumed, makes none again, whatever a later version of it
    says.

    The weight follows from where the breach was measured: the highest of the commanded weight and those read back
    during its periods. So a period that arrives late counts, and never counts twice.
    """
    found: list[Breach] = []
    if (period.start, period.end) in state.spent:
        return found
    for row in _ORDER:
        value, rule = row.value(period), row.rule(plan)
        if value is None or value <= rule.limit:
            continue
        words = row.beyond(period, rule.limit)
        if rule.breaches == 1:
            beyond = [period] if _counts(rule, row, period) else []
        else:
            beyond, looked_at = _beyond(state, rule, row, period)
            words += f" in {len(beyond)} of {looked_at} periods"
        if beyond:
            measured_at = max(state.commanded, *(highest_seen(state, p.start, p.end) for p in beyond))
            periods = tuple((p.start, p.end) for p in beyond)
            asked = target(plan, rule, measured_at)
            found.append(Breach(Reason(row.key), value, rule.limit, asked, words, periods))
    return found


def _counts(rule: Limit, row: Criterion, period: Metrics) -> bool:
    """Whether the period counts for the criterion. What was measured was measured on one request at least."""
    return row.value(period) is not None and (period.requests or 1) >= rule.min_requests


def _beyond(state: State, rule: Limit, row: Criterion, period: Metrics) -> tuple[list[Metrics], int]:
    """The periods, this one among them, that make a breach by M of N (none: no breach), and how many were looked at.

    A period that does not count takes no place among the N: no data is never good data. One that arrives late is seen in
    its place, so the order in which periods are received does not decide.
    """
    counted = [p for p in candidates(state) if p.start > state.counted_to and _counts(rule, row, p)]
    counted.sort(key=lambda p: (p.start, p.end))
    if period not in counted:
        return [], 0
    at = counted.index(period)
    for newest in range(at, min(at + rule.of, len(counted))):
        looked_at = counted[max(newest + 1 - rule.of, 0) : newest + 1]
        beyond = [p for p in looked_at if (row.value(p) or 0) > rule.limit]
        if len(beyond) >= rule.breaches:
            return beyond, len(looked_at)
    return [], 0


def blocking(plan: Plan, state: State) -> Iterator[str]:
    """What stops a stage whose window is over, or a bake, from going on although nothing was breached, in words."""
    # The guide continues only while health checks pass, so one failed round already waits for the next.
    if state.candidate_streak:
        yield "the last health round was not clean"
    if not state.settled:
        yield f"{state.seen:g} % was seen at the load balancer, not the commanded {state.commanded:g} %"
    if front_door.is_shut(state):
        yield "the last round at the front door failed"
    if front_door.are_missing(state):
        yield "most of the users' requests are missing"
    if state.unread_alarms:
        yield f"nobody knows the state of {' and '.join(state.unread_alarms)}"
    if standing := [name for name in state.standing_alarms if name in plan.alarms]:
        yield f"{' and '.join(f'alarm {name}' for name in standing)} stands"
    if found := pending(plan, state):
        yield f"the newest period's {' and '.join(found)}"


def pending(plan: Plan, state: State) -> list[str]:
    """What is beyond its limit in the newest period of the open window and not yet a breach by M of N, in words."""
    start = state.window_start or 0.0
    found = []
    for row in CRITERIA:
        rule = row.rule(plan)
        if rule.breaches > 1:
            periods = [p for p in candidates(state) if p.start >= start and _counts(rule, row, p)]
            newest = max(periods, key=lambda p: (p.start, p.end), default=None)
            if newest and (row.value(newest) or 0) > rule.limit:
                found.append(row.beyond(newest, rule.limit))
    return found


def pair_of(state: State, period: Metrics) -> Pair | None:
    """This period of one colour beside the same one of the other; ``None`` unless both served and counted requests."""
    for other in state.periods:
        if (
            isinstance(other, Metrics)
            and other.role != period.role
            and (other.start, other.end) == (period.start, period.end)
        ):
            mine, its = (period, other) if period.role == "candidate" else (other, period)
            if mine.requests and its.requests and mine.errors is not None and its.errors is not None:
                return Pair(period.start, period.end, mine.requests, mine.errors, its.requests, its.errors)
    return None


def compares(plan: Plan, state: State) -> bool:
    """Whether there is something to compare with at this weight: at 100 % stable serves nothing."""
    return plan.criteria.comparison is not None and state.commanded < WHOLE


def compared(plan: Plan, state: State) -> list[Breach]:
    """The breach that the compared periods make, if they make one; it was measured at the highest weight of them."""
    if plan.criteria.comparison is None or not state.pairs:
        return []
    found = compare(plan.criteria.comparison, state.pairs)
    if not found.beyond:
        return []
    seen = (highest_seen(state, pair.start, pair.end) for pair in state.pairs)
    asked = target(plan, plan.criteria.comparison, max(state.commanded, *seen))
    periods = tuple((pair.start, pair.end) for pair in state.pairs)
    return [Breach(Reason.COMPARISON, found.evidence, found.limit, asked, found.in_words, periods)]


def candidates(state: State) -> Iterator[Metrics]:
    """The candidate's periods that reach into this rollout, in the order received."""
    for period in state.periods:
        if isinstance(period, Metrics) and period.role == "candidate" and period.end > 0:
            yield period


def highest_seen(state: State, start: float, end: float) -> float:
    """The highest weight (percent) read back during [start, end), what stood at its start included."""
    highest = at_start = 0.0
    for t, weight in state.seen_history:
        if t <= start:
            at_start = weight
        elif t < end:
            highest = max(highest, weight)
    return max(highest, at_start)


def target(plan: Plan, rule: Limit | Comparison, measured_at: float) -> float | None:
    """Where a breach measured at this weight sends the traffic (percent); ``None`` is an abort."""
    match rule.rollback:
        case Rollback.ABORT:
            return None
        case Rollback.HOLD:
            return measured_at
        case Rollback.PREVIOUS:
            return plan.below(measured_at)
        case BackTo(to):
            return to if measured_at > to else 0


def is_good(plan: Plan, period: Metrics) -> bool:
    """Enough requests, everything measured, every value below its limit (equal is no breach, but not good either)."""
    enough = period.requests is not None and period.requests >= plan.metrics.min_requests
    return enough and all(row.is_good(plan, period) for row in CRITERIA)


def whole_periods(state: State) -> list[Metrics]:
    """The candidate's periods that began in the open window."""
    start = state.window_start or 0.0
    return [
        period
        for period in state.periods
        if isinstance(period, Metrics) and period.role == "candidate" and period.start >= start
    ]


def newest_is_good(plan: Plan, state: State) -> bool:
    """Whether the newest of the open window's periods that have been received is good; without any it is not."""
    newest = max(whole_periods(state), key=lambda period: (period.start, period.end), default=None)
    return newest is not None and is_good(plan, newest)


def good_periods(plan: Plan, state: State) -> int:
    """How many good whole periods the open window has.

    Under a plan that compares, one that was not compared is unmeasured.
    """
    good = [period for period in whole_periods(state) if is_good(plan, period)]
    if not compares(plan, state):
        return len(good)
    compared_ones = {(pair.start, pair.end) for pair in state.pairs}
    return sum((period.start, period.end) in compared_ones for period in good)
