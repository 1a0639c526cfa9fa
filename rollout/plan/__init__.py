"""The rollout plan: what is watched, for how long, and what a breach does. See :mod:`rollout.plan.plan`."""

from rollout.plan.plan import (
    MOST_PERIODS,
    WHOLE,
    BackTo,
    Comparison,
    Criteria,
    Deadlines,
    HealthRule,
    Limit,
    MetricRule,
    Plan,
    RateLimitRule,
    Rollback,
    Stage,
    Verification,
    WarmUp,
)
from rollout.plan.reading import BUILT_IN, PlanError, load_plan, parse_plan, plan_text

__all__ = [
    "BUILT_IN",
    "MOST_PERIODS",
    "WHOLE",
    "BackTo",
    "Comparison",
    "Criteria",
    "Deadlines",
    "HealthRule",
    "Limit",
    "MetricRule",
    "Plan",
    "PlanError",
    "RateLimitRule",
    "Rollback",
    "Stage",
    "Verification",
    "WarmUp",
    "load_plan",
    "parse_plan",
    "plan_text",
]
