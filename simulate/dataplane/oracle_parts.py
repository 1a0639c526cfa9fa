"""What the oracle is made of: places to wait for, one colour with its replicas and pool, and the tally of outcomes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import simpy
from simpy.events import EventPriority

from simulate.dataplane.model import Backend, RateLimit
from simulate.dataplane.periods import EdgePeriod, Period


class Outcome(IntEnum):
    """How an attempt ended, as its client sees it."""

    OK = 0
    SERVER_ERROR = 1
    DB_ERROR = 2
    BAD_GATEWAY = 3
    UNAVAILABLE = 4
    TIMED_OUT = 5
    RATE_LIMITED = 6


class Why(Enum):
    """Why a process is interrupted."""

    HANG = "the database hangs"
    REFUSED = "the database refuses"
    KILLED = "the replica died"
    GAVE_UP = "the client left the backlog"
    CHANGED = "the rate has changed"


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt of a request; times in seconds."""

    number: int
    client: int
    side: Side
    arrived: float
    order: int
    process: simpy.Process = field(init=False)
    ended: bool = False
    replica: int = -1
    stage: str = "arriving"
    holds: list[Station] = field(default_factory=list)  # where it has a place


class Station:
    """Places that are taken first come, first served; ``places`` says how many there are now."""

    def __init__(self, env: simpy.Environment, places: Callable[[], float]) -> None:
        self.env, self.places, self.used = env, places, 0
        self.waiting: dict[Attempt, tuple[simpy.Event, float]] = {}  # its turn, and since when it waits

    def free(self) -> bool:
        return self.used < self.places()

    def take(self, attempt: Attempt) -> None:
        self.used += 1
        attempt.holds.append(self)

    def ask(self, attempt: Attempt) -> simpy.Event:
        """An event that is triggered at once if there is a place, else when it is this attempt's turn.

        Its value is whether there is a place.
        """
        turn = self.env.event()
        if not self.waiting and self.free():
            self.take(attempt)
            turn.succeed(True)
        else:
            self.waiting[attempt] = turn, self.env.now
        return turn

    def withdraw(self, attempt: Attempt) -> None:
        """It does not want a place any more, if it still waits for one."""
        self.waiting.pop(attempt, None)

    def turn_away(self, attempt: Attempt) -> None:
        """Its turn comes without a place, if it still waits for one."""
        if attempt in self.waiting:
            self.waiting.pop(attempt)[0].succeed(False)

    def leave(self, attempt: Attempt) -> None:
        self.used -= 1
        attempt.holds.remove(self)
        self.serve()

    def serve(self) -> None:
        while self.waiting and self.free():
            self.serve_first()

    def serve_first(self) -> None:
        first = next(iter(self.waiting))
        turn, _ = self.waiting.pop(first)
        self.take(first)
        turn.succeed(True)

    def longest_wait_began(self) -> float:
        return next((since for _, since in self.waiting.values()), math.inf)


class Pool(Station):
    """Connections of one colour to PostgreSQL: taken idle, or opened while PostgreSQL has some left."""

    def __init__(self, env: simpy.Environment, size: int, left: Callable[[], int]) -> None:
        super().__init__(env, self.usable)
        self.size, self.open, self.lost, self._left = size, 0, 0.0, left
        self.refused = False
        self.other: Pool | None = None

    def usable(self) -> int:
        return max(self.size - int(self.lost), 0)

    def idle(self) -> int:
        return self.open - int(self.lost) - self.used

    def free(self) -> bool:
        return not self.refused and self.used < self.usable() and (self.idle() > 0 or self._left() > 0)

    def take(self, attempt: Attempt) -> None:
        if self.idle() <= 0:
            self.open += 1
        super().take(attempt)

    def hopeless(self) -> bool:
        """PostgreSQL has no connection left, and none of this pool's will come back."""
        return self.used == 0 and self.usable() > 0 and not self.free()

    def leave(self, attempt: Attempt) -> None:
        closed = self.open > self.size
        self.open -= closed
        super().leave(attempt)
        if closed and self.other:
            self.other.serve()

    def leak(self, connections: float) -> None:
        """While one that will be given back is still in use: so many others are lost, opened if need be."""
        self.lost = min(self.lost + connections, float(self.size))
        wanted = min(self.used - 1 + int(self.lost), self.size) - self.open
        self.open += max(min(wanted, self._left()), 0)


class Slots(Station):
    """The slots of one colour's replicas, taken in turn."""

    def __init__(self, env: simpy.Environment, replicas: int, concurrency: int) -> None:
        super().__init__(env, lambda: sum(self.up) * concurrency)
        self.concurrency = concurrency
        self.up, self.busy = [True] * replicas, [0] * replicas
        self.inside: set[Attempt] = set()
        self._next: int = 0
        self.serving = False

    def take(self, attempt: Attempt) -> None:
        """Of the next replica that lives and has a free slot."""
        super().take(attempt)
        while not self.up[self._next] or self.busy[self._next] >= self.concurrency:
            self._next = (self._next + 1) % len(self.up)
        attempt.replica = self._next
        self._next = (self._next + 1) % len(self.up)
        self.busy[attempt.replica] += 1
        self.inside.add(attempt)

    def leave(self, attempt: Attempt) -> None:
        self.busy[attempt.replica] -= 1
        self.inside.remove(attempt)
        super().leave(attempt)

    def serve(self) -> None:
        """One after the other: whoever fails at once has left when the next one starts."""
        if self.waiting and self.free() and not self.serving:
            self.serving = True
            self.env.process(self._serve_in_turn())

    def _serve_in_turn(self) -> Generator[simpy.Event, object, None]:
        while self.waiting and self.free():
            self.serve_first()
            yield self.env.timeout(0)
        self.serving = False


class LastThing(simpy.Event):
    """Happens at the end of this instant, after everything else that is due in it."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, EventPriority(2))  # SimPy's own are 0 and 1


class Side:
    """One colour as it stands: replicas, pool, and the faults switched on."""

    def __init__(
        self, env: simpy.Environment, number: int, backend: Backend, left: Callable[[], int]
    ) -> None:
        self.env, self.number, self.backend = env, number, backend
        n = backend.replicas
        self.slots = Slots(env, n, backend.concurrency)
        self.up, self.generation = self.slots.up, [0] * n
        self.memory = [backend.memory.base_mb + backend.memory.spread_mb * r for r in range(n)]
        self.memory_at = [0.0] * n
        self.unnoticed = self.in_flight = 0
        self.pool = Pool(env, backend.pool.size, left)
        self.hung_since = math.inf
        self.resumed = env.event()
        self.faults: dict[str, float] = defaultdict(float, error_share=backend.error_share)
        self.faults |= {"query_factor": 1.0, "work_factor": 1.0}

    def reachable_share(self) -> float:
        """Share of connections that reach a living replica."""
        live = sum(self.up)
        return (1.0 - self.faults["unreachable_share"]) * (live / (live + self.unnoticed)) if live else 0.0

    def memory_of(self, r: int) -> float:
        return self.memory[r] + self.faults["memory_mb_per_s"] * (self.env.now - self.memory_at[r])


class Limiter:
    """The rate limit: who asked when, and who is blocked until the next look (s)."""

    def __init__(self, rule: RateLimit) -> None:
        self.rule, self.limit, self.next_look = rule, rule.per_window, rule.check_s
        self._asked: dict[int, list[float]] = {}
        self._blocked: set[int] = set()

    def blocks(self, client: int, now: float) -> bool:
        self._asked.setdefault(client, []).append(now)
        return client in self._blocked

    def look(self, now: float) -> None:
        self.next_look += self.rule.check_s
        for client, times in self._asked.items():
            self._asked[client] = [t for t in times if t >= now - self.rule.window_s]
        self._blocked = {client for client, times in self._asked.items() if len(times) > self.limit}

    def change(self, limit: float) -> None:
        self.limit = limit
        self._asked.clear()
        self._blocked.clear()


@dataclass(slots=True)
class Tally:
    """Counts and latencies by metric period and side (0, 1; 2: the edge), and the attempts one by one."""

    counts: dict[tuple[int, int], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    latencies: dict[tuple[int, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    attempts: list[tuple[float, ...]] = field(default_factory=list)
    open: int = 0  # the number of the open period

    def count(self, side: int, what: str) -> None:
        self.counts[self.open, side][what] += 1

    def period(self, n: int, side: int) -> Period:
        c = self.counts[n, side]
        times = sorted(self.latencies[n, side])

        def quantile(share: float) -> float | None:
            return times[max(math.ceil(share * len(times)) - 1, 0)] if times else None

        return Period(
            ok=c["OK"],
            server_errors=c["SERVER_ERROR"],
            db_errors=c["DB_ERROR"],
            bad_gateway=c["BAD_GATEWAY"],
            unavailable=c["UNAVAILABLE"],
            timed_out=c["TIMED_OUT"],
            arrived=c["arrived"],
            retried=c["retried"],
            db_connection_errors=c["db_connection_errors"],
            ws_drops=c["ws_drops"],
            ws_failed=c["ws_failed"],
            restarts=c["restarts"],
            in_flight=c["in_flight"],
            ws_open=c["ws_open"],
            busy=c["busy"],
            pool_in_use=c["pool_in_use"],
            pool_waiting=c["pool_waiting"],
            p50=quantile(0.5),
            p95=quantile(0.95),
            p99=quantile(0.99),
            mean=math.fsum(times) / len(times) if times else None,
            worst=times[-1] if times else None,
            memory=c["memory"],
        )

    def edge(self, n: int) -> EdgePeriod:
        c = self.counts[n, 2]
        return EdgePeriod(
            c["attempts"], c["rate_limited"], c["retried"], c["arrivals"], c["served"], c["given_up"]
        )
