"""The oracle's requests: users come, attempts take their way, replicas die and return. See ``oracle``."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import simpy

from simulate.dataplane.arrivals import gap_after, interval_of, rate_table, units_between
from simulate.dataplane.laws import encode, sample
from simulate.dataplane.model import Model
from simulate.dataplane.oracle_parts import Attempt, LastThing, Limiter, Outcome, Side, Station, Tally, Why
from simulate.dataplane.oracle_sockets import Sockets
from simulate.dataplane.streams import Stream, keys, uniform

Steps = Generator[simpy.Event, Any, None]


class Requests:
    """Users, their attempts and the replicas that serve them."""

    def __init__(self, model: Model, seed: int, replication: int = 0) -> None:
        env = self.env = simpy.Environment()
        self.model, self.tally = model, Tally()
        self._keys = keys(seed, replication)
        self._rates = rate_table(model.arrivals, self._keys[Stream.BURSTS])
        self._interval = interval_of(model.arrivals)
        self._laws = {
            name: [encode(law) for law in laws]
            for name, laws in {
                "query": [b.query for b in model.colours],
                "work": [b.work for b in model.colours],
                "patience": [b.pool.wait for b in model.colours],
            }.items()
        }
        self._max_connections = model.database.max_connections
        self.sides = [Side(env, c, b, self._connections_left) for c, b in enumerate(model.colours)]
        self.sides[0].pool.other, self.sides[1].pool.other = self.sides[1].pool, self.sides[0].pool
        self._database = Station(env, lambda: model.database.parallel or math.inf)
        self._percent, self._traffic = 0.0, 1.0
        self._tokens, self._order = 0.0, 0
        self._limiter = Limiter(model.rate_limit) if model.rate_limit else None
        self._stuck: dict[int, tuple[int, float]] = {}  # client -> colour, until when
        self._sockets = Sockets(env, model.websockets, self.sides, self.tally, self._keys)
        self._settle()
        self._users = env.process(self._users_come())
        self._settle()

    def _uniform(self, stream: Stream, n: int) -> float:
        return uniform(self._keys[stream], n)

    def _connections_left(self) -> int:
        return self._max_connections - sum(side.pool.open for side in self.sides)

    # --- users and their attempts

    def _users_come(self) -> Steps:
        for request in range(1 << 60):
            unit = -math.log(self._uniform(Stream.ARRIVALS, request))
            while True:
                since, factor = self.env.now, self._traffic
                try:
                    gap = gap_after(since, unit, factor, self._rates, self._interval)
                    yield self.env.timeout(gap) if gap < math.inf else self.env.event()
                    break
                except simpy.Interrupt:
                    spent = units_between(since, self.env.now, factor, self._rates, self._interval)
                    unit = max(unit - spent, 0.0)
            self._tokens = min(self._tokens + self.model.retries.budget, self.model.retries.burst)
            self.tally.count(2, "arrivals")
            self._try(request << 3, self._client_of(request))

    def _client_of(self, request: int) -> int:
        u, who = self._uniform(Stream.CLIENT, request), self.model.clients
        if u < who.heavy_share:
            return int(u / who.heavy_share * who.heavy)
        return who.heavy + int((u - who.heavy_share) / (1.0 - who.heavy_share) * (who.count - who.heavy))

    def _try(self, number: int, client: int) -> None:
        """One attempt at the edge: ``number`` is the request's, times 8, plus how many attempts it has had."""
        self.tally.count(2, "attempts")
        if self._limiter and self._limiter.blocks(client, self.env.now):
            self.tally.count(2, "rate_limited")
            self._conclude(number, client, -1, Outcome.RATE_LIMITED, self.env.now)
            return
        side = self.sides[self._colour_for(number, client)]
        self._order += 1
        attempt = Attempt(number, client, side, self.env.now, self._order)
        side.in_flight += 1
        self.tally.count(side.number, "arrived")
        if number & 7:
            self.tally.count(side.number, "retried")
        attempt.process = self.env.process(self._attempt(attempt))

    def _colour_for(self, number: int, client: int) -> int:
        sticky = self.model.sticky_s
        colour, until = self._stuck.get(client, (0, 0.0))
        if self.env.now >= until:
            colour = int(self._uniform(Stream.ROUTE, number) * 100.0 < self._percent)
        if sticky:
            self._stuck[client] = colour, self.env.now + sticky
        return colour

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        """The client's side ends, if it has not: counted now, and perhaps tried again."""
        if attempt.ended:
            return
        attempt.ended = True
        side = attempt.side
        side.in_flight -= 1
        self.tally.count(side.number, outcome.name)
        if outcome <= Outcome.DB_ERROR:
            self.tally.latencies[self.tally.open, side.number].append(self.env.now - attempt.arrived)
        self._conclude(attempt.number, attempt.client, side.number, outcome, attempt.arrived)

    def _conclude(self, number: int, client: int, colour: int, outcome: Outcome, arrived: float) -> None:
        self.tally.attempts.append((number, colour, outcome, arrived, self.env.now))
        if outcome is Outcome.OK:
            self.tally.count(2, "served")
            return
        retries, tried = self.model.retries, number & 7
        if tried >= retries.most or self._tokens < 1.0:
            self.tally.count(2, "given_up")
            return
        self._tokens -= 1.0
        jitter = 0.5 + self._uniform(Stream.BACKOFF, number)
        self._later(
            retries.backoff_s * retries.factor**tried * jitter, lambda: self._retry(number + 1, client)
        )

    def _retry(self, number: int, client: int) -> None:
        self.tally.count(2, "retried")
        self._try(number, client)

    def _give_up(self, attempt: Attempt) -> None:
        if not attempt.ended:
            self._end(attempt, Outcome.TIMED_OUT)
            if attempt.stage == "backlog":
                attempt.process.interrupt(Why.GAVE_UP)

    # --- the server's side of an attempt

    def _attempt(self, attempt: Attempt) -> Steps:
        side, number = attempt.side, attempt.number
        if side.faults["no_targets"]:
            self._end(attempt, Outcome.UNAVAILABLE)
            return
        self._later(self.model.timeout_s, lambda: self._give_up(attempt))
        if self._misses(side, number):
            if side.faults["connect_s"]:
                yield self.env.timeout(side.faults["connect_s"])
            self._end(attempt, Outcome.BAD_GATEWAY)
            return
        if side.slots.free() or len(side.slots.waiting) < side.backend.backlog:
            yield from self._hold_slot(attempt)
        else:
            self._end(attempt, Outcome.BAD_GATEWAY)

    def _hold_slot(self, attempt: Attempt) -> Steps:
        """Waits for a slot, unless the client gives up before, and holds it until the answer."""
        side = attempt.side
        outcome = Outcome.BAD_GATEWAY  # as the client sees it if the replica dies
        try:
            turn = side.slots.ask(attempt)
            if not turn.triggered:
                attempt.stage = "backlog"
                yield turn
            self._grow_with(side, attempt.replica)
            outcome = yield from self._serve(attempt)
        except simpy.Interrupt as interrupt:
            if interrupt.cause is Why.GAVE_UP:
                side.slots.withdraw(attempt)
                return
            if interrupt.cause is Why.REFUSED:
                outcome = self._no_connection(side)
            for station in (self._database, side.pool):
                if station in attempt.holds:
                    station.leave(attempt)
        self._end(attempt, outcome)
        side.slots.leave(attempt)

    def _misses(self, side: Side, number: int) -> bool:
        """Whether the connection fails: unreachable, or to a dead replica that is still registered."""
        reachable = side.reachable_share()
        return reachable < 1.0 and (not any(side.up) or self._uniform(Stream.REACH, number) < 1.0 - reachable)

    def _serve(self, attempt: Attempt) -> Generator[simpy.Event, Any, Outcome]:
        """In its slot: a connection, the query, the backend's own work. How it is answered."""
        side, pool, number = attempt.side, attempt.side.pool, attempt.number
        attempt.stage = "database"
        if pool.refused or len(pool.waiting) + pool.used >= side.backend.pool.max_clients or pool.hopeless():
            return self._no_connection(side)
        turn = pool.ask(attempt)
        if not turn.triggered:
            patience = self._draw("patience", side.number, Stream.PATIENCE, number)
            self._later(patience, lambda: pool.turn_away(attempt))
            if not (yield turn):
                return self._no_connection(side)
        turn = self._database.ask(attempt)
        if not turn.triggered:
            yield turn
        yield from self._query(attempt)
        attempt.stage = "work"
        work = self._draw("work", side.number, Stream.WORK, number) * side.faults["work_factor"]
        self._database.leave(attempt)
        if side.faults["pool_leak"]:
            pool.leak(side.faults["pool_leak"])
        pool.leave(attempt)
        yield self.env.timeout(work)
        failed = self._uniform(Stream.ERROR, number) < side.faults["error_share"]
        return Outcome.SERVER_ERROR if failed else Outcome.OK

    def _query(self, attempt: Attempt) -> Steps:
        """Runs the query; while the database hangs it stands still."""
        side, number = attempt.side, attempt.number
        faults = side.faults
        left = self._draw("query", side.number, Stream.QUERY, number) * faults["query_factor"]
        left += faults["query_added_s"]
        if self._uniform(Stream.SLOW, number) < faults["slow_share"]:
            left += faults["slow_added_s"]
        while True:
            if faults["hung"]:
                attempt.stage = "database"
                yield side.resumed
            end = self.env.now + left
            attempt.stage = "query"
            try:
                yield self.env.timeout(left)
                return
            except simpy.Interrupt as interrupt:
                if interrupt.cause is not Why.HANG:
                    raise
                left = end - self.env.now

    def _no_connection(self, side: Side) -> Outcome:
        self.tally.count(side.number, "db_connection_errors")
        return Outcome.DB_ERROR

    def _draw(self, law: str, colour: int, stream: Stream, number: int) -> float:
        return sample(self._laws[law][colour], self._uniform(stream, number))

    # --- replicas

    def _grow_with(self, side: Side, r: int) -> None:
        """Memory that starting a request costs; at the limit the replica dies when this instant is over."""
        if side.faults["memory_mb_per_request"]:
            side.memory[r] += side.faults["memory_mb_per_request"]
            if side.memory_of(r) >= side.backend.memory.limit_mb:
                self._dies(side, r, LastThing(self.env))

    def _dies(self, side: Side, r: int, when: simpy.Event) -> None:
        generation = side.generation[r]

        def die(_: simpy.Event) -> None:
            if side.generation[r] == generation:
                self._kill(side, r, side.backend.restart_s)

        when.callbacks.append(die)

    def _watch_memory(self, side: Side, r: int) -> None:
        side.generation[r] += 1
        side.memory_at[r] = self.env.now
        if side.faults["memory_mb_per_s"] and side.up[r]:
            left = max(side.backend.memory.limit_mb - side.memory[r], 0.0)
            self._dies(side, r, self.env.timeout(left / side.faults["memory_mb_per_s"]))

    def _kill(self, side: Side, r: int, back_after: float) -> None:
        if not side.up[r]:
            return
        side.up[r] = False
        side.generation[r] += 1
        self.tally.count(side.number, "restarts")
        if side.backend.detect_s:
            side.unnoticed += 1
            self._later(min(side.backend.detect_s, back_after), lambda: self._notice(side))
        if back_after < math.inf:
            self._later(back_after, lambda: self._come_back(side, r))
        self._interrupt([a for a in side.slots.inside if a.replica == r], Why.KILLED)
        self._sockets.drop_with(side.number, r, side.backend.replicas)

    def _interrupt(self, attempts: list[Attempt], why: Why) -> None:
        """Interrupts attempts in the order in which they came, after all have left the queues they wait in."""
        for attempt in attempts:
            attempt.side.pool.withdraw(attempt)
            self._database.withdraw(attempt)
        for attempt in sorted(attempts, key=lambda a: a.order):
            attempt.process.interrupt(why)

    def _notice(self, side: Side) -> None:
        side.unnoticed -= 1

    def _come_back(self, side: Side, r: int) -> None:
        if side.slots.serving:  # another one came back at this instant: its slots are filled first
            self._later(0.0, lambda: self._come_back(side, r))
            return
        side.up[r] = True
        side.memory[r] = side.backend.memory.base_mb
        self._watch_memory(side, r)
        side.slots.serve()

    # --- time

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        if seconds < math.inf:
            event = self.env.timeout(seconds)
            event.callbacks.append(lambda _: action())

    def _settle(self) -> None:
        """Lets everything happen that is due at this very instant."""
        while self.env.peek() <= self.env.now:
            self.env.step()
