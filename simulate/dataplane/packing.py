"""A model as the arrays of the compiled state: packed, put back to the start, copied, and given more room."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane import layout as x
from simulate.dataplane.arrivals import interval_of, rate_table
from simulate.dataplane.kernel import BUCKETS, MARGIN
from simulate.dataplane.laws import Law, encode
from simulate.dataplane.layout import Floats, Ints, State
from simulate.dataplane.model import Backend, Model
from simulate.dataplane.streams import Stream

_Number = TypeVar("_Number", np.float64, np.int64)

_ATTEMPTS, _TIMERS, _SAMPLES, _PERIODS, _LOG = (
    256,
    2048,
    2048,
    32,
    4096,
)  # room at first; it doubles when needed


def packed(model: Model, keys: NDArray[np.uint64], *, log: bool) -> State:
    """The model at time 0."""
    colours = model.colours
    bins = round(model.rate_limit.window_s / model.rate_limit.check_s) if model.rate_limit else 1
    sockets, replicas = model.websockets.connections, max(b.replicas for b in colours)
    state = State(
        f=_floats(model),
        i=_integers(model, bins, log=log),
        cf=np.array([_colour_floats(model, b) for b in colours]),
        ci=np.array([_colour_integers(b) for b in colours]),
        rf=np.zeros((_ATTEMPTS, x.ATTEMPT_FLOATS)),
        ri=np.zeros((_ATTEMPTS, x.ATTEMPT_INTEGERS), np.int64),
        coming_t=np.zeros(_ATTEMPTS),
        coming_a=np.zeros(_ATTEMPTS, np.int64),
        scratch=np.zeros(_ATTEMPTS, np.int64),
        timer_t=np.zeros(_TIMERS + 2 * sockets),
        timer_i=np.zeros((_TIMERS + 2 * sockets, 3), np.int64),
        clients=np.zeros((x.C_BINS + bins, model.clients.count), np.int64),
        stuck_until=np.zeros(model.clients.count),
        replica_f=np.zeros((2, replicas, 2)),
        replica_i=np.zeros((2, replicas, 3), np.int64),
        socket_f=np.zeros((sockets, 2)),
        socket_i=np.zeros((sockets, 3), np.int64),
        counts=np.zeros((_PERIODS, 3, x.COUNTS), np.int64),
        stats=np.full((_PERIODS, 2, x.STATS), math.nan),
        samples=np.zeros((2, _SAMPLES)),
        histogram=np.zeros((2, BUCKETS), np.int64),
        log=np.zeros((_LOG if log else 0, x.LOG_COLUMNS)),
        laws=np.array([encode(law) for law in _laws(colours)]),
        rates=rate_table(model.arrivals, keys[Stream.BURSTS]),
        keys=keys.copy(),
    )
    for c, backend in enumerate(colours):
        memory = backend.memory
        for r in range(backend.replicas):
            state.replica_i[c, r, x.R_UP] = 1
            state.replica_f[c, r, x.R_MEMORY] = memory.base_mb + memory.spread_mb * r
    return state


def _laws(colours: tuple[Backend, Backend]) -> list[Law]:
    return [
        *(b.query for b in colours),
        *(b.work for b in colours),
        *(b.pool.wait for b in colours),
    ]


def _floats(model: Model) -> Floats:
    f = np.zeros(x.FLOATS)
    limit, retries = model.rate_limit, model.retries
    f[x.TRAFFIC] = 1.0
    f[x.RATE_INTERVAL] = interval_of(model.arrivals)
    f[x.TIMEOUT], f[x.STICKY] = model.timeout_s, model.sticky_s
    f[x.PERIOD] = f[x.NEXT_PERIOD] = model.period_s
    f[x.PROBE_TIMEOUT], f[x.NEXT_PROBE] = model.probe_timeout_s, math.inf
    f[x.LIMIT] = limit.per_window if limit else math.inf
    f[x.CHECK] = f[x.NEXT_CHECK] = limit.check_s if limit else math.inf
    f[x.HEAVY_SHARE] = model.clients.heavy_share
    f[x.BUDGET], f[x.BURST] = retries.budget, retries.burst
    f[x.BACKOFF], f[x.BACKOFF_FACTOR] = retries.backoff_s, retries.factor
    f[x.WS_RECONNECT] = model.websockets.reconnect_s
    return f


def _integers(model: Model, bins: int, *, log: bool) -> Ints:
    i = np.zeros(x.INTEGERS, np.int64)
    i[x.FREE], i[x.LOGGING], i[x.BINS] = -1, log, bins
    i[x.CLIENTS], i[x.HEAVY] = model.clients.count, model.clients.heavy
    i[x.MOST_RETRIES] = model.retries.most
    i[x.MAX_CONNECTIONS], i[x.PARALLEL] = model.database.max_connections, model.database.parallel
    i[x.SOCKETS] = model.websockets.connections
    i[x.AHEAD_NUMBER], i[x.SAME_LAW] = -1, model.stable.query == model.candidate.query
    for queue in range(5):
        i[x.QUEUE + 3 * queue : x.QUEUE + 3 * queue + 2] = -1
    return i


def _colour_integers(backend: Backend) -> Ints:
    ci = np.zeros(x.COLOUR_INTEGERS, np.int64)
    ci[x.REPLICAS] = ci[x.LIVE] = backend.replicas
    ci[x.CONCURRENCY], ci[x.BACKLOG] = backend.concurrency, backend.backlog
    ci[x.POOL_SIZE], ci[x.MAX_CLIENTS] = backend.pool.size, backend.pool.max_clients
    return ci


def _colour_floats(model: Model, backend: Backend) -> Floats:
    cf = np.zeros(x.COLOUR_FLOATS)
    cf[x.ERROR_SHARE] = backend.error_share
    cf[x.QUERY_FACTOR] = cf[x.WORK_FACTOR] = 1.0
    cf[x.WS_OWN] = cf[x.WS_HAZARD] = 1.0 / model.websockets.lifetime_s
    cf[x.MB_BASE], cf[x.MB_LIMIT] = backend.memory.base_mb, backend.memory.limit_mb
    cf[x.RESTART], cf[x.DETECT] = backend.restart_s, backend.detect_s
    return cf


def rewind(state: State, start: State) -> State:
    """Puts a state back to its start in the memory it has; only random numbers remain to be set."""
    used = state.i[x.TOP]
    state.ri[:used] = 0
    state.counts[: state.i[x.PERIOD_NUMBER] + 1] = 0
    state.stats[: state.i[x.PERIOD_NUMBER] + 1] = math.nan
    state.clients[:] = 0
    state.stuck_until[:] = 0.0
    state.histogram[:] = 0
    for name in ("f", "i", "cf", "ci", "replica_f", "replica_i", "socket_f", "socket_i"):
        np.copyto(getattr(state, name), getattr(start, name))
    return state


def copy_state(state: State) -> State:
    """An independent copy."""
    return State._make(array.copy() for array in state)


def grown(state: State) -> State:
    """The same state with more room in every array that is nearly full."""
    live = int(state.i[x.TOP]) + MARGIN + 1  # room for one more arrival at least
    sampled = int(state.ci[:, x.SAMPLED].max()) + live
    timers = int(state.i[x.TIMERS]) + 4 * live + int(state.i[x.SOCKETS])
    n_attempts = _room(len(state.ri), live)
    n_timers = _room(len(state.timer_t), int(state.i[x.TIMERS]) + 4 * (n_attempts + MARGIN), timers)
    n_periods = _room(len(state.counts), int(state.i[x.PERIOD_NUMBER]) + 2)
    n_log = _room(len(state.log), int(state.i[x.LOGGED]) + live) if state.i[x.LOGGING] else 0
    return state._replace(
        rf=_longer(state.rf, n_attempts),
        ri=_longer(state.ri, n_attempts),
        coming_t=_longer(state.coming_t, n_attempts),
        coming_a=_longer(state.coming_a, n_attempts),
        scratch=_longer(state.scratch, n_attempts),
        timer_t=_longer(state.timer_t, n_timers),
        timer_i=_longer(state.timer_i, n_timers),
        counts=_longer(state.counts, n_periods),
        stats=_longer(state.stats, n_periods),
        samples=_longer(state.samples.T, _room(state.samples.shape[1], sampled)).T.copy(),
        log=_longer(state.log, n_log),
    )


def _room(have: int, *wanted: int) -> int:
    need = max(wanted)
    return have if need <= have else max(2 * have, need + need // 2)


def _longer(array: NDArray[_Number], n: int) -> NDArray[_Number]:
    """The array with zeros behind it up to ``n`` rows."""
    if n <= len(array):
        return array
    longer = np.zeros((n, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
