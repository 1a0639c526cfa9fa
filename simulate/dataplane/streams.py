"""Named random streams that can be read at any place: the n-th number of a stream does not depend on who asks when.

A stream is a key from numpy's ``SeedSequence``; its n-th uniform is the n-th output of SplitMix64 (Steele, Lea and
Flood, OOPSLA 2014) started at that key. So request i meets the same client, service time and luck under every plan
(common random numbers), two implementations agree request by request, and a copy of a state carries no generator.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane._compiled import inlined

Keys = NDArray[np.uint64]


class Stream(IntEnum):
    """The position of a stream's key. New names go to the end, so that the numbers of the others stay."""

    ARRIVALS = 0
    BURSTS = 1
    CLIENT = 2
    ROUTE = 3
    REACH = 4
    QUERY = 5
    WORK = 6
    ERROR = 7
    SLOW = 8
    PATIENCE = 9
    BACKOFF = 10
    WEBSOCKET = 11
    RECONNECT = 12


def keys(seed: int, replication: int = 0) -> Keys:
    """One key a stream, for one replication of a seed. Raises ``ValueError`` for a negative number."""
    return (
        np.random.SeedSequence((seed, replication)).generate_state(len(Stream), np.uint64).astype(np.uint64)
    )


_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _12 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(12)
_ULP = 2.0**-52  # 52 bits and a half: neither 0 nor 1 can come out


@inlined
def uniform(key: np.uint64, n: int) -> float:
    """The n-th number of a stream, uniform in (0, 1), n >= 0."""
    z = key + np.uint64(n + 1) * _STEP
    z = (z ^ (z >> _30)) * _MIX_1
    z = (z ^ (z >> _27)) * _MIX_2
    z = z ^ (z >> _31)
    return (float(z >> _12) + 0.5) * _ULP
