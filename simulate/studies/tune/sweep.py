"""Rehearses many plans on many releases: on common random numbers, shared where plans act alike, in blocks over workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rollout.plan import Plan
from simulate.dataplane import CANDIDATE, STABLE, DataPlane
from simulate.dataplane.periods import bucket_bounds
from simulate.studies.replication import Interrupted, Job, Rows, Task, run_all
from simulate.studies.replication.job import ALONE, basic
from simulate.studies.tune.cases import Case
from simulate.studies.tune.shared import PlanSet, rehearse_all

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
_SIMULATED, _ASKED = "simulated_s", "asked_s"


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows of each case, with the figures of all plans side by side."""

    cases: tuple[Case, ...]
    rows: tuple[Rows, ...]

    def column(self, case: int, plan: int, figure: str) -> NDArray[np.float64]:
        return self.rows[case].column(f"{plan} {figure}")

    @property
    def replications(self) -> int:
        """Of each case; fewer than were asked for when it was interrupted."""
        return len(self.rows[0].values)

    @property
    def simulated_s(self) -> float:
        """Seconds of the clock that were simulated."""
        return float(sum(rows.column(_SIMULATED).sum() for rows in self.rows))

    @property
    def asked_s(self) -> float:
        """Seconds of the clock that a rehearsal for each plan would have taken."""
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
    """``given`` holds for all cases. Raises ``NoCluster`` or ``Incomplete``; after Ctrl-C it has fewer replications."""
    tasks = [
        Task(
            Job(case.scenario, plans[0], seed, {**given, **case.given}),
            partial(measured, plans=tuple(plans), offset=number * _APART),
        )
        for number, case in enumerate(cases)
    ]
    try:
        rows = run_all(tasks, replications, workers=workers, dask=dask, progress=progress)
    except Interrupted as stopped:
        rows = stopped.rows
    return Sweep(tuple(cases), tuple(rows))


def measured(job: Job, first: int, last: int, *, plans: tuple[Plan, ...], offset: int = 0) -> Rows:
    """A row a replication: the figures of all plans, named ``<number> <figure>``. The job's own plan is not used."""
    names = [f"{plan} {figure}" for plan in range(len(plans)) for figure in FIGURES]
    values = np.zeros((last - first, len(names) + 2))
    with ALONE:
        world, plan_set = job.world(), PlanSet.of(plans)
        for row, replication in enumerate(range(first, last)):
            for ended in rehearse_all(world, plan_set, job.seed, offset + replication, borrow=True):
                found = basic(world, ended.result) | {"slow_requests": slow_requests(ended.plane)}
                figures = [found[name] for name in FIGURES]
                for plan in ended.plans:
                    values[row, plan * len(FIGURES) : (plan + 1) * len(FIGURES)] = figures
                values[row, -2] += ended.result.watched - ended.since
                values[row, -1] += ended.result.watched * len(ended.plans)
    return Rows((*names, _SIMULATED, _ASKED), values)


def slow_requests(plane: DataPlane) -> float:
    """Attempts of both colours that were answered, but later than ``SLOW_S``."""
    late = bucket_bounds() >= SLOW_S
    return float(sum(plane.latency_histogram(colour)[late].sum() for colour in (STABLE, CANDIDATE)))
