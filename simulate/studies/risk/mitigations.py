"""The guide's mitigations, and how each is switched off: in the plan, or in the world.

Only what answers a risk once it occurs can be switched off here. Prevention is in the register's probabilities already.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from rollout.plan import BackTo, Comparison, Limit, Plan
from rollout.policy.events import DecisionKind, Reason
from simulate.controlplane import RehearsalResult
from simulate.controlplane.cloudwatch import attribute
from simulate.dataplane import CANDIDATE, STABLE

_Rule = TypeVar("_Rule", Limit, Comparison)
_NEVER = 10**9  # probe rounds in a row


@dataclass(frozen=True, slots=True)
class Mitigation:
    """``item`` names the guide's own words. ``plan`` is the plan without it; ``risk`` the scenario whose answer it is.

    ``idle``: whether the mitigation did nothing in a rehearsal, so that one without it is the same.
    """

    name: str
    item: str
    plan: Callable[[Plan], Plan] = lambda plan: plan
    risk: str = ""
    idle: Callable[[Plan, RehearsalResult], bool] = lambda plan, result: False


def _endless(limit: Limit) -> Limit:
    return replace(limit, limit=math.inf)


def _without_stages(plan: Plan) -> Plan:
    """Straight to 100 %, watched as long as the last stage. A rollback to a fixed weight is then one to 0 %."""
    criteria = plan.criteria
    return replace(plan, stages=plan.stages[-1:]).with_criteria(
        error_rate=_to_nothing(criteria.error_rate),
        latency_p95=_to_nothing(criteria.latency_p95),
        db_connection_errors=_to_nothing(criteria.db_connection_errors),
        comparison=criteria.comparison and _to_nothing(criteria.comparison),
    )


def _to_nothing(rule: _Rule) -> _Rule:
    return replace(rule, rollback=BackTo(0)) if isinstance(rule.rollback, BackTo) else rule


def _without_errors(plan: Plan) -> Plan:
    return plan.with_criteria(error_rate=_endless(plan.criteria.error_rate))


def _without_latency(plan: Plan) -> Plan:
    return plan.with_criteria(latency_p95=_endless(plan.criteria.latency_p95))


def _without_database(plan: Plan) -> Plan:
    return plan.with_criteria(db_connection_errors=_endless(plan.criteria.db_connection_errors))


def _without_health(plan: Plan) -> Plan:
    return replace(plan, health=replace(plan.health, abort_after=_NEVER))


def _without_comparison(plan: Plan) -> Plan:
    return plan.with_criteria(comparison=None)


def _without_any(plan: Plan) -> Plan:
    return _without_comparison(_without_health(_without_database(_without_latency(_without_errors(plan)))))


def _without_raising(plan: Plan) -> Plan:
    return replace(plan, rate_limit=replace(plan.rate_limit, share=100.0))


def _errors_idle(plan: Plan, result: RehearsalResult) -> bool:
    """Equal to the limit is no breach, but keeps a stage from passing."""
    return all(
        100 * errors < plan.criteria.error_rate.limit * requests or not requests
        for closed in result.periods
        for requests, errors in (attribute(closed.sides[CANDIDATE], closed.sides[STABLE]),)
    )


def _latency_idle(plan: Plan, result: RehearsalResult) -> bool:
    return all(
        (closed.sides[CANDIDATE].p95 or 0.0) < plan.criteria.latency_p95.limit for closed in result.periods
    )


def _database_idle(plan: Plan, result: RehearsalResult) -> bool:
    limit = plan.criteria.db_connection_errors.limit
    return all(closed.sides[CANDIDATE].db_connection_errors <= limit for closed in result.periods)


def _health_idle(plan: Plan, result: RehearsalResult) -> bool:
    most = plan.health.abort_after
    return not any(
        decision.criterion is Reason.HEALTH and (decision.value or 0) >= most for decision in result.decisions
    )


def _any_idle(plan: Plan, result: RehearsalResult) -> bool:
    criteria = (_errors_idle, _latency_idle, _database_idle, _health_idle)
    return plan.criteria.comparison is None and all(idle(plan, result) for idle in criteria)


def _raising_idle(plan: Plan, result: RehearsalResult) -> bool:
    return not any(decision.decision is DecisionKind.RAISE_RATE_LIMIT for decision in result.decisions)


_GUIDE = (
    Mitigation("staged traffic", "Strategy 2: 5, 25, 50, 100 %", _without_stages),
    Mitigation("error rate criterion", "Strategy 2: error rate > 1 %", _without_errors, idle=_errors_idle),
    Mitigation("P95 criterion", "Strategy 2: P95 latency > 2 s", _without_latency, idle=_latency_idle),
    Mitigation(
        "database criterion", "Strategy 2: database connection errors", _without_database, idle=_database_idle
    ),
    Mitigation(
        "health check abort", "Strategy 3: 3 consecutive failed checks", _without_health, idle=_health_idle
    ),
    Mitigation("all automated rollback", "Strategies 2 and 3: every criterion", _without_any, idle=_any_idle),
    Mitigation("raising the rate limit", "Risk 4: > 5 % limited", _without_raising, idle=_raising_idle),
    Mitigation("migration time limit", "Risk 1: time limit (10 min)", risk="migration-failure"),
    Mitigation("frontend rollback", "Risk 3: previous frontend version", risk="cdn-failure"),
    Mitigation("websocket restart", "Risk 5: restart, fall back to polling", risk="websocket-instability"),
    Mitigation("restart at 85 % memory", "Risk 7: restart if memory > 85 %", risk="memory-leak"),
)
_COMPARISON = Mitigation(
    "comparison with stable", "not the guide's: the plan's criteria.comparison", _without_comparison
)


def mitigations_of(plan: Plan) -> tuple[Mitigation, ...]:
    """Those of the guide, and what the plan has beyond it."""
    return (*_GUIDE, _COMPARISON) if plan.criteria.comparison else _GUIDE
