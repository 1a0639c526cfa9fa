"""What is rehearsed many times, and what is kept of each run: a row of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rollout.plan import Plan
from rollout.policy.events import Reason
from simulate.controlplane import Rehearsal, RehearsalResult, World, model_for
from simulate.dataplane import CANDIDATE, STABLE, Arrivals, DataPlane, Model
from simulate.scenarios import find

OUTCOMES = (
    "promoted",
    "held",
    "aborted",
    "undone",
)  # the last only where a night goes on after the promotion
BUDGET_MINUTES = 30 * 24 * 60  # an error budget is for 30 days
BUDGET_SHARE = 0.001  # the guide: error rate < 0.1 %
NAN = math.nan
ALONE = Lock()  # a process's data plane is used by one thread at a time


@dataclass(frozen=True, slots=True)
class Job:
    """A scenario with its parameters under a plan. ``arrivals``: a trace in place of the rate."""

    scenario: str
    plan: Plan
    seed: int
    given: Mapping[str, float] = field(default_factory=dict)
    arrivals: Arrivals | None = None

    def world(self) -> World:
        """Raises ``BadParameter`` or ``UnknownScenario``."""
        scenario = find(self.scenario)
        return scenario.world(scenario.values(self.given), self.arrivals)


@dataclass(frozen=True, slots=True)
class Rows:
    """One row of numbers a run, in the order of replications; NaN where a run has none."""

    names: tuple[str, ...]
    values: NDArray[np.float64]

    def column(self, name: str) -> NDArray[np.float64]:
        if name not in self.names:
            return np.full(len(self.values), NAN)
        return self.values[:, self.names.index(name)]


@lru_cache(maxsize=4)
def plane_of(model: Model) -> DataPlane:
    """This process's data plane of a model: made once, restarted for each run."""
    return DataPlane(model, 0)


def rehearsal(job: Job, replication: int, *, listen: bool = False) -> Rehearsal:
    """One rehearsal, not yet run. It borrows this process's data plane: run it before the next is made."""
    world = job.world()
    plane = plane_of(model_for(world.model, job.plan))
    return Rehearsal(world, job.plan, job.seed, replication, plane=plane, listen=listen)


def measure(job: Job, first: int, last: int) -> Rows:
    """Runs the replications from ``first`` to before ``last``; one call at a time, for the threads of a Dask worker."""
    with ALONE:
        return _measured(job, first, last)


def _measured(job: Job, first: int, last: int) -> Rows:
    world, scenario = job.world(), find(job.scenario)
    values = scenario.values(job.given)
    plane = plane_of(model_for(world.model, job.plan))
    rows = []
    for replication in range(first, last):
        result = Rehearsal(world, job.plan, job.seed, replication, plane=plane).run()
        rows.append(
            {**basic(world, result), **first_stage(job.plan, result), **scenario.findings(values, result)}
        )
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    return Rows(names, np.array([[row.get(name, NAN) for name in names] for row in rows]))


def detection(world: World, result: RehearsalResult) -> float:
    """Seconds from when what is wrong began to matter to T+0; NaN when nothing was detected, or before it began.

    It began with the fault or the blackout, but matters only once the candidate has traffic.
    """
    begun = [t for t, _ in result.faults] + [a for a, _ in world.delivery.outages if a <= result.watched]
    if result.detected is None or not begun or result.detected < min(begun):
        return NAN
    traffic = next((t for t, weight in result.weights if weight > 0), 0.0)
    return max(result.detected - max(min(begun), traffic), 0.0)


def basic(world: World, result: RehearsalResult) -> dict[str, float]:
    """What is measured in every scenario. Requests are attempts that reached a colour, over whole metric periods."""
    sides = {
        role: [closed.sides[colour] for closed in result.periods]
        for colour, role in ((STABLE, "stable"), (CANDIDATE, "candidate"))
    }
    requests = {role: float(sum(side.requests for side in found)) for role, found in sides.items()}
    failed = {role: float(sum(side.errors for side in found)) for role, found in sides.items()}
    edges = [closed.edge for closed in result.periods]
    moved = result.detected is not None and result.moved is not None
    per_minute = world.model.arrivals.per_minute
    budget = BUDGET_SHARE * BUDGET_MINUTES * per_minute
    return {
        "outcome": float(OUTCOMES.index(result.outcome)),
        "rolled_back": float(result.rolled_back),
        "detection_s": detection(world, result),
        "rollback_s": (result.moved or 0) - (result.detected or 0) if moved else NAN,
        "requests": sum(requests.values()),
        "failed_requests": sum(failed.values()),
        "requests_candidate": requests["candidate"],
        "failed_requests_stable": failed["stable"],
        "failed_requests_candidate": failed["candidate"],
        "given_up_requests": float(sum(edge.given_up for edge in edges)),
        "rate_limited_requests": float(sum(edge.rate_limited for edge in edges)),
        "error_budget_spent_percent": 100 * sum(failed.values()) / budget if budget else 0.0,
        "duration_s": result.ended,
        "held_s": result.held,
        **after_rollback(result),
    }


def first_stage(plan: Plan, result: RehearsalResult) -> dict[str, float]:
    """How long the first stage lasted until it passed, and whether it had to wait for data after its window."""
    begun = next((t for t, weight in result.weights if weight > 0), NAN)
    passed = next((one.t for one in result.decisions if one.criterion is Reason.STAGE_PASSED), NAN)
    lasted = passed - begun
    late = plan.stages[0].window + plan.health.interval  # the controller looks twice an interval
    return {
        "first_stage_s": lasted,
        "first_stage_extended_percent": NAN if math.isnan(lasted) else 100.0 * (lasted > late),
    }


def after_rollback(result: RehearsalResult) -> dict[str, float]:
    """What still went to the candidate after its weight had fallen, in the whole metric periods begun since.

    ``candidate_drained_s``: from 0 % in force to the end of the last of them with a request for the candidate; 0 if none had.
    """
    fell = next((after[0] for before, after in result.steps if after[1] < before[1]), math.inf)
    gone = next((after[0] for before, after in result.steps if after[1] == 0 < before[1]), math.inf)
    since = [(closed.start, closed.sides[CANDIDATE]) for closed in result.periods if closed.start >= fell]
    served = [start for start, side in since if start >= gone and side.requests]
    period = result.periods[1].start - result.periods[0].start if len(result.periods) > 1 else 0.0
    drained = max(served) + period - gone if served else 0.0
    return {
        "failed_requests_after_rollback": float(sum(side.errors for _, side in since)) if since else NAN,
        "candidate_drained_s": NAN if gone == math.inf else drained,
    }
