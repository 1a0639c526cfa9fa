"""Student's 95 % interval for a mean; Wilson's, for a share, is in :mod:`rollout.odds.shares`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval (``None`` of a single value) and the 95th percentile, of ``n`` values."""

    n: int
    mean: float
    low: float | None
    high: float | None
    p95: float


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
