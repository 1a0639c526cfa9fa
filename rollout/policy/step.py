"""One call of the policy: the state as it changes and the decisions as they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rollout.plan import Plan
from rollout.policy.events import (
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Metrics,
    Reason,
    Severity,
    kind_of,
)
from rollout.policy.state import ON_STABLE, REMEMBERED, TRANSITIONS, Cause, IllegalEvent, Phase, State


class Step:
    """What a rule may do while it hears one event."""

    def __init__(self, plan: Plan, state: State, event: Event) -> None:
        self.plan, self.event, self.t = plan, event, event.t
        self.kind = kind_of(event)
        self.state = state.changed(t=event.t)
        self.decisions: list[Decision] = []

    def set(self, **changes: Any) -> None:
        state = self.state
        if any(getattr(state, key) != value for key, value in changes.items()):  # most rounds change nothing
            self.state = state.changed(**changes)

    def move(self, cause: Cause, **changes: Any) -> None:
        target = TRANSITIONS[self.state.phase].get(cause)
        if target is None:
            raise IllegalEvent(f"'{cause}' cannot happen while {self.state.phase}")
        self.set(phase=target, **changes)

    def say(self, kind: DecisionKind, criterion: Reason, reason: str, **more: Any) -> None:
        self.decisions.append(
            Decision(t=self.t, decision=kind, criterion=criterion, event=self.kind, reason=reason, **more)
        )

    def command(self, weight: float, criterion: Reason, reason: str, **more: Any) -> None:
        state = self.state
        self.set(
            commanded=weight, commanded_at=self.t, settled=False, before=state.seen, fallback=state.commanded
        )
        self.say(DecisionKind.SET_WEIGHT, criterion, reason, weight=weight, **more)

    def hold(self, criterion: Reason, reason: str, **more: Any) -> None:
        fresh = self.state.phase is not Phase.HELD
        self.move(Cause.HOLD, held_since=self.t if fresh else self.state.held_since)
        self.say(DecisionKind.HOLD, criterion, reason, weight=self.state.commanded, **more)

    def abort(self, criterion: Reason, reason: str, **more: Any) -> None:
        if self.state.phase in ON_STABLE:
            return
        self.move(Cause.ABORT, abort_criterion=criterion)
        self.command(0, criterion, f"abort: {reason}", **more)

    def page(self, criterion: Reason, reason: str, **more: Any) -> None:
        self.say(DecisionKind.ALERT, criterion, reason, severity=Severity.PAGE, **more)

    def remember(self, event: Metrics | EdgeMetrics) -> bool:
        """Keeps a period, in place of an earlier version of it. False when nothing about it is new."""
        key = _key(event)
        for index, known in enumerate(self.state.periods):
            if _key(known) == key:
                if replace(known, t=event.t) == event:
                    return False
                kept = self.state.periods[:index] + self.state.periods[index + 1 :]
                self.set(periods=(*kept, event))
                return True
        self.set(periods=(*self.state.periods, event)[-REMEMBERED:])
        return True


def _key(period: Metrics | EdgeMetrics) -> tuple[str, float, float]:
    colour = period.role if isinstance(period, Metrics) else "edge"
    return colour, period.start, period.end
