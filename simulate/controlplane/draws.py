"""The control plane's random numbers: named streams that can be read at any place.

The n-th number of a stream belongs to one thing: the n-th metric period's delay, the n-th stack update. So two plans that
are rehearsed on the same seed meet the same luck wherever they do the same thing (common random numbers), and nothing
depends on which worker runs a replication. The streams are independent of the data plane's of the same seed.
"""

from __future__ import annotations

import math
from enum import IntEnum
from statistics import NormalDist

import numpy as np

from simulate.dataplane import Constant, Exponential, Law, LogNormal

_NORMAL = NormalDist().inv_cdf
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_ULP = 2.0**-52
_CONTROL = (1,)  # spawn key of the control plane; the data plane's streams have none


class Stream(IntEnum):
    """The position of a stream's key. New names go to the end, so that the numbers of the others stay."""

    PHASE = 0  # where in a metric period the rollout begins
    UPDATE = 1  # by command
    UPDATE_FAILS = 2
    BREAK_GLASS = 3
    READ_BACK = 4
    BALANCER_DELAY = 5  # by metric period
    APPLICATION_DELAY = 6
    EDGE_DELAY = 7
    BALANCER_MISSING = 8
    APPLICATION_MISSING = 9
    EDGE_MISSING = 10
    ALARM = 11  # by metric period and alarm
    OPERATOR = 12  # by hold
    REACTION = 13
    FAULT = 14
    LIMIT = 15  # by raise of the rate limit
    UNDO = 16


class Draws:
    """The numbers of one replication of a seed; both are whole and not negative."""

    __slots__ = ("_keys",)

    def __init__(self, seed: int, replication: int) -> None:
        sequence = np.random.SeedSequence((seed, replication), spawn_key=_CONTROL)
        self._keys: list[int] = sequence.generate_state(len(Stream), np.uint64).tolist()

    def uniform(self, stream: Stream, n: int) -> float:
        """The n-th number of a stream, uniform in (0, 1): SplitMix64, as in the data plane."""
        z = (self._keys[stream] + (n + 1) * _STEP) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        z ^= z >> 31
        return ((z >> 12) + 0.5) * _ULP

    def time(self, law: Law, stream: Stream, n: int) -> float:
        """A time (seconds) that follows a law, made of the n-th number of a stream."""
        if isinstance(law, Constant):
            return law.seconds
        u = self.uniform(stream, n)
        if isinstance(law, LogNormal):
            return law.median * math.exp(law.sigma * _NORMAL(u))
        if isinstance(law, Exponential):
            return -law.mean * math.log(u)
        place = u * (len(law.quantiles) - 1)
        k = int(place)
        return law.quantiles[k] + (place - k) * (law.quantiles[k + 1] - law.quantiles[k])
