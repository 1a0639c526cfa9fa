"""Random nights for the policy: legal and illegal events that follow what it commands, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from rollout.plan import Plan
from rollout.policy import IllegalEvent, Phase, decide, initial_state
from rollout.policy.events import Decision, Event, parse_event
from rollout.policy.state import State

_GAPS = (0.0, 0.5, 5.0, 5.0, 20.0, 20.0, 60.0, 60.0, 125.0)
_KINDS = (
    "traffic",
    "traffic",
    "health",
    "metrics",
    "metrics",
    "metrics",
    "tick",
    "edge",
    "operator",
    "alarm",
)


EVERY_KIND = (*_KINDS, "resumed", "named alarm", "named alarm", "metrics_error", "edge", "edge", "limit")


def night(
    plan: Plan, seed: int, events: int = 60, kinds: Sequence[str] = _KINDS
) -> Iterator[tuple[Event, State, tuple[Decision, ...]]]:
    """One night: each event received, the state after it and the decisions it led to."""
    draw = random.Random(seed)
    state, t = initial_state(), 0.0
    event = parse_event({"t": 0, "event": "started"})
    for _ in range(events):
        try:
            state, decisions = decide(plan, state, event)
        except IllegalEvent:
            pass
        else:
            yield event, state, decisions
        if state.phase is Phase.FINISHED:
            return
        t += draw.choice(_GAPS)
        event = parse_event({"t": t, **_something(draw, state, t, kinds)})


def _something(draw: random.Random, state: State, t: float, kinds: Sequence[str]) -> dict[str, Any]:
    match kind := draw.choice(kinds):
        case "traffic":
            weight = draw.choice([state.commanded] * 40 + [state.before, 3, 60])
            return {"event": kind, "weight": weight}
        case "health":
            failed = draw.choice([[]] * 9 + [["deep"]])
            return {"event": kind, "colour": draw.choice(["candidate", "stable"]), "failed": failed}
        case "metrics":
            return _period(draw, t)
        case "edge" | "limit":
            return _edge(draw, state, t, kind)
        case "operator":
            return {
                "event": kind,
                "command": draw.choice(["pause"] + ["resume"] * 12 + ["abort"] * (t > 900)),
            }
        case "alarm":
            return {"event": kind, "name": "x", "tier": "immediate", "state": "ALARM"}
        case "named alarm":
            name = draw.choice(["cpu", "queue", "disk", "memory"])
            tier, state_now = (
                draw.choice(["immediate", "warning", "notice"]),
                draw.choice(["ALARM", "OK", "INSUFFICIENT_DATA"]),
            )
            return {"event": "alarm", "name": name, "tier": tier, "state": state_now}
        case "resumed":
            return {"event": kind, "since": max(0.0, t - draw.choice([5.0, 60.0, 400.0]))}
        case "metrics_error":
            return {"event": kind, "reason": "throttled"}
        case _:
            return {"event": kind}


def _edge(draw: random.Random, state: State, t: float, kind: str) -> dict[str, Any]:
    if kind == "limit":
        return {"event": kind, "value": draw.choice([state.rate_limit or 1000, 1000])}
    limited = draw.choice([0, 20, 500])
    return {
        "event": "metrics", "colour": "edge", "start": t - 60, "end": t, "requests": 500, "rate_limited": limited,
    }  # fmt: skip


def _period(draw: random.Random, t: float) -> dict[str, Any]:
    end = t - t % 60 - draw.choice([0, 0, 0, 60, 120])
    requests = draw.choice([None, 0, 50, *[500] * 9])
    return {
        "event": "metrics",
        "colour": draw.choice(["candidate", "candidate", "stable"]),
        "start": end - 60,
        "end": end,
        "requests": requests,
        "errors": draw.choice([None, *[0] * 12, 2, 5, 9]) if requests else None,
        "p95": draw.choice([None, *[0.2] * 12, 2.0, 2.5]),
        "db_connection_errors": draw.choice([None] + [0] * 40 + [2]),
    }
