"""The alphabet: what may happen next in a state, each letter one event at one distance of time.

Nothing else happens: no revised or late periods, no rate limit, no alarms, no front door, no versions. Times are the next deadline, a
second from now, and the end of a metric period that begins now.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from rollout.plan import Plan
from rollout.policy import due_times, timing
from rollout.policy.events import Event, Health, Metrics, Operator, Resumed, Tick, Traffic
from rollout.policy.state import ON_STABLE, STOPPED, Phase, State

SOON = 1.0  # seconds
_REQUESTS = 1000
_GOOD: dict[str, Any] = {"requests": _REQUESTS, "errors": 0, "p95": 0.1, "db_connection_errors": 0}


def letters(plan: Plan, state: State) -> Iterator[tuple[str, Event]]:
    """The events that may come next, by name."""
    if state.phase is Phase.FINISHED:
        return
    soon = state.t + SOON
    due = min((at for at in due_times(plan, state) if at > state.t), default=None)
    if due is not None:
        yield "deadline", Tick(due)
    weights = {"commanded": state.commanded, "nothing": 0.0, "everything": float(plan.stages[-1].weight)}
    for name, weight in weights.items():
        if weight != state.seen or (name == "commanded" and not state.settled):
            yield f"{name} seen", Traffic(soon, weight)
    for role, streak in (("candidate", state.candidate_streak), ("stable", state.stable_streak)):
        yield f"{role} fails", Health(soon, role, ("health",))
        if streak:
            yield f"{role} passes", Health(soon, role, ())
    yield from _periods(plan, state)
    yield from ((command, Operator(soon, command)) for command in ("pause", "resume", "abort"))
    yield "nobody watched", Resumed(state.t + 2 * timing.attention_gap(plan.health.interval), state.t)


def _periods(plan: Plan, state: State) -> Iterator[tuple[str, Event]]:
    end = state.t + plan.metrics.period
    period = partial(Metrics, end, start=state.t, end=end)
    if state.phase in ON_STABLE:
        yield "stable is good", period(role="stable", **_GOOD)
        yield "stable is bad", period(role="stable", **(_GOOD | {"errors": _REQUESTS // 2}))
        return
    yield "a good period", period(role="candidate", **_GOOD)
    yield "no requests", period(role="candidate", requests=0)
    yield "many errors", period(role="candidate", **(_GOOD | {"errors": _REQUESTS // 2}))
    if state.phase not in STOPPED:
        yield "slow", period(role="candidate", **(_GOOD | {"p95": 2 * plan.criteria.latency_p95.limit}))
        yield "a database error", period(role="candidate", **(_GOOD | {"db_connection_errors": 1_000_000}))
