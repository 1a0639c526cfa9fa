"""What one metric period shows: counts by how attempts ended, gauges at its end, latency quantiles.

An attempt counts in the period in which it ended, as in a load balancer's log. Latencies (seconds) are those of
answered attempts, 5xx answers included, as TargetResponseTime.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane import layout as x
from simulate.dataplane.kernel import BUCKETS, SUB_BITS
from simulate.dataplane.layout import Ints


class Period(NamedTuple):
    """One colour over one metric period. ``ok`` to ``timed_out`` are ends of attempts, each counted once.

    ``server_errors`` and ``db_errors`` are 5xx of the target (the latter for want of a connection), ``bad_gateway``
    502, ``unavailable`` 503 and ``timed_out`` 504 of the load balancer. ``arrived`` counts what was routed here in the
    period, of which ``retried`` were retries; ``db_connection_errors`` is the application's own count, clients that
    have gone included. ``in_flight`` to ``ws_open`` are as the period ended; ``memory`` is the fullest replica's share
    of its limit. Quantiles are ``None`` without an answer.
    """

    ok: int
    server_errors: int
    db_errors: int
    bad_gateway: int
    unavailable: int
    timed_out: int
    arrived: int
    retried: int
    db_connection_errors: int
    ws_drops: int
    ws_failed: int
    restarts: int
    in_flight: int
    ws_open: int
    busy: int
    pool_in_use: int
    pool_waiting: int
    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None
    worst: float | None
    memory: float

    @property
    def requests(self) -> int:
        """All that ended: the load balancer's RequestCount and its 503s."""
        return self.ok + self.errors

    @property
    def errors(self) -> int:
        """All that did not end well: 5xx of the target, and unanswered ones as 502, 503 and 504."""
        return self.server_errors + self.db_errors + self.bad_gateway + self.unavailable + self.timed_out

    @property
    def answered(self) -> int:
        return self.ok + self.server_errors + self.db_errors


class EdgePeriod(NamedTuple):
    """The edge over one metric period: attempts that came (``retried`` ones among them) and those answered 429.

    ``arrivals`` are users' requests, ``served`` and ``given_up`` how they ended after all retries.
    """

    attempts: int
    rate_limited: int
    retried: int
    arrivals: int
    served: int
    given_up: int


def period(counts: list[int], stats: list[float]) -> Period:
    """From one colour's rows of ``State.counts`` and ``State.stats``."""
    latencies = [None if math.isnan(value) else value for value in stats[: x.MEMORY]]
    return Period(*counts[: x.RATE_LIMITED], *counts[x.ATTEMPTS :], *latencies, stats[x.MEMORY])  # type: ignore[call-arg]


def edge_period(counts: list[list[int]]) -> EdgePeriod:
    """From the rows of ``State.counts`` of one period."""
    stable, candidate, edge = counts
    return EdgePeriod(
        attempts=edge[x.ARRIVALS] + edge[x.RETRIED],
        rate_limited=edge[x.RATE_LIMITED],
        retried=edge[x.RETRIED],
        arrivals=edge[x.ARRIVALS],
        served=stable[x.OK] + candidate[x.OK],
        given_up=edge[x.GIVEN_UP],
    )


def bucket_bounds() -> NDArray[np.float64]:
    """The lower bounds (s) of the latency histogram's buckets; each is at most 1.6 % wide, 2 s and the like are bounds."""
    k = np.arange(BUCKETS)
    octave, part = np.divmod(k, 1 << SUB_BITS)
    return np.asarray(2.0 ** (octave - 14.0) * (1.0 + part / (1 << SUB_BITS)))


def quantile(histogram: Ints, share: float) -> float | None:
    """The quantile of a latency histogram (s), to a bucket's width; ``None`` if it is empty."""
    total = int(histogram.sum())
    if total == 0:
        return None
    k = int(np.searchsorted(np.cumsum(histogram), max(int(np.ceil(share * total)), 1)))
    bounds = bucket_bounds()
    upper = bounds[k + 1] if k + 1 < len(bounds) else bounds[k]
    return float((bounds[k] + upper) / 2)
