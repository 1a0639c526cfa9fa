"""The steady state after a promotion, rule 21 of docs/theory.md: health rounds lead to an undo, and nothing else does."""

from __future__ import annotations

from rollout.plan.units import duration
from rollout.policy.events import DecisionKind, Reason
from rollout.policy.state import REMEMBERED, Cause, changed
from rollout.policy.step import Step


def receive_traffic(step: Step, weight: float) -> None:
    """Whoever moves traffic after the promotion means to: it is reported, and left."""
    state = step.state
    if weight == state.seen:
        return
    history = (*state.seen_history, (step.t, weight))[-REMEMBERED:]
    step.state = changed(state, seen=weight, seen_history=history, commanded=weight)
    step.page(
        Reason.TRAFFIC,
        f"the load balancer shows {weight:g} %, not the {state.seen:g} % of before: moved by somebody else, and left so",
        value=weight,
        limit=state.seen,
    )


def finish(step: Step) -> None:
    """The time that was ordered is over."""
    state = step.state
    step.move(Cause.WATCHED)
    step.emit(
        DecisionKind.FINISH,
        Reason.OPERATOR,
        f"watched for {duration(state.watch_s or 0)} after the promotion, as ordered: nobody watches from now on",
        weight=state.commanded,
        outcome="watched",
    )
