"""What a plan does otherwise than another, in words."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan import BackTo, Comparison, Limit, Plan, Rollback, Stage
from rollout.plan.criteria import CRITERIA, Criterion
from rollout.plan.marks import Duration, keys
from rollout.plan.units import written

_IN_OTHER_WORDS = {"name", "stages", "criteria", "metrics"}


def differences(plan: Plan, guide: Plan) -> list[str]:
    """Empty when they decide the same."""
    return [*_differences(plan, guide)]


def _differences(plan: Plan, guide: Plan) -> Iterator[str]:
    if plan.stages != guide.stages:
        yield _stages(plan.stages, guide.stages)
    for row in CRITERIA:
        if parts := [*_limit(row, row.rule(plan), row.rule(guide))]:
            yield f"{row.name}: {', '.join(parts)}"
    if plan.criteria.comparison != guide.criteria.comparison:
        yield _comparison(plan.criteria.comparison)
    for part, other in ((plan.metrics, guide.metrics), (plan, guide)):
        for name, key in keys(type(part)).items():
            value = getattr(part, name)
            if name in _IN_OTHER_WORDS or value == getattr(other, name):
                continue
            words = name.replace("_", " ")
            if isinstance(key.mark, Duration):
                yield f"{words} {written(value)}"
            else:
                yield f"{words} {value}" if isinstance(value, int) else f"another {words}"


def _stages(mine: tuple[Stage, ...], its: tuple[Stage, ...]) -> str:
    changed = [stage for stage in mine if stage not in its]
    listed = ", ".join(f"{stage.weight} % for {written(stage.window)}" for stage in changed or mine)
    if len(mine) == len(its) and mine[1:] == its[1:]:
        return f"first stage {listed}"
    return f"stages {', '.join(f'{stage.weight} % for {written(stage.window)}' for stage in mine)}"


def _limit(row: Criterion, mine: Limit, its: Limit) -> Iterator[str]:
    if mine.limit != its.limit:
        yield f"limit {row.shown(mine.limit)}"
    if (mine.breaches, mine.of) != (its.breaches, its.of):
        yield f"{mine.breaches} of {mine.of} periods"
    if mine.min_requests != its.min_requests:
        yield f"only with {mine.min_requests} requests"
    if mine.rollback != its.rollback:
        yield rollback(mine.rollback)


def _comparison(rule: Comparison | None) -> str:
    if rule is None:
        return "no comparison with stable"
    return (
        f"compared with stable (false alarms {rule.false_alarms:g} %, difference {rule.difference:g} points, "
        f"{rollback(rule.rollback)})"
    )


def rollback(kind: Rollback | BackTo) -> str:
    return f"to {kind.to} %" if isinstance(kind, BackTo) else str(kind)
