"""95 % intervals: Wilson's for shares, Student's t for means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True)
class Share:
    """So many of ``total`` did; ``low`` and ``high`` bound the probability, from 0 to 1."""

    count: int
    total: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval (``None`` of a single value) and the 95th percentile, of ``n`` values."""

    n: int
    mean: float
    low: float | None
    high: float | None
    p95: float


def wilson(count: int, total: int) -> Share:
    """E. B. Wilson 1927: keeps its level at shares near 0 and 1, where most of ours are."""
    if total == 0:
        return Share(0, 0, 0.0, 1.0)
    share, spread = count / total, _Z * _Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    low = 0.0 if count == 0 else middle - half
    return Share(count, total, low, 1.0 if count == total else middle + half)


def estimate(values: NDArray[np.float64]) -> Estimate | None:
    """Of the values that are there (NaN: not in this run); ``None`` when there are none."""
    there = values[~np.isnan(values)]
    n = len(there)
    if n == 0:
        return None
    mean, p95 = float(there.mean()), float(np.quantile(there, 0.95))
    if n == 1:
        return Estimate(1, mean, None, None, p95)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2) * there.std(ddof=1) / math.sqrt(n))
    return Estimate(n, mean, mean - half, mean + half, p95)
