"""The fakes of every port, made to fail by seed, and the load balancer that all of them are about."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from rollout.control.faulty.process import Process
from rollout.control.ports import Reading, Round, TrafficError, TrafficRefused
from rollout.control.testing import FakeMetrics, FakeNotifier, FakeProbes, FakeRateLimits, FakeTraffic

T = TypeVar("T")


class Fault(StrEnum):
    """What goes wrong at one call of a port."""

    ERROR = "error"  # nothing was done
    LOST = "lost answer"  # it was done, the caller gets an error
    HANG = "no answer"  # nothing is done, and the call never ends, also when the world behaves again
    DELAY = "delay"  # it is done late
    SLOW = "slow answer"  # it is done, and the answer comes late


OFTEN = ("read_weight", "set_weight", "send", "round", "poll", "durable")
SELDOM = (
    "foresee",
    "break_glass",
    "reconcile",
    "promote",
    "check_rollback",
    "set_rate_limit",
    "recheck",
    "read_rate_limit",
)
STORE, STORE_THERE = "store", "store, from the other machine"
# What else may go wrong at them: a reading of some seconds ago; a request of an update that was stopped, or one sent twice, that
# arrives later; metrics of which half come with the next answer, or in another order and some of them twice.
KINKS = ("old reading", "late request", "request twice", "half an answer", "mixed answer")
_DELAYS = (0.1, 0.6, 2.0, 6.0, 25.0, 90.0)  # seconds
STRANGE = ("late", "stranger", "another machine")  # by whom traffic may move without the policy
LATEST = 8.0  # seconds by which a request may arrive late, or an answer be old


@dataclass(frozen=True, slots=True)
class Outage:
    """From ``begin`` to ``end`` (loop time) every call at a place meets the same fault."""

    place: str
    fault: Fault
    begin: float
    end: float


@dataclass(slots=True)
class Faults:
    """Draws what happens at each call: from the outage that stands, else by chance. After ``calm_at`` nothing does.

    Each place has its own stream of luck, so a fault at one place does not change what happens at the others.
    """

    seed: str
    calm_at: float
    rates: Mapping[str, float]  # share of the calls that fail, by place
    outages: Sequence[Outage] = ()
    met: Counter[str] = field(default_factory=Counter)
    _draws: dict[str, random.Random] = field(default_factory=dict)

    def at(self, place: str) -> Fault | None:
        """The fault that a call meets now."""
        kind, by_chance = self.luck(place).choice(tuple(Fault)), self.happens(place)
        now = asyncio.get_running_loop().time()
        standing = (o.fault for o in self.outages if o.place == place and o.begin <= now < o.end)
        fault = next(standing, kind if by_chance else None)
        if fault is None or now >= self.calm_at:
            return None
        self.met[f"{place}: {fault}"] += 1
        return fault

    def happens(self, place: str) -> bool:
        """Whether something goes wrong there now by chance."""
        chance, now = self.luck(place).random(), asyncio.get_running_loop().time()
        found = chance < self.rates.get(place, 0) and now < self.calm_at
        if found and place in KINKS:
            self.met[place] += 1
        return found

    def luck(self, place: str) -> random.Random:
        if place not in self._draws:
            self._draws[place] = random.Random(f"{self.seed} {place}")
        return self._draws[place]

    def seconds(self, place: str) -> float:
        """How long something is delayed; not beyond the calm by more than a moment."""
        left = max(self.calm_at - asyncio.get_running_loop().time(), 0) + 1
        return min(self.luck(place).choice(_DELAYS), left)

    def fail(self, place: str) -> NoReturn:
        """Raises what an adapter may raise, a bug included."""
        what = f"{place} failed"
        errors: tuple[Exception, ...] = (
            TrafficError(what), TrafficError(what), TrafficError(what), OSError(what), TimeoutError(what), KeyError(what),
        )  # fmt: skip
        raise self.luck(place).choice(errors)


class Balancer(FakeTraffic):
    """The load balancer. ``observe(weight, by, ports)`` is called at each change; by: a controller's engine, its API, a stranger."""

    def __init__(self, observe: Callable[[float, str, Ports | None], None]) -> None:
        super().__init__()
        self._observe = observe
        self.engines: set[Engine] = set()
        self.updates: Counter[str] = Counter()  # of the stack, by machine

    def move(self, weight: float, by: str, ports: Ports | None = None) -> None:
        if weight != self.weight:
            self._observe(weight, by, ports)
        self._move(weight)

    def end_left_over(self, machine: str) -> None:
        """What a new process does first: ends the engines of a dead one, on its own machine."""
        for engine in list(self.engines):
            if engine.ports.machine == machine:
                engine.stop()

    def generation(self, but: str) -> int:
        """How often the stack was updated from any machine but this one: who did not see that is refused."""
        return sum(number for machine, number in self.updates.items() if machine != but)


class Engine:
    """A stack update under way: it lives on when the process that started it dies."""

    def __init__(self, balancer: Balancer, ports: Ports, weight: int, seconds: float) -> None:
        self._balancer, self.ports, self.weight = balancer, ports, weight
        self._landing = asyncio.get_running_loop().call_later(seconds, self._land)
        balancer.engines.add(self)

    def _land(self) -> None:
        self._balancer.engines.discard(self)
        self._balancer.updates[self.ports.machine] += 1
        self._balancer.move(self.weight, "engine", self.ports)

    def stop(self, late: float | None = None) -> None:
        """Ends it. ``late``: its request was on the way already and arrives so many seconds from now."""
        under_way = self in self._balancer.engines
        self._landing.cancel()
        self._balancer.engines.discard(self)
        if late is not None and under_way:
            asyncio.get_running_loop().call_later(late, self._balancer.move, self.weight, "late")


class Ports:
    """One process's way to the world: every call may fail, and fails once the process is dead."""

    def __init__(self, process: Process, faults: Faults, machine: str = "here") -> None:
        self.process, self.faults, self.machine = process, faults, machine

    async def call(self, place: str, act: Callable[[], Awaitable[T]]) -> T:
        process, faults = self.process, self.faults
        process.calls += 1
        number = process.calls
        process.meets("call", number, after=False)
        fault = faults.at(place)
        if fault is Fault.ERROR:
            faults.fail(place)
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        if fault is Fault.DELAY:
            await asyncio.sleep(faults.seconds(place))
        done = await act()
        process.meets("call", number, after=True)
        if fault is Fault.SLOW:
            await asyncio.sleep(faults.seconds(place))
        if fault is Fault.LOST:
            faults.fail(place)
        return done


class FaultyTraffic:
    """Traffic through stack updates of ``seconds`` and the load balancer's API. ``raising`` lasts as long as each increase."""

    def __init__(
        self,
        ports: Ports,
        balancer: Balancer,
        seconds: Callable[[], float],
        raising: Callable[[int], AbstractContextManager[None]],
    ) -> None:
        self._ports, self._balancer, self._seconds, self._raising = ports, balancer, seconds, raising
        self._faults = ports.faults
        self._generation = balancer.generation(but=ports.machine)
        self.refused_at = float("inf")  # until the calm, previews touch more than the rule from then on
        self._foreseen: int | None = None

    async def read_weight(self) -> float:
        async def read() -> float:
            age = LATEST if self._faults.happens("old reading") else 0
            return self._balancer.weight_at(asyncio.get_running_loop().time() - age)

        return await self._ports.call("read_weight", read)

    async def foresee(self, weight: int) -> None:
        async def preview() -> None:
            await asyncio.sleep(self._seconds() / 2)
            if self.refused_at <= asyncio.get_running_loop().time() < self._faults.calm_at:
                raise TrafficRefused(f"the preview to {weight} % touches more than the rule")
            self._foreseen = weight

        await self._ports.call("foresee", preview)

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        if not increase:
            self._generation = self._balancer.generation(but=self._ports.machine)
            return await self._ports.call("set_weight", lambda: self._update(weight))
        with self._raising(weight):
            if self._foreseen != weight:
                await self.foresee(weight)
            self._refuse_stale()
            return await self._ports.call("set_weight", lambda: self._update(weight))

    def _refuse_stale(self) -> None:
        """As infra's generation guard does: whoever does not know the newest update may raise nothing."""
        if self._generation != self._balancer.generation(but=self._ports.machine):
            raise TrafficRefused("refused, nothing was changed: the stack was updated from elsewhere")

    async def _update(self, weight: int) -> Mapping[str, Any]:
        self._foreseen = None
        seconds, luck = self._seconds(), self._faults.luck("engine")
        engine = Engine(self._balancer, self._ports, weight, seconds * luck.uniform(0.4, 1))
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if self._ports.process.alive:
                engine.stop(luck.uniform(0, LATEST) if self._faults.happens("late request") else None)
            raise
        self._again(weight)
        self._balancer.stack_weight = weight
        return {"seconds": seconds}

    def _again(self, weight: int) -> None:
        """A request that a retry sends twice arrives once more, later."""
        if self._faults.happens("request twice"):
            late = self._faults.luck("engine").uniform(0, LATEST)
            asyncio.get_running_loop().call_later(late, self._balancer.move, weight, "late")

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        async def modify() -> Mapping[str, Any]:
            self._balancer.move(weight, "API", self._ports)
            self._again(weight)
            return {}

        return await self._ports.call("break_glass", modify)

    async def reconcile(self, weight: int) -> Mapping[str, Any]:
        async def update() -> Mapping[str, Any]:
            done = await self._update(weight)
            return {**done, "generation": 1}

        return await self._ports.call("reconcile", update)

    def in_line_by_hand(self, weight: int) -> str:
        return ""

    async def promote(self) -> Mapping[str, Any]:
        async def swap() -> Mapping[str, Any]:
            self._refuse_stale()
            await asyncio.sleep(self._seconds())
            self._ports.process.check()
            self._refuse_stale()
            self._balancer.promoted = True
            self._balancer.updates[self._ports.machine] += 1
            return {}

        return await self._ports.call("promote", swap)

    async def check_rollback(self) -> Mapping[str, str]:
        async def check() -> Mapping[str, str]:
            return {"stable targets": "", "credentials": "", "engine": ""}

        return await self._ports.call("check_rollback", check)


class FaultyLimits:
    def __init__(self, ports: Ports, limits: FakeRateLimits) -> None:
        self._ports, self._limits = ports, limits

    async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
        return await self._ports.call("set_rate_limit", lambda: self._limits.set_rate_limit(per_minute))

    async def read_rate_limit(self) -> int:
        return await self._ports.call("read_rate_limit", self._limits.read_rate_limit)


class FaultyNotifier:
    def __init__(self, ports: Ports, notifier: FakeNotifier) -> None:
        self._ports, self._notifier = ports, notifier

    async def send(self, topic: str, subject: str, body: str) -> str:
        return await self._ports.call("send", lambda: self._notifier.send(topic, subject, body))


class FaultyProbes:
    def __init__(self, ports: Ports, probes: FakeProbes) -> None:
        self._ports, self._probes = ports, probes
        self.roles = probes.roles

    async def round(self, role: str) -> Round:
        return await self._ports.call("round", lambda: self._probes.round(role))


class FaultyMetrics:
    """What one process is told of the metrics: by a delay, in parts, mixed up, or not at all. ``more`` adds alarms."""

    def __init__(
        self, ports: Ports, metrics: FakeMetrics, more: Callable[[float], Sequence[Reading]]
    ) -> None:
        self._ports, self._metrics, self._more = ports, metrics, more
        self._kept: list[Reading] = []

    async def poll(self, t: float) -> Sequence[Reading]:
        async def query() -> list[Reading]:
            return [*await self._metrics.poll(t), *self._more(t)]

        found = [*self._kept, *await self._ports.call("poll", query)]
        self._kept = []
        faults = self._ports.faults
        luck = faults.luck("answer")
        if faults.happens("half an answer"):
            half = luck.randint(0, len(found))
            found, self._kept = found[:half], found[half:]
        if found and faults.happens("mixed answer"):
            found += luck.choices(found, k=2)
            luck.shuffle(found)
        return found
