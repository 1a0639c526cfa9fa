"""Rehearses many plans on many releases: on common random numbers, shared where plans do the same, in blocks over workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rollout.plan import Plan
from simulate.dataplane import CANDIDATE, STABLE, DataPlane
from simulate.dataplane.periods import bucket_bounds
from simulate.studies.replication import Job, Rows, run
from simulate.studies.replication.job import ALONE, basic
from simulate.studies.tune.cases import Case
from simulate.studies.tune.shared import Troupe, together

SLOW_S = 2.0  # the guide's P95 limit: an answer later than this hurts
FIGURES = (
    "outcome",
    "rolled_back",
    "detection_s",
    "failed_requests",
    "rate_limited_requests",
    "slow_requests",
    "duration_s",
)
_APART = 1_000_000  # replications: so far are the cases from each other, so that their luck is independent
_WALKED, _ASKED = "walked_s", "asked_s"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows of each case; ``plans`` of them side by side."""

    cases: tuple[Case, ...]
    rows: tuple[Rows, ...]

    def column(self, case: int, plan: int, figure: str) -> NDArray[np.float64]:
        return self.rows[case].column(f"{plan} {figure}")

    @property
    def walked_s(self) -> float:
        """Simulated seconds that were run through."""
        return float(sum(rows.column(_WALKED).sum() for rows in self.rows))

    @property
    def asked_s(self) -> float:
        """Simulated seconds of a rehearsal for each plan."""
        return float(sum(rows.column(_ASKED).sum() for rows in self.rows))


def sweep(
    plans: Sequence[Plan],
    cases: Sequence[Case],
    replications: int,
    *,
    seed: int,
    given: Mapping[str, float],
    workers: int = 1,
    dask: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Sweep:
    """``given`` holds for all cases. Raises ``NoCluster`` or ``Incomplete``."""
    rows = [
        run(
            Job(case.scenario, plans[0], seed, {**given, **case.given}),
            replications,
            workers=workers,
            dask=dask,
            progress=progress,
            measure=partial(measured, plans=tuple(plans), offset=number * _APART),
        )
        for number, case in enumerate(cases)
    ]
    return Sweep(tuple(cases), tuple(rows))


def measured(job: Job, first: int, last: int, *, plans: tuple[Plan, ...], offset: int = 0) -> Rows:
    """A row a replication: the figures of all plans, named ``<number> <figure>``. The job's own plan is not looked at."""
    names = [f"{plan} {figure}" for plan in range(len(plans)) for figure in FIGURES]
    values = np.zeros((last - first, len(names) + 2))
    with ALONE:
        world, troupe = job.world(), Troupe.of(plans)
        for row, replication in enumerate(range(first, last)):
            for ended in together(world, troupe, job.seed, offset + replication, borrow=True):
                found = basic(world, ended.record) | {"slow_requests": slow_requests(ended.plane)}
                figures = [found[name] for name in FIGURES]
                for plan in ended.plans:
                    values[row, plan * len(FIGURES) : (plan + 1) * len(FIGURES)] = figures
                values[row, -2] += ended.record.watched - ended.since
                values[row, -1] += ended.record.watched * len(ended.plans)
    return Rows((*names, _WALKED, _ASKED), values)


def slow_requests(plane: DataPlane) -> float:
    """Attempts of both colours that were answered, but later than ``SLOW_S``."""
    late = bucket_bounds() >= SLOW_S
    return float(sum(plane.latency_histogram(colour)[late].sum() for colour in (STABLE, CANDIDATE)))
