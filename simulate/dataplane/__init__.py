"""The data plane of the simulator: who asks, and what stands behind the load balancer, request by request.

Written twice over one model. ``DataPlane`` is compiled and fast; ``oracle.Oracle`` is plain SimPy, a process per
request, and reads as the specification. On the same seed both give the same fate to every request.

A control plane advances it from one of its events to the next, and switches things in between:

    >>> from simulate.dataplane import CANDIDATE, STABLE, DataPlane, Model, Poisson
    >>> plane = DataPlane(Model(arrivals=Poisson(per_minute=1000)), seed=7)
    >>> plane.weight = 5                                  # percent of new requests to the candidate
    >>> plane.watch_probes(every_s=5, first_s=5)
    >>> plane.advance(60)                                 # to the end of the first metric period
    60
    >>> plane.switch(CANDIDATE, error_share=0.2)          # a fault, from now on
    >>> plane.advance(120)
    120
    >>> candidate, edge = plane.period(1, CANDIDATE), plane.edge(1)
    >>> candidate.requests, candidate.errors, edge.arrivals
    (46, 7, 1016)
    >>> plane.switch(CANDIDATE, deep_fails=1)
    >>> plane.advance(180), plane.failed_probes(CANDIDATE)  # comes back early: a probe round failed
    (125.0, ('deep',))
    >>> other = plane.copy()                              # two futures of one past
    >>> other.weight = 0
    >>> other.advance(126), plane.now
    (126, 125.0)
"""

from simulate.dataplane.arrivals import HIGHEST_RATE, Arrivals, BadTrace, Bursty, Poisson, Trace
from simulate.dataplane.laws import FOREVER, Constant, Empirical, Exponential, Law, LogNormal
from simulate.dataplane.model import (
    CANDIDATE,
    COLOURS,
    STABLE,
    Backend,
    Clients,
    Database,
    Memory,
    Model,
    Pool,
    RateLimit,
    Retries,
    WebSockets,
)
from simulate.dataplane.periods import EdgePeriod, Period
from simulate.dataplane.plane import DataPlane
from simulate.dataplane.switches import SWITCHES

__all__ = [
    "CANDIDATE",
    "COLOURS",
    "FOREVER",
    "HIGHEST_RATE",
    "STABLE",
    "SWITCHES",
    "Arrivals",
    "Backend",
    "BadTrace",
    "Bursty",
    "Clients",
    "Constant",
    "DataPlane",
    "Database",
    "EdgePeriod",
    "Empirical",
    "Exponential",
    "Law",
    "LogNormal",
    "Memory",
    "Model",
    "Period",
    "Poisson",
    "Pool",
    "RateLimit",
    "Retries",
    "Trace",
    "WebSockets",
]
