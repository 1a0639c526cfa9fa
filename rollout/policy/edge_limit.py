"""The edge's rate limit, rule 9 of docs/theory.md: it rises when too many requests are answered 429, and never falls."""

from __future__ import annotations

from rollout.plan.criteria import requests
from rollout.policy import timing
from rollout.policy.events import DecisionKind, EdgeMetrics, Limit, Reason
from rollout.policy.state import STOPPED, Phase, changed
from rollout.policy.step import Measured, Step


def receive(step: Step, event: EdgeMetrics | Limit) -> None:
    """A metric period of the edge, or that the deployed limit was read back."""
    if isinstance(event, EdgeMetrics):
        _receive_edge(step, event)
    else:
        step.state = changed(step.state, rate_limit=event.value, limit_read_at=step.t, limit_awaited=False)


def _receive_edge(step: Step, event: EdgeMetrics) -> None:
    state, rule = step.state, step.plan.rate_limit
    already = state.raised_at is not None and event.end <= state.raised_at
    if not step.remember(event) or already or event.share <= rule.share:
        return
    if state.phase in (*STOPPED, Phase.STEADY) or state.limit_awaited:
        return
    if event.start < state.limit_read_at + timing.limit_settles(step.plan):
        return  # it was counted, in part at least, under the limit before, or while the counts were reset
    now = state.rate_limit or rule.initial
    measured: Measured = {"value": event.share, "limit": rule.share}
    step.state = changed(step.state, raised_at=event.end)
    arrived = requests(event.requests + event.rate_limited)
    limited = (
        f"{event.share:.3g} % of the requests were rate limited ({event.rate_limited:,} of {arrived}), "
        f"more than {rule.share:g} %"
    )
    if now >= rule.cap:
        step.page(
            Reason.RATE_LIMITED, f"{limited}; the limit is {now}/min, its cap {rule.cap}/min", **measured
        )
        return
    raised = min(now + rule.step, rule.cap)
    step.state = changed(step.state, rate_limit=raised, limit_awaited=True)
    step.emit(
        DecisionKind.RAISE_RATE_LIMIT,
        Reason.RATE_LIMITED,
        f"{limited}: from {now} to {raised} requests per minute",
        rate_limit=raised,
        **measured,
    )
