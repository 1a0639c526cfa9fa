"""Where each number of the compiled state is kept: the columns of its arrays (see ``State``).

Plain integers, because compiled code reads module constants as such. Times are seconds, memory MB, shares 0 to 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane.streams import Keys

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _count(start: int, n: int) -> Any:
    """Consecutive numbers. numba compiles a function anew for each plain integer it is called with, not for these."""
    return np.arange(start, start + n)


NONE = ANY = _count(-1, 1)[0]

# --- f: floats of the whole plane
(NOW, NEXT_ARRIVAL, LAST_ARRIVAL, UNIT, TRAFFIC, RATE_INTERVAL, WEIGHT, TIMEOUT, STICKY) = _count(0, 9)
(PERIOD, NEXT_PERIOD, PROBE_TIMEOUT, PROBE_EVERY, NEXT_PROBE) = _count(9, 5)
(LIMIT, CHECK, NEXT_CHECK, HEAVY_SHARE) = _count(14, 4)
(TOKENS, BUDGET, BURST, BACKOFF, BACKOFF_FACTOR, WS_RECONNECT) = _count(18, 6)
(UNIT_AHEAD, AHEAD) = _count(24, 2)  # AHEAD: one a colour
FLOATS = 27

# --- i: integers of the whole plane
(REQUESTS, SERIAL, TOP, FREE, COMING, TIMERS, PERIOD_NUMBER, LOGGED, LOGGING) = _count(0, 9)
(CLIENTS, HEAVY, BINS, BIN, MOST_RETRIES, MAX_CONNECTIONS, PARALLEL, RUNNING, SOCKETS) = _count(9, 9)
(AHEAD_NUMBER, SAME_LAW, QUEUE) = _count(18, 3)
INTEGERS = QUEUE + 3 * 5  # each queue: head, tail, length
BACKLOG_QUEUE, POOL_QUEUE, DATABASE_QUEUE = 2 * _count(0, 3)  # the first two: one a colour

# --- ci: integers of a colour
(REPLICAS, CONCURRENCY, BACKLOG, LIVE, BLIND, BUSY, POINTER) = _count(0, 7)
(POOL_SIZE, MAX_CLIENTS, IN_USE, OPEN, IN_FLIGHT, WS_OPEN, SAMPLED) = _count(7, 7)
(HUNG, REFUSED, NO_TARGETS, PROBE_FAULTS) = _count(14, 4)
COLOUR_INTEGERS = 18

# --- cf: floats of a colour
(ERROR_SHARE, QUERY_FACTOR, QUERY_ADDED, SLOW_SHARE, SLOW_ADDED, WORK_FACTOR) = _count(0, 6)
(UNREACHABLE, CONNECT, POOL_LEAK, LEAKED, HUNG_SINCE, WS_HAZARD) = _count(6, 6)
(MB_PER_S, MB_PER_REQUEST, MB_BASE, MB_LIMIT, RESTART, DETECT, EXTRA_DROPS, WS_OWN) = _count(12, 8)
COLOUR_FLOATS = 20

# --- ri, rf: an attempt of a request
(NUMBER, ORDER, CLIENT, COLOUR, REPLICA, PHASE, PREVIOUS, NEXT, ENDED, TIMED) = _count(0, 10)
ATTEMPT_INTEGERS = 10
(ARRIVED, DEADLINE, FINISH, SINCE, WORK) = _count(0, 5)
ATTEMPT_FLOATS = 5
# phases of an attempt: where its server side is; from IN_POOL on it holds a slot
(UNUSED, IN_BACKLOG, CONNECTING, BACKING_OFF, IN_POOL, IN_DATABASE, QUERYING, FROZEN, WORKING) = _count(0, 9)

# --- timer_i: kind, what it is about, its number or generation
KIND, ABOUT, GENERATION = _count(0, 3)
# in the order in which simultaneous ones are due
(GIVES_UP, PATIENCE_OVER, CONNECT_FAILS, RETRIES, DIES, NOTICED, RETURNS, DROPS, CONNECTS) = _count(0, 9)

# --- replica_i, replica_f
(R_BUSY, R_UP, R_GENERATION) = _count(0, 3)
(R_MEMORY, R_SINCE) = _count(0, 2)

# --- socket_i, socket_f: a websocket
(W_COLOUR, W_GENERATION, W_DRAWS) = _count(0, 3)  # colour -1: not connected
(W_UNITS, W_SINCE) = _count(0, 2)  # hazard still to be lived through, counted from this time

# --- clients[what, client], so that all clients are gone over at once: blocked, colour it sticks to, then its requests in each part of the rate limit's window
(C_BLOCKED, C_COLOUR, C_BINS) = _count(0, 3)

# --- laws: rows of the encoded laws, stable's then candidate's
QUERY_LAW, WORK_LAW, PATIENCE_LAW = 2 * _count(0, 3)

# --- counts[period, side]: sides are the colours, then the edge
EDGE = 2
(OK, SERVER_ERROR, DB_ERROR, BAD_GATEWAY, UNAVAILABLE, TIMED_OUT, RATE_LIMITED) = _count(
    0, 7
)  # how attempts ended
(ATTEMPTS, RETRIED, DB_CONNECTION_ERRORS, WS_DROPS, WS_FAILED, RESTARTS) = _count(7, 6)
(END_IN_FLIGHT, END_WS_OPEN, END_BUSY, END_POOL_IN_USE, END_POOL_WAITING) = _count(
    13, 5
)  # as the period closed
(ARRIVALS, GIVEN_UP) = _count(0, 2)  # of the edge, beside RATE_LIMITED and RETRIED: users' requests
COUNTS = 18

# --- stats[period, colour]: of the answered attempts' latencies; the fullest replica's share of its memory limit
(P50, P95, P99, MEAN, WORST, MEMORY) = _count(0, 6)
STATS = 6

# --- log: one row an attempt, when asked for
(LOG_NUMBER, LOG_COLOUR, LOG_OUTCOME, LOG_ARRIVED, LOG_ENDED) = _count(0, 5)
LOG_COLUMNS = 5

# probes of a round, as bits
HEALTH, READY, DEEP, TARGETS = 1 << _count(0, 4)
PROBE_NAMES = ("health", "ready", "deep", "targets")  # rollout.policy.events.PROBES, bit by bit


class State(NamedTuple):
    """Everything the kernel knows; copying these arrays copies the run. Shapes: [rows, columns]."""

    f: Floats
    i: Ints
    cf: Floats
    ci: Ints
    rf: Floats  # attempts
    ri: Ints
    coming_t: Floats  # heap of the ends of queries and of work
    coming_a: Ints
    scratch: Ints
    timer_t: Floats  # heap of everything rarer
    timer_i: Ints
    clients: Ints
    stuck_until: Floats
    replica_f: Floats  # [colour, replica, column]
    replica_i: Ints
    socket_f: Floats
    socket_i: Ints
    counts: Ints
    stats: Floats
    samples: Floats  # [colour, n] latencies of the open period
    histogram: Ints  # [colour, bucket] latencies of the closed ones
    log: Floats
    laws: Floats
    rates: Floats
    keys: Keys
