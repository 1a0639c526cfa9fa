"""Runs of a model with all of its traffic on one colour: latencies and losses with their intervals over the runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass

import joblib
import numpy as np
from numpy.typing import NDArray

from simulate.dataplane import STABLE, Model
from simulate.dataplane.layout import Ints
from simulate.dataplane.periods import bucket_bounds
from simulate.studies.capacity.assumptions import MINUTES
from simulate.studies.replication import Estimate, estimate
from simulate.studies.replication.job import plane_of

WARM_UP = 1  # metric periods
_BLOCK = 5  # runs that a worker takes at once
_COLUMNS = ("p50", "p95", "p99", "mean", "lost", "failed", "limited", "answered_per_minute")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A model, its traffic times ``factor``; with ``hang_s`` its queries hang after the warm-up, for so long."""

    model: Model
    factor: float = 1.0
    hang_s: float = 0.0
    minutes: int = MINUTES


@dataclass(frozen=True, slots=True)
class Measured:
    """Of some runs: latency quantiles and mean (s), and what was lost and rate limited (shares of the requests).

    ``failed`` are requests of a run, the warm-up included. A latency is ``None`` if nothing was answered.
    """

    p50: Estimate | None
    p95: Estimate | None
    p99: Estimate | None
    mean: Estimate | None
    lost: Estimate
    failed: Estimate
    limited: Estimate
    answered_per_minute: Estimate
    worst: float  # failed requests of the worst run

    def within(self, p95_s: float, losses: float) -> bool:
        """Whether both are below their limits with the upper ends of their 95 % intervals."""
        return self.p95 is not None and _upper(self.p95) < p95_s and _upper(self.lost) < losses


def _upper(found: Estimate) -> float:
    return found.mean if found.high is None else found.high


class Died(Exception):
    """A worker process died; the message says what to do."""


class Runner:
    """Measures cases on so many processes: the same numbers for any number of them. At least two runs a case.

    ``found``: what has been measured of single sizes, by their names, for who interrupts a search.
    """

    def __init__(
        self, seed: int, replications: int, workers: int = 1, progress: Progress = lambda what: None
    ) -> None:
        self.seed, self.replications, self.progress = seed, replications, progress
        self.found: dict[str, Measured] = {}
        self._parallel = joblib.Parallel(n_jobs=workers) if workers > 1 else None

    def measure(self, cases: Sequence[Case]) -> list[Measured]:
        """Each case, in order."""
        blocks = [
            (case, self.seed, first, min(first + _BLOCK, self.replications))
            for case in cases
            for first in range(0, self.replications, _BLOCK)
        ]
        try:
            if self._parallel is None:
                done = [_runs(*block) for block in blocks]
            else:
                done = self._parallel(joblib.delayed(_runs)(*block) for block in blocks)
        except BrokenExecutor:
            raise Died("a worker died: use fewer --workers, or look for memory") from None
        each = -(-self.replications // _BLOCK)
        return [_measured(np.concatenate(done[k : k + each])) for k in range(0, len(done), each)]

    def one(self, case: Case, name: str) -> Measured:
        self.found[name] = self.measure([case])[0]
        return self.found[name]


def _measured(rows: NDArray[np.float64]) -> Measured:
    found = {name: estimate(rows[:, k]) for k, name in enumerate(_COLUMNS)}
    return Measured(**found, worst=float(rows[:, _COLUMNS.index("failed")].max()))  # type: ignore[arg-type]


def _runs(case: Case, seed: int, first: int, last: int) -> NDArray[np.float64]:
    """One row a run, in the order of ``_COLUMNS``."""
    plane = plane_of(case.model)
    rows = []
    for replication in range(first, last):
        plane.restart(seed, replication)
        if case.factor != 1.0:
            plane.set_traffic(case.factor)
        period = case.model.period_s
        begin = WARM_UP * period
        end = begin + 60.0 * case.minutes
        plane.advance(begin)
        before = plane.latency_histogram(STABLE)
        if case.hang_s:
            plane.switch(STABLE, hung=1)
            plane.advance(begin + case.hang_s)
            plane.switch(STABLE, hung=0)
            end += case.hang_s + case.model.timeout_s  # until the last that waited has its answer, or none
        plane.advance(math.ceil(end / period) * period)
        latencies = plane.latency_histogram(STABLE) - before
        edges = [plane.edge(n) for n in range(plane.periods)]
        measured = edges[WARM_UP:]
        sides = [plane.period(n, STABLE) for n in range(WARM_UP, plane.periods)]
        answered = sum(side.answered for side in sides)
        lost, served = sum(e.given_up for e in measured), sum(e.served for e in measured)
        total = sum((side.mean or 0.0) * side.answered for side in sides)
        attempts, limited = sum(e.attempts for e in measured), sum(e.rate_limited for e in measured)
        quantiles = [_quantile(latencies, share) for share in (0.5, 0.95, 0.99)]
        rows.append(
            [
                *quantiles,
                total / answered if answered else np.nan,
                lost / (lost + served) if lost + served else 0.0,
                sum(edge.given_up for edge in edges),
                limited / attempts if attempts else 0.0,
                60.0 * served / (len(measured) * period),
            ]
        )
    return np.array(rows)


def _quantile(histogram: Ints, share: float) -> float:
    """Seconds; within a bucket (1.6 % wide) as if its latencies were spread evenly. NaN if nothing was answered."""
    reached = np.cumsum(histogram)
    if reached[-1] == 0:
        return np.nan
    bounds = bucket_bounds()
    rank = share * reached[-1]
    k = int(np.searchsorted(reached, rank))
    if k + 1 >= len(bounds):
        return float(bounds[k])
    part = (rank - (reached[k] - histogram[k])) / histogram[k]
    return float(bounds[k] + part * (bounds[k + 1] - bounds[k]))
