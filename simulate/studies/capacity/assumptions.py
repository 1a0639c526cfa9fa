"""What a planner assumes: the load, what a request takes, what must hold; and the data plane's model made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulate.dataplane import (
    Arrivals,
    Backend,
    Bursty,
    Constant,
    Database,
    LogNormal,
    Model,
    Poisson,
    Pool,
    Retries,
    Trace,
)
from simulate.scenarios import BadParameter, Parameter
from simulate.scenarios.scenario import COMMON

MINUTES = 5  # measured in each run
LEAST = 1.0  # requests per minute
AMPLE = 100_000  # connections: as if there were no limit

# Those that scenarios have, too.
_SHARED = (
    "rate_per_minute",
    "variance_to_mean",
    "retries",
    "retry_budget",
    "timeout_s",
    "slots",
    "query_ms",
    "work_ms",
    "pool_wait_s",
    "parallel_queries",
)
_COMMON = {one.name: one for one in COMMON}

PARAMETERS = (
    *(_COMMON[name] for name in _SHARED),
    Parameter("p95_ms", 500, "ms", "in which 95 % of the requests must be answered (the guide's)", 0.001, 3.6e6),
    Parameter("losses_percent", 0.1, "%", "of the requests that may fail, at most", 1e-6, 100),
    Parameter("spare", 1, "replicas", "of a colour, and pgbouncers, that may be down", 0, 99, whole=True),
    Parameter("pgbouncers", 2, "pgbouncers", "of each colour", 1, 10, whole=True),
    Parameter("reserve", 20, "connections", "for superusers (3), migrations, monitoring, people", 3, 1e4, whole=True),
    Parameter("hang_s", 0, "s", "for which queries may hang without a failed request; 0: not asked", 0, 3600),
    Parameter("busiest_percent", 30, "%", "of the requests that one address sends, the busiest", 1e-6, 100),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assumptions:
    """All parameters by name, and the traffic: of their rate, or the busiest stretch of a trace."""

    values: Mapping[str, float]
    arrivals: Arrivals

    @classmethod
    def of(cls, given: Mapping[str, float], trace: Trace | None = None) -> Assumptions:
        """Raises :class:`BadParameter`."""
        known = {one.name: one for one in PARAMETERS}
        if unknown := [name for name in given if name not in known]:
            raise BadParameter(f"'{unknown[0]}' is not assumed here: what is: {', '.join(known)}")
        values = {name: one.check(given.get(name, one.default)) for name, one in known.items()}
        rate, ratio = values["rate_per_minute"], values["variance_to_mean"]
        if trace is not None:
            arrivals: Arrivals = busiest(trace, MINUTES)
        else:
            arrivals = Bursty(rate, ratio) if ratio > 1 else Poisson(rate)
        if arrivals.per_minute < LEAST:
            whose = "'rate_per_minute'" if trace is None else "the busiest stretch of the trace"
            raise BadParameter(
                f"{whose} is {arrivals.per_minute:g} requests/min: in {MINUTES} minutes that is too little to measure; "
                f"it takes {LEAST:g} or more"
            )
        return cls(values, arrivals)

    @property
    def per_minute(self) -> float:
        """Users' requests."""
        return self.arrivals.per_minute

    @property
    def steady(self) -> bool:
        """Whether the traffic is Poisson at one rate."""
        return isinstance(self.arrivals, Poisson)

    @property
    def query(self) -> LogNormal:
        return LogNormal(self.values["query_ms"] / 1000, 0.5)

    @property
    def work(self) -> LogNormal:
        return LogNormal(self.values["work_ms"] / 1000, 0.5)

    def model(self, replicas: int, pool: int = AMPLE) -> Model:
        """One colour with so many replicas and connections in all its pgbouncers carries everything; no rate limit."""
        values = self.values
        backend = Backend(
            replicas=replicas,
            concurrency=int(values["slots"]),
            query=self.query,
            work=self.work,
            pool=Pool(pool, wait=Constant(values["pool_wait_s"])),
        )
        return Model(
            arrivals=self.arrivals,
            rate_limit=None,
            retries=Retries(most=int(values["retries"]), budget=values["retry_budget"]),
            stable=backend,
            candidate=replace(backend, replicas=1),
            database=Database(2 * pool, int(values["parallel_queries"])),
            timeout_s=values["timeout_s"],
        )


def busiest(trace: Trace, minutes: float) -> Arrivals:
    """The stretch of the trace, about so long, in which most requests came."""
    n = min(max(math.ceil(60 * minutes / trace.interval_s), 1), len(trace.counts))
    sums = [sum(trace.counts[k : k + n]) for k in range(len(trace.counts) - n + 1)]
    begin = sums.index(max(sums))
    return Trace(trace.counts[begin : begin + n], trace.interval_s)


def share_of(arrivals: Arrivals, share: float) -> Arrivals:
    """The requests of a client that sends this share of all: what is left of them if each stays with that chance."""
    match arrivals:
        case Poisson(rate):
            return Poisson(rate * share)
        case Bursty(rate, ratio, interval_s):
            return Bursty(rate * share, 1.0 + (ratio - 1.0) * share, interval_s)
        case Trace(counts, interval_s):
            return Trace(tuple(count * share for count in counts), interval_s)
