"""The table of ``simulate validate``: each line a known answer, the simulator's, and whether they agree.

A line passes if the known answer lies in the interval of the replications' means and that interval is narrow enough to
mean something. The level is high because there are many lines: a right simulator fails one in a thousand per line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from simulate.dataplane import (
    CANDIDATE,
    FOREVER,
    STABLE,
    Backend,
    Bursty,
    Constant,
    Database,
    DataPlane,
    Exponential,
    Law,
    LogNormal,
    Model,
    Period,
    Poisson,
    Pool,
)
from simulate.dataplane.periods import bucket_bounds
from simulate.studies.validation import closed_forms as known
from simulate.studies.validation.agreement import disagreements

LEVEL = 0.999
NARROW = 0.1  # the widest half interval that is worth comparing, as a share of the known answer
_ROOM = 100_000  # servers, where there is to be no queue
_WARM_UP = 2  # periods that are not counted


@dataclass(frozen=True, slots=True)
class Check:
    """One line. ``low`` and ``high`` bound the simulator's answer, at ``LEVEL``; ``unit`` is that of all numbers."""

    name: str
    known: float
    simulated: float
    low: float
    high: float
    unit: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A model with a known answer: ``measure`` reads it off a finished run of ``hours`` (for ``effort`` 1)."""

    name: str
    model: Model
    known: float
    measure: Callable[[DataPlane], float]
    unit: str
    weight: float = 0.0
    hours: float = 0.5


# --- what is read off a run


def _stable(plane: DataPlane) -> list[Period]:
    return [plane.period(n, STABLE) for n in range(_WARM_UP, plane.periods)]


def _share_of(outcome: str) -> Callable[[DataPlane], float]:
    def measure(plane: DataPlane) -> float:
        periods = _stable(plane)
        return float(sum(getattr(p, outcome) for p in periods) / sum(p.requests for p in periods))

    return measure


def _response(plane: DataPlane) -> float:
    periods = [p for p in _stable(plane) if p.mean is not None]
    return sum((p.mean or 0.0) * p.answered for p in periods) / sum(p.answered for p in periods)


def _share_above(seconds: float) -> Callable[[DataPlane], float]:
    first = int(np.searchsorted(bucket_bounds(), seconds))

    def measure(plane: DataPlane) -> float:
        histogram = plane.latency_histogram(STABLE)
        return float(histogram[first:].sum() / histogram.sum())

    return measure


def _littles_ratio(plane: DataPlane) -> float:
    """Mean number in flight, seen at the periods' ends, over arrival rate times mean response."""
    periods = _stable(plane)
    rate = sum(p.arrived for p in periods) / (len(periods) * plane.model.period_s)
    return float(np.mean([p.in_flight for p in periods])) / (rate * _response(plane))


def _alarms(limit: float) -> Callable[[DataPlane], float]:
    def measure(plane: DataPlane) -> float:
        periods = [plane.period(n, CANDIDATE) for n in range(_WARM_UP, plane.periods)]
        return sum(p.errors > limit * p.requests for p in periods) / len(periods)

    return measure


def _candidates_percent(plane: DataPlane) -> float:
    arrived = [sum(plane.period(n, c).arrived for n in range(plane.periods)) for c in (STABLE, CANDIDATE)]
    return 100.0 * arrived[CANDIDATE] / sum(arrived)


def _variance_to_mean(plane: DataPlane) -> float:
    arrivals = [plane.edge(n).arrivals for n in range(plane.periods)]
    return float(np.var(arrivals, ddof=1) / np.mean(arrivals))


# --- the cases


def _queue(
    query: Law, *, rate: float = 100.0, slots: int = _ROOM, backlog: int = 0, pool: Pool | None = None, parallel: int = 0
) -> Model:  # fmt: skip
    """One queue of the whole: ``rate`` requests a second, everything else out of the way."""
    plenty = Pool(_ROOM, 10 * _ROOM, FOREVER)
    backend = Backend(1, slots, backlog, query, Constant(0.0), pool=pool or plenty)
    return Model(
        Poisson(60.0 * rate),
        rate_limit=None,
        stable=backend,
        candidate=backend,
        database=Database(2 * _ROOM, parallel),
        timeout_s=math.inf,
        period_s=1.0,
    )


def cases() -> Iterator[Case]:
    """All closed forms, each on the part of the data plane that it describes."""
    mean, many = 0.08, 10_000_000
    service = Exponential(mean)
    lost = known.erlang_b(10, 100 * mean)
    for law, name in ((service, "exponential"), (LogNormal(mean / math.exp(0.5), 1.0), "lognormal")):
        model = _queue(law, slots=10)
        yield Case(f"Erlang B, {name}: lost", model, lost, _share_of("bad_gateway"), "share")
    for place, model in (
        ("slots", _queue(service, slots=10, backlog=many)),
        ("pool", _queue(service, pool=Pool(10, many, FOREVER))),
        ("database", _queue(service, parallel=10)),
    ):
        yield Case(f"Erlang C, {place}: response", model, known.mmc_response(10, 100, mean), _response, "s")
    above = known.mmc_response_above(10, 100, mean, 0.25)
    model = _queue(service, pool=Pool(10, many, FOREVER))
    yield Case("Erlang C, pool: above 0.25 s", model, above, _share_above(0.25), "share")
    model = replace(model, timeout_s=0.25)
    yield Case("Erlang C, pool: timed out at 0.25 s", model, above, _share_of("timed_out"), "share")
    model = replace(_queue(service), stable=replace(_queue(service).stable, work=service))
    both = known.two_exponentials_above(mean, 0.25)
    yield Case("query and work: above 0.25 s", model, both, _share_above(0.25), "share")
    full, inside = known.mmck(10, 20, 100 * 0.095)
    model = _queue(Exponential(0.095), slots=10, backlog=10)
    yield Case("M/M/c/K: turned away", model, full, _share_of("bad_gateway"), "share")
    yield Case("M/M/c/K: response", model, inside / (100 * (1 - full)), _response, "s")
    left, _ = known.erlang_a(10, 100, 0.095, 0.2)
    model = _queue(Exponential(0.095), pool=Pool(10, many, Exponential(0.2)))
    yield Case("Erlang A: left the pool's queue", model, left, _share_of("db_errors"), "share")
    sigma, busy = 0.8, 0.7
    law = LogNormal(busy / 100 / math.exp(sigma**2 / 2), sigma)
    khinchine = known.mg1_response(100, busy / 100, (busy / 100) ** 2 * math.exp(sigma**2))
    yield Case("M/G/1, one slot: response", _queue(law, slots=1, backlog=many), khinchine, _response, "s")
    yield Case("M/G/1, one query: response", _queue(law, parallel=1), khinchine, _response, "s")
    model = Model(Poisson(60_000), stable=Backend(replicas=10), period_s=1.0, rate_limit=None)
    yield Case("Little's law, all parts", model, 1.0, _littles_ratio, "ratio", hours=0.05)
    model = Model(Poisson(1000), candidate=Backend(error_share=0.002))
    alarm = known.false_alarm(50, 0.002, 0.01)
    yield Case("alarm of a healthy 5 % stage", model, alarm, _alarms(0.01), "share", weight=5, hours=24)
    yield Case("requests at weight 5", model, 5.0, _candidates_percent, "percent", weight=5, hours=4)
    model = Model(Bursty(6000, 20, 10.0), period_s=10.0, rate_limit=None)
    yield Case("bursts: variance / mean", model, 20.0, _variance_to_mean, "ratio", hours=1)


def examine(
    case: Case, *, effort: float = 1.0, replications: int = 20, seed: int = 1, narrow: float = NARROW
) -> Check:
    """Runs a case's replications and compares; ``effort`` scales their length."""
    plane = DataPlane(case.model, seed)
    values = []
    for replication in range(replications):
        plane.restart(seed, replication)
        plane.weight = case.weight
        plane.advance(max(case.hours * effort * 3600.0, 5 * case.model.period_s))
        values.append(case.measure(plane))
    mean = float(np.mean(values))
    half = float(stdtrit(replications - 1, (1 + LEVEL) / 2) * np.std(values, ddof=1)) / math.sqrt(
        replications
    )
    passed = abs(mean - case.known) <= half <= narrow * case.known
    return Check(case.name, case.known, mean, mean - half, mean + half, case.unit, passed)


def validate(
    *, effort: float = 1.0, seed: int = 1, progress: Callable[[str], None] = lambda _: None
) -> list[Check]:
    """All lines; ``progress`` receives the name of each before it runs. About 15 s on one core for ``effort`` 1."""
    table = []
    for case in cases():
        progress(case.name)
        table.append(examine(case, effort=effort, seed=seed))
    progress("oracle = kernel")
    found = float(disagreements(seed, nights=20))
    return [*table, Check("oracle = kernel: differences", 0.0, found, found, found, "count", found == 0)]
