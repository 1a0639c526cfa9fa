"""One replication of the register: the same luck met by many nights, and what each of them cost.

The nights are: without any risk, with each risk alone, with those that occur together, and the last once more without each
mitigation. A row of numbers holds all of them, named ``NIGHT/measure``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock

import numpy as np

from rollout.plan import Plan
from rollout.policy.events import DecisionKind
from simulate.controlplane import Closed, Rehearsal, RehearsalResult, World, model_for
from simulate.dataplane import CANDIDATE, STABLE, Period
from simulate.dataplane.periods import bucket_bounds
from simulate.scenarios import Scenario
from simulate.studies.replication import Job, Rows
from simulate.studies.replication.job import NAN, OUTCOMES, detection, plane_of
from simulate.studies.risk.mitigations import mitigations_of
from simulate.studies.risk.register import Register

CALM, TOGETHER = "calm", "together"
SLOW_S = 2.0  # the guide's P95 limit
HURT = 0.01  # the guide's error rate limit, of all users' requests of a minute
_SLOW = bucket_bounds() >= SLOW_S
_ALONE = Lock()  # a process's data planes are used by one thread at a time


@dataclass(frozen=True, slots=True)
class Night:
    """A rehearsal that was run. ``slow``: answers that took longer than 2 s."""

    world: World
    plan: Plan
    result: RehearsalResult
    slow: float


class _Luck:
    """One replication: nights that meet the same requests, delays and people. Each different one is run once."""

    def __init__(self, seed: int, replication: int) -> None:
        self._seed, self._replication = seed, replication
        self._nights: list[Night] = []

    def night(self, world: World, plan: Plan) -> Night:
        for known in self._nights:
            if known.plan == plan and known.world == world:
                return known
        plane = plane_of(model_for(world.model, plan))
        result = Rehearsal(world, plan, self._seed, self._replication, plane=plane).run()
        slow = sum(int(plane.latency_histogram(colour)[_SLOW].sum()) for colour in (STABLE, CANDIDATE))
        self._nights.append(Night(world, plan, result, float(slow)))
        return self._nights[-1]


def measure(register: Register, job: Job, first: int, last: int) -> Rows:
    """The replications from ``first`` to before ``last`` of a register; plan and seed are those of ``job``."""
    with _ALONE:
        rows = [replication(register, job.plan, job.seed, number) for number in range(first, last)]
    return Rows(tuple(rows[0]), np.array([[*row.values()] for row in rows]))


def replication(register: Register, plan: Plan, seed: int, number: int) -> dict[str, float]:
    """All nights of one replication."""
    luck = _Luck(seed, number)
    found = _named(CALM, costs(luck.night(register.world(()), plan), register, ()))
    for risk in register.risks:
        night = luck.night(register.world((risk.name,)), plan)
        found |= _named(risk.name, costs(night, register, (risk.name,)))
        found[f"{risk.name}/detection_s"] = noticed(night, risk.scenario)
    names = register.occurring(seed, number)
    whole = luck.night(register.world(names), plan)
    found |= _named(TOGETHER, costs(whole, register, names))
    found |= {f"{TOGETHER}/{risk.name}": float(risk.name in names) for risk in register.risks}
    for mitigation in mitigations_of(plan):
        night, remaining = whole, register
        if mitigation.risk:
            remaining = register.without(mitigation.risk)
            night = luck.night(remaining.world(names), plan)
        elif not mitigation.idle(plan, whole.result):
            night = luck.night(whole.world, mitigation.plan(plan))
        found |= _named(mitigation.name, costs(night, remaining, names))
    return found


def _named(night: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{night}/{name}": value for name, value in values.items()}


def costs(night: Night, register: Register, names: Collection[str]) -> dict[str, float]:
    """How a night ended and what it cost users, over its whole metric periods.

    A request hurts if it failed, was refused with 429, or took longer than 2 s; so does a page that stayed blank or slow,
    and a websocket that dropped.
    """
    result = night.result
    sides = [side for closed in result.periods for side in closed.sides]
    failed = sum(side.errors for side in sides)
    limited = sum(closed.edge.rate_limited for closed in result.periods)
    slow = max(night.slow - sum(side.answered - side.ok for side in sides), 0.0)  # errors may be slow too
    drops = sum(side.ws_drops for side in sides)
    occurring = [risk for risk in register.risks if risk.name in names]
    pages = sum(risk.scenario.spoiled_pages(risk.values, result) for risk in occurring)
    bad = any(risk.scenario.bad_release for risk in occurring)
    return {
        "outcome": float(OUTCOMES.index(result.outcome)),
        "failed_requests": float(failed),
        "rate_limited_requests": float(limited),
        "slow_requests": slow,
        "spoiled_pages": pages,
        "websocket_drops": float(drops),
        "hurt": failed + limited + slow + pages + drops,
        "unsafe_minutes": sum(map(is_unsafe, result.periods)) * night.plan.metrics.period / 60,
        "bad_promoted": float(bad and result.outcome == "promoted"),
        "false_rollback": float(not bad and result.rolled_back),
    }


def is_unsafe(closed: Closed) -> bool:
    """Whether more than 1 % of the users' requests of a metric period failed, were refused, or were slow."""
    hurt = closed.edge.rate_limited + sum(side.errors + _at_least_slow(side) for side in closed.sides)
    return hurt > HURT * closed.edge.attempts


def _at_least_slow(side: Period) -> float:
    """Good answers slower than 2 s, counted from the quantiles: at least so many."""
    shares = ((side.p50, 0.5), (side.p95, 0.05), (side.p99, 0.01))
    share = next((share for value, share in shares if (value or 0.0) > SLOW_S), 0.0)
    return max(share * side.answered - (side.answered - side.ok), 0.0)


def noticed(night: Night, scenario: Scenario) -> float:
    """Seconds until a risk was noticed (NaN: never).

    Of a bad release, as in any study, until T+0; of the others, from the start until their alarm went off or the rate limit
    was raised.
    """
    result = night.result
    if scenario.bad_release:
        return detection(night.world, result)
    begun = min((t for t, _ in result.faults), default=0.0)
    noticed = [t for t, name in result.alarms if name == scenario.alarm]
    noticed += [one.t for one in result.decisions if one.decision is DecisionKind.RAISE_RATE_LIMIT]
    return min(noticed) - begun if noticed else NAN
