"""The client's side of an attempt, compiled: how it ends, whether the client tries again, when it gives up.

An attempt has a client's side, which ends with its answer or at its deadline (``ENDED``), and a server's side, which
goes on until the slot is free (``PHASE``): a client that has given up does not stop the query it asked for.
"""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

from simulate.dataplane import layout as x
from simulate.dataplane._compiled import compiled, inlined
from simulate.dataplane.layout import State
from simulate.dataplane.queues import push_timer
from simulate.dataplane.streams import Stream, uniform

_BACKOFF = int(Stream.BACKOFF)


@inlined
def new_attempt(s: State, number: int, client: int) -> int:
    a = s.i[x.FREE]
    if a >= 0:
        s.i[x.FREE] = s.ri[a, x.NEXT]
    else:
        a = s.i[x.TOP]
        s.i[x.TOP] = a + 1
    s.ri[a, x.NUMBER] = number
    s.ri[a, x.CLIENT] = client
    s.ri[a, x.ORDER] = s.i[x.SERIAL]
    s.i[x.SERIAL] += 1
    return a


@inlined
def forget(s: State, a: int) -> None:
    s.ri[a, x.PHASE] = x.UNUSED
    s.ri[a, x.ORDER] = -1
    s.ri[a, x.NEXT] = s.i[x.FREE]
    s.i[x.FREE] = a


# --- the client's side


@inlined
def count_end(s: State, a: int, outcome: int) -> None:
    """The client has its answer, or none: counted now, and tried again if it may be."""
    now, c = s.f[x.NOW], s.ri[a, x.COLOUR]
    s.ri[a, x.ENDED] = 1
    s.counts[s.i[x.PERIOD_NUMBER], c, outcome] += 1
    s.ci[c, x.IN_FLIGHT] -= 1
    if outcome <= x.DB_ERROR:
        n = s.ci[c, x.SAMPLED]
        s.samples[c, n] = now - s.rf[a, x.ARRIVED]
        s.ci[c, x.SAMPLED] = n + 1
    conclude(s, s.ri[a, x.NUMBER], s.ri[a, x.CLIENT], c, outcome, s.rf[a, x.ARRIVED])


@compiled
def end(s: State, a: int, outcome: int) -> None:
    """As ``count_end``, for the rarer outcomes: compiled once instead of into every caller."""
    count_end(s, a, outcome)


@inlined
def conclude(s: State, number: int, client: int, colour: int, outcome: int, arrived: float) -> None:
    """The user's view of an attempt that ended: served, tried again within the budget, or given up."""
    now = s.f[x.NOW]
    if s.i[x.LOGGING]:
        n = s.i[x.LOGGED]
        s.log[n, x.LOG_NUMBER] = number
        s.log[n, x.LOG_COLOUR] = colour
        s.log[n, x.LOG_OUTCOME] = outcome
        s.log[n, x.LOG_ARRIVED] = arrived
        s.log[n, x.LOG_ENDED] = now
        s.i[x.LOGGED] = n + 1
    if outcome != x.OK:
        try_again(s, number, client)


@compiled
def try_again(s: State, number: int, client: int) -> None:
    """After a failed attempt: another one after a while if the budget has it, else the user has given up."""
    now, period = s.f[x.NOW], s.i[x.PERIOD_NUMBER]
    attempt = number & 7
    if attempt >= s.i[x.MOST_RETRIES] or s.f[x.TOKENS] < 1.0:
        s.counts[period, x.EDGE, x.GIVEN_UP] += 1
        return
    s.f[x.TOKENS] -= 1.0
    jitter = 0.5 + uniform(s.keys[_BACKOFF], number)
    a = new_attempt(s, number + 1, client)
    s.ri[a, x.PHASE] = x.BACKING_OFF
    at = now + s.f[x.BACKOFF] * s.f[x.BACKOFF_FACTOR] ** attempt * jitter
    push_timer(s, at, x.RETRIES, a, s.ri[a, x.ORDER])


@compiled
def watch_deadline(s: State, a: int) -> None:
    """Starts the timer of the client's deadline; only those that may reach it have one."""
    if not s.ri[a, x.TIMED] and not s.ri[a, x.ENDED]:
        s.ri[a, x.TIMED] = 1
        push_timer(s, s.rf[a, x.DEADLINE], x.GIVES_UP, a, s.ri[a, x.ORDER])
