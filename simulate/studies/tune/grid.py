"""The plans that are tried: two ways of stepping times ten ways of judging, all of the guide's length or a minute longer.

At 1,000 requests a minute 5 % are 50 requests a minute, and one error of theirs is 2 %: above the guide's limit of 1 %. What can
be done about it is a larger first stage, a larger limit, more requests before a period counts, more periods before they
count, or a test that knows how many requests it saw. And a breach can abort at once or, as the guide has it, go back to 5 % and
ask a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.plan import BackTo, Comparison, Plan, Rollback, Stage

_LARGER = Stage(10, 180.0)  # 100 requests a minute at 1,000 a minute, and three whole periods of them
_CAUGHT_IN_ANY_CASE = 5.0  # percent: the fixed limit beside a comparison
_COMPARISON = Comparison(false_alarms=0.1, difference=0.5, rollback=Rollback.ABORT)


def plans_to_try(guide: Plan) -> list[Plan]:
    """The guide's own plan first."""
    larger = replace(guide, stages=(_LARGER, *(s for s in guide.stages if s.weight > _LARGER.weight)))
    return [
        *(replace(plan, name=f"5 % first, {name}") if name else plan for name, plan in _judgements(guide)),
        *(replace(plan, name=f"10 % first, {name or 'guide'}") for name, plan in _judgements(larger)),
    ]


def _judgements(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Names and plans. The first is the plan itself, with its first stage as the target of a rollback."""
    back, p95 = plan.criteria.error_rate, plan.criteria.latency_p95
    if isinstance(back.rollback, BackTo):
        back = replace(back, rollback=BackTo(plan.stages[0].weight))
    guide = plan.with_criteria(error_rate=back)
    error = replace(back, rollback=Rollback.ABORT)
    aborts = plan.with_criteria(error_rate=error, latency_p95=replace(p95, rollback=Rollback.ABORT))
    yield "", guide
    yield "2 of 3", guide.with_criteria(error_rate=replace(back, breaches=2, of=3))
    yield "abort", aborts
    yield "2 %, abort", aborts.with_criteria(error_rate=replace(error, limit=2.0))
    yield "100 requests, abort", aborts.with_criteria(error_rate=replace(error, min_requests=100))
    yield "200 requests, abort", aborts.with_criteria(error_rate=replace(error, min_requests=200))
    yield "2 of 2, abort", aborts.with_criteria(error_rate=replace(error, breaches=2, of=2))
    of_three = replace(error, breaches=2, of=3)
    yield "2 of 3, abort", aborts.with_criteria(error_rate=of_three)
    wide = replace(error, limit=_CAUGHT_IN_ANY_CASE, breaches=2, of=2)
    yield "comparison", aborts.with_criteria(error_rate=wide, comparison=_COMPARISON)
    yield "2 of 3 and comparison", aborts.with_criteria(error_rate=of_three, comparison=_COMPARISON)
