"""``DataPlane``: the compiled data plane as a control plane sees it.

It stands at a time, is advanced to the next control event in one call, and answers what a load balancer's metrics and
probes would. Between calls weights, faults and limits are switched; they hold from that time on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane import incidents, kernel
from simulate.dataplane import layout as x
from simulate.dataplane.arrivals import Bursty, rate_table
from simulate.dataplane.layout import Ints
from simulate.dataplane.model import Model
from simulate.dataplane.packing import copy_state, grown, packed, rewind
from simulate.dataplane.periods import EdgePeriod, Period, edge_period, period
from simulate.dataplane.streams import Stream, keys
from simulate.dataplane.switches import check

_MOST = 100.0  # percent

# Switches that are one number of a colour's state: name -> (array, column)
_NUMBERS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "error_share": ("cf", x.ERROR_SHARE),
        "query_factor": ("cf", x.QUERY_FACTOR),
        "query_added_s": ("cf", x.QUERY_ADDED),
        "slow_share": ("cf", x.SLOW_SHARE),
        "slow_added_s": ("cf", x.SLOW_ADDED),
        "work_factor": ("cf", x.WORK_FACTOR),
        "unreachable_share": ("cf", x.UNREACHABLE),
        "connect_s": ("cf", x.CONNECT),
        "pool_leak": ("cf", x.POOL_LEAK),
        "memory_mb_per_request": ("cf", x.MB_PER_REQUEST),
        "no_targets": ("ci", x.NO_TARGETS),
    }
)


class DataPlane:
    """One run of a model. ``now`` is in seconds from its start; metric periods begin at multiples of ``period_s``.

    Two runs with the same seed and replication meet the same requests, whatever is switched.
    """

    def __init__(self, model: Model, seed: int, replication: int = 0, *, log: bool = False) -> None:
        self._log = log
        self._bursty = isinstance(model.arrivals, Bursty)
        self.model = model
        self._start = packed(model, keys(seed, replication), log=log)
        self._state = copy_state(self._start)
        kernel.begin(self._state)

    def restart(self, seed: int, replication: int = 0) -> None:
        """Back to time 0 with other random numbers, in the same memory; everything switched is as in the model."""
        fresh = keys(seed, replication)
        self._state = rewind(self._state, self._start)
        self._state.keys[:] = fresh
        if self._bursty:
            self._state.rates[:] = rate_table(self.model.arrivals, fresh[Stream.BURSTS])
        kernel.begin(self._state)

    def copy(self) -> DataPlane:
        """Another run that stands where this one does and goes on independently."""
        other = object.__new__(DataPlane)
        other._log, other._bursty, other.model = self._log, self._bursty, self.model
        other._start = self._start
        other._state = copy_state(self._state)
        return other

    # --- time

    @property
    def now(self) -> float:
        return float(self._state.f[x.NOW])

    def advance(self, until: float) -> float:
        """Runs everything due before ``until`` (s) and returns the time reached.

        That is earlier only at a watched probe round that failed.
        """
        if not self.now <= until < math.inf:
            raise ValueError(
                f"until is {until!r}: it takes a time not before {self.now:g} s, where the run stands"
            )
        return until if self._run(until) == kernel.REACHED else self.now

    def _run(self, until: float) -> int:
        while (why := kernel.advance(*self._state, until)) == kernel.FULL:
            self._state = grown(self._state)
        return why

    def _settle(self) -> None:
        """Lets everything happen that is due at this very instant, after something was switched."""
        now = self.now
        self._run(math.nextafter(now, math.inf))
        self._state.f[x.NOW] = now

    # --- probes

    def watch_probes(self, every_s: float, first_s: float) -> None:
        """From ``first_s`` on a probe round of both colours every so many seconds; 0 ends it.

        ``advance`` comes back early at a round in which any probe failed. Rounds that it passed over were clean.
        """
        self._state.f[x.PROBE_EVERY] = every_s
        self._state.f[x.NEXT_PROBE] = first_s if every_s > 0 else math.inf

    def failed_probes(self, colour: int) -> tuple[str, ...]:
        """The probes (health, ready, deep, targets) of a colour that fail now: a round sent a probe timeout ago."""
        bits = kernel.probe(self._state, colour)
        return tuple(name for bit, name in enumerate(x.PROBE_NAMES) if bits >> bit & 1) if bits else ()

    # --- what is switched

    @property
    def weight(self) -> float:
        """Percent of new requests that the load balancer sends to the candidate."""
        return float(self._state.f[x.WEIGHT])

    @weight.setter
    def weight(self, percent: float) -> None:
        if not 0 <= percent <= _MOST:
            raise ValueError(f"weight is {percent!r}: it takes percent from 0 to 100")
        self._state.f[x.WEIGHT] = percent

    def set_traffic(self, factor: float) -> None:
        """From now on users' requests come at ``factor`` times the model's rate."""
        if not 0 <= factor < math.inf:
            raise ValueError(f"traffic factor is {factor!r}: it is finite and not negative")
        kernel.change_traffic(self._state, factor)
        self._settle()

    def set_rate_limit(self, per_window: float) -> None:
        """Another limit per client and window; the counts start again, and nobody is blocked till the next look."""
        if self.model.rate_limit is None or not per_window > 0:
            raise ValueError(
                f"rate limit is {per_window!r}: it is above 0, and the model must have a rate limit"
            )
        self._state.f[x.LIMIT] = per_window
        clients = self._state.clients
        clients[x.C_BLOCKED] = 0
        clients[x.C_BINS :] = 0

    def set_max_connections(self, n: int) -> None:
        """Another max_connections of PostgreSQL; connections beyond it stay open until their pool closes them."""
        self._state.i[x.MAX_CONNECTIONS] = n
        kernel.serve_pools(self._state)
        self._settle()

    def kill(self, colour: int, replicas: int | None = None, back_after_s: float | None = None) -> None:
        """The colour's first so many living replicas die (None: all), back as the model says, or later (or never)."""
        state = self._state
        after = self.model.colours[colour].restart_s if back_after_s is None else back_after_s
        living = [r for r in range(state.ci[colour, x.REPLICAS]) if state.replica_i[colour, r, x.R_UP]]
        for r in living[:replicas]:
            incidents.kill(state, colour, r, after)
        self._settle()

    def switch(self, colour: int, **values: float) -> None:
        """Sets faults of a colour from now on; names, units and ranges are those of ``SWITCHES``."""
        for name, value in values.items():
            check(name, value)
            if name in _NUMBERS:
                array, column = _NUMBERS[name]
                getattr(self._state, array)[colour, column] = value
            elif name.endswith("_fails"):
                bit = 1 << x.PROBE_NAMES.index(name.removesuffix("_fails"))
                faults = int(self._state.ci[colour, x.PROBE_FAULTS])
                self._state.ci[colour, x.PROBE_FAULTS] = faults | bit if value else faults & ~bit
            else:
                self._strike(colour, name, value)
                self._settle()

    def _strike(self, colour: int, name: str, value: float) -> None:
        """A fault that meets what is going on."""
        state = self._state
        if name == "hung":
            if bool(value) != bool(state.ci[colour, x.HUNG]):
                (incidents.hang if value else incidents.resume)(state, colour)
        elif name == "database_refuses":
            if value and not state.ci[colour, x.REFUSED]:
                incidents.refuse(state, colour)
            state.ci[colour, x.REFUSED] = bool(value)
        elif name == "pool_size":
            incidents.resize_pool(state, colour, int(value))
        elif name == "ws_drops_per_s":
            incidents.change_hazard(state, colour, state.cf[colour, x.WS_OWN] + value)
        else:
            incidents.grow_memory(state, colour, float(value))

    # --- what is measured

    @property
    def periods(self) -> int:
        """How many metric periods are closed."""
        return int(self._state.i[x.PERIOD_NUMBER])

    def period(self, n: int, colour: int) -> Period:
        """The n-th metric period of a colour. Raises ``IndexError`` if it is not closed."""
        self._closed(n)
        return period(self._state.counts[n, colour].tolist(), self._state.stats[n, colour].tolist())

    def edge(self, n: int) -> EdgePeriod:
        """The n-th metric period of the edge. Raises ``IndexError`` if it is not closed."""
        self._closed(n)
        return edge_period(self._state.counts[n].tolist())

    def _closed(self, n: int) -> None:
        if not 0 <= n < self.periods:
            raise IndexError(f"period {n} is not closed: the run stands at {self.now:g} s")

    @property
    def arrivals(self) -> int:
        """How many users' requests have come so far."""
        return int(self._state.i[x.REQUESTS])

    def in_flight(self, colour: int) -> int:
        """Attempts that the colour has not answered and whose clients still wait."""
        return int(self._state.ci[colour, x.IN_FLIGHT])

    def latency_histogram(self, colour: int) -> Ints:
        """Answered attempts of all closed periods by latency; see ``periods.bucket_bounds``. Add them up freely."""
        return np.array(self._state.histogram[colour])

    def attempts(self) -> NDArray[np.float64]:
        """One row an ended attempt, in order: number, colour, outcome, arrived, ended (s). Needs ``log=True``."""
        return self._state.log[: self._state.i[x.LOGGED]].copy()
