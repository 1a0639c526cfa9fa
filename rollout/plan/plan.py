"""The rollout plan: stages, criteria, waiting times, nested as in a plan file.

``plans/phase-c.yaml`` is the guide to the letter. Durations are seconds here (``2m``, ``90s``, ``500ms`` or ``1m30s`` in a
file); weights and shares are percent. A key is defined here and nowhere else: reading (:mod:`rollout.plan.reading`), writing
(:mod:`rollout.plan.yaml`), the JSON Schema (:mod:`rollout.plan.schema`) and :meth:`Plan.scaled` follow the fields and their
marks. Bounds hold for what a file says, not for a plan made in Python: a study may ask for a limit without end.

Plain dataclasses rather than pydantic's: importing pydantic takes 0.2 s of CPU, which is all that `rollout status` has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any

from rollout.plan.marks import Duration, Limited, Number, shortened
from rollout.plan.units import DAY, HOUR, MINUTE

WHOLE = 100  # percent: where every plan ends
MOST_PERIODS = 20  # of which a breach may be made
LONGEST_LOOK = 60  # periods that are judged together; the policy remembers a few more of each role

Weight = Annotated[int, Number(1, WHOLE)]
Percent = Annotated[float, Number(0, 100)]
Share = Annotated[float, Number(0, 100, between=True)]
Periods = Annotated[int, Number(1, MOST_PERIODS)]
Rounds = Annotated[int, Number(1, 100)]
Requests = Annotated[int, Number(1, 10_000_000)]
Window = Annotated[float, Duration(DAY)]
LATENCY = Duration(
    MINUTE, scales=False
)  # an ALB gives up on a request after 60 s; the traffic is real, so it stays
Latency = Annotated[float, LATENCY]


class Rollback(StrEnum):
    """Where a breached criterion sends the traffic, if not back to a fixed weight."""

    PREVIOUS = "previous"  # the stage before the one it was measured at; 0 from the first
    ABORT = "abort"
    HOLD = "hold"  # stay, a person decides


@dataclass(frozen=True, slots=True)
class BackTo:
    """A rollback to a fixed weight (percent), 0 when measured there already. In a file ``{to: 5}``."""

    to: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A candidate weight (percent) with its observation window (seconds)."""

    weight: Weight
    window: Window


@dataclass(frozen=True, slots=True)
class Limit:
    """A criterion's limit and what a breach does.

    A breach is ``breaches`` of the newest ``of`` periods beyond the limit; without ``of``, that many in a row. A period with
    fewer than ``min_requests`` says nothing about the criterion.
    """

    limit: float  # what it takes depends on the criterion
    rollback: Rollback | BackTo
    breaches: Periods = 1
    of: Periods = 0
    min_requests: Requests = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", self.of or self.breaches)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate's error rate against stable's over the same periods.

    See :mod:`rollout.policy.compare`. ``false_alarms`` is percent of the releases no worse than stable, ``difference`` percentage points.
    """

    false_alarms: Share
    difference: Share
    rollback: Rollback | BackTo


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is judged in each metric period of the candidate: error rate in percent, P95 in seconds, errors by number."""

    error_rate: Annotated[Limit, Limited(Number(0, 100))]
    latency_p95: Annotated[Limit, Limited(LATENCY)]
    db_connection_errors: Annotated[Limit, Limited(Number(0, 1_000_000), only=("limit", "rollback"))]
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True)
class MetricRule:
    """When a metric period counts, and how long a stage waits for one."""

    period: Annotated[float, Duration(HOUR)]
    delay: Annotated[float, Duration(HOUR, zero=True)]
    min_periods: Periods
    min_requests: Requests
    max_extension: Annotated[float, Duration(DAY, zero=True)]
    blind_limit: Window


@dataclass(frozen=True, slots=True)
class HealthRule:
    """Probe rounds: seconds between them, and after how many failed ones in a row what happens."""

    interval: Annotated[float, Duration(HOUR)]
    timeout: Latency
    alert_after: Rounds
    prepare_after: Rounds
    abort_after: Rounds


@dataclass(frozen=True, slots=True)
class RateLimitRule:
    """Requests per minute and client: where it starts, the step and the cap; the share (percent) that raises it."""

    initial: Annotated[int, Number(10, 2_000_000_000)]  # AWS WAF's own bounds
    step: Annotated[int, Number(1, 2_000_000_000)]
    cap: Annotated[int, Number(1, 2_000_000_000)]
    share: Percent


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The guide's rollback timeline, in seconds after the issue was detected (T+0)."""

    decided: Window
    moved: Window
    flowing: Window
    stable: Window


@dataclass(frozen=True, slots=True)
class Verification:
    """What stable must show after an abort: error rate (percent) and P95 (seconds) below, watched so many seconds."""

    error_rate: Percent
    latency_p95: Latency
    watch: Window
    deadlines: Deadlines


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Requests for ``path`` that the candidate gets through the test route before its first users', so many at once."""

    requests: Requests
    concurrency: Annotated[int, Number(1, 1000)] = 10
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Plan:
    """A rollout plan. All durations in seconds."""

    name: str
    stages: tuple[Stage, ...]
    criteria: Criteria
    metrics: MetricRule
    health: HealthRule
    hold_timeout: Window
    apply_limit: Annotated[float, Duration(HOUR, scales=False)]  # a stack update takes the time it takes
    rate_limit: RateLimitRule
    verification: Verification
    bake: Annotated[float, Duration(DAY, zero=True)] = 0.0  # longer than its numbers need
    alarms: Mapping[str, Rollback] = field(default_factory=dict)
    warm_up: WarmUp | None = None

    def below(self, weight: float) -> int:
        """The weight of the stage before the one at ``weight``; 0 from the first."""
        return max((s.weight for s in self.stages if s.weight < weight), default=0)

    def above(self, weight: float) -> Stage | None:
        """The next stage above ``weight``; ``None`` from the last."""
        return next((s for s in self.stages if s.weight > weight), None)

    def window_at(self, weight: float) -> float:
        """The window (seconds) to watch at ``weight``: that of the highest stage not above it, else of the first."""
        return next((s.window for s in reversed(self.stages) if s.weight <= weight), self.stages[0].window)

    def scaled(self, factor: float) -> Plan:
        """The plan with its windows, periods, delays and probes shortened by ``factor``.

        Latencies, rates and numbers of requests stay, because the traffic is real.
        """
        return shortened(self, factor)

    def with_criteria(self, **changes: Any) -> Plan:
        """The plan with other criteria: ``plan.with_criteria(comparison=None)``."""
        return replace(self, criteria=replace(self.criteria, **changes))

    def with_metrics(self, **changes: Any) -> Plan:
        """The plan with other keys of ``metrics``: ``plan.with_metrics(min_periods=2)``."""
        return replace(self, metrics=replace(self.metrics, **changes))
