"""The way in, compiled: the rate limit at the edge, then the load balancer's choice of a colour and a target."""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math

from simulate.dataplane import layout as x
from simulate.dataplane._compiled import compiled, inlined
from simulate.dataplane.backend import start
from simulate.dataplane.clients import conclude, end, forget, new_attempt, watch_deadline
from simulate.dataplane.layout import State
from simulate.dataplane.queues import join, leave, length, push_timer
from simulate.dataplane.streams import Stream, uniform

_CLIENT, _ROUTE, _REACH = int(Stream.CLIENT), int(Stream.ROUTE), int(Stream.REACH)


@inlined
def arrive(s: State) -> None:
    """A user's request comes in."""
    request = s.i[x.REQUESTS]
    s.i[x.REQUESTS] = request + 1
    number = request << 3
    u = uniform(s.keys[_CLIENT], request)
    heavy, share = s.i[x.HEAVY], s.f[x.HEAVY_SHARE]
    if u < share:
        client = int(u / share * heavy)
    else:
        client = heavy + int((u - share) / (1.0 - share) * (s.i[x.CLIENTS] - heavy))
    s.f[x.TOKENS] = min(s.f[x.TOKENS] + s.f[x.BUDGET], s.f[x.BURST])
    s.counts[s.i[x.PERIOD_NUMBER], x.EDGE, x.ARRIVALS] += 1
    approach(s, number, client, x.NONE)


@compiled
def retry(s: State, a: int) -> None:
    """A client tries again: a new attempt in every respect."""
    s.counts[s.i[x.PERIOD_NUMBER], x.EDGE, x.RETRIED] += 1
    s.ri[a, x.ORDER] = s.i[x.SERIAL]
    s.i[x.SERIAL] += 1
    approach(s, s.ri[a, x.NUMBER], s.ri[a, x.CLIENT], a)


@inlined
def approach(s: State, number: int, client: int, a: int) -> None:
    """Rate limit, then the load balancer's choice of a colour. ``a``: the record of a retry, else -1."""
    now, period = s.f[x.NOW], s.i[x.PERIOD_NUMBER]
    if s.f[x.LIMIT] < math.inf:
        s.clients[x.C_BINS + s.i[x.BIN], client] += 1
        if s.clients[x.C_BLOCKED, client]:
            s.counts[period, x.EDGE, x.RATE_LIMITED] += 1
            if a >= 0:
                forget(s, a)
            conclude(s, number, client, x.NONE, x.RATE_LIMITED, now)
            return
    c = choose_colour(s, number, client)
    if a < 0:
        a = new_attempt(s, number, client)
    s.ri[a, x.COLOUR] = c
    s.ri[a, x.ENDED] = 0
    s.ri[a, x.TIMED] = 0
    s.rf[a, x.ARRIVED] = now
    s.rf[a, x.DEADLINE] = now + s.f[x.TIMEOUT]
    s.counts[period, c, x.ATTEMPTS] += 1
    if number & 7:
        s.counts[period, c, x.RETRIED] += 1
    s.ci[c, x.IN_FLIGHT] += 1
    reach(s, a, c, number)


@inlined
def reach(s: State, a: int, c: int, number: int) -> None:
    """A target of the colour: none, one that cannot be reached, a slot, a place in the backlog, or full."""
    now = s.f[x.NOW]
    if s.ci[c, x.NO_TARGETS]:
        end(s, a, x.UNAVAILABLE)
        forget(s, a)
    elif misses(s, c, number):
        if s.cf[c, x.CONNECT] > 0.0:
            s.ri[a, x.PHASE] = x.CONNECTING
            watch_deadline(s, a)
            push_timer(s, now + s.cf[c, x.CONNECT], x.CONNECT_FAILS, a, s.ri[a, x.ORDER])
        else:
            end(s, a, x.BAD_GATEWAY)
            forget(s, a)
    elif s.ci[c, x.BUSY] < s.ci[c, x.LIVE] * s.ci[c, x.CONCURRENCY]:
        start(s, a)
    elif length(s, x.BACKLOG_QUEUE + c) < s.ci[c, x.BACKLOG]:
        s.ri[a, x.PHASE] = x.IN_BACKLOG
        s.rf[a, x.SINCE] = now
        join(s, x.BACKLOG_QUEUE + c, a)
        watch_deadline(s, a)
    else:
        end(s, a, x.BAD_GATEWAY)
        forget(s, a)


@inlined
def choose_colour(s: State, number: int, client: int) -> int:
    """By weight; with stickiness by where the client went last, as long as it came often enough."""
    now, sticky = s.f[x.NOW], s.f[x.STICKY]
    if sticky > 0.0 and now < s.stuck_until[client]:
        c = s.clients[x.C_COLOUR, client]
    else:
        c = 1 if uniform(s.keys[_ROUTE], number) * 100.0 < s.f[x.WEIGHT] else 0
    if sticky > 0.0:
        s.clients[x.C_COLOUR, client] = c
        s.stuck_until[client] = now + sticky
    return c


@inlined
def misses(s: State, c: int, number: int) -> bool:
    """Whether a connection to the colour fails: unreachable, or to a dead replica that is still registered."""
    live, blind, unreachable = s.ci[c, x.LIVE], s.ci[c, x.BLIND], s.cf[c, x.UNREACHABLE]
    if live == 0:
        return True
    if blind == 0 and unreachable == 0.0:
        return False
    return uniform(s.keys[_REACH], number) < 1.0 - (1.0 - unreachable) * (live / (live + blind))


@compiled
def give_up(s: State, a: int) -> None:
    """The deadline has come without an answer. Who waits in the backlog leaves it, others work for nobody."""
    end(s, a, x.TIMED_OUT)
    phase = s.ri[a, x.PHASE]
    if phase == x.IN_BACKLOG:
        leave(s, x.BACKLOG_QUEUE + s.ri[a, x.COLOUR], a)
        forget(s, a)
    elif phase == x.CONNECTING:
        forget(s, a)
