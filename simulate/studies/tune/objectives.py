"""What a plan costs, with 95 % intervals; which plans no other beats; which one is proposed.

Three objectives, all the better the smaller: *false rollbacks* (percent of the healthy nights with any weight decrease), *missed
releases* (percent of the bad nights that end promoted) and *users hurt* (requests of a bad night that failed, were rate limited
or answered later than 2 s, in the mean). A bad night is one of the bad cases, by their weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulate.studies.replication import estimate, wilson
from simulate.studies.replication.job import OUTCOMES
from simulate.studies.tune.sweep import Sweep

_PROMOTED = OUTCOMES.index("promoted")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a proposed plan may cost beside the guide's.

    ``hurt_at_most``: times as many requests. ``missed_more``: percentage points more bad releases promoted; 0.1 is one in a thousand bad
    nights, less than a thousand rehearsals can tell from none.
    """

    hurt_at_most: float = 1.25
    missed_more: float = 0.1

    def hold(self, mine: Figures, guide: Figures) -> bool:
        return (
            mine.missed.mean <= guide.missed.mean + self.missed_more
            and mine.hurt.mean <= self.hurt_at_most * guide.hurt.mean
        )

    def rule(self, guide: str) -> str:
        return (
            f"Rule: of the plans that promote at most {self.missed_more:g} percentage points more bad releases than {guide} and hurt at most "
            f"{self.hurt_at_most:g} times as many requests, on the first seed and again on the second, those whose false rollbacks are not above "
            "the 95 % interval of the fewest; of these the one that hurts fewest requests."
        )


@dataclass(frozen=True, slots=True)
class Value:
    """A mean with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One plan. Shares are percent, ``hurt`` and ``failed`` requests of a bad night, the rest seconds.

    ``detection_s``: of the bad nights in which something was detected; ``night_s``: of the healthy nights that were promoted.
    """

    false_rollbacks: Value
    missed: Value
    hurt: Value
    failed: Value
    detection_s: Value | None
    night_s: Value | None

    @property
    def objectives(self) -> tuple[float, float, float]:
        return self.false_rollbacks.mean, self.missed.mean, self.hurt.mean


def figures(found: Sweep, plan: int) -> Figures:
    """The first case is the healthy one."""
    weights = np.array([case.weight for case in found.cases[1:]], dtype=np.float64)
    weights /= weights.sum()
    bad = range(1, len(found.cases))

    def nights(figure: str) -> NDArray[np.float64]:
        """Weighted values of as many bad nights of each kind; each kind has luck of its own."""
        return sum(
            (w * found.column(k, plan, figure) for w, k in zip(weights, bad, strict=True)), np.zeros(1)
        )

    promoted = [found.column(k, plan, "outcome") == _PROMOTED for k in bad]
    failed = nights("failed_requests")
    hurt = failed + nights("rate_limited_requests") + nights("slow_requests")
    healthy = found.column(0, plan, "outcome") == _PROMOTED
    return Figures(
        false_rollbacks=_percent([found.column(0, plan, "rolled_back") > 0], np.ones(1)),
        missed=_percent(promoted, weights),
        hurt=_needed(_mean(hurt)),
        failed=_needed(_mean(failed)),
        detection_s=_detection(found, plan, weights),
        night_s=_mean(found.column(0, plan, "duration_s")[healthy]),
    )


def _percent(happened: Sequence[NDArray[np.bool_]], weights: NDArray[np.float64]) -> Value:
    """A weighted sum of shares in percent. Its interval is made of theirs (Wilson) by the MOVER of Zou and Donner 2008."""
    shares = [wilson(int(one.sum()), len(one)) for one in happened]
    means = np.array([share.count / share.total for share in shares])
    below = math.sqrt(sum((w * (m - s.low)) ** 2 for w, m, s in zip(weights, means, shares, strict=True)))
    above = math.sqrt(sum((w * (s.high - m)) ** 2 for w, m, s in zip(weights, means, shares, strict=True)))
    mean = float(weights @ means)
    return Value(100 * mean, 100 * (mean - below), 100 * (mean + above))


def _mean(values: NDArray[np.float64]) -> Value | None:
    found = estimate(values)
    if found is None:
        return None
    return Value(
        found.mean,
        found.mean if found.low is None else found.low,
        found.mean if found.high is None else found.high,
    )


def _needed(value: Value | None) -> Value:
    if value is None:
        raise ValueError("a sweep without rows")
    return value


def _detection(found: Sweep, plan: int, weights: NDArray[np.float64]) -> Value | None:
    """A ratio of weighted sums: seconds over nights in which something was detected."""
    times = [found.column(k, plan, "detection_s") for k in range(1, len(found.cases))]
    sums = np.array([w * np.nan_to_num(t) for w, t in zip(weights, times, strict=True)]).sum(axis=0)
    counts = np.array([w * ~np.isnan(t) for w, t in zip(weights, times, strict=True)]).sum(axis=0)
    if not counts.any():
        return None
    ratio = float(sums.sum() / counts.sum())
    spread = _mean((sums - ratio * counts) / counts.mean())
    half = 0.0 if spread is None else (spread.high - spread.low) / 2
    return Value(ratio, ratio - half, ratio + half)


def front(plans: Sequence[Figures]) -> list[int]:
    """The plans that no other beats: none is at least as good in every objective and better in one."""

    def beaten(mine: Figures) -> bool:
        return any(
            its.objectives != mine.objectives
            and all(a <= b for a, b in zip(its.objectives, mine.objectives, strict=True))
            for its in plans
        )

    return [number for number, mine in enumerate(plans) if not beaten(mine)]


def ranked(plans: Sequence[Figures], guide: int, bounds: Bounds) -> list[int]:
    """The plans within the bounds, the best first; none where not even the guide's is within them.

    Those whose false rollbacks are not above the interval of the fewest are equals in that, and the one that hurts fewest users is
    the best of them; then come the others by their false rollbacks.
    """
    allowed = [k for k, mine in enumerate(plans) if bounds.hold(mine, plans[guide])]
    fewest = min((plans[k].false_rollbacks for k in allowed), key=lambda value: value.mean, default=None)

    def by(k: int) -> tuple[bool, float, float]:
        false, hurt = plans[k].false_rollbacks.mean, plans[k].hurt.mean
        return (False, hurt, false) if fewest is None or false <= fewest.high else (True, false, hurt)

    return sorted(allowed, key=by)
