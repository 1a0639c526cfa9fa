"""What a plan does otherwise than another, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from rollout.plan import Comparison, Limit, Plan, Rollback, Stage
from rollout.plan.yaml import duration

_CRITERIA = {
    "error_rate": ("error rate", " %"),
    "latency_p95": ("P95", " s"),
    "db_connection_errors": ("database connection errors", ""),
}
_DURATIONS = ("period", "metric_delay", "max_extension", "blind_limit", "hold_timeout", "apply_limit")
_TOLD = {*_CRITERIA, *_DURATIONS, "name", "stages", "comparison"}


def differences(plan: Plan, guide: Plan) -> list[str]:
    """Empty when they decide the same."""
    return [*_differences(plan, guide)]


def _differences(plan: Plan, guide: Plan) -> Iterator[str]:
    if plan.stages != guide.stages:
        yield _stages(plan.stages, guide.stages)
    for key, (name, unit) in _CRITERIA.items():
        mine, its = getattr(plan, key), getattr(guide, key)
        if mine != its and (said := [*_limit(mine, its, unit)]):
            yield f"{name}: {', '.join(said)}"
    if plan.comparison != guide.comparison:
        yield _comparison(plan.comparison)
    for key in _DURATIONS:
        if getattr(plan, key) != getattr(guide, key):
            yield f"{key.replace('_', ' ')} {duration(getattr(plan, key))}"
    for field in fields(plan):
        value = getattr(plan, field.name)
        if field.name not in _TOLD and value != getattr(guide, field.name):
            yield (
                f"{field.name.replace('_', ' ')} {value}"
                if isinstance(value, int | float)
                else f"another {field.name.replace('_', ' ')}"
            )


def _stages(mine: tuple[Stage, ...], its: tuple[Stage, ...]) -> str:
    changed = [stage for stage in mine if stage not in its]
    said = ", ".join(f"{stage.weight} % for {duration(stage.window)}" for stage in changed or mine)
    if len(mine) == len(its) and mine[1:] == its[1:]:
        return f"first stage {said}"
    return f"stages {', '.join(f'{stage.weight} % for {duration(stage.window)}' for stage in mine)}"


def _limit(mine: Limit, its: Limit, unit: str) -> Iterator[str]:
    if mine.limit != its.limit:
        yield f"limit {mine.limit:g}{unit}"
    if (mine.breaches, mine.of) != (its.breaches, its.of):
        yield f"{mine.breaches} of {mine.of} periods"
    if mine.min_requests != its.min_requests:
        yield f"only with {mine.min_requests} requests"
    if (mine.rollback, mine.to) != (its.rollback, its.to):
        yield rollback(mine.rollback, mine.to)


def _comparison(rule: Comparison | None) -> str:
    if rule is None:
        return "no comparison with stable"
    return (
        f"compared with stable (false alarms {rule.false_alarms:g} %, difference {rule.difference:g} points, "
        f"{rollback(rule.rollback, rule.to)})"
    )


def rollback(kind: Rollback, to: int) -> str:
    return f"to {to} %" if kind is Rollback.FIRST_STEP else str(kind)
