"""What happened in one rehearsal."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from itertools import pairwise

from rollout.policy.events import Decision, Event
from simulate.controlplane.cloudwatch import Closed

_LISTS = ("weights", "limits", "decisions", "faults", "alarms", "periods", "events")


@dataclass(slots=True)
class RehearsalResult:
    """Times are seconds from the start of the rollout, weights percent.

    ``detected`` to ``moved`` belong to the first retreat, as in the guide's timeline: T+0 is the first failed probe round of
    the streak, the alarm for which somebody undid it, or the event that showed the breach; then the command, and its lower weight read back.
    """

    outcome: str = "held"  # promoted, aborted, undone, or held when the horizon came first
    verified: bool | None = None
    ended: float = 0.0
    promoted: float | None = None  # when it was
    watched: float = 0.0  # how long the traffic was looked at
    weights: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])  # (t, weight in force)
    limits: list[tuple[float, int]] = field(default_factory=list)  # (t, rate limit that came into force)
    decisions: list[Decision] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)  # as they came about, in words
    alarms: list[tuple[float, str]] = field(default_factory=list)  # that went off
    detected: float | None = None
    decided: float | None = None
    moved: float | None = None
    held: float = 0.0  # seconds in which traffic stood and a person was asked
    refused: int = 0  # events that the policy refused
    periods: list[Closed] = field(
        default_factory=list
    )  # whole metric periods from the one the rollout began in
    events: list[Event] = field(default_factory=list)  # all that were received, when asked for

    def copy(self) -> RehearsalResult:
        other = copy(self)
        for name in _LISTS:
            setattr(other, name, list(getattr(self, name)))
        return other

    @property
    def steps(self) -> Iterator[tuple[tuple[float, float], tuple[float, float]]]:
        """Each change of the weight in force: what was before it, what after."""
        return pairwise(self.weights)

    @property
    def rolled_back(self) -> bool:
        """Whether any weight decrease came into force or was commanded."""
        return self.decided is not None or any(after[1] < before[1] for before, after in self.steps)
