"""The parts of a rollout plan: each rule as data. Durations in seconds, weights and shares in percent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WHOLE = 100  # percent: where every plan ends


class Rollback(StrEnum):
    """Where a breached criterion sends the traffic."""

    FIRST_STEP = "to"  # a fixed small weight; 0 when measured there already
    PREVIOUS = "previous"  # the stage before the one it was measured at; 0 from the first
    ABORT = "abort"
    HOLD = "hold"  # stay, a person decides


@dataclass(frozen=True, slots=True)
class Stage:
    """A candidate weight (percent) with its observation window (seconds)."""

    weight: int
    window: float


@dataclass(frozen=True, slots=True)
class Limit:
    """A criterion's limit and what a breach does; ``to`` is the weight of ``Rollback.FIRST_STEP`` (percent).

    A breach is ``breaches`` of the newest ``of`` periods beyond the limit. A period with fewer than ``min_requests``
    says nothing about the criterion.
    """

    limit: float
    rollback: Rollback
    to: int = 0
    breaches: int = 1
    of: int = 1
    min_requests: int = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate's error rate against stable's over the same periods (:mod:`rollout.policy.compare`).

    ``false_alarms`` is percent of the releases no worse than stable, ``difference`` percentage points.
    """

    false_alarms: float
    difference: float
    rollback: Rollback
    to: int = 0


@dataclass(frozen=True, slots=True)
class HealthRule:
    """Probe rounds: seconds between them, and after how many failed ones in a row what happens."""

    interval: float
    timeout: float
    alert_after: int
    prepare_after: int
    abort_after: int


@dataclass(frozen=True, slots=True)
class RateLimitRule:
    """Requests per minute and client: where it starts, the step and the cap; the share (percent) that raises it."""

    initial: int
    step: int
    cap: int
    share: float


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The guide's rollback timeline, in seconds after the issue was detected (T+0)."""

    decided: float
    moved: float
    flowing: float
    stable: float


@dataclass(frozen=True, slots=True)
class Verification:
    """What stable must show after an abort: error rate (percent) and P95 (seconds) below, watched so many seconds."""

    error_rate: float
    p95: float
    watch: float
    deadlines: Deadlines
