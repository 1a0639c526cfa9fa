"""The guide's rollback timeline, as it really happened: detected, decided, moved, flowing, stable.

For each retreat (a command that lowers the candidate's weight for a breach, or the operator's abort), in seconds from
the start of the rollout:

- detected (T+0): the first failed health round of the streak, else the event that showed the breach;
- decided (T+1): the command;
- moved (T+2): the lower weight read back at the load balancer;
- flowing (T+3): with all traffic on stable, a round of the front door that passes after the move; or stable's requests of a metric
  period that ends after it, which CloudWatch tells one to four minutes later;
- stable (T+5): a whole metric period of stable after the move, measured, its P95 and the errors of all such periods together
  below the plan's verification limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rollout.plan import WHOLE, Plan
from rollout.policy import verification
from rollout.policy.events import (
    FRONT_DOOR,
    Decision,
    DecisionKind,
    Event,
    Health,
    Metrics,
    Reason,
    Started,
    Traffic,
    number,
)

_BY_ROUNDS = {Reason.HEALTH: "candidate", Reason.FRONT_DOOR: FRONT_DOOR}
RAISES = (Reason.STARTED, Reason.STAGE_PASSED)  # why the weight rises by itself


@dataclass(frozen=True, slots=True)
class Retreat:
    """One retreat. A milestone that was not reached is ``None``."""

    weight: float
    criterion: Reason
    detected: float
    decided: float
    moved: float | None = None
    flowing: float | None = None
    stable: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            key: number(value) if isinstance(value, float) else value for key, value in asdict(self).items()
        }

    def late(self, plan: Plan) -> tuple[str, ...]:
        """The milestones that were reached after the guide's deadline, or not at all."""
        deadlines = asdict(plan.verification.deadlines)
        reached = {name: getattr(self, name) for name in deadlines}
        return tuple(
            name
            for name, limit in deadlines.items()
            if reached[name] is None or reached[name] - self.detected > limit
        )


class Timeline:
    """Follows a rollout event by event."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._streak_began: dict[str, float] = {}  # by role: the first failed round of the row
        self._commanded = 0.0
        self._stable: dict[tuple[float, float], Metrics] = {}
        self.retreats: list[Retreat] = []

    def receive(self, event: Event, decisions: Sequence[Decision]) -> list[tuple[Retreat, str]]:
        """The milestones that this event reached."""
        if isinstance(event, Started) and (event.undo or event.promoted):
            self._commanded = WHOLE
        if isinstance(event, Health):
            if event.failed:
                self._streak_began.setdefault(event.role, event.t)
            else:
                self._streak_began.pop(event.role, None)
        if isinstance(event, Metrics) and event.role == "stable":
            self._stable[event.start, event.end] = event
        reached = [
            (retreat, name)
            for index in range(len(self.retreats))
            for retreat, name in self._advance(index, event)
        ]
        for decision in decisions:
            if decision.decision is not DecisionKind.SET_WEIGHT or decision.weight is None:
                continue
            if decision.weight < self._commanded and decision.criterion not in RAISES:
                role = _BY_ROUNDS.get(decision.criterion, "")
                detected = self._streak_began.get(role, event.t)
                retreat = Retreat(decision.weight, decision.criterion, detected, decision.t)
                self.retreats.append(retreat)
                reached += [(retreat, "detected"), (retreat, "decided")]
            self._commanded = decision.weight
        return reached

    def _advance(self, index: int, event: Event) -> list[tuple[Retreat, str]]:
        retreat = self.retreats[index]
        reached: list[str] = []
        if isinstance(event, Traffic) and retreat.moved is None and event.weight <= retreat.weight:
            retreat = replace(retreat, moved=event.t)
            reached.append("moved")
        moved = retreat.moved
        if isinstance(event, Health) and _flows(retreat, event):
            retreat = replace(retreat, flowing=event.t)
            reached.append("flowing")
        if isinstance(event, Metrics) and event.role == "stable" and event.requests and moved is not None:
            if retreat.flowing is None and event.end > moved:
                retreat = replace(retreat, flowing=event.t)
                reached.append("flowing")
            since = [period for period in self._stable.values() if period.start >= moved]
            if retreat.stable is None and event in since and verification.is_normal(self._plan, event, since):
                retreat = replace(retreat, stable=event.t)
                reached.append("stable")
        self.retreats[index] = retreat
        return [(retreat, name) for name in reached]


def _flows(retreat: Retreat, event: Health) -> bool:
    """Whether a round of the users' own way shows that they are served, by stable alone."""
    came = retreat.moved is not None and event.t > retreat.moved
    return (
        came
        and retreat.flowing is None
        and not retreat.weight
        and event.role == FRONT_DOOR
        and not event.failed
    )
