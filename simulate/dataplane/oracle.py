"""The data plane once more in plain SimPy, a process per request: the specification of the compiled one.

``Oracle`` has the interface of ``DataPlane``. It reads the same random numbers (``streams``, ``laws``, ``arrivals``)
and shares nothing else with the kernel, so that agreement of the two, request by request, means something.

An attempt's process is its server's side. Its client's side ends once: with the answer, or before at the deadline.
"""

from __future__ import annotations

import math

from simulate.dataplane.model import Model
from simulate.dataplane.oracle_parts import Side, Why
from simulate.dataplane.oracle_requests import Requests
from simulate.dataplane.periods import EdgePeriod, Period
from simulate.dataplane.switches import check


class Oracle(Requests):
    """One run of a model; see ``DataPlane``."""

    def __init__(self, model: Model, seed: int, replication: int = 0) -> None:
        super().__init__(model, seed, replication)
        self._probe_every, self._next_probe = 0.0, math.inf

    # --- time

    @property
    def now(self) -> float:
        return float(self.env.now)

    def advance(self, until: float) -> float:
        while True:
            period_ends = (self.tally.open + 1) * self.model.period_s
            look = self._limiter.next_look if self._limiter else math.inf
            boundary = min(period_ends, look, self._next_probe, until)
            if boundary > self.env.now:
                self.env.run(until=boundary)
            if boundary == period_ends:
                self._close_period()
            elif self._limiter and boundary == look:
                self._limiter.look(boundary)
            elif boundary == self._next_probe:
                self._next_probe += self._probe_every
                if self.failed_probes(0) or self.failed_probes(1):
                    return boundary
            else:
                return until

    def _close_period(self) -> None:
        for side in self.sides:
            row = self.tally.counts[self.tally.open, side.number]
            row["in_flight"] = side.in_flight
            row["ws_open"] = self._sockets.open(side.number)
            row["busy"], row["pool_in_use"] = side.slots.used, side.pool.used
            row["pool_waiting"] = len(side.pool.waiting)
            fullest = max((side.memory_of(r) for r, up in enumerate(side.up) if up), default=0.0)
            row["memory"] = fullest / side.backend.memory.limit_mb  # type: ignore[assignment]
        self.tally.open += 1

    # --- probes, switches, results: as in ``DataPlane``

    def watch_probes(self, every_s: float, first_s: float) -> None:
        self._probe_every, self._next_probe = every_s, first_s if every_s > 0 else math.inf

    def failed_probes(self, colour: int) -> tuple[str, ...]:
        side, sent = self.sides[colour], self.env.now - self.model.probe_timeout_s
        pool = side.pool
        stuck = not any(side.up) or side.slots.longest_wait_began() <= sent
        no_database = (
            pool.refused
            or pool.usable() == 0
            or pool.hopeless()
            or pool.used + len(pool.waiting) >= side.backend.pool.max_clients
            or pool.longest_wait_began() <= sent
            or self._database.longest_wait_began() <= sent
            or side.hung_since <= sent
        )
        failed = {
            "health": stuck,
            "ready": stuck,
            "deep": stuck or no_database,
            "targets": not all(side.up) or side.faults["no_targets"],
        }
        return tuple(name for name, fails in failed.items() if fails or side.faults[f"{name}_fails"])

    @property
    def weight(self) -> float:
        return self._percent

    @weight.setter
    def weight(self, percent: float) -> None:
        self._percent = self._sockets.weight = percent

    def set_traffic(self, factor: float) -> None:
        self._traffic = factor
        self._users.interrupt(Why.CHANGED)
        self._settle()

    def set_rate_limit(self, per_window: float) -> None:
        if self._limiter:
            self._limiter.change(per_window)

    def set_max_connections(self, n: int) -> None:
        self._max_connections = n
        for side in self.sides:
            side.pool.serve()
        self._settle()

    def kill(self, colour: int, replicas: int | None = None, back_after_s: float | None = None) -> None:
        side = self.sides[colour]
        after = side.backend.restart_s if back_after_s is None else back_after_s
        for r in [r for r, up in enumerate(side.up) if up][:replicas]:
            self._kill(side, r, after)
            self._settle()

    def switch(self, colour: int, **values: float) -> None:
        side = self.sides[colour]
        for name, value in values.items():
            check(name, value)
            if name == "memory_mb_per_s":
                side.memory = [side.memory_of(r) for r in range(side.backend.replicas)]
            before, side.faults[name] = side.faults[name], value
            if name == "hung" and value != before:
                self._hang(side, hung=bool(value))
            elif name == "database_refuses":
                self._refuse(side, refused=bool(value))
            elif name == "pool_size":
                self._resize(side, int(value))
            elif name == "ws_drops_per_s":
                self._sockets.change_hazard(colour, value)
            elif name == "memory_mb_per_s":
                for r in range(side.backend.replicas):
                    self._watch_memory(side, r)
            self._settle()

    def _hang(self, side: Side, *, hung: bool) -> None:
        if hung:
            side.hung_since, side.resumed = self.env.now, self.env.event()
            self._interrupt([a for a in side.slots.inside if a.stage == "query"], Why.HANG)
        else:
            side.hung_since = math.inf
            side.resumed.succeed()

    def _refuse(self, side: Side, *, refused: bool) -> None:
        if refused and not side.pool.refused:
            side.pool.refused = True
            self._interrupt([a for a in side.slots.inside if a.stage != "work"], Why.REFUSED)
            side.pool.open, side.pool.lost = 0, 0.0
            self._settle()
            self.sides[1 - side.number].pool.serve()
        side.pool.refused = refused

    def _resize(self, side: Side, size: int) -> None:
        pool = side.pool
        pool.size, pool.lost = size, 0.0
        pool.open = min(pool.open, max(pool.used, size))
        pool.serve()
        self._settle()
        self.sides[1 - side.number].pool.serve()

    @property
    def periods(self) -> int:
        return self.tally.open

    def period(self, n: int, colour: int) -> Period:
        return self.tally.period(n, colour)

    def edge(self, n: int) -> EdgePeriod:
        return self.tally.edge(n)

    @property
    def arrivals(self) -> int:
        return sum(self.tally.counts[n, 2]["arrivals"] for n in range(self.tally.open + 1))

    def in_flight(self, colour: int) -> int:
        return self.sides[colour].in_flight

    def attempts(self) -> list[tuple[float, ...]]:
        return self.tally.attempts
