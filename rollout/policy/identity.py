"""Rule 16 of docs/theory.md: what answers must be what was approved.

A version is the text that the application sends with every answer; ``VERSION@DIGEST`` where it reports its image's digest as
well. The digest that a role reports first is approved with its version.
"""

from __future__ import annotations

from dataclasses import replace

from rollout.policy.events import DecisionKind, Health, Reason, Started
from rollout.policy.state import AT_WORK, ON_STABLE, Foreign, Phase, State, changed
from rollout.policy.step import Step


def approve(step: Step, event: Started) -> None:
    """Remembers the versions that the rollout began with."""
    given = (("candidate", event.candidate_version), ("stable", event.stable_version))
    step.state = changed(
        step.state, approved=tuple((role, version) for role, version in given if version is not None)
    )


def receive(step: Step, event: Health) -> None:
    """The versions that answered in a round. None at all says nothing."""
    approved = dict(step.state.approved).get(event.role)
    gone = event.role == "candidate" and step.state.phase in ON_STABLE  # no user meets it any more
    if approved is None or not event.version or gone:
        return
    approved = _with_digest(step, event, approved)
    others = [version for version in event.version if not _same(approved, version)]
    before = [known.version for known in step.state.foreign if known.role == event.role]
    news = [version for version in others if version not in before]
    standing = [_seen(known, event.role, others) for known in step.state.foreign]
    standing += [Foreign(event.role, version) for version in news]
    # Of several replicas a round may miss the wrong one: gone is what as many rounds in a row as abort have not met.
    last = step.plan.health.abort_after
    step.state = changed(step.state, foreign=tuple(known for known in standing if known.missed < last))
    if news:
        _hold(step, f"{event.role} answers as version {', '.join(news)}, and {approved} was approved")


def refusal(state: State) -> str:
    """Why the rollout cannot be resumed; '' when every role is what was approved."""
    if not state.foreign:
        return ""
    role = state.foreign[0].role
    versions = ", ".join(known.version for known in state.foreign if known.role == role)
    approved = dict(state.approved)[role]
    return (
        f"{role} still answers as version {versions}, and {approved} was approved: bring {approved} back, or "
        "`rollout abort` and start a new rollout"
    )


def _hold(step: Step, reason: str) -> None:
    phase = step.state.phase
    if phase in (*ON_STABLE, Phase.STEADY):
        step.page(Reason.IDENTITY, reason)
    elif phase in (*AT_WORK, Phase.HELD):
        step.hold(Reason.IDENTITY, reason)
    else:
        step.emit(DecisionKind.HOLD, Reason.IDENTITY, reason, weight=step.state.commanded)


def _seen(known: Foreign, role: str, others: list[str]) -> Foreign:
    if known.role != role:
        return known
    return replace(known, missed=0 if known.version in others else known.missed + 1)


def _with_digest(step: Step, event: Health, approved: str) -> str:
    if "@" not in approved:
        digests = (version for version in event.version if version.startswith(f"{approved}@"))
        if full := next(digests, None):
            step.state = changed(
                step.state,
                approved=tuple(
                    (role, full if role == event.role else version) for role, version in step.state.approved
                ),
            )
            return full
    return approved


def _same(approved: str, version: str) -> bool:
    """One that reports no digest is compared by its version alone."""
    return version in (approved, approved.partition("@")[0])
