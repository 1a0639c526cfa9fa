"""Speeds of the simulator on one core: the data plane, its oracle, a bare recursion, and whole rehearsals.

All speeds are per second of processor time, so that other work on the machine counts less. Each is the best of several
runs, because disturbances only ever slow a run down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rollout.plan import load_plan
from simulate.dataplane import Backend, Constant, DataPlane, Law, Model, Poisson
from simulate.dataplane.oracle import Oracle
from simulate.dataplane.streams import keys
from simulate.studies.replication import Job, measure
from tools.bench.recursion import mean_wait

PER_MINUTE = 60_000.0
AIMS = {"kernel_requests_per_s": 5e6, "ratio": 100.0, "rehearsals_per_s": 200.0}
_SERVERS, _BUSY = 50, 0.9  # of the bare recursion

Progress = Callable[[str], None]


def busy_model() -> Model:
    """The default deployment with replicas for 60,000 requests a minute: half of it busy, half of the traffic each."""
    backend = Backend(replicas=10)
    return Model(Poisson(PER_MINUTE), stable=backend, candidate=backend)


def rehearsals(seed: int) -> Job:
    """A healthy release under the guide's plan at 1,000 requests a minute: 13 minutes and more, till it is promoted."""
    return Job("healthy", load_plan("phase-c"), seed)


def speed(run: Callable[[], int], repeats: int) -> float:
    """The count that ``run`` returns, per second of processor time; the best of so many runs."""
    best = 0.0
    for _ in range(repeats):
        begun = time.process_time()
        n = run()
        best = max(best, n / (time.process_time() - begun))
    return best


def _advance(plane: DataPlane | Oracle, minutes: float) -> Callable[[], int]:
    """Warms the plane up; each call of the result advances it by so many minutes and returns how many requests arrived."""
    plane.weight = 50
    plane.advance(1.0)

    def run() -> int:
        begin, first = plane.now, plane.arrivals
        plane.advance(begin + 60.0 * minutes)
        return plane.arrivals - first

    return run


def bench(
    *, seed: int = 1, scale: float = 1.0, repeats: int = 5, progress: Progress = lambda what: None
) -> dict[str, float]:
    """Requests per second of kernel, oracle and bare recursion, the ratio of the first two, and rehearsals per second.

    Kernel and oracle run the same model, ``busy_model``. ``scale`` 1 takes about 3 s a repeat; compilation is done
    before and not measured.
    """
    progress("compilation, if the sources have changed")
    model, job = busy_model(), rehearsals(seed)
    DataPlane(model, seed).advance(1.0)
    mean_wait(np.zeros(_SERVERS), 10, 1.0, 1.0, keys(seed))
    measure(job, 0, 1)
    progress("kernel")
    kernel = speed(_advance(DataPlane(model, seed), 20 * scale), repeats)
    progress("oracle")
    oracle = speed(_advance(Oracle(model, seed), 0.5 * scale), repeats)
    progress("bare recursion")
    n = int(3_000_000 * scale)

    def recursion() -> int:
        mean_wait(np.zeros(_SERVERS), n, _SERVERS * _BUSY, 1.0, keys(seed))
        return n

    bare = speed(recursion, repeats)
    progress("rehearsals")
    runs = max(round(100 * scale), 1)

    def rehearse() -> int:
        return len(measure(job, 0, runs).values)

    return {
        "kernel_requests_per_s": kernel,
        "oracle_requests_per_s": oracle,
        "ratio": kernel / oracle,
        "rehearsals_per_s": speed(rehearse, repeats),
        "bare_recursion_requests_per_s": bare,
    }


def request_costs(*, seed: int = 1, scale: float = 1.0, repeats: int = 5) -> dict[str, float]:
    """Nanoseconds a request of the kernel at 60,000 a minute, and of variants with one part left out."""
    model = busy_model()

    def cost(changed: Model) -> float:
        return 1e9 / speed(_advance(DataPlane(changed, seed), 20 * scale), repeats)

    def with_times(query: Law, work: Law) -> Model:
        backend = replace(model.stable, query=query, work=work)
        return replace(model, stable=backend, candidate=backend)

    query, work = model.stable.query, model.stable.work
    quiet = replace(model, arrivals=Poisson(PER_MINUTE / 60))
    return {
        "as it is": cost(model),
        "times constant: no logarithm, no exponential": cost(
            with_times(Constant(query.mean), Constant(work.mean))
        ),
        "no work of the backend after the query": cost(with_times(query, Constant(0.0))),
        "no rate limit": cost(replace(model, rate_limit=None)),
        "at 1,000 requests a minute: no deep heap": 1e9
        / speed(_advance(DataPlane(quiet, seed), 1200 * scale), repeats),
    }
