"""What a seed stands for: what is released under which plan, what fails when, and who interferes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from rollout.control.faulty.ports import KINKS, OFTEN, SELDOM, STORE, STORE_THERE, Fault, Outage
from rollout.control.faulty.process import Death
from rollout.control.testing import Release
from rollout.plan import Plan, Rollback, load_plan
from rollout.policy.events import (
    ALARM_STATES,
    COMMANDS,
    FRONT_DOOR,
    FRONT_DOOR_PROBES,
    PROBES,
    ROLES,
    TIERS,
    Alarm,
)

ALL = 100  # percent
_ALARM = "simple378-prod-cpu"
_HALF, _CHANGED, _UNDONE = 0.5, 0.05, 0.1


@dataclass(frozen=True, slots=True)
class Streak:
    """Probe rounds of a role fail from ``begin`` to ``end`` (loop time)."""

    role: str
    begin: float
    end: float
    probe: str


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another version than the approved one answers for a role from ``begin`` to ``end`` (loop time)."""

    role: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """There is a store, and somebody on another machine resumes or aborts: (when, which). ``skew``: its clock is so many seconds ahead."""

    acts: tuple[tuple[float, str], ...] = ()
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class Night:
    """What a seed stands for. Times are the loop's, in seconds."""

    seed: int
    undo: bool  # of a release that has all traffic
    plan_name: str
    scale: float
    plan: Plan
    candidate: Release
    stable: Release
    metrics_delay: float
    missing_from: float
    rate_limited: float
    streaks: tuple[Streak, ...]
    roles: tuple[str, ...]  # that are probed
    alarms: tuple[tuple[float, Alarm], ...]
    commands: tuple[tuple[float, str], ...]
    sleeps: tuple[tuple[float, float], ...]  # (when, for how long) the machine sleeps
    strangers: tuple[tuple[float, int], ...]  # (when, weight): traffic is moved from elsewhere
    deaths: tuple[Death, ...]
    rests: tuple[float, ...]  # until the next process begins
    skews: tuple[float, ...]  # of the next process's clock
    rates: dict[str, float]
    outages: tuple[Outage, ...]
    engine: tuple[float, float]  # the shortest and longest stack update
    killed_by_operator: bool  # as soon as an abort is accepted
    refused_from: float  # previews are refused from then on, while the world misbehaves
    calm_at: float  # from then on the world behaves
    elsewhere: Elsewhere | None = None  # None: one machine, and no store
    foreign: tuple[Foreign, ...] = ()
    watch_s: float | None = None  # a promotion is watched for so long
    watched: bool = False  # it begins with such a watch, of a release that has all traffic
    breaks_s: float = (
        1e9  # from the beginning of the watch until the promoted release fails its probes for good
    )

    def to_lines(self) -> list[str]:
        """What is to happen, for whoever looks into a failed seed."""
        lines = ["an undo"] if self.undo else ["a watch over a promoted release"] if self.watched else []
        if self.watch_s is not None:
            lines.append(
                f"a promotion is watched for {self.watch_s:.0f} s, the release breaks {self.breaks_s:.0f} s after its beginning"
            )
        lines += [
            f"plan {self.plan_name}, {self.scale:g} times as fast; the world behaves from {self.calm_at:.0f} s on"
        ]
        lines.append(f"candidate {self.candidate}, stable {self.stable}")
        lines += [
            f"{death}; the next after {rest:g} s" for death, rest in zip(self.deaths, self.rests, strict=True)
        ]
        lines += [f"{at:.1f} s: operator {command}" for at, command in self.commands]
        lines += [f"{at:.1f} s: asleep for {slept:g} s" for at, slept in self.sleeps]
        lines += [f"{at:.1f} s: a stranger moves traffic to {weight} %" for at, weight in self.strangers]
        if self.elsewhere:
            lines.append(f"a store, and a second machine whose clock is {self.elsewhere.skew:g} s ahead")
            lines += [f"{at:.1f} s: somebody there: {act}" for at, act in self.elsewhere.acts]
        lines += [
            f"{f.begin:.1f} to {f.end:.1f} s: another version answers for {f.role}" for f in self.foreign
        ]
        lines += [f"{o.begin:.1f} to {o.end:.1f} s: {o.place}: {o.fault}" for o in self.outages]
        lines += [f"{s.begin:.1f} to {s.end:.1f} s: {s.role} fails {s.probe}" for s in self.streaks]
        lines += [f"{at:.1f} s: alarm {alarm.name} {alarm.state}" for at, alarm in self.alarms]
        rates = ", ".join(f"{place} {rate:g}" for place, rate in self.rates.items() if rate)
        return [*lines, f"shares that fail: {rates or 'none'}"]


def draw_night(seed: int) -> Night:
    """The night of a seed. Half of them are gentle: a good release, one or two things that go wrong, most of the way up."""
    luck = random.Random(f"night {seed}")
    gentle = luck.random() < _HALF
    name, scale = luck.choice(("phase-c", "phase-c", "tuned")), luck.choice((6.0, 6.0, 6.0, 6.0, 6.0, 2.0))
    plan = _plan(luck, name, scale)
    whole = sum(stage.window for stage in plan.stages)
    calm_at = luck.uniform(1, 2.5) * whole if gentle else luck.uniform(0.2, 3) * whole
    when = partial(luck.uniform, 0, calm_at)
    deaths = tuple(_death(luck, calm_at) for _ in range(luck.choice((0, 0, 1, 1, 2, 3))))
    night = Night(
        seed=seed,
        undo=luck.random() < _UNDONE,
        plan_name=name,
        scale=scale,
        plan=plan,
        candidate=_release(luck, calm_at),
        stable=Release(error_rate=luck.choice((0, 0, 0.05, 0.05, 1.5)), p95=0.2),
        metrics_delay=luck.choice((0.3, 0.5, 0.9, 1.5)) * plan.metrics.delay,
        missing_from=luck.choice((1e9, 1e9, 1e9, 1e9, when())),
        rate_limited=luck.choice((0, 0, 0, 8)),
        roles=luck.choice((ROLES, (*ROLES, FRONT_DOOR))),
        streaks=tuple(_streak(luck, when()) for _ in range(luck.choice((0, 0, 0, 1, 2)))),
        alarms=tuple(_alarm(luck, when()) for _ in range(luck.choice((0, 0, 1, 3)))),
        commands=tuple(
            sorted((when(), luck.choice(COMMANDS)) for _ in range(luck.choice((0, 0, 0, 1, 2, 4))))
        ),
        sleeps=tuple((when(), luck.choice((5.0, 30.0, 400.0))) for _ in range(luck.choice((0, 0, 0, 1, 2)))),
        strangers=tuple((when(), luck.choice((0, 5, 60, 100))) for _ in range(luck.choice((0, 0, 0, 0, 1)))),
        deaths=deaths,
        rests=tuple(luck.choice((0.5, 3.0, 20.0, 300.0)) for _ in deaths),
        skews=tuple(luck.choice((0.0, 0.0, 0.0, 2.0, -2.0, -40.0)) for _ in deaths),
        rates=_rates(luck, (0.0, 0.02, 0.1, 0.4)),
        outages=tuple(_outage(luck, when()) for _ in range(luck.choice((0, 1, 2, 3)))),
        engine=luck.choice(((0.5, 2.0), (2.0, 4.0), (2.0, 4.0), (1.0, 1.5 * plan.apply_limit))),
        killed_by_operator=luck.random() < _HALF,
        refused_from=luck.choice((1e9, 1e9, 1e9, when())),
        calm_at=calm_at,
    )
    if gentle:
        night = _made_gentle(night, luck)
    return _beside(night, gentle=gentle)


def _made_gentle(night: Night, luck: random.Random) -> Night:
    plan = night.plan
    return replace(
        night,
        candidate=Release(),
        metrics_delay=plan.metrics.delay * 0.3,
        missing_from=1e9,
        streaks=(),
        alarms=(),
        commands=tuple((at, command) for at, command in night.commands if command != "abort"),
        strangers=(),
        rates=_rates(luck, (0.0, 0.0, 0.01, 0.03)),
        outages=night.outages[:1],
        engine=(0.5, 2.0),
        refused_from=1e9,
    )


def _plan(luck: random.Random, name: str, scale: float) -> Plan:
    plan = load_plan(name).scaled(scale)
    actions = {_ALARM: luck.choice((Rollback.ABORT, Rollback.PREVIOUS, Rollback.HOLD))}
    return replace(
        plan,
        health=replace(plan.health, interval=luck.choice((2.0, 3.0, 5.0)), timeout=1.5),
        apply_limit=60 / scale,
        alarms=luck.choice(({}, {}, actions)),
    )


def _death(luck: random.Random, calm_at: float) -> Death:
    at = luck.choice(("time", "record", "call", "step", "step"))
    if at == "time":
        return Death(at, round(luck.uniform(0, calm_at), 2))
    return Death(
        at,
        luck.choice((luck.randint(1, 12), luck.randint(1, 40 if at == "step" else 300))),
        luck.random() < _HALF,
    )


def _release(luck: random.Random, calm_at: float) -> Release:
    begins = luck.choice((0.0, luck.uniform(0, 2 * calm_at)))
    return luck.choice(
        (
            Release(),
            Release(),
            Release(error_rate=0.3),
            Release(error_rate=luck.choice((1.5, 5)), bad_from=begins),
            Release(p95=3.0, bad_from=begins),
            Release(db_connection_errors=2, bad_from=begins),
        )
    )


def _streak(luck: random.Random, begin: float) -> Streak:
    role = luck.choice((*ROLES, FRONT_DOOR))
    probe = luck.choice(FRONT_DOOR_PROBES if role == FRONT_DOOR else PROBES)
    return Streak(role, begin, begin + luck.choice((2.0, 6.0, 15.0, 40.0)), probe)


def _alarm(luck: random.Random, at: float) -> tuple[float, Alarm]:
    return at, Alarm(0, luck.choice((_ALARM, "other")), luck.choice(TIERS), luck.choice(ALARM_STATES))


def _outage(luck: random.Random, begin: float) -> Outage:
    return Outage(
        luck.choice((luck.choice(OFTEN), luck.choice(SELDOM))),
        luck.choice(tuple(Fault)),
        begin,
        begin + luck.choice((5.0, 30.0, 120.0, 1000.0)),
    )


def _rates(luck: random.Random, shares: Sequence[float]) -> dict[str, float]:
    most = luck.choice(shares)
    rates = {place: luck.choice((0.0, most, most)) for place in (*OFTEN, *KINKS)}
    return rates | {place: luck.choice((0.0, 0.0, most, 0.5)) for place in SELDOM}


def _beside(night: Night, *, gentle: bool) -> Night:
    """What happens beside the release, and after it. Its luck is its own, so the rest of the night is as without."""
    luck = random.Random(f"beside {night.seed}")
    when = partial(luck.uniform, 0, 1.1 * night.calm_at)
    night = replace(
        night,
        foreign=_foreign(luck, when(), gentle=gentle) if luck.random() < _UNDONE else (),
        watched=not night.undo and luck.random() < _UNDONE,
    )
    if night.watched or (not night.undo and luck.random() < _HALF):
        watch_s = luck.uniform(200, 3000) / night.scale
        night = replace(night, watch_s=watch_s, breaks_s=luck.choice((1e9, luck.uniform(0, watch_s))))
    if luck.random() < _HALF:
        return night
    acts = ("resume", "resume", "resume" if gentle and not night.watched else "abort", "abort")
    there = [(when(), luck.choice(acts)) for _ in range(luck.choice((0, 1, 1, 2, 4)))]
    outages = night.outages
    if luck.random() < _HALF:  # cut off from the store, so that somebody there takes over
        cut_off = luck.uniform(0, 0.5) * night.calm_at
        lasts = luck.choice((5.0, 60.0, 300.0))
        outages = (*outages, Outage(STORE, luck.choice((Fault.ERROR, Fault.HANG)), cut_off, cut_off + lasts))
        there.append((cut_off + luck.uniform(0, 10), luck.choice(acts)))
    rates = {STORE: luck.choice((0.0, 0.0, 0.05, 0.3)), STORE_THERE: luck.choice((0.0, 0.0, 0.1))}
    return replace(
        night,
        elsewhere=Elsewhere(tuple(sorted(there)), luck.choice((0.0, 0.0, 2.0, -2.0, 40.0))),
        outages=outages,
        rates=night.rates | rates,
    )


def _foreign(luck: random.Random, begin: float, *, gentle: bool) -> tuple[Foreign, ...]:
    lasts = luck.choice((10.0, 60.0) if gentle else (10.0, 60.0, 1e9))
    return (Foreign(luck.choice(ROLES), begin, begin + lasts),)
