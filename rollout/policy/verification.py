"""Stable after an abort, on which all traffic is: rule 13 of docs/theory.md."""

from __future__ import annotations

from rollout.policy import judge
from rollout.policy.events import DecisionKind, Metrics, Reason
from rollout.policy.state import Cause, State, changed
from rollout.policy.step import Step


def stable_periods(state: State) -> list[Metrics]:
    """Stable's periods since all traffic is on it, those that have requests."""
    start = state.window_start or 0.0
    return [
        p
        for p in state.periods
        if isinstance(p, Metrics) and p.role == "stable" and p.start >= start and p.requests
    ]


def receive_metrics(step: Step, event: Metrics) -> None:
    """A period that is not normal pages, once."""
    if event not in stable_periods(step.state) or step.state.verification_paged:
        return
    for breach in judge.not_normal(step.plan, event):
        step.state = changed(step.state, verification_paged=True)
        step.page(breach.criterion, breach.words, value=breach.value, limit=breach.limit)


def finish(step: Step) -> None:
    """The watch is over."""
    plan, periods = step.plan, stable_periods(step.state)
    measured = sum(judge.is_measured(p) for p in periods)
    beyond = any(judge.not_normal(plan, p) for p in periods)
    sample = f"{measured} metric period{'' if measured == 1 else 's'} measured"
    reason = f"all traffic on stable, which was normal for {plan.verification.watch:g} s ({sample})"
    if beyond:
        reason = f"all traffic on stable, which did not return to normal ({sample})"
    elif not measured:
        reason = "all traffic on stable, whose metrics never came: not verified"
        step.page(Reason.BLIND, reason, value=0, limit=1)
    criterion = step.state.abort_criterion or Reason.OPERATOR
    step.move(Cause.VERIFIED)
    step.emit(
        DecisionKind.FINISH,
        criterion,
        reason,
        weight=0,
        value=measured,
        outcome="undone" if step.state.promoted else "aborted",
        verified=bool(measured) and not beyond,
    )
