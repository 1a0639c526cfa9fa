"""What happens to a colour as a whole, compiled: the database hangs or refuses, replicas die, websockets drop."""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math

from simulate.dataplane import layout as x
from simulate.dataplane._compiled import compiled
from simulate.dataplane.backend import (
    database_error,
    give_connection_back,
    leave_slot,
    serve_backlog,
    serve_database,
    serve_pool,
)
from simulate.dataplane.clients import end, watch_deadline
from simulate.dataplane.layout import State
from simulate.dataplane.queues import leave, push_coming, push_timer
from simulate.dataplane.streams import Stream, uniform

_WEBSOCKET, _RECONNECT = int(Stream.WEBSOCKET), int(Stream.RECONNECT)
_DRAWS = 20  # bits of a websocket's stream counter that distinguish its draws


@compiled
def in_order(s: State, c: int, replica: int) -> int:
    """Writes the colour's attempts that hold a slot (of one replica or ``ANY``) to ``scratch``, oldest first.

    Returns how many there are.
    """
    n = 0
    for a in range(s.i[x.TOP]):
        if s.ri[a, x.COLOUR] != c or not x.IN_POOL <= s.ri[a, x.PHASE] <= x.WORKING:
            continue
        if replica < 0 or s.ri[a, x.REPLICA] == replica:
            s.scratch[n] = a
            n += 1
    gap = n // 2  # Shell's sort: the record numbers are nearly in order already
    while gap > 0:
        for k in range(gap, n):
            a, j = s.scratch[k], k
            while j >= gap and s.ri[s.scratch[j - gap], x.ORDER] > s.ri[a, x.ORDER]:
                s.scratch[j] = s.scratch[j - gap]
                j -= gap
            s.scratch[j] = a
        gap //= 2
    return n


@compiled
def remove_coming(s: State, c: int, replica: int, phase: int) -> None:
    """Takes the colour's attempts out of the heap of completions (of one replica or ``ANY``, in a phase or ``ANY``)."""
    n = s.i[x.COMING]
    s.i[x.COMING] = 0
    for k in range(n):  # what stays is pushed to places that have been read
        t, a = s.coming_t[k], s.coming_a[k]
        ours = s.ri[a, x.COLOUR] == c and (replica < 0 or s.ri[a, x.REPLICA] == replica)
        if ours and (phase < 0 or s.ri[a, x.PHASE] == phase):
            s.rf[a, x.FINISH] = t
        else:
            push_coming(s, t, a)


# --- the database


@compiled
def hang(s: State, c: int) -> None:
    """The colour's queries stand still: those that run, and those that begin, until ``resume``."""
    s.ci[c, x.HUNG] = 1
    s.cf[c, x.HUNG_SINCE] = s.f[x.NOW]
    remove_coming(s, c, x.ANY, x.QUERYING)
    for k in range(in_order(s, c, x.ANY)):
        a = s.scratch[k]
        if s.ri[a, x.PHASE] == x.QUERYING:
            s.ri[a, x.PHASE] = x.FROZEN
            s.rf[a, x.FINISH] -= s.f[x.NOW]
            watch_deadline(s, a)


@compiled
def resume(s: State, c: int) -> None:
    """The colour's queries go on where they stood."""
    s.ci[c, x.HUNG] = 0
    for k in range(in_order(s, c, x.ANY)):
        a = s.scratch[k]
        if s.ri[a, x.PHASE] == x.FROZEN:
            s.ri[a, x.PHASE] = x.QUERYING
            push_coming(s, s.f[x.NOW] + s.rf[a, x.FINISH], a)


@compiled
def refuse(s: State, c: int) -> None:
    """All of the colour's connections break, and no new one is had until ``REFUSED`` is taken back."""
    s.ci[c, x.REFUSED] = 1
    remove_coming(s, c, x.ANY, x.QUERYING)
    for k in range(in_order(s, c, x.ANY)):
        a = s.scratch[k]
        if s.ri[a, x.PHASE] != x.WORKING:
            leave_database(s, a)
            database_error(s, a)
    s.ci[c, x.IN_USE] = 0
    s.ci[c, x.OPEN] = 0
    s.cf[c, x.LEAKED] = 0.0
    serve_database(s)
    serve_pool(s, 1 - c)
    serve_backlog(s, c)


@compiled
def leave_database(s: State, a: int) -> bool:
    """Takes the attempt out of the pool's queue or the database; whether it had a connection."""
    phase = s.ri[a, x.PHASE]
    if phase == x.IN_POOL:
        leave(s, x.POOL_QUEUE + s.ri[a, x.COLOUR], a)
    elif phase == x.IN_DATABASE:
        leave(s, x.DATABASE_QUEUE, a)
    elif phase in (x.QUERYING, x.FROZEN):
        s.i[x.RUNNING] -= 1
    return phase in (x.IN_DATABASE, x.QUERYING, x.FROZEN)


@compiled
def resize_pool(s: State, c: int, size: int) -> None:
    """The pool starts again with another pool size: idle connections beyond it close, leaked ones are free again."""
    s.ci[c, x.POOL_SIZE] = size
    s.cf[c, x.LEAKED] = 0.0
    s.ci[c, x.OPEN] = min(s.ci[c, x.OPEN], max(s.ci[c, x.IN_USE], size))
    serve_pool(s, c)
    serve_pool(s, 1 - c)


# --- replicas


@compiled
def watch_memory(s: State, c: int, r: int) -> None:
    """Notes the replica's memory now and sets the timer for when it would reach the limit by time alone."""
    now = s.f[x.NOW]
    s.replica_i[c, r, x.R_GENERATION] += 1
    s.replica_f[c, r, x.R_SINCE] = now
    if s.cf[c, x.MB_PER_S] > 0.0 and s.replica_i[c, r, x.R_UP]:
        left = max(s.cf[c, x.MB_LIMIT] - s.replica_f[c, r, x.R_MEMORY], 0.0)
        about = c * s.replica_i.shape[1] + r
        push_timer(s, now + left / s.cf[c, x.MB_PER_S], x.DIES, about, s.replica_i[c, r, x.R_GENERATION])


@compiled
def memory_of(s: State, c: int, r: int) -> float:
    return s.replica_f[c, r, x.R_MEMORY] + s.cf[c, x.MB_PER_S] * (s.f[x.NOW] - s.replica_f[c, r, x.R_SINCE])


@compiled
def grow_memory(s: State, c: int, mb_per_s: float) -> None:
    """From now on the colour's replicas grow at this rate."""
    for r in range(s.ci[c, x.REPLICAS]):
        s.replica_f[c, r, x.R_MEMORY] = memory_of(s, c, r)
    s.cf[c, x.MB_PER_S] = mb_per_s
    for r in range(s.ci[c, x.REPLICAS]):
        watch_memory(s, c, r)


@compiled
def kill(s: State, c: int, r: int, back_after: float) -> None:
    """A replica dies: what it was doing ends with 502 and gives its connections back, its websockets drop."""
    if not s.replica_i[c, r, x.R_UP]:
        return
    s.replica_i[c, r, x.R_UP] = 0
    s.replica_i[c, r, x.R_GENERATION] += 1
    s.ci[c, x.LIVE] -= 1
    s.counts[s.i[x.PERIOD_NUMBER], c, x.RESTARTS] += 1
    about, now = c * s.replica_i.shape[1] + r, s.f[x.NOW]
    if s.cf[c, x.DETECT] > 0.0:
        s.ci[c, x.BLIND] += 1
        push_timer(s, now + min(s.cf[c, x.DETECT], back_after), x.NOTICED, about, x.NONE)
    if back_after < math.inf:
        push_timer(s, now + back_after, x.RETURNS, about, x.NONE)
    remove_coming(s, c, r, x.ANY)
    connections = 0
    for k in range(in_order(s, c, r)):
        a = s.scratch[k]
        connections += leave_database(s, a)
        if not s.ri[a, x.ENDED]:
            end(s, a, x.BAD_GATEWAY)
        leave_slot(s, a)
    serve_database(s)
    for _ in range(connections):
        give_connection_back(s, c)
    for w in range(r, s.i[x.SOCKETS], s.ci[c, x.REPLICAS]):
        if s.socket_i[w, x.W_COLOUR] == c:
            drop(s, w)


@compiled
def come_back(s: State, c: int, r: int) -> None:
    s.replica_i[c, r, x.R_UP] = 1
    s.ci[c, x.LIVE] += 1
    s.replica_f[c, r, x.R_MEMORY] = s.cf[c, x.MB_BASE]
    watch_memory(s, c, r)
    serve_backlog(s, c)


# --- websockets


@compiled
def watch_socket(s: State, w: int) -> None:
    """Sets the timer for when the websocket's remaining hazard is lived through."""
    s.socket_i[w, x.W_GENERATION] += 1
    s.socket_f[w, x.W_SINCE] = s.f[x.NOW]
    hazard = s.cf[s.socket_i[w, x.W_COLOUR], x.WS_HAZARD]
    if hazard > 0.0:
        at = s.f[x.NOW] + s.socket_f[w, x.W_UNITS] / hazard
        push_timer(s, at, x.DROPS, w, s.socket_i[w, x.W_GENERATION])


@compiled
def change_hazard(s: State, c: int, per_s: float) -> None:
    """From now on each of the colour's websockets drops at this rate per second."""
    for w in range(s.i[x.SOCKETS]):
        if s.socket_i[w, x.W_COLOUR] == c:
            lived = s.cf[c, x.WS_HAZARD] * (s.f[x.NOW] - s.socket_f[w, x.W_SINCE])
            s.socket_f[w, x.W_UNITS] = max(s.socket_f[w, x.W_UNITS] - lived, 0.0)
    s.cf[c, x.WS_HAZARD] = per_s
    for w in range(s.i[x.SOCKETS]):
        if s.socket_i[w, x.W_COLOUR] == c:
            watch_socket(s, w)


@compiled
def drop(s: State, w: int) -> None:
    """A websocket is lost; its client comes again."""
    c = s.socket_i[w, x.W_COLOUR]
    s.counts[s.i[x.PERIOD_NUMBER], c, x.WS_DROPS] += 1
    s.ci[c, x.WS_OPEN] -= 1
    s.socket_i[w, x.W_COLOUR] = -1
    come_again(s, w)


@compiled
def come_again(s: State, w: int) -> None:
    s.socket_i[w, x.W_GENERATION] += 1
    jitter = 0.5 + uniform(s.keys[_RECONNECT], socket_draw(s, w))
    push_timer(s, s.f[x.NOW] + s.f[x.WS_RECONNECT] * jitter, x.CONNECTS, w, s.socket_i[w, x.W_GENERATION])


@compiled
def socket_draw(s: State, w: int) -> int:
    """The place in the websocket streams of this websocket's next number."""
    s.socket_i[w, x.W_DRAWS] += 1
    return (w << _DRAWS) + s.socket_i[w, x.W_DRAWS]


@compiled
def connect(s: State, w: int) -> None:
    """A client opens its websocket: routed by weight, refused where a request would be."""
    c = 1 if uniform(s.keys[_WEBSOCKET], socket_draw(s, w)) * 100.0 < s.f[x.WEIGHT] else 0
    live, blind = s.ci[c, x.LIVE], s.ci[c, x.BLIND]
    reached = 0.0 if live == 0 else (1.0 - s.cf[c, x.UNREACHABLE]) * (live / (live + blind))
    if s.ci[c, x.NO_TARGETS] or uniform(s.keys[_WEBSOCKET], socket_draw(s, w)) >= reached:
        s.counts[s.i[x.PERIOD_NUMBER], c, x.WS_FAILED] += 1
        come_again(s, w)
        return
    s.socket_i[w, x.W_COLOUR] = c
    s.socket_f[w, x.W_UNITS] = -math.log(uniform(s.keys[_WEBSOCKET], socket_draw(s, w)))
    s.ci[c, x.WS_OPEN] += 1
    watch_socket(s, w)
