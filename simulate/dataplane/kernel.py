"""The main loop of the compiled data plane: what is due next, until the next control event.

Simultaneous events: a period's end and the probes first, then timers, then completions, then arrivals.
"""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math

import numpy as np

from simulate.dataplane import layout as x
from simulate.dataplane._compiled import compiled, inlined
from simulate.dataplane.arrivals import gap_after, units_between
from simulate.dataplane.backend import (
    database_error,
    draw_ahead,
    query_done,
    serve_backlog,
    serve_pool,
    usable,
    work_done,
)
from simulate.dataplane.clients import end, forget
from simulate.dataplane.edge import arrive, give_up, retry
from simulate.dataplane.incidents import come_back, connect, drop, kill, memory_of
from simulate.dataplane.layout import Floats, Ints, State
from simulate.dataplane.queues import drop_first, head, leave, length, pop_timer
from simulate.dataplane.streams import Keys, Stream, uniform

_ARRIVALS = int(Stream.ARRIVALS)

REACHED, PROBE_FAILED, FULL = 0, 1, 2  # why ``run`` came back
MARGIN = 64  # what one event may need beyond what it ends
SUB_BITS = 6  # histogram: 2**6 buckets an octave, 1.6 % wide
_BUCKET_SHIFT = 52 - SUB_BITS
_FIRST = (1023 - 14) << SUB_BITS  # 2**-14 s
BUCKETS = (14 + 10) << SUB_BITS  # up to 2**10 s


@compiled
def advance(  # noqa: C901, PLR0912 one loop, because a call takes as long as an event
    f: Floats, i: Ints, cf: Floats, ci: Ints, rf: Floats, ri: Ints, coming_t: Floats, coming_a: Ints, scratch: Ints,
    timer_t: Floats, timer_i: Ints, clients: Ints, stuck_until: Floats, replica_f: Floats, replica_i: Ints, socket_f: Floats,
    socket_i: Ints, counts: Ints, stats: Floats, samples: Floats, histogram: Ints, log: Floats, laws: Floats,
    rates: Floats, keys: Keys, until: float,
) -> int:  # fmt: skip
    """Processes everything due before ``until`` (seconds); stops at a probe round that failed, or to be given room.

    Takes the fields of ``State`` one by one: so a call from Python costs half as much.
    """
    s = State(
        f, i, cf, ci, rf, ri, coming_t, coming_a, scratch, timer_t, timer_i, clients, stuck_until, replica_f, replica_i,
        socket_f, socket_i, counts, stats, samples, histogram, log, laws, rates, keys,
    )  # fmt: skip
    boundary = next_boundary(s, until)
    room = _room(s)
    while room > 0:
        coming = s.coming_t[0] if s.i[x.COMING] > 0 else math.inf
        timer = s.timer_t[0] if s.i[x.TIMERS] > 0 else math.inf
        arrival = s.f[x.NEXT_ARRIVAL]
        first = min(coming, timer, arrival)
        if boundary <= first:
            s.f[x.NOW] = boundary
            if boundary == s.f[x.NEXT_PERIOD]:
                close_period(s)
            elif boundary == s.f[x.NEXT_CHECK]:
                look_at_rates(s)
            elif boundary == s.f[x.NEXT_PROBE]:
                s.f[x.NEXT_PROBE] += s.f[x.PROBE_EVERY]
                failed = 0
                for c in range(2):
                    failed |= probe(s, c)
                if failed:
                    return PROBE_FAILED
            else:
                return REACHED
            boundary = next_boundary(s, until)
            room = _room(s)
            continue
        s.f[x.NOW] = first
        if timer == first:
            _timer_due(s)
            room = _room(s)
        elif coming == first:
            a = s.coming_a[0]
            if s.ri[a, x.PHASE] == x.QUERYING:
                query_done(s, a)
            else:
                drop_first(s)
                work_done(s, a)
        else:
            arrive(s)
            plan_arrival(s)
            room -= 1
            if room == 0:
                room = _room(s)
    return FULL


@inlined
def next_boundary(s: State, until: float) -> float:
    return min(s.f[x.NEXT_PERIOD], s.f[x.NEXT_PROBE], s.f[x.NEXT_CHECK], until)


@compiled
def serve_pools(s: State) -> None:
    """After a change of the database's limit: who waits for a connection may have one."""
    for c in range(2):
        serve_pool(s, c)


@compiled
def _room(s: State) -> int:
    """How many more arrivals every array can take for sure, whatever happens to what is under way.

    Until then each attempt can end once, be sampled and logged once, and start four timers at worst. What timers bring
    is not in it: after each of them this is asked again.
    """
    timers = (s.timer_t.shape[0] - s.i[x.TIMERS] - s.i[x.SOCKETS]) // 4
    room = min(s.rf.shape[0], timers, s.samples.shape[1] - max(s.ci[0, x.SAMPLED], s.ci[1, x.SAMPLED]))
    if s.i[x.LOGGING]:
        room = min(room, s.log.shape[0] - s.i[x.LOGGED])
    if s.i[x.PERIOD_NUMBER] + 1 >= s.counts.shape[0]:
        return 0
    return room - s.i[x.TOP] - MARGIN


@inlined
def plan_arrival(s: State) -> None:
    """Sets when the next user's request comes, and draws ahead for the one after it.

    What is drawn ahead is there when the next event is chosen: the logarithm would else be waited for.
    """
    unit = s.f[x.UNIT_AHEAD]
    s.f[x.UNIT] = unit
    s.f[x.LAST_ARRIVAL] = s.f[x.NOW]
    gap = gap_after(s.f[x.NOW], unit, s.f[x.TRAFFIC], s.rates, s.f[x.RATE_INTERVAL])
    s.f[x.NEXT_ARRIVAL] = s.f[x.NOW] + gap
    s.f[x.UNIT_AHEAD] = -math.log(uniform(s.keys[_ARRIVALS], s.i[x.REQUESTS] + 1))
    draw_ahead(s, s.i[x.REQUESTS])


@compiled
def change_traffic(s: State, factor: float) -> None:
    """From now on requests come at ``factor`` times the model's rate; the pending one is moved accordingly."""
    now, interval = s.f[x.NOW], s.f[x.RATE_INTERVAL]
    spent = units_between(s.f[x.LAST_ARRIVAL], now, s.f[x.TRAFFIC], s.rates, interval)
    s.f[x.UNIT] = max(s.f[x.UNIT] - spent, 0.0)
    s.f[x.LAST_ARRIVAL] = now
    s.f[x.TRAFFIC] = factor
    s.f[x.NEXT_ARRIVAL] = now + gap_after(now, s.f[x.UNIT], factor, s.rates, interval)


@compiled
def _timer_due(s: State) -> None:
    """Timers are never taken back: one that has become pointless is known by its number when it is due."""
    kind, about, generation = pop_timer(s)
    if kind <= x.RETRIES:
        if s.ri[about, x.ORDER] == generation:
            _attempt_due(s, kind, about)
    elif kind <= x.RETURNS:
        _replica_due(s, kind, about // s.replica_i.shape[1], about % s.replica_i.shape[1], generation)
    elif s.socket_i[about, x.W_GENERATION] == generation:
        if kind == x.DROPS:
            drop(s, about)
        else:
            connect(s, about)


@compiled
def _attempt_due(s: State, kind: int, a: int) -> None:
    if kind == x.GIVES_UP:
        if not s.ri[a, x.ENDED]:
            give_up(s, a)
    elif kind == x.PATIENCE_OVER:
        if s.ri[a, x.PHASE] == x.IN_POOL:
            c = s.ri[a, x.COLOUR]
            leave(s, x.POOL_QUEUE + c, a)
            database_error(s, a)
            serve_backlog(s, c)
    elif kind == x.CONNECT_FAILS:
        end(s, a, x.BAD_GATEWAY)
        forget(s, a)
    else:
        retry(s, a)


@compiled
def _replica_due(s: State, kind: int, c: int, r: int, generation: int) -> None:
    if kind == x.NOTICED:
        s.ci[c, x.BLIND] -= 1
    elif kind == x.RETURNS:
        come_back(s, c, r)
    elif s.replica_i[c, r, x.R_GENERATION] == generation:
        kill(s, c, r, s.cf[c, x.RESTART])


@compiled
def begin(s: State) -> None:
    """At time 0: the websockets are opened and the first request is on its way."""
    for w in range(s.i[x.SOCKETS]):
        connect(s, w)
    s.f[x.UNIT_AHEAD] = -math.log(uniform(s.keys[_ARRIVALS], 0))
    plan_arrival(s)


# --- the rate limit


@compiled
def look_at_rates(s: State) -> None:
    """Blocks who is above the limit now, then forgets the oldest part of the window."""
    s.f[x.NEXT_CHECK] += s.f[x.CHECK]
    oldest = s.i[x.BIN] + 1 if s.i[x.BIN] + 1 < s.i[x.BINS] else 0
    s.i[x.BIN] = oldest
    limit = s.f[x.LIMIT]
    total = s.clients[x.C_BLOCKED]
    total[:] = 0
    for part in range(s.i[x.BINS]):
        counts = s.clients[x.C_BINS + part]
        for client in range(total.shape[0]):
            total[client] += counts[client]
    for client in range(total.shape[0]):
        total[client] = total[client] > limit
    s.clients[x.C_BINS + oldest] = 0


# --- what is seen from outside


@compiled
def probe(s: State, c: int) -> int:
    """The probes of a round that fail now, as bits: those sent ``PROBE_TIMEOUT`` ago and not answered yet.

    First come, first served: such a probe still waits exactly if somebody does who came before it was sent.
    """
    now, faults = s.f[x.NOW], s.ci[c, x.PROBE_FAULTS]
    sent = now - s.f[x.PROBE_TIMEOUT]
    a = head(s, x.BACKLOG_QUEUE + c)
    stuck = s.ci[c, x.LIVE] == 0 or (a >= 0 and s.rf[a, x.SINCE] <= sent)
    failed = faults
    if stuck:
        failed |= x.HEALTH | x.READY | x.DEEP
    if s.ci[c, x.LIVE] < s.ci[c, x.REPLICAS] or s.ci[c, x.NO_TARGETS]:
        failed |= x.TARGETS
    in_use = s.ci[c, x.IN_USE]
    waiting = length(s, x.POOL_QUEUE + c)
    p, d = head(s, x.POOL_QUEUE + c), head(s, x.DATABASE_QUEUE)
    none_left = (
        in_use == 0
        and int(s.cf[c, x.LEAKED]) >= s.ci[c, x.OPEN]
        and s.ci[0, x.OPEN] + s.ci[1, x.OPEN] >= s.i[x.MAX_CONNECTIONS]
    )
    if (
        s.ci[c, x.REFUSED]
        or none_left
        or usable(s, c) == 0
        or in_use + waiting >= s.ci[c, x.MAX_CLIENTS]
        or (p >= 0 and s.rf[p, x.SINCE] <= sent)
        or (d >= 0 and s.rf[d, x.SINCE] <= sent)
        or (s.ci[c, x.HUNG] and s.cf[c, x.HUNG_SINCE] <= sent)
    ):
        failed |= x.DEEP
    return failed


@compiled
def close_period(s: State) -> None:
    """Writes the period's gauges and latency quantiles, and opens the next one."""
    n = s.i[x.PERIOD_NUMBER]
    for c in range(2):
        row = s.counts[n, c]
        row[x.END_IN_FLIGHT] = s.ci[c, x.IN_FLIGHT]
        row[x.END_WS_OPEN] = s.ci[c, x.WS_OPEN]
        row[x.END_BUSY] = s.ci[c, x.BUSY]
        row[x.END_POOL_IN_USE] = s.ci[c, x.IN_USE]
        row[x.END_POOL_WAITING] = length(s, x.POOL_QUEUE + c)
        fullest = 0.0
        for r in range(s.ci[c, x.REPLICAS]):
            if s.replica_i[c, r, x.R_UP]:
                fullest = max(fullest, memory_of(s, c, r))
        s.stats[n, c, x.MEMORY] = fullest / s.cf[c, x.MB_LIMIT]
        _summarise(s, c, s.samples[c, : s.ci[c, x.SAMPLED]], s.stats[n, c])
        s.ci[c, x.SAMPLED] = 0
    s.i[x.PERIOD_NUMBER] = n + 1
    s.counts[n + 1] = 0
    s.stats[n + 1] = math.nan
    s.f[x.NEXT_PERIOD] = (n + 2) * s.f[x.PERIOD]


@compiled
def _summarise(s: State, c: int, latencies: Floats, out: Floats) -> None:
    """Exact quantiles (seconds; the smallest value with that share at or below it), and the run's histogram."""
    n = latencies.shape[0]
    if n == 0:
        return
    total = worst = 0.0
    for value in latencies:
        total += value
        worst = max(worst, value)
        s.histogram[c, bucket(value)] += 1
    out[x.MEAN] = total / n
    out[x.WORST] = worst
    out[x.P99] = select(latencies, 0, n, rank(0.99, n))
    out[x.P95] = select(latencies, 0, rank(0.99, n) + 1, rank(0.95, n))
    out[x.P50] = select(latencies, 0, rank(0.95, n) + 1, rank(0.5, n))


@compiled
def rank(share: float, n: int) -> int:
    """Where, from 0, the quantile stands among n sorted values."""
    return max(math.ceil(share * n) - 1, 0)


@compiled
def select(values: Floats, low: int, high: int, k: int) -> float:
    """The k-th smallest, where values[low:high] holds it; reorders them (Hoare's quickselect)."""
    high -= 1
    while low < high:
        middle = values[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while values[i] < middle:
                i += 1
            while middle < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return values[k]
    return values[k]


@compiled
def bucket(seconds: float) -> int:
    """The histogram's bucket: the exponent and the top bits of the fraction, so an octave has 2**SUB_BITS of them."""
    bits = np.float64(seconds).view(np.int64)
    return min(max(int(bits >> _BUCKET_SHIFT) - _FIRST, 0), BUCKETS - 1)
