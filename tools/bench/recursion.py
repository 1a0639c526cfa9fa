"""The bare recursion of Kiefer and Wolfowitz for a first-come-first-served queue, the yardstick of the kernel.

One law and one queue; no timeouts, colours or counters. So it bounds what any simulation of this kind can reach on this
machine. J. Kiefer and J. Wolfowitz, On the theory of queues with many servers (1955); in its heap form.
"""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math

from simulate.dataplane._compiled import compiled
from simulate.dataplane.layout import Floats
from simulate.dataplane.streams import Keys, Stream, uniform

_ARRIVALS, _QUERY = int(Stream.ARRIVALS), int(Stream.QUERY)


@compiled
def mean_wait(free_at: Floats, n: int, rate: float, service: float, keys: Keys) -> float:
    """Mean wait (s) of the first n requests of M/M/c, from an empty system.

    ``free_at``: zeros, one a server, a heap of the times (s) at which each is free. ``rate`` per second, mean
    ``service`` in seconds.
    """
    servers = free_at.shape[0]
    now = waited = 0.0
    for k in range(n):
        now -= math.log(uniform(keys[_ARRIVALS], k)) / rate
        begin = max(now, free_at[0])
        waited += begin - now
        end = begin - math.log(uniform(keys[_QUERY], k)) * service
        place, child = 0, 1
        while child < servers:
            if child + 1 < servers and free_at[child + 1] < free_at[child]:
                child += 1
            if free_at[child] >= end:
                break
            free_at[place] = free_at[child]
            place = child
            child = 2 * place + 1
        free_at[place] = end
    return waited / n
