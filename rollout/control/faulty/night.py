"""One seed is one night: what is released under which plan, what fails when, who interferes, and how it ends."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.faulty import invariants
from rollout.control.faulty.invariants import Violation
from rollout.control.faulty.ports import (
    KINKS,
    OFTEN,
    SELDOM,
    STRANGE,
    Balancer,
    Fault,
    Faults,
    FaultyLimits,
    FaultyMetrics,
    FaultyNotifier,
    FaultyProbes,
    FaultyTraffic,
    Outage,
)
from rollout.control.faulty.ports import Ports as Calls
from rollout.control.faulty.process import Death, Disk, FaultyJournal, Process, losses
from rollout.control.ports import Ports, Reading
from rollout.control.testing import (
    FakeClock,
    FakeMetrics,
    FakeNotifier,
    FakeProbes,
    FakeRateLimits,
    Release,
    run_virtually,
)
from rollout.journal import Record
from rollout.journal.header import Header
from rollout.journal.resume import recall
from rollout.plan import Plan, Rollback, load_plan, plan_text
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
from rollout.policy.state import STOPPED, State

ALL = 100  # percent
LONGEST = 6 * 3600.0  # seconds of a night's own time
_ALARM = "simple378-prod-cpu"
_HALF, _CHANGED, _UNDONE = 0.5, 0.05, 0.1
_STAYS = 60.0  # seconds after the end in which traffic must not move


@dataclass(frozen=True, slots=True)
class Streak:
    """Probe rounds of a role fail from ``begin`` to ``end`` (loop time)."""

    role: str
    begin: float
    end: float
    probe: str


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

    def to_lines(self) -> list[str]:
        """What is to happen, for whoever looks into a failed seed."""
        lines = ["an undo"] if self.undo else []
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
    if not gentle:
        return night
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


@dataclass(slots=True)
class Played:
    """How a night ended. ``violations`` is empty when everything held."""

    night: Night
    exit: Exit | None = None
    processes: int = 0
    records: tuple[Record, ...] = ()  # of the journal as the last process had it
    history: tuple[tuple[float, float], ...] = ()  # (loop time, weight): where traffic really was
    faults: Counter[str] = field(default_factory=Counter)
    violations: tuple[Violation, ...] = ()


def play(seed: int) -> Played:
    """Plays the night of a seed to its end."""
    return play_night(draw_night(seed))


def play_night(night: Night) -> Played:
    world = World(night)
    return run_virtually(world.play(), LONGEST)


class World:
    """Everything that outlives a process of the controller, and the process that is alive."""

    def __init__(self, night: Night) -> None:
        self.night, self.plan = night, night.plan
        self.played = Played(night)
        self.clock = FakeClock()
        self.disk = Disk()
        self.balancer = Balancer(self._moved)
        if night.undo:
            self.balancer.weight, self.balancer.history = ALL, [(0.0, ALL)]
        self.limits, self.notifier = FakeRateLimits(), FakeNotifier()
        self.probes = FakeProbes(self._failing, roles=night.roles)
        self.metrics = FakeMetrics(
            self.balancer,
            candidate=night.candidate,
            stable=night.stable,
            period=self.plan.metrics.period,
            delay=night.metrics_delay,
            rate_limited=night.rate_limited,
            missing_from=night.missing_from,
        )
        self.faults = Faults(str(night.seed), night.calm_at, night.rates, night.outages, self.played.faults)
        self._luck = random.Random(f"world {night.seed}")
        self.process: Process | None = None
        self.controller: Controller | None = None
        self.journal: FaultyJournal | None = None
        self.state = State()  # of the process that died last
        self.start = 0.0
        self.violations: list[Violation] = []
        self.ended, self.ended_at = False, 0.0
        self.strange_at = -1e9  # the last time somebody else moved traffic
        self.told_aborted = False  # an operator's abort was accepted
        self._due_alarms = sorted(night.alarms, key=lambda due: due[0])

    # --- the night

    async def play(self) -> Played:
        loop, night, played = asyncio.get_running_loop(), self.night, self.played
        loop.set_exception_handler(lambda loop, context: None)  # what a task of a dead process raised
        self.start = self.clock.now()
        for at, command in night.commands:
            loop.call_at(at, self._operate, command)
        for at, slept in night.sleeps:
            loop.call_at(at, self._sleep, slept)
        for at, weight in night.strangers:
            loop.call_at(at, self._stranger, weight)
        loop.call_at(night.calm_at + 3 * self.plan.apply_limit + 60, self._in_line)
        loop.call_at(night.calm_at + 60, self._decide_a_pause)
        self._header()
        deaths = list(zip(night.deaths, night.rests, night.skews, strict=True))
        while True:
            death, rest, skew = deaths.pop(0) if deaths else (None, 3.0, 0.0)
            played.exit = await self._process(death)
            played.processes += 1
            if played.exit not in (None, Exit.FAILED):
                break
            if loop.time() > LONGEST / 2:
                self.violations.append(Violation(loop.time(), "the rollout never ends"))
                break
            await asyncio.sleep(rest)
            self.clock.epoch += skew
        await self._end()
        return played

    def _header(self) -> None:
        journal = self._open(Process())
        header = Header(
            plan_text(self.night.plan_name)[0], "prod", "blue", "green", self.start, self.night.scale
        )
        journal.append("rollout", 0, header.to_json())
        journal.close()

    def _open(self, process: Process) -> FaultyJournal:
        calls = Calls(process, self.faults)

        async def sync() -> None:
            fault = self.faults.at("durable")
            if fault in (Fault.ERROR, Fault.LOST):
                raise OSError(28, "No space left on device")
            if fault is Fault.HANG:
                await asyncio.Event().wait()
            if fault:
                await asyncio.sleep(self.faults.seconds("durable"))

        return FaultyJournal(self.disk, self.clock, calls.process, sync)

    async def _process(self, death: Death | None) -> Exit | None:
        """One process of the controller, from its start to its end or death (``None``)."""
        process = self.process = Process(death)
        records = self.disk.records()
        past = recall(self.plan, records) if len(records) > 1 else None
        if past and past.ended:
            return Exit(past.ended.exit)
        self.balancer.end_left_over()
        journal = self.journal = self._open(process)
        calls = Calls(process, self.faults)
        traffic = FaultyTraffic(calls, self.balancer, self._update_seconds, self._increase_begun)
        traffic.refused_at = self.night.refused_from
        self.controller = Controller(
            self.plan,
            ports=Ports(traffic, FaultyLimits(calls, self.limits), FaultyNotifier(calls, self.notifier)),
            metrics=FaultyMetrics(calls, self.metrics, self._alarms),
            probes=FaultyProbes(calls, self.probes),
            journal=journal,
            clock=self.clock,
            start=self.start,
            undo=self.night.undo,
            recheck=partial(calls.call, "recheck", self._recheck),
        )
        run = asyncio.create_task(self.controller.run(past))
        death_of = asyncio.create_task(process.died.wait())
        await asyncio.wait({run, death_of}, return_when=asyncio.FIRST_COMPLETED)
        ended = run.result() if run.done() and process.alive else None
        self.ended = ended not in (None, Exit.FAILED)
        await _end_tasks()
        self.state, self.controller = self.controller.state, None
        if ended is None:
            lost, torn = losses(self._luck) if self.night.rates else (0, False)
            journal.close(lost, torn=torn)
        else:
            journal.close()
        process.kill()
        return ended

    async def _end(self) -> None:
        """Traffic must stay where it is."""
        self.ended, self.ended_at = True, asyncio.get_running_loop().time()
        weight = self.balancer.weight
        await asyncio.sleep(_STAYS)
        self.played.records = tuple(self.journal.records) if self.journal else ()
        self.played.history = tuple(self.balancer.history)
        self.violations += invariants.of_the_end(self, weight)
        self.played.violations = tuple(self.violations)

    # --- what the world does

    def _failing(self, role: str, time: float) -> Sequence[str]:
        return [s.probe for s in self.night.streaks if s.role == role and s.begin <= time < s.end]

    async def _recheck(self) -> Sequence[str]:
        """What has to be true before a rollout."""
        return ["the candidate's version has changed"] if self._luck.random() < _CHANGED else []

    def _update_seconds(self) -> float:
        if asyncio.get_running_loop().time() >= self.night.calm_at:
            return 2.0
        return self._luck.uniform(*self.night.engine)

    def _alarms(self, t: float) -> list[Reading]:
        now, due = asyncio.get_running_loop().time(), []
        while self._due_alarms and self._due_alarms[0][0] <= now:
            _, alarm = self._due_alarms.pop(0)
            due.append(Reading(partial(Alarm, name=alarm.name, tier=alarm.tier, state=alarm.state)))
        return due

    def _sleep(self, seconds: float) -> None:
        self.clock.epoch += seconds

    def _stranger(self, weight: int) -> None:
        if not self.ended:
            self.balancer.move(weight, "stranger")

    def _operate(self, command: str) -> None:
        if self.controller and self.process and self.process.alive:
            asyncio.get_running_loop().create_task(self._ask(self.controller, command))

    async def _ask(self, controller: Controller, command: str) -> None:
        answer = await controller.operate(command)
        if answer.accepted and command == "abort":
            self.told_aborted = True
            if self.night.killed_by_operator and self.process:
                self.process.kill()

    def _decide_a_pause(self) -> None:
        """Somebody comes and decides what the operator paused."""
        if self.controller and self.controller.state.phase in STOPPED:
            self._operate(self._luck.choice(("resume", "abort")))
        if not self.ended:
            asyncio.get_running_loop().call_later(600, self._decide_a_pause)

    # --- what is observed

    def policy_state(self) -> State:
        """What the policy has decided so far."""
        return self.controller.state if self.controller else self.state

    def _moved(self, weight: float, by: str) -> None:
        if by in STRANGE:
            self.strange_at = asyncio.get_running_loop().time()
        self.violations += invariants.of_a_move(self, weight, by)

    def _increase_begun(self, weight: int) -> None:
        self.violations += invariants.of_an_increase(self, weight)

    def _in_line(self) -> None:
        self.violations += invariants.of_the_calm(self)


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
