"""The oracle's websockets: a process each, that connects, stays open, is lost and comes again."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import simpy

from simulate.dataplane.model import WebSockets
from simulate.dataplane.oracle_parts import Side, Tally, Why
from simulate.dataplane.streams import Keys, Stream, uniform

Steps = Generator[simpy.Event, Any, None]


class Sockets:
    """All websockets. ``weight`` is set by the oracle: percent of new connections that go to the candidate."""

    def __init__(
        self, env: simpy.Environment, model: WebSockets, sides: list[Side], tally: Tally, keys: Keys
    ) -> None:
        self.env, self.model, self.sides, self.tally, self._keys = env, model, sides, tally, keys
        self.weight = 0.0
        self._hazard = [1.0 / model.lifetime_s] * 2
        self._open: dict[int, int] = {}  # the open ones and their colours
        self._processes = [env.process(self._live(w)) for w in range(model.connections)]

    def _live(self, w: int) -> Steps:
        draws = w << 20
        while True:
            draws += 1
            side = self.sides[int(uniform(self._keys[Stream.WEBSOCKET], draws) * 100.0 < self.weight)]
            reached = side.reachable_share()
            refused = bool(side.faults["no_targets"])
            if not refused:
                draws += 1
                refused = uniform(self._keys[Stream.WEBSOCKET], draws) >= reached
            if refused:
                self.tally.count(side.number, "ws_failed")
            else:
                draws += 1
                self._open[w] = side.number
                yield from self._stay(side.number, -math.log(uniform(self._keys[Stream.WEBSOCKET], draws)))
                del self._open[w]
                self.tally.count(side.number, "ws_drops")
            draws += 1
            jitter = 0.5 + uniform(self._keys[Stream.RECONNECT], draws)
            yield self.env.timeout(self.model.reconnect_s * jitter)

    def _stay(self, colour: int, units: float) -> Steps:
        """Until the hazard, integrated, reaches ``units``, or the replica dies."""
        while True:
            since, hazard = self.env.now, self._hazard[colour]
            try:
                yield self.env.timeout(units / hazard) if hazard > 0 else self.env.event()
                return
            except simpy.Interrupt as interrupt:
                if interrupt.cause is Why.KILLED:
                    return
                units = max(units - hazard * (self.env.now - since), 0.0)

    def open(self, colour: int) -> int:
        return sum(c == colour for c in self._open.values())

    def drop_with(self, colour: int, replica: int, replicas: int) -> None:
        """The replica's websockets are lost; it has those whose number leaves the rest ``replica``."""
        for w in range(replica, self.model.connections, replicas):
            if self._open.get(w) == colour:
                self._processes[w].interrupt(Why.KILLED)

    def change_hazard(self, colour: int, extra_per_s: float) -> None:
        self._hazard[colour] = 1.0 / self.model.lifetime_s + extra_per_s
        for w in [w for w, c in self._open.items() if c == colour]:
            self._processes[w].interrupt(Why.CHANGED)
