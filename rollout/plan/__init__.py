"""The rollout plan: what is watched, for how long, and what a breach does. See :mod:`rollout.plan.plan`."""

from rollout.plan.plan import (
    BUILT_IN,
    WHOLE,
    Comparison,
    Deadlines,
    HealthRule,
    Limit,
    Plan,
    PlanError,
    RateLimitRule,
    Rollback,
    Stage,
    Verification,
    load_plan,
    parse_plan,
    plan_text,
    seconds,
)

__all__ = [
    "BUILT_IN",
    "WHOLE",
    "Comparison",
    "Deadlines",
    "HealthRule",
    "Limit",
    "Plan",
    "PlanError",
    "RateLimitRule",
    "Rollback",
    "Stage",
    "Verification",
    "load_plan",
    "parse_plan",
    "plan_text",
    "seconds",
]
