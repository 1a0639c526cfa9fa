"""One call of the policy: the state as it changes and the decisions as they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict, Unpack

from rollout.plan import Plan
from rollout.policy.events import (
    Breach,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Event,
    Metrics,
    Reason,
    Severity,
    kind_of,
)
from rollout.policy.state import (
    ON_STABLE,
    REMEMBERED,
    STOPPED,
    TRANSITIONS,
    Cause,
    IllegalEvent,
    State,
    changed,
)


class Measured(TypedDict, total=False):
    """What a decision was made on; see :class:`rollout.policy.events.Decision`."""

    value: float | None
    limit: float | None
    breaches: tuple[Breach, ...]


class Step:
    """What a rule may do while an event is received."""

    def __init__(self, plan: Plan, state: State, event: Event) -> None:
        self.plan, self.event, self.t = plan, event, event.t
        self.state = changed(state, t=event.t)
        self.decisions: list[Decision] = []
        self.since = event.t  # when that became true which a deadline acts on: not after ``t``

    def move(self, cause: Cause) -> None:
        """To the next phase, by the table of transitions. Raises :class:`IllegalEvent`."""
        target = TRANSITIONS[self.state.phase].get(cause)
        if target is None:
            raise IllegalEvent(f"'{cause}' cannot happen while {self.state.phase}")
        self.state = changed(self.state, phase=target)

    def emit(
        self,
        kind: DecisionKind,
        criterion: Reason,
        reason: str,
        *,
        weight: float | None = None,
        severity: Severity | None = None,
        rate_limit: int | None = None,
        break_glass: bool = False,
        increase: bool = False,
        outcome: str | None = None,
        verified: bool | None = None,
        **measured: Unpack[Measured],
    ) -> None:
        self.decisions.append(
            Decision(
                self.t,
                kind,
                criterion,
                kind_of(self.event),
                reason,
                weight=weight,
                severity=severity,
                rate_limit=rate_limit,
                break_glass=break_glass,
                increase=increase,
                outcome=outcome,
                verified=verified,
                **measured,
            )
        )

    def command(
        self,
        weight: float,
        criterion: Reason,
        reason: str,
        *,
        break_glass: bool = False,
        **measured: Unpack[Measured],
    ) -> None:
        """Orders a weight (percent) of the candidate."""
        state = self.state
        self.state = changed(
            state,
            commanded=weight,
            commanded_at=self.t,
            settled=False,
            before=state.seen,
            fallback=state.commanded,
        )
        self.emit(
            DecisionKind.SET_WEIGHT,
            criterion,
            reason,
            weight=weight,
            break_glass=break_glass,
            increase=self.state.raises(weight),
            **measured,
        )

    def hold(self, criterion: Reason, reason: str, **measured: Unpack[Measured]) -> None:
        """Stops; under the operator's pause the rollout stays paused."""
        if self.state.phase not in STOPPED:
            self.state = changed(self.state, held_since=self.t)
        self.move(Cause.HOLD)
        self.emit(DecisionKind.HOLD, criterion, reason, weight=self.state.commanded, **measured)

    def abort(self, criterion: Reason, reason: str, **measured: Unpack[Measured]) -> None:
        if self.state.phase in ON_STABLE:
            return
        self.move(Cause.ABORT)
        self.state = changed(self.state, abort_criterion=criterion)
        what = "undo" if self.state.promoted else "abort"
        self.command(0, criterion, f"{what}: {reason}", **measured)

    def page(self, criterion: Reason, reason: str, **measured: Unpack[Measured]) -> None:
        self.emit(DecisionKind.ALERT, criterion, reason, severity=Severity.PAGE, **measured)

    def remember(self, event: Metrics | EdgeMetrics) -> bool:
        """Keeps a period, in place of an earlier version of it. False when nothing about it is new."""
        role, periods, same = _role(event), self.state.periods, []
        for place, known in enumerate(periods):
            if _role(known) != role:
                continue
            same.append(place)
            if (known.start, known.end) == (event.start, event.end):
                if replace(known, t=event.t) == event:
                    return False
                self.state = changed(self.state, periods=(*periods[:place], *periods[place + 1 :], event))
                return True
        if len(same) >= REMEMBERED:
            periods = (*periods[: same[0]], *periods[same[0] + 1 :])
        self.state = changed(self.state, periods=(*periods, event))
        return True


def _role(period: Metrics | EdgeMetrics) -> str:
    return period.role if isinstance(period, Metrics) else "edge"
