"""Results of queueing theory, without a simulation, where it applies: Poisson traffic, no retries."""

from __future__ import annotations

import math

from simulate.dataplane import Constant, Model
from simulate.studies.capacity.assumptions import Assumptions
from simulate.studies.validation.closed_forms import erlang_c, mmc_response_above

_SIGMA = 0.5  # of both laws of times


def squared_variation(*means: float) -> float:
    """Variance of the sum of such lognormal times, over the square of its mean."""
    spread = math.exp(_SIGMA**2) - 1
    return spread * sum(mean * mean for mean in means) / sum(means) ** 2


def servers_for(rate: float, service: float, within: float, share: float) -> int:
    """Servers of M/M/c with which that share of the responses takes less than ``within``; 0 if none do."""
    if math.exp(-within / service) > 1 - share:
        return 0
    servers = math.floor(rate * service) + 1
    while mmc_response_above(servers, rate, service, within) > 1 - share:
        servers += 1
    return servers


def saturation(assumptions: Assumptions, model: Model) -> dict[str, float]:
    """Requests per minute at which each part is busy all the time, the tightest first."""
    query, work = assumptions.query.mean, assumptions.work.mean
    backend, parallel = model.stable, model.database.parallel
    found = {
        "the backend's slots": 60 * backend.replicas * backend.concurrency / (query + work),
        "the pool's connections": 60 * backend.pool.size / query,
    }
    if parallel:
        found["the queries that PostgreSQL runs at once"] = 60 * parallel / query
    return dict(sorted(found.items(), key=lambda item: item[1]))


def mean_response(assumptions: Assumptions, model: Model, per_minute: float) -> float | None:
    """Seconds: the tightest part as M/G/c (A. O. Allen 1978, J. A. Cunneen), nobody waiting elsewhere.

    ``None`` where it does not apply: no steady state, traffic that is not Poisson, retries.
    """
    query, work = assumptions.query.mean, assumptions.work.mean
    part = next(iter(saturation(assumptions, model)))
    means = (query, work) if "slots" in part else (query,)
    backend = model.stable
    servers = {
        "the backend's slots": backend.replicas * backend.concurrency,
        "the pool's connections": backend.pool.size,
    }.get(part, model.database.parallel)
    service = sum(means)
    load = per_minute / 60 * service
    if load > (1 - 1e-9) * servers or not assumptions.steady or assumptions.values["retries"]:
        return None
    wait = erlang_c(servers, load) * service / (servers - load) * (1 + squared_variation(*means)) / 2
    return query + work + wait


def square_root_staffing(load: float) -> float:
    """Servers with which about a quarter of the arrivals wait (Halfin and Whitt 1981, with a margin of one)."""
    return load + math.sqrt(load)


def hang_limits(model: Model, per_minute: float) -> dict[str, float]:
    """Seconds of a hang after which requests fail, by what fails them; nothing that drains afterwards is in it."""
    backend, per_s = model.stable, per_minute / 60
    slots = backend.replicas * backend.concurrency
    found = {
        "the backlog is full": (slots + backend.backlog) / per_s,
        "clients give up": model.timeout_s,
    }
    wait = backend.pool.wait
    if backend.pool.size < slots and isinstance(wait, Constant):
        found["those who wait for a connection give up"] = backend.pool.size / per_s + wait.seconds
    return dict(sorted(found.items(), key=lambda item: item[1]))
