"""The ordered things of the compiled state: first-come-first-served queues, and two heaps of what comes next."""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import math

import numpy as np

from simulate.dataplane import layout as x
from simulate.dataplane._compiled import compiled, inlined
from simulate.dataplane.layout import Ints, State

_ZERO, _ONE = np.uint64(0), np.uint64(1)

# --- queues: linked both ways through the attempts, so that one can leave from the middle


@inlined
def join(s: State, queue: int, a: int) -> None:
    """Attempt ``a`` becomes the queue's last."""
    q = x.QUEUE + 3 * queue
    tail = s.i[q + 1]
    s.ri[a, x.PREVIOUS] = tail
    s.ri[a, x.NEXT] = -1
    if tail >= 0:
        s.ri[tail, x.NEXT] = a
    else:
        s.i[q] = a
    s.i[q + 1] = a
    s.i[q + 2] += 1


@inlined
def leave(s: State, queue: int, a: int) -> None:
    """Attempt ``a`` leaves the queue it is in."""
    q = x.QUEUE + 3 * queue
    before, after = s.ri[a, x.PREVIOUS], s.ri[a, x.NEXT]
    if before >= 0:
        s.ri[before, x.NEXT] = after
    else:
        s.i[q] = after
    if after >= 0:
        s.ri[after, x.PREVIOUS] = before
    else:
        s.i[q + 1] = before
    s.i[q + 2] -= 1


@inlined
def head(s: State, queue: int) -> int:
    """The queue's first attempt, or -1."""
    return s.i[x.QUEUE + 3 * queue]


@inlined
def length(s: State, queue: int) -> int:
    return s.i[x.QUEUE + 3 * queue + 2]


# --- the heap of completions; simultaneous ones in the order in which the attempts arrived


@inlined
def _earlier(ri: Ints, t: float, a: int, u: float, b: int) -> bool:
    return t < u or (t == u and ri[a, x.ORDER] < ri[b, x.ORDER])


@inlined
def push_coming(s: State, t: float, a: int) -> None:
    n = s.i[x.COMING]
    s.i[x.COMING] = n + 1
    _rise(s, np.uint64(n), t, a)


@inlined
def drop_first(s: State) -> None:
    """Takes out the attempt that is first; the heap is not empty."""
    n = s.i[x.COMING] - 1
    s.i[x.COMING] = n
    _replace_first(s, np.uint64(n), s.coming_t[n], s.coming_a[n])


@inlined
def postpone_first(s: State, t: float, a: int) -> None:
    """The attempt that is first is due again, at a later time."""
    _replace_first(s, np.uint64(s.i[x.COMING]), t, a)


@inlined
def _replace_first(s: State, n: np.uint64, t: float, a: int) -> None:
    """Fills the free root of a heap of n: the hole sinks to the bottom, where most entries belong, and rises.

    The smaller child is chosen by arithmetic, because a processor would guess that branch wrong half of the time. Places
    are unsigned, because numba looks at signed ones whether they count from the end.
    """
    times, attempts = s.coming_t, s.coming_a
    times[n] = math.inf  # beside the last child if it has no sibling
    k, child = _ZERO, _ONE
    while child < n:
        left, right = times[child], times[child + _ONE]
        child += np.uint64(right < left)
        if right == left and s.ri[attempts[child + _ONE], x.ORDER] < s.ri[attempts[child], x.ORDER]:
            child += _ONE
        times[k] = times[child]
        attempts[k] = attempts[child]
        k = child
        child = (k << _ONE) + _ONE
    _rise(s, k, t, a)


@inlined
def _rise(s: State, k: np.uint64, t: float, a: int) -> None:
    times, attempts = s.coming_t, s.coming_a
    while k > _ZERO:
        parent = (k - _ONE) >> _ONE
        if not _earlier(s.ri, t, a, times[parent], attempts[parent]):
            break
        times[k] = times[parent]
        attempts[k] = attempts[parent]
        k = parent
    times[k] = t
    attempts[k] = a


# --- the heap of timers; simultaneous ones by kind, then attempts in the order of their arrival, others by number


@compiled
def _before(t: float, kind: int, about: int, generation: int, u: float, other: Ints) -> bool:
    if t != u:
        return t < u
    if kind != other[x.KIND]:
        return kind < other[x.KIND]
    if kind <= x.RETRIES:
        return generation < other[x.GENERATION]
    return about < other[x.ABOUT]


@compiled
def _move(s: State, to: np.uint64, source: np.uint64) -> None:
    s.timer_t[to] = s.timer_t[source]
    for column in range(3):
        s.timer_i[to, column] = s.timer_i[source, column]


@compiled
def push_timer(s: State, t: float, kind: int, about: int, generation: int) -> None:
    times, keys = s.timer_t, s.timer_i
    n = s.i[x.TIMERS]
    s.i[x.TIMERS] = n + 1
    k = np.uint64(n)
    while k > _ZERO:
        p = (k - _ONE) >> _ONE
        if not _before(t, kind, about, generation, times[p], keys[p]):
            break
        _move(s, k, p)
        k = p
    times[k] = t
    keys[k, x.KIND] = kind
    keys[k, x.ABOUT] = about
    keys[k, x.GENERATION] = generation


@compiled
def pop_timer(s: State) -> tuple[int, int, int]:
    """Takes out the first timer: its kind, what it is about, its generation; the heap is not empty."""
    times, keys = s.timer_t, s.timer_i
    first = keys[0, x.KIND], keys[0, x.ABOUT], keys[0, x.GENERATION]
    left = s.i[x.TIMERS] - 1
    s.i[x.TIMERS] = left
    n, k, child = np.uint64(left), _ZERO, _ONE
    while child < n:
        other = child + _ONE
        if other < n and _is_before(times[other], keys[other], times[child], keys[child]):
            child = other
        if not _is_before(times[child], keys[child], times[n], keys[n]):
            break
        _move(s, k, child)
        k = child
        child = (k << _ONE) + _ONE
    _move(s, k, n)
    return first


@compiled
def _is_before(t: float, key: Ints, u: float, other: Ints) -> bool:
    return _before(t, key[x.KIND], key[x.ABOUT], key[x.GENERATION], u, other)
