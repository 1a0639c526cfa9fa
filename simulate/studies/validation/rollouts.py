"""The simulator's rollouts under the lab's circumstances: its scaled plan, its publication of metrics, its faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rollout.plan import Plan, load_plan
from rollout.policy.events import Traffic
from simulate.controlplane import Delivery, Fault, Rehearsal, Switch, World
from simulate.controlplane.world import STACK_UPDATE
from simulate.dataplane import (
    CANDIDATE,
    Clients,
    Constant,
    DataPlane,
    Empirical,
    Law,
    Model,
    Poisson,
)
from simulate.lab.faults import FAULTS
from simulate.studies.validation.lab_model import DATABASE, backend
from simulate.studies.validation.measurement import Fit, Measurement, Releases

RUNS = 100
PUBLICATION_DELAY_S, PUBLICATION_LOOK_S = (
    90.0,
    1.0,
)  # before scaling; not scaled: as simulate.lab.load_balancer.agent
POOL, QUERY_WAIT_S = 50, 5.0  # as it is deployed


@dataclass(frozen=True, slots=True)
class Predicted:
    """Seconds from the fault to the decision and from there to the moved traffic, of each run that had them."""

    measured: Releases
    period_s: float
    detection_s: NDArray[np.float64]
    rollback_s: NDArray[np.float64]


def predicted_rollouts(
    measurement: Measurement,
    laws: Fit,
    *,
    seed: int,
    runs: int = RUNS,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Predicted]:
    """One for each fault that was measured. Updates take what they take in the scenarios."""
    plan = load_plan(measurement.plan).scaled(measurement.time_scale)
    for releases in measurement.releases:
        progress(f"lab: rollouts with {releases.fault}")
        world = _world(measurement, laws, releases.fault)
        plane: DataPlane | None = None
        rows = []
        for run in range(runs):
            rehearsal = Rehearsal(world, plan, seed, run, plane=plane, listen=True)
            plane = rehearsal.plane
            rows.append(_times(rehearsal))
        detection, rollback = np.array(rows).T
        yield Predicted(
            releases, plan.metrics.period, detection[~np.isnan(detection)], rollback[~np.isnan(rollback)]
        )


def _times(rehearsal: Rehearsal) -> tuple[float, float]:
    result = rehearsal.run()
    began = next((e.t for e in result.events if isinstance(e, Traffic) and e.weight > 0), np.nan)
    decided = np.nan if result.decided is None else result.decided
    moved = np.nan if result.moved is None else result.moved
    return decided - began, moved - decided


def _world(measurement: Measurement, laws: Fit, fault: str) -> World:
    colour = backend(measurement.replicas, laws.database, laws.rest, POOL, QUERY_WAIT_S)
    model = Model(
        Poisson(60 * measurement.rate),
        Clients(30),
        rate_limit=None,
        stable=colour,
        candidate=colour,
        database=DATABASE,
    )
    delay = PUBLICATION_DELAY_S / measurement.time_scale
    balancer = Empirical.from_samples([delay, delay + PUBLICATION_LOOK_S])
    changes, after = _fault(fault, measurement)
    return World(
        model=model,
        faults=(Fault(FAULTS[fault].sentence, 0.0, (Switch(CANDIDATE, changes),), after),),
        delivery=Delivery(balancer, Constant(0.0), balancer),
    )


def _fault(name: str, measurement: Measurement) -> tuple[Mapping[str, float], Law]:
    """What the lab's fault is in the data plane, and how long after the rollout's start it begins."""
    environment = FAULTS[name].env
    match name:
        case "errors-5pct":
            return {"error_share": float(environment["FAULT_ERROR_RATE"])}, Constant(0.0)
        case "slow-queries":
            return {"query_added_s": float(environment["FAULT_PG_SLEEP_S"])}, Constant(0.0)
        case "targets-unreachable":
            return {"unreachable_share": 1.0}, Constant(0.0)
        case "failing-probe":
            return {"deep_fails": 1.0}, _after_requests(int(environment["FAULT_AFTER_REQUESTS"]), measurement)
    raise ValueError(f"no prediction for the fault {name}")


def _after_requests(number: int, measurement: Measurement) -> Law:
    """The first update, and then until the last replica has had so many requests of the first stage's share.

    Probes go to the replicas in turn, and three rounds in a row must fail: so it takes all of them.
    """
    plan: Plan = load_plan(measurement.plan)
    share = plan.stages[0].weight / 100
    rate = measurement.rate * share / measurement.replicas
    chance = np.random.default_rng(378)
    waits = chance.gamma(number, 1 / rate, size=(4000, measurement.replicas)).max(axis=1)
    return Empirical.from_samples(waits + STACK_UPDATE.mean)
