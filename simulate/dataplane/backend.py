"""The server's side of an attempt, compiled: a slot held to the end, in it a connection held for the query.

Nothing here recurses: whatever frees a place hands it on with a ``serve_*``, first come, first served.
"""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math

from simulate.dataplane import layout as x
from simulate.dataplane._compiled import compiled, inlined
from simulate.dataplane.clients import count_end, end, forget, watch_deadline
from simulate.dataplane.laws import sample
from simulate.dataplane.layout import State
from simulate.dataplane.queues import head, join, leave, length, postpone_first, push_coming, push_timer
from simulate.dataplane.streams import Stream, uniform

_QUERY, _WORK, _ERROR, _SLOW = int(Stream.QUERY), int(Stream.WORK), int(Stream.ERROR), int(Stream.SLOW)
_PATIENCE = int(Stream.PATIENCE)


# --- in the backend: a slot, held until the answer


@inlined
def start(s: State, a: int) -> None:
    """Takes the next free slot, replica by replica in turn, and asks for a connection. A slot is free."""
    c = s.ri[a, x.COLOUR]
    r = s.ci[c, x.POINTER]
    while not s.replica_i[c, r, x.R_UP] or s.replica_i[c, r, x.R_BUSY] >= s.ci[c, x.CONCURRENCY]:
        r = r + 1 if r + 1 < s.ci[c, x.REPLICAS] else 0
    s.ci[c, x.POINTER] = r + 1 if r + 1 < s.ci[c, x.REPLICAS] else 0
    s.replica_i[c, r, x.R_BUSY] += 1
    s.ci[c, x.BUSY] += 1
    s.ri[a, x.REPLICA] = r
    if s.cf[c, x.MB_PER_REQUEST] > 0.0:
        s.replica_f[c, r, x.R_MEMORY] += s.cf[c, x.MB_PER_REQUEST]
        grown = s.cf[c, x.MB_PER_S] * (s.f[x.NOW] - s.replica_f[c, r, x.R_SINCE])
        if s.replica_f[c, r, x.R_MEMORY] + grown >= s.cf[c, x.MB_LIMIT]:
            about = c * s.replica_i.shape[1] + r
            push_timer(s, s.f[x.NOW], x.DIES, about, s.replica_i[c, r, x.R_GENERATION])
    if s.ci[c, x.REFUSED] or length(s, x.POOL_QUEUE + c) + s.ci[c, x.IN_USE] >= s.ci[c, x.MAX_CLIENTS]:
        database_error(s, a)
    elif take_connection(s, c):
        enter_database(s, a)
    elif s.ci[c, x.IN_USE] == 0 and usable(s, c) > 0:
        database_error(s, a)  # PostgreSQL has none left and none of ours will come back
    else:
        s.ri[a, x.PHASE] = x.IN_POOL
        s.rf[a, x.SINCE] = s.f[x.NOW]
        join(s, x.POOL_QUEUE + c, a)
        patience = sample(s.laws[x.PATIENCE_LAW + c], uniform(s.keys[_PATIENCE], s.ri[a, x.NUMBER]))
        if patience < math.inf:
            push_timer(s, s.f[x.NOW] + patience, x.PATIENCE_OVER, a, s.ri[a, x.ORDER])
        if s.f[x.NOW] + patience >= s.rf[a, x.DEADLINE]:
            watch_deadline(s, a)


@inlined
def leave_slot(s: State, a: int) -> None:
    """The server's side is over; the caller serves the backlog."""
    c, r = s.ri[a, x.COLOUR], s.ri[a, x.REPLICA]
    s.replica_i[c, r, x.R_BUSY] -= 1
    s.ci[c, x.BUSY] -= 1
    forget(s, a)


@compiled
def serve_backlog(s: State, c: int) -> None:
    """Starts who waits, as long as there are free slots."""
    while s.ci[c, x.BUSY] < s.ci[c, x.LIVE] * s.ci[c, x.CONCURRENCY]:
        a = head(s, x.BACKLOG_QUEUE + c)
        if a < 0:
            return
        leave(s, x.BACKLOG_QUEUE + c, a)
        start(s, a)


@compiled
def database_error(s: State, a: int) -> None:
    """No connection: answered at once with a 5xx and counted by the application."""
    s.counts[s.i[x.PERIOD_NUMBER], s.ri[a, x.COLOUR], x.DB_CONNECTION_ERRORS] += 1
    if not s.ri[a, x.ENDED]:
        end(s, a, x.DB_ERROR)
    leave_slot(s, a)


# --- in the pool and the database: a connection, held for the query


@inlined
def usable(s: State, c: int) -> int:
    """Connections of the pool that are not lost to a leak."""
    return max(s.ci[c, x.POOL_SIZE] - int(s.cf[c, x.LEAKED]), 0)


@inlined
def take_connection(s: State, c: int) -> bool:
    """Takes an idle connection of the colour's pool, or opens one where PostgreSQL has one left."""
    if s.ci[c, x.IN_USE] >= usable(s, c):
        return False
    if s.ci[c, x.IN_USE] + int(s.cf[c, x.LEAKED]) >= s.ci[c, x.OPEN]:
        if s.ci[0, x.OPEN] + s.ci[1, x.OPEN] >= s.i[x.MAX_CONNECTIONS]:
            return False
        s.ci[c, x.OPEN] += 1
    s.ci[c, x.IN_USE] += 1
    return True


@inlined
def give_connection_back(s: State, c: int) -> None:
    """One of the colour's connections is idle again, or closed if the pool has shrunk; then who waits is served."""
    s.ci[c, x.IN_USE] -= 1
    closed = s.ci[c, x.OPEN] > s.ci[c, x.POOL_SIZE]
    if closed:
        s.ci[c, x.OPEN] -= 1
    if head(s, x.POOL_QUEUE + c) >= 0:
        serve_pool(s, c)
    if closed:
        serve_pool(s, 1 - c)


@compiled
def serve_pool(s: State, c: int) -> None:
    """Hands free connections to who waits for one."""
    a = head(s, x.POOL_QUEUE + c)
    while a >= 0 and take_connection(s, c):
        leave(s, x.POOL_QUEUE + c, a)
        enter_database(s, a)
        a = head(s, x.POOL_QUEUE + c)


@inlined
def enter_database(s: State, a: int) -> None:
    """The attempt has its connection; its query runs, or waits for the database's attention."""
    if s.i[x.PARALLEL] > 0 and s.i[x.RUNNING] >= s.i[x.PARALLEL]:
        s.ri[a, x.PHASE] = x.IN_DATABASE
        s.rf[a, x.SINCE] = s.f[x.NOW]
        join(s, x.DATABASE_QUEUE, a)
        watch_deadline(s, a)
    else:
        run_query(s, a)


@inlined
def draw_ahead(s: State, request: int) -> None:
    """Draws how long the next request's query will take: waiting for logarithms would hold up the event loop."""
    number = request << 3
    u = uniform(s.keys[_QUERY], number)
    took = sample(s.laws[x.QUERY_LAW], u)
    s.i[x.AHEAD_NUMBER] = number
    s.f[x.AHEAD] = took
    s.f[x.AHEAD + 1] = took if s.i[x.SAME_LAW] else sample(s.laws[x.QUERY_LAW + 1], u)


@inlined
def run_query(s: State, a: int) -> None:
    c, number = s.ri[a, x.COLOUR], s.ri[a, x.NUMBER]
    s.i[x.RUNNING] += 1
    if number == s.i[x.AHEAD_NUMBER]:
        took = s.f[x.AHEAD + c]
    else:
        took = sample(s.laws[x.QUERY_LAW + c], uniform(s.keys[_QUERY], number))
    s.rf[a, x.WORK] = sample(s.laws[x.WORK_LAW + c], uniform(s.keys[_WORK], number))
    took = took * s.cf[c, x.QUERY_FACTOR] + s.cf[c, x.QUERY_ADDED]
    if s.cf[c, x.SLOW_SHARE] > 0.0 and uniform(s.keys[_SLOW], number) < s.cf[c, x.SLOW_SHARE]:
        took += s.cf[c, x.SLOW_ADDED]
    if s.ci[c, x.HUNG]:
        s.ri[a, x.PHASE] = x.FROZEN
        s.rf[a, x.FINISH] = took
        watch_deadline(s, a)
    else:
        s.ri[a, x.PHASE] = x.QUERYING
        if s.f[x.NOW] + took >= s.rf[a, x.DEADLINE]:
            watch_deadline(s, a)
        push_coming(s, s.f[x.NOW] + took, a)


@compiled
def serve_database(s: State) -> None:
    """Runs queries that wait for the database's attention."""
    while s.i[x.RUNNING] < s.i[x.PARALLEL]:
        a = head(s, x.DATABASE_QUEUE)
        if a < 0:
            return
        leave(s, x.DATABASE_QUEUE, a)
        run_query(s, a)


@inlined
def query_done(s: State, a: int) -> None:
    """The connection goes back, and the backend does its own work. The attempt is the first of those to come."""
    c = s.ri[a, x.COLOUR]
    at = s.f[x.NOW] + s.rf[a, x.WORK] * s.cf[c, x.WORK_FACTOR]
    s.ri[a, x.PHASE] = x.WORKING
    if at >= s.rf[a, x.DEADLINE]:
        watch_deadline(s, a)
    postpone_first(s, at, a)
    s.i[x.RUNNING] -= 1
    if head(s, x.DATABASE_QUEUE) >= 0:
        serve_database(s)
    if s.cf[c, x.POOL_LEAK] > 0.0:
        leak(s, c)
    give_connection_back(s, c)


@compiled
def leak(s: State, c: int) -> None:
    """Each query leaves transactions open: that many connections are lost to the pool, opened if need be."""
    lost = min(s.cf[c, x.LEAKED] + s.cf[c, x.POOL_LEAK], float(s.ci[c, x.POOL_SIZE]))
    s.cf[c, x.LEAKED] = lost
    room = s.i[x.MAX_CONNECTIONS] - s.ci[0, x.OPEN] - s.ci[1, x.OPEN]
    wanted = min(s.ci[c, x.IN_USE] - 1 + int(lost), s.ci[c, x.POOL_SIZE]) - s.ci[c, x.OPEN]
    s.ci[c, x.OPEN] += max(min(wanted, room), 0)


@inlined
def work_done(s: State, a: int) -> None:
    c = s.ri[a, x.COLOUR]
    share = s.cf[c, x.ERROR_SHARE]
    failed = share > 0.0 and uniform(s.keys[_ERROR], s.ri[a, x.NUMBER]) < share
    if not s.ri[a, x.ENDED]:
        count_end(s, a, x.SERVER_ERROR if failed else x.OK)
    leave_slot(s, a)
    if head(s, x.BACKLOG_QUEUE + c) >= 0:
        serve_backlog(s, c)
