"""A plan in words, for whoever has to trust it at 2 a.m."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan import BackTo, Comparison, Limit, Plan, Rollback
from rollout.plan.units import duration


def earliest(plan: Plan) -> float:
    """Seconds in which a release can be promoted: every window, and the periods that it must hold."""
    return sum(max(stage.window, plan.metrics.min_periods * plan.metrics.period) for stage in plan.stages)


def latest(plan: Plan) -> float:
    """Seconds after which it is promoted, held or aborted, when nobody pauses it and it was never held."""
    return sum(plan.apply_limit + stage.window + plan.metrics.max_extension for stage in plan.stages)


def explain(plan: Plan) -> Iterator[str]:
    """The plan, line by line."""
    yield f"Plan {plan.name}"
    yield ""
    yield "Stages (a window starts when the weight is read back at the load balancer):"
    for stage in plan.stages:
        yield f"  {stage.weight:>3} % of the traffic to the candidate, watched for {duration(stage.window)}"
    yield ""
    yield "A stage is passed when its window is over, the last health round was clean, nothing breached, and at least"
    yield f"  {plan.metrics.min_periods} whole metric period(s) of {duration(plan.metrics.period)} begun in it had {plan.metrics.min_requests} or more requests and good values."
    for name, rule in (("error rate", plan.criteria.error_rate), ("P95 latency", plan.criteria.latency_p95)):
        if rule.breaches > 1:
            yield f"  The newest one's {name} must not be above its limit, breach or not."
    if plan.criteria.comparison:
        yield "  Below 100 % a period counts only when it was compared with stable's."
    yield f"  It waits up to {duration(plan.metrics.max_extension)} longer for them; then it is inconclusive and held."
    yield ""
    yield "What a breach does:"
    for name, rule, unit in (
        ("error rate", plan.criteria.error_rate, " %"),
        ("P95 latency", plan.criteria.latency_p95, " s"),
        ("database connection errors", plan.criteria.db_connection_errors, ""),
    ):
        yield f"  {name} above {rule.limit:g}{unit} in {_periods(rule)}: {_consequence(rule)}"
    if against := plan.criteria.comparison:
        yield f"  error rate above stable's over the same periods by {against.difference:g} percentage points or more, and by more than chance:"
        yield f"    {_consequence(against)}"
        yield f"    looked at after each period, it goes off in at most {against.false_alarms:g} % of releases that are no worse than stable"
        yield "    (begun anew after a retreat and after a resume; at 100 % there is no stable to compare with)"
    for name, action in plan.alarms.items():
        yield f"  alarm {name}: {_consequence(Limit(0, action))}"
    health = plan.health
    yield f"  health rounds each {duration(health.interval)} that fail in a row: {health.alert_after} alerts, {health.prepare_after} prepares the rollback and"
    yield f"    stops advancing, {health.abort_after} aborts: all traffic to stable at once"
    yield f"  no successful query of the candidate's metrics for {duration(plan.metrics.blind_limit)}: abort"
    yield f"  a period without data {duration(plan.metrics.delay)} after its end counts as no requests, which is never good"
    yield f"  a weight not seen at the load balancer within {duration(plan.apply_limit)}: an increase is taken back and held, a decrease goes"
    yield "    through the load balancer's own API"
    limit = plan.rate_limit
    yield f"  more than {limit.share:g} % of the requests rate limited: the limit rises by {limit.step} from {limit.initial} to at most {limit.cap} a minute"
    yield ""
    yield f"Held: a person decides; after {duration(plan.hold_timeout)} it aborts. Paused by the operator: no time-out, reminders."
    check = plan.verification
    yield f"After an abort: stable's error rate below {check.error_rate:g} % and P95 below {duration(check.latency_p95)}, watched for {duration(check.watch)}."
    yield ""
    yield f"Earliest end of a good release: {duration(earliest(plan))} (plus the stack updates)."
    yield f"Latest end without a hold or a pause: {duration(latest(plan))}."


def _periods(rule: Limit) -> str:
    enough = f" of {rule.min_requests} or more requests" if rule.min_requests > 1 else ""
    if rule.breaches == 1:
        return f"a period{enough}"
    if rule.breaches == rule.of:
        return f"{rule.of} periods{enough} in a row"
    return f"{rule.breaches} of the newest {rule.of} periods{enough}"


def _consequence(rule: Limit | Comparison) -> str:
    match rule.rollback:
        case BackTo(to):
            return f"back to {to} % and hold; to 0 % when measured at {to} % or less"
        case Rollback.PREVIOUS:
            return "back to the stage before the one it was measured at and hold; to 0 % from the first"
        case Rollback.ABORT:
            return "abort: all traffic to stable at once"
        case Rollback.HOLD:
            return "hold: traffic stays, a person decides"
