"""How fast the data plane is, on one core, without the rehearsals; no command calls it yet.

All speeds are requests per second of processor time, so that other work on the machine counts less.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from simulate.dataplane import Backend, DataPlane, Model, Poisson
from simulate.dataplane.oracle import Oracle
from simulate.dataplane.recursion import mean_wait
from simulate.dataplane.streams import keys

PER_MINUTE = 60_000.0
_SERVERS, _BUSY = 50, 0.9  # of the bare recursion


def busy_model() -> Model:
    """The default deployment with replicas for 60,000 requests a minute: half of it busy, half of the traffic each."""
    backend = Backend(replicas=10)
    return Model(Poisson(PER_MINUTE), stable=backend, candidate=backend)


def _speed(run: Callable[[], int], repeats: int) -> float:
    """The best of some runs: of what disturbs a measurement, nothing makes it faster."""
    best = 0.0
    for _ in range(repeats):
        begun = time.process_time()
        n = run()
        best = max(best, n / (time.process_time() - begun))
    return best


def _advance(plane: DataPlane | Oracle, minutes: float) -> Callable[[], int]:
    """The plane with its traffic in full flow, to be run for so many minutes on end."""
    plane.weight = 50
    plane.advance(1.0)

    def run() -> int:
        begin, first = plane.now, plane.arrivals
        plane.advance(begin + 60.0 * minutes)
        return plane.arrivals - first

    return run


def bench(*, seed: int = 1, scale: float = 1.0, repeats: int = 3) -> dict[str, float]:
    """Requests per second of kernel, oracle and bare recursion, and the ratio of the first two on the same model.

    ``scale`` 1 takes about 10 s; compilation is done before and not measured.
    """
    model = busy_model()
    DataPlane(model, seed).advance(1.0)
    mean_wait(np.zeros(_SERVERS), 10, 1.0, 1.0, keys(seed))
    kernel = _speed(_advance(DataPlane(model, seed), 20 * scale), repeats)
    oracle = _speed(_advance(Oracle(model, seed), 0.5 * scale), repeats)
    n = int(3_000_000 * scale)

    def recursion() -> int:
        mean_wait(np.zeros(_SERVERS), n, _SERVERS * _BUSY, 1.0, keys(seed))
        return n

    return {
        "kernel_requests_per_s": kernel,
        "oracle_requests_per_s": oracle,
        "ratio": kernel / oracle,
        "bare_recursion_requests_per_s": _speed(recursion, repeats),
    }
