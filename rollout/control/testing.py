"""A fake of every port, and a clock that jumps: a whole rollout in milliseconds, without a test framework.

:func:`run_virtually` runs a coroutine on an event loop whose time leaps to whatever is due next, so a wait of ten
minutes takes none, and the same run always gives the same records. :class:`FakeCloud` ties the fakes together: its
metrics follow the weight that its traffic really has.

    >>> async def night(cloud):
    ...     from rollout.control.controller import Controller
    ...     from rollout.plan import load_plan
    ...     journal, start = MemoryJournal(cloud.clock), cloud.clock.now()
    ...     cloud.metrics.candidate = Release(error_rate=5.0)
    ...     controller = Controller(
    ...         load_plan("phase-c"), ports=cloud.ports, metrics=cloud.metrics, probes=cloud.probes, journal=journal,
    ...         clock=cloud.clock, start=start,
    ...     )
    ...     return await controller.run(), [weight for _, weight in cloud.traffic.history]
    >>> run_virtually(night(FakeCloud()))
    (<Exit.ROLLED_BACK: 3>, [5, 0])

The fakes model neither networks nor queues: latency, errors and health are what their user sets. Times are the running
loop's, in seconds from 0, unless said otherwise.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from rollout.control.ports import EventMaker, Ports, Reading, Round, TrafficError, TrafficRefused
from rollout.journal import Record, utc
from rollout.journal.card import bring_in_line
from rollout.policy.events import ROLES, EdgeMetrics, Metrics, MetricsError

LONGEST = 6 * 3600.0  # seconds; a rollout that hangs would go on for ever, in no time
T = TypeVar("T")


class _LeapingSelector(selectors.SelectSelector):
    """Never waits: adds the time that it should have waited to the loop's, up to ``limit`` seconds."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.leapt, self.limit = 0.0, limit

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError(
                    "nothing is due any more: the coroutine waits for something that never comes"
                )
            self.leapt += max(timeout, 0)
            if self.leapt > self.limit:
                limit, self.limit = self.limit, math.inf  # what is left behind may still be ended
                raise RuntimeError(f"the coroutine is not done after {limit:g} s of the loop's time")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock leaps over every wait. Not for real I/O or threads.

    Raises ``RuntimeError`` when nothing is due any more, or after ``limit`` seconds of its own time.
    """

    def __init__(self, limit: float = LONGEST) -> None:
        self._leaping = _LeapingSelector(limit)
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.leapt


def run_virtually(work: Coroutine[Any, Any, T], limit: float = LONGEST) -> T:
    """Runs ``work`` to its end on a :class:`VirtualTimeLoop` of its own, then ends what it left behind."""
    with asyncio.Runner(loop_factory=partial(VirtualTimeLoop, limit)) as runner:
        return runner.run(work)


@dataclass(slots=True)
class FakeClock:
    """Epoch seconds that follow the running loop's time."""

    epoch: float = 1_766_196_000.0  # 2025-12-20T02:00:00Z

    def now(self) -> float:
        return self.epoch + asyncio.get_running_loop().time()


class Crash(BaseException):
    """Stands for the death of the controller's process."""


class MemoryJournal:
    """Keeps records in a list; raises :class:`Crash` in place of the record after ``crash_after``."""

    def __init__(
        self, clock: FakeClock, records: Sequence[Record] = (), crash_after: int | None = None
    ) -> None:
        self.records = list(records)
        self.failure: OSError | None = None  # set it to break the disk
        self._clock, self._crash_after = clock, crash_after

    def append(self, kind: str, t: float, body: Mapping[str, Any]) -> int:
        if self._crash_after is not None and len(self.records) >= self._crash_after:
            raise Crash
        self.records.append(Record(len(self.records) + 1, utc(self._clock.now()), kind, t, dict(body)))
        return len(self.records)

    async def durable(self) -> None:
        if self.failure:
            raise self.failure


@dataclass(slots=True)
class FakeTraffic:
    """A load balancer and the stack that declares its weights. ``seconds`` is how long a stack update takes."""

    seconds: float = 2.5
    weight: float = 0
    stack_weight: int = 0
    promoted: bool = False
    history: list[tuple[float, float]] = field(default_factory=list)  # (loop time, weight) of changes
    acts: list[str] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)  # weights whose preview touches more than the rule
    broken_stack: bool = False  # every stack update fails
    hanging_stack: bool = False  # no stack update ever ends
    orphaned: bool = False  # a cancelled update goes on, as when only the controller dies
    broken_api: bool = False  # the load balancer's API fails
    shut: bool = (
        False  # the rule's conditions let nobody in; a decrease and what follows it write the rule back whole
    )

    def _move(self, weight: float) -> None:
        if weight != self.weight:
            self.history.append((asyncio.get_running_loop().time(), weight))
        self.weight = weight

    def weight_at(self, time: float) -> float:
        """The weight at a loop time."""
        return next((weight for at, weight in reversed(self.history) if at <= time), 0)

    async def read_weight(self) -> float:
        if self.broken_api:
            raise TrafficError("the load balancer's API does not answer")
        return self.weight

    async def foresee(self, weight: int) -> None:
        await asyncio.sleep(self.seconds / 2)
        if weight in self.refused:
            raise TrafficRefused(f"the preview to {weight} % touches more than the rule")

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        if increase:
            await self.foresee(weight)
        self.acts.append(f"stack {weight}")
        self.stack_weight = weight
        engine = asyncio.create_task(self._engine(weight))
        try:
            await asyncio.shield(engine)
        except asyncio.CancelledError:
            if not self.orphaned:
                engine.cancel()
            raise
        if not increase:
            self.shut = False  # the update of a decrease refreshes the rule first
        return {"seconds": self.seconds}

    async def _engine(self, weight: int) -> None:
        await asyncio.sleep(self.seconds)
        if self.hanging_stack:
            await asyncio.Event().wait()
        if self.broken_stack:
            raise TrafficError("the stack update failed")
        self._move(weight)

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        self.acts.append(f"api {weight}")
        if self.broken_api:
            raise TrafficError("the load balancer's API does not answer")
        self._move(weight)
        self.shut = False
        return {}

    async def reconcile(self, weight: int) -> Mapping[str, Any]:
        self.acts.append(f"reconcile {weight}")
        if self.broken_stack:
            raise TrafficError("the stack update failed")
        self.stack_weight = weight
        self.shut = False
        return {}

    def in_line_by_hand(self, weight: int) -> str:
        return bring_in_line("prod-traffic", "blue", weight)

    async def promote(self) -> Mapping[str, Any]:
        self.acts.append("promote")
        await asyncio.sleep(self.seconds)
        if self.broken_stack:
            raise TrafficError("the stack update failed")
        self.promoted = True
        return {}

    async def check_rollback(self) -> Mapping[str, str]:
        return {"stable targets": "", "credentials": "", "engine": ""}


@dataclass(slots=True)
class FakeColours:
    """The pods of both colours: how many are healthy, by role. ``seconds`` is how long a new number of them takes."""

    healthy: dict[str, int] = field(default_factory=lambda: {"stable": 4, "candidate": 4})
    wrong: str = ""  # what the targets that are not healthy have
    seconds: float = 30.0
    scaled: list[tuple[str, int]] = field(default_factory=list)
    broken: bool = False  # every update fails
    stuck: bool = False  # new pods never become healthy

    async def targets(self, role: str) -> tuple[int, str]:
        return self.healthy[role], self.wrong

    async def scale(self, role: str, replicas: int) -> Mapping[str, Any]:
        if self.broken:
            raise TrafficError("the stack update failed")
        self.scaled.append((role, replicas))
        if self.stuck:
            await asyncio.Event().wait()
        now = self.healthy[role]
        for pods in range(now, replicas + 1) if now < replicas else (replicas,):
            self.healthy[role] = pods
            await asyncio.sleep(self.seconds / (abs(replicas - now) + 1))
        return {"replicas": replicas}


@dataclass(slots=True)
class FakeRateLimits:
    """The rate limits that were set, oldest first; ``deployed`` before."""

    limits: list[int] = field(default_factory=list)
    deployed: int = 1000

    async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
        self.limits.append(per_minute)
        return {}

    async def read_rate_limit(self) -> int:
        return self.limits[-1] if self.limits else self.deployed


@dataclass(slots=True)
class FakeNotifier:
    """The notifications that were sent, oldest first: topic, subject, body. ``broken``: none can be sent."""

    sent: list[tuple[str, str, str]] = field(default_factory=list)
    broken: bool = False

    async def send(self, topic: str, subject: str, body: str) -> str:
        if self.broken:
            raise OSError("the topic does not answer")
        self.sent.append((topic, subject, body))
        return ""


@dataclass(slots=True)
class FakeProbes:
    """``failing(role, time)`` names the probes that fail at a loop time, ``answering(role, time)`` the versions that answer.

    ``roles``: add the front door to have it probed too.
    """

    failing: Callable[[str, float], Sequence[str]] = lambda role, time: ()
    answering: Callable[[str, float], Sequence[str]] = lambda role, time: ()
    seconds: float = 0.05
    roles: Sequence[str] = ROLES

    async def round(self, role: str) -> Round:
        await asyncio.sleep(self.seconds)
        time = asyncio.get_running_loop().time()
        return Round(tuple(self.failing(role, time)), tuple(self.answering(role, time)))


@dataclass(frozen=True, slots=True)
class Release:
    """How one role behaves: percent of its requests that fail, P95 in seconds, database errors a period."""

    error_rate: float = 0.0
    p95: float = 0.2
    db_connection_errors: int | None = 0
    bad_from: float = 0.0  # until then all is well

    def at(self, time: float) -> Release:
        return self if time >= self.bad_from else Release()


@dataclass(slots=True)
class FakeMetrics:
    """Metric periods of requests that follow the weight which ``traffic`` really had, published ``delay`` late."""

    traffic: FakeTraffic
    candidate: Release = Release()
    stable: Release = Release()
    period: float = 60.0
    delay: float = 90.0
    rate: float = 100.0  # requests a second of both roles together
    rate_limited: float = 0.0  # percent at the edge
    missing_from: float = math.inf  # no datapoint of a later period is ever published
    failing_from: float = math.inf  # every query fails
    _next: float = 0.0

    async def poll(self, t: float) -> Sequence[Reading]:
        now = asyncio.get_running_loop().time()
        if now >= self.failing_from:
            return [Reading(partial(MetricsError, reason="throttled"))]
        readings = []
        # Rollout time may begin anywhere in a period; loop time 0 begins one.
        while self._next + self.period + self.delay <= now:
            start, self._next = self._next, self._next + self.period
            readings += [Reading(event) for event in self._periods(start, start - (now - t))]
        return readings

    def _periods(self, start: float, rollout_start: float) -> list[EventMaker]:
        share = sum(self.traffic.weight_at(start + s) for s in range(int(self.period))) / self.period / 100
        end = rollout_start + self.period
        events: list[EventMaker] = []
        for role, part, release in (
            ("candidate", share, self.candidate),
            ("stable", 1 - share, self.stable),
        ):
            requests, now = round(self.rate * self.period * part), release.at(start)
            period = partial(Metrics, role=role, start=rollout_start, end=end, requests=requests)
            if start >= self.missing_from or not requests:
                events.append(partial(period, requests=0))
                continue
            errors = round(requests * now.error_rate / 100)
            events.append(
                partial(period, errors=errors, p95=now.p95, db_connection_errors=now.db_connection_errors)
            )
        arrived = round(self.rate * self.period)
        limited = round(arrived * self.rate_limited / 100)
        edge = partial(EdgeMetrics, start=rollout_start, end=end)
        events.append(partial(edge, requests=arrived - limited, rate_limited=limited))
        return events


@dataclass(slots=True)
class FakeCloud:
    """All fakes, with metrics that follow the traffic. Pass its parts to a Controller."""

    traffic: FakeTraffic = field(default_factory=FakeTraffic)
    limits: FakeRateLimits = field(default_factory=FakeRateLimits)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    probes: FakeProbes = field(default_factory=FakeProbes)
    colours: FakeColours = field(default_factory=FakeColours)
    metrics: FakeMetrics = field(init=False)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.metrics = FakeMetrics(self.traffic)

    @property
    def ports(self) -> Ports:
        return Ports(self.traffic, self.limits, self.notifier, self.colours)
