"""One night by seed: processes of the controller on one machine or two, the world around them, and how it ends."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.faulty import invariants
from rollout.control.faulty.draw import ALL, Night, draw_night
from rollout.control.faulty.elsewhere import MemoryStore, Sending, StoreCalls
from rollout.control.faulty.invariants import Violation
from rollout.control.faulty.ports import (
    STORE,
    STORE_THERE,
    STRANGE,
    Balancer,
    Fault,
    Faults,
    FaultyLimits,
    FaultyMetrics,
    FaultyNotifier,
    FaultyProbes,
    FaultyTraffic,
)
from rollout.control.faulty.ports import Ports as Calls
from rollout.control.faulty.process import Death, Disk, FaultyJournal, Process, losses
from rollout.control.ports import Ports, Reading
from rollout.control.testing import (
    Crash,
    FakeClock,
    FakeMetrics,
    FakeNotifier,
    FakeProbes,
    FakeRateLimits,
    run_virtually,
)
from rollout.journal import Record
from rollout.journal.header import Header
from rollout.journal.resume import recall
from rollout.journal.station import MARK_POLL, MARK_TRIES, keep
from rollout.journal.store import Lease, LeaseHeld, LeaseLost, Shared, StoreError, missing_from, newer
from rollout.journal.stored import CLOSE_LIMIT
from rollout.plan import plan_text
from rollout.policy.events import FRONT_DOOR, Alarm
from rollout.policy.state import STOPPED, Phase, State

LONGEST = 6 * 3600.0  # seconds of a night's own time
VERSIONS = {"stable": "1.0.0", "candidate": "2.0.0"}
HERE, THERE = "here", "there"
_CHANGED = 0.05
_STAYS = 60.0  # seconds after the end in which traffic must not move
_NOTICES = 900.0  # seconds in which a controller whose lease was taken has left, once the world behaves
_OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)


@dataclass(slots=True)
class Played:
    """How a night ended. ``violations`` is empty when everything held."""

    night: Night
    exit: Exit | None = None
    processes: int = 0
    records: tuple[Record, ...] = ()  # of the journal as the last process had it
    history: tuple[tuple[float, float], ...] = ()  # (loop time, weight): where traffic really was
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(
        default_factory=Counter
    )  # what happened between machines, and after the promotion
    violations: tuple[Violation, ...] = ()


def play(seed: int) -> Played:
    """Plays the night of a seed to its end."""
    return play_night(draw_night(seed))


def play_night(night: Night) -> Played:
    world = World(night)
    return run_virtually(world.play(), LONGEST)


@dataclass(slots=True)
class Machine:
    """What outlives a process there: its disk, its clock, its view of the metrics. One process at a time, by the kernel's lock."""

    name: str
    clock: FakeClock
    metrics: FakeMetrics
    disk: Disk = field(default_factory=Disk)
    run: Run | None = None


@dataclass(slots=True, eq=False)
class Run:
    """One process and its controller, if it came so far. ``superseded_at``: when another took its lease (loop time)."""

    machine: Machine
    calls: Calls
    store: StoreCalls | None = None
    lease: Lease | None = None
    controller: Controller | None = None
    journal: FaultyJournal | None = None
    last: State = field(default_factory=State)  # when the controller ended
    renewed_at: float = 0.0
    superseded_at: float | None = None
    lost_t: float | None = None  # when it learned of it (s of the rollout)

    @property
    def state(self) -> State:
        return self.controller.state if self.controller else self.last


@dataclass(frozen=True, slots=True)
class Chapter:
    """A release, an undo or a watch over a promotion, with a journal of its own; ``start`` in epoch seconds."""

    kind: str
    name: str
    start: float
    began_at: float  # loop time


class World:
    """Everything that outlives a process of the controller, and the processes that are alive."""

    def __init__(self, night: Night) -> None:
        self.night, self.plan = night, night.plan
        self.played = Played(night)
        self.balancer = Balancer(self._moved)
        if night.undo or night.watched:
            self.balancer.weight, self.balancer.history = ALL, [(0.0, ALL)]
            self.balancer.promoted = night.watched
        self.limits, self.notifier = FakeRateLimits(), FakeNotifier()
        self.probes = FakeProbes(self._failing, self._answering, roles=night.roles)
        self.here, self.there = (Machine(name, FakeClock(), self._metrics()) for name in (HERE, THERE))
        self.there.clock.epoch += night.elsewhere.skew if night.elsewhere else 0
        self.shared = Shared(MemoryStore()) if night.elsewhere else None
        self.faults = Faults(str(night.seed), night.calm_at, night.rates, night.outages, self.played.faults)
        self._luck = random.Random(f"world {night.seed}")
        self._deaths = list(zip(night.deaths, night.rests, night.skews, strict=True))
        self.run: Run | None = None  # the newest that began
        self.raising: list[Run] = []  # whose increase is under way
        self.chapter = Chapter("", "", 0.0, 0.0)
        self.over = asyncio.Event()
        self.violations: list[Violation] = []
        self.ended = False
        self.finished_at = 0.0  # when the policy had finished (loop time); what it had begun is done later
        self.strange_at = -1e9  # the last time somebody else moved traffic
        self.told_aborted = False  # an operator's abort was accepted
        self.marked_at: float | None = (
            None  # s of the rollout: somebody on another machine aborted, and left the mark
        )
        self._due_alarms = sorted(night.alarms, key=lambda due: due[0])

    # --- the night

    async def play(self) -> Played:
        loop, night, played = asyncio.get_running_loop(), self.night, self.played
        loop.set_exception_handler(lambda loop, context: None)  # what a task of a dead process raised
        loop.set_task_factory(_owned)
        for at, command in night.commands:
            loop.call_at(at, self._operate, command)
        for at, slept in night.sleeps:
            loop.call_at(at, self._sleep, slept)
        for at, weight in night.strangers:
            loop.call_at(at, self._stranger, weight)
        for at, act in night.elsewhere.acts if night.elsewhere else ():
            loop.call_at(at, self._act_there, act)
        loop.call_at(night.calm_at + 3 * self.plan.apply_limit + 60, self._in_line)
        loop.call_at(night.calm_at + 60, self._decide_a_pause)
        await self._play(
            Chapter("undo" if night.undo else "watch" if night.watched else "release", "1", 0, 0)
        )
        if self.chapter.kind == "release" and played.exit is Exit.DONE and night.watch_s is not None:
            await self._play(Chapter("watch", "2", 0, 0))
        played.violations = tuple(self.violations)
        return played

    async def _play(self, chapter: Chapter) -> None:
        """One chapter from its header to its end. Whoever is at this machine sees it through."""
        loop = asyncio.get_running_loop()
        self.chapter = Chapter(chapter.kind, chapter.name, self.here.clock.now(), loop.time())
        self.over, self.ended, self.told_aborted, self.marked_at = asyncio.Event(), False, False, None
        self._header()
        tending = loop.create_task(self._tend())
        await self.over.wait()
        self.ended = True
        weight = self.balancer.weight
        await self._everybody_leaves()
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)
        await asyncio.sleep(_STAYS)
        self.played.history = tuple(self.balancer.history)
        self.violations += invariants.of_the_end(self, weight)

    def _header(self) -> None:
        night, chapter = self.night, self.chapter
        watch_s = night.watch_s if chapter.kind == "watch" else None
        header = Header(
            plan_text(night.plan_name)[0],
            "prod",
            "blue",
            "green",
            chapter.start,
            night.scale,
            kind=chapter.kind,
            watch_s=watch_s,
        )
        self.here.disk, self.there.disk = Disk(), Disk()
        journal = FaultyJournal(self.here.disk, self.here.clock, Process(), _no_sync)
        journal.append("rollout", 0, header.to_json())
        journal.close()
        if self.shared:
            self.shared.store.create(f"journals/{chapter.name}/0000001.json", self.here.disk.data)

    async def _tend(self) -> None:
        """Somebody at this machine begins and resumes until it has ended."""
        loop = asyncio.get_running_loop()
        while not self.over.is_set():
            death, rest, skew = self._deaths.pop(0) if self._deaths else (None, 3.0, 0.0)
            await self._process(self.here, death)
            if loop.time() - self.chapter.began_at > LONGEST / 3 and not self.over.is_set():
                self.violations.append(Violation(loop.time(), "the rollout never ends"))
                self._end(None, ())
            await asyncio.sleep(rest)
            if not self.here.run:
                self.here.clock.epoch += skew

    def _end(self, code: Exit | None, records: Sequence[Record]) -> None:
        self.played.exit, self.played.records = code, tuple(records)
        if self.chapter.kind != "release" and code is not None:
            self.played.met[f"{self.chapter.kind}: {code.name.lower().replace('_', ' ')}"] += 1
        self.over.set()

    async def _everybody_leaves(self) -> None:
        """Whoever still runs has lost the lease, and notices."""
        loop = asyncio.get_running_loop()
        until = max(loop.time(), self.night.calm_at) + _NOTICES
        while (left := [m.name for m in (self.here, self.there) if m.run]) and loop.time() < until:  # noqa: ASYNC110 -- see above
            await asyncio.sleep(1)
        if left:
            what = f"the controller {' and '.join(left)} goes on although the rollout has ended elsewhere"
            self.violations.append(Violation(loop.time(), what))

    # --- one process

    async def _process(self, machine: Machine, death: Death | None, command: str = "") -> bool:
        """From its start to its end or death; whether it began at all. The rollout is over when it says so and has its lease."""
        if machine.run:
            return False
        self.played.processes += 1
        process = Process(death)
        run = machine.run = Run(machine, Calls(process, self.faults, machine.name))
        try:
            if self.shared and not await self._take(run, self.shared):
                return False
            records = machine.disk.records()
            past = recall(self.plan, records) if len(records) > 1 else None
            if past and past.ended:
                self._end(Exit(past.ended.exit), records)
                return True
            code = await self._control(run, command)
            if code not in (None, Exit.FAILED) and run.superseded_at is None and run.journal:
                self._end(code, run.journal.records)
            return True
        except Crash:
            return False
        finally:
            process.kill()
            await _end_tasks(process)
            machine.run = None

    async def _take(self, run: Run, shared: Shared) -> bool:
        """The lease, and the journal as the store has it. A process that died is no reason to give the lease back."""
        loop, process, machine = asyncio.get_running_loop(), run.calls.process, run.machine
        run.store = StoreCalls(process, self.faults, STORE if machine is self.here else STORE_THERE)
        run.lease = Lease(shared.store, machine.name, _clock=loop.time)
        steps = run.lease.taking(lambda text: None)
        try:
            while (seconds := await run.store.call(partial(next, steps, None))) is not None:  # noqa: ASYNC110
                await asyncio.sleep(seconds)
            self._has_taken(run)
            machine.disk.records()  # cuts a torn line off
            name, local = self.chapter.name, machine.disk.data
            stored = await run.store.call(partial(shared.lines, name, local))
            machine.disk.data = newer(stored, local)
        except LeaseHeld:
            self.played.met[f"controllers refused {machine.name}"] += 1
            return False
        except (StoreError, LeaseLost):
            with suppress(StoreError):
                run.lease.give_back()
            return False
        return True

    def _has_taken(self, run: Run) -> None:
        now = asyncio.get_running_loop().time()
        for other in (machine.run for machine in (self.here, self.there)):
            if other and other is not run and other.controller and other.superseded_at is None:
                other.superseded_at = now
                self.played.met["leases taken over from the living"] += 1
                self.violations += invariants.of_a_takeover(other, now)
        run.renewed_at = now
        if run.machine is self.there:
            self.played.met["resumed on another machine"] += 1

    async def _control(self, run: Run, command: str) -> Exit | None:
        """The controller; ``None`` when its process died."""
        machine, calls, night = run.machine, run.calls, self.night
        records = machine.disk.records()
        past = recall(self.plan, records) if len(records) > 1 else None
        self.balancer.end_left_over(machine.name)
        journal = run.journal = self._open(run)
        try:
            ordered = await self._left_meanwhile(run, command) if past else None
        except StoreError:
            self.played.met["not resumed, the mark unknown"] += 1
            await self._close(run, died=False)
            return Exit.FAILED
        raising = partial(self._raising, run)
        traffic = FaultyTraffic(calls, self.balancer, self._update_seconds, raising)
        traffic.refused_at = night.refused_from
        controller = run.controller = Controller(
            self.plan,
            ports=Ports(traffic, FaultyLimits(calls, self.limits), FaultyNotifier(calls, self.notifier)),
            metrics=FaultyMetrics(calls, machine.metrics, self._alarms),
            probes=FaultyProbes(calls, self.probes),
            journal=journal,
            clock=machine.clock,
            start=self.chapter.start,
            versions=VERSIONS,
            undo=self.chapter.kind == "undo",
            watch_s=night.watch_s if self.chapter.kind == "watch" else None,
            time_scale=night.scale,
            recheck=partial(calls.call, "recheck", self._recheck),
        )
        self.run = run
        helpers = _spawn(run, *self._beside(run, controller))
        if command:
            _spawn(run, controller.operate(command))
        (conducting,) = _spawn(run, controller.run(past, ordered))
        death_of = asyncio.create_task(calls.process.died.wait())
        await asyncio.wait({conducting, death_of}, return_when=asyncio.FIRST_COMPLETED)
        for helper in (*helpers, death_of):
            helper.cancel()
        ended = conducting.result() if conducting.done() and calls.process.alive else None
        if ended not in (None, Exit.FAILED) and run.superseded_at is None:
            self.ended = True
            epoch = machine.clock.now() - asyncio.get_running_loop().time()
            self.finished_at = self.chapter.start + controller.state.t - epoch
        self.violations += invariants.of_a_process(run, asyncio.get_running_loop().time())
        await self._close(run, died=ended is None)
        run.last, run.controller = controller.state, None
        return ended

    async def _left_meanwhile(self, run: Run, command: str) -> str | None:
        """As `rollout.session` has it: a mark that cannot be read is not none, unless traffic goes back anyway."""
        if not (run.store and self.shared):
            return None
        goes_back = bool(command) or self.chapter.kind == "undo"
        left = 1 if goes_back else MARK_TRIES
        while True:
            try:
                return await run.store.call(partial(self.shared.marked, self.chapter.name))
            except StoreError:
                left -= 1
                if not left and goes_back:
                    return None
                if not left:
                    raise
            await asyncio.sleep(MARK_POLL)

    async def _close(self, run: Run, *, died: bool) -> None:
        """What is left of its journal and its lease."""
        journal = run.journal
        if journal is None:
            return
        if died:
            lost, torn = losses(self._luck) if self.night.rates else (0, False)
            journal.close(lost, torn=torn)
            return
        journal.close()
        if journal.sending:
            with suppress(StoreError):
                await journal.sending.there(len(journal.records), CLOSE_LIMIT)
        if run.lease and run.store:
            with suppress(StoreError):
                await run.store.call(run.lease.give_back)

    def _open(self, run: Run) -> FaultyJournal:
        async def sync() -> None:
            fault = self.faults.at("durable")
            if fault in (Fault.ERROR, Fault.LOST):
                raise OSError(28, "No space left on device")
            if fault is Fault.HANG:
                await asyncio.Event().wait()
            if fault:
                await asyncio.sleep(self.faults.seconds("durable"))

        machine, sending = run.machine, None
        if self.shared and run.store:
            stored = self.shared.lines(self.chapter.name, machine.disk.data)
            unsent = [*(missing_from(stored, machine.disk.data) or ())]
            sending = Sending(run.store, self.shared, self.chapter.name, stored.count(b"\n"), unsent)
            _spawn(run, sending.run())
        return FaultyJournal(machine.disk, machine.clock, run.calls.process, sync, sending)

    def _beside(self, run: Run, controller: Controller) -> Iterator[Any]:
        """What goes on beside a controller when there is a store, as `rollout.session` has it."""
        store, lease, shared, name = run.store, run.lease, self.shared, self.chapter.name
        if not (store and lease and shared):
            return

        async def renew() -> None:
            await store.call(lease.renew)
            run.renewed_at = asyncio.get_running_loop().time()

        async def hear_marks() -> None:
            heard = None
            while True:
                order = None
                with suppress(StoreError):
                    order = await store.call(partial(shared.marked, name))
                if order not in (None, heard):
                    heard = order
                    await controller.operate(order)
                await asyncio.sleep(MARK_POLL)

        def lost(who: str) -> None:
            self.played.met["controllers left, their lease lost"] += 1
            run.lost_t = controller.t
            controller.leave("another controller has taken over")

        def down(problem: str) -> None:
            controller.page("the store cannot be written", problem)

        yield keep(renew, lease.renewal, lost, down)
        yield hear_marks()

    # --- somebody on another machine

    def _act_there(self, act: str) -> None:
        if not self.over.is_set():
            acting = self._abort_there() if act == "abort" else self._process(self.there, None)
            asyncio.get_running_loop().create_task(acting)

    async def _abort_there(self) -> None:
        """`rollout abort` there, or in a watch `rollout undo`: with the lease it continues and aborts, without it leaves a mark."""
        shared, chapter = self.shared, self.chapter
        if not shared or self.there.run:
            return
        process = Process()
        store = StoreCalls(process, self.faults, STORE_THERE)
        t = self.here.clock.now() - chapter.start
        try:
            lease = Lease(shared.store, THERE)
            await store.call(partial(next, lease.taking(), None))
        except (LeaseHeld, StoreError, LeaseLost):
            pass
        else:
            if chapter.kind == "watch":
                lease.give_back()
                return
            if await self._process(self.there, None, "abort") and self.over.is_set():
                self.played.met["aborts from another machine, as the controller"] += 1
                return
        if self.over.is_set():
            return
        with suppress(StoreError):
            await store.call(partial(shared.mark, chapter.name))
            self.marked_at = t
        self.played.met["aborts from another machine, beside the controller"] += 1
        if chapter.kind != "watch" and not self.over.is_set():
            self.balancer.move(0, "another machine")

    # --- what the world does

    def _metrics(self) -> FakeMetrics:
        night = self.night
        return FakeMetrics(
            self.balancer,
            candidate=night.candidate,
            stable=night.stable,
            period=self.plan.metrics.period,
            delay=night.metrics_delay,
            rate_limited=night.rate_limited,
            missing_from=night.missing_from,
        )

    def _failing(self, role: str, time: float) -> Sequence[str]:
        broken = self.chapter.kind == "watch" and time - self.chapter.began_at >= self.night.breaks_s
        found = [s.probe for s in self.night.streaks if s.role == role and s.begin <= time < s.end]
        return [*found, *(["deep"] if broken and role == "candidate" else [])]

    def _answering(self, role: str, time: float) -> Sequence[str]:
        if role == FRONT_DOOR:
            return []
        other = any(f.role == role and f.begin <= time < f.end for f in self.night.foreign)
        return ["9.9.9"] if other else [VERSIONS[role]]

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
        self.here.clock.epoch += seconds

    def _stranger(self, weight: int) -> None:
        finished = self.run is not None and self.run.state.phase is Phase.FINISHED
        if not (self.ended or finished):  # from then on nobody watches
            self.balancer.move(weight, "stranger")

    def _operate(self, command: str) -> None:
        run = self.run
        if run and run.controller and run.calls.process.alive:
            _spawn(run, self._ask(run, run.controller, command))

    async def _ask(self, run: Run, controller: Controller, command: str) -> None:
        answer = await controller.operate(command)
        if answer.accepted and command == "abort":
            self.told_aborted = self.told_aborted or run.superseded_at is None
            if self.night.killed_by_operator:
                run.calls.process.kill()

    def _decide_a_pause(self) -> None:
        """Somebody comes and decides what the operator paused."""
        if self.run and self.run.controller and self.run.state.phase in STOPPED:
            self._operate(self._luck.choice(("resume", "abort")))
        asyncio.get_running_loop().call_later(600, self._decide_a_pause)

    # --- what is observed

    def _moved(self, weight: float, by: str, ports: Calls | None) -> None:
        runs = [self.run, self.here.run, self.there.run]
        run = next((one for one in runs if one and one.calls is ports), self.run)
        late = run is not None and run.superseded_at is not None
        if by in STRANGE or late:
            self.strange_at = asyncio.get_running_loop().time()
        if not late:
            self.violations += invariants.of_a_move(self, run, weight, by)

    @contextmanager
    def _raising(self, run: Run, weight: int) -> Iterator[None]:
        self.violations += invariants.of_an_increase(self, run, weight)
        self.raising.append(run)
        try:
            yield
        finally:
            self.raising.remove(run)

    def _in_line(self) -> None:
        self.violations += invariants.of_the_calm(self)


async def _no_sync() -> None:
    pass


def _owned(loop: asyncio.AbstractEventLoop, coro: Any, context: Any = None) -> asyncio.Task[Any]:
    """Makes tasks that know whose they are: those of the process that began them."""
    task = _Task(coro, loop=loop, context=context)
    task.owner = context.get(_OWNER) if context is not None else _OWNER.get()
    return task


class _Task(asyncio.Task[Any]):
    owner: Process | None = None


def _spawn(run: Run, *work: Any) -> list[asyncio.Task[Any]]:
    """Tasks that end with the process."""
    context = copy_context()
    context.run(_OWNER.set, run.calls.process)
    return [asyncio.get_running_loop().create_task(one, context=context) for one in work]


async def _end_tasks(process: Process) -> None:
    tasks = [task for task in asyncio.all_tasks() if isinstance(task, _Task) and task.owner is process]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
