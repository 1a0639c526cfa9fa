"""What must be true of every rehearsal, and small worlds to try it on."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.plan import Plan, load_plan
from rollout.policy.events import EdgeMetrics, Health, Metrics, Traffic
from simulate.controlplane import Rehearsal, World
from simulate.controlplane.cloudwatch import attribute
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios import find
from simulate.studies.replication import Job, Rows, measure

PLAN = load_plan("phase-c")
_COLOUR = {"candidate": CANDIDATE, "stable": STABLE}


def world_of(scenario: str, given: Mapping[str, float] | None = None) -> World:
    found = find(scenario)
    return found.world(found.values(given or {}))


def rehearse(
    scenario: str, given: Mapping[str, float] | None = None, *, plan: Plan = PLAN, seed: int = 1, n: int = 0
) -> Rehearsal:
    run = Rehearsal(world_of(scenario, given), plan, seed, n, listen=True)
    run.run()
    return run


def short_plan(plan: Plan = PLAN) -> Plan:
    """With shorter waits, so that a rehearsal of a bad release is over sooner."""
    return replace(plan, hold_timeout=120.0, verification=replace(plan.verification, watch=120.0))


def check(run: Rehearsal) -> None:
    """What the policy heard was so, was heard when it could be known, and nothing was kept from it."""
    _check_times(run)
    _check_weights(run)
    _check_metrics(run)
    assert run.result.refused == 0


def _check_times(run: Rehearsal) -> None:
    times = [event.t for event in run.result.events]
    assert times == sorted(times)


def in_force(run: Rehearsal, t: float) -> float:
    return next(weight for at, weight in reversed(run.result.weights) if at <= t)


def _check_weights(run: Rehearsal) -> None:
    """Each weight that was read back is the one in force then, and each one in force was read back within a second."""
    read = [event for event in run.result.events if isinstance(event, Traffic)]
    for event in read:
        assert event.weight == in_force(run, event.t), f"a stale weight at {event.t} s"
    for at, weight in run.result.weights:
        if at < run.result.ended - 1:
            assert any(at <= event.t <= at + 1 and event.weight == weight for event in read)


def _check_metrics(run: Rehearsal) -> None:
    """A period is told after its publication only, with what the load balancer knows of it; each one is told."""
    delivery, period = run.cloudwatch, run.plan.metrics.period
    known = {closed.number: closed for closed in run.result.periods}
    told = set()
    for event in run.result.events:
        if not isinstance(event, Metrics | EdgeMetrics):
            continue
        number = round((event.start * 1000 + run.t0) / delivery.period)
        arrival, now = delivery.arrival(number), round(event.t * 1000)
        assert event.end - event.start == pytest.approx(period)
        if isinstance(event, EdgeMetrics):
            assert now >= arrival.edge, "the edge's metrics came before they were published"
            assert event.requests + event.rate_limited == known[number].edge.attempts
            continue
        told.add((event.role, number))
        if event.requests:
            assert now >= arrival.balancer, "metrics came before they were published"
            own = known[number].sides[_COLOUR[event.role]]
            other = known[number].sides[1 - _COLOUR[event.role]]
            assert (event.requests, event.errors) == attribute(own, other)
            assert event.p95 == own.p95
        elif event.requests == 0:
            assert event.t >= event.end + run.plan.metrics.delay, "no data was told before it was overdue"
        if event.db_connection_errors is not None:
            assert now >= arrival.application, "the application's metrics came before they were published"
    late = run.plan.metrics.delay + period
    for number in known:
        end = delivery.end_of(number) / 1000
        if not run.world.delivery.outages and not run.world.absences and end + late < run.result.ended:
            assert ("candidate", number) in told, f"period {number} was kept back"


def failed_rounds(run: Rehearsal, colour: str) -> list[float]:
    return [e.t for e in run.result.events if isinstance(e, Health) and e.role == colour and e.failed]


def dies_once(job: Job, first: int, last: int, *, mark: Path) -> Rows:
    """A share of work in which the process dies, the first time that somebody tries it."""
    if first and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(job, first, last)


def dies_always(job: Job, first: int, last: int) -> Rows:
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return measure(job, first, last)
