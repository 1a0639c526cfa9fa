"""One state for all that decide alike under the alphabet: times relative to now, and without what can decide nothing any more."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from rollout.plan import Plan
from rollout.policy.events import EdgeMetrics, Metrics
from rollout.policy.state import STOPPED, Phase, State, changed

NOW = 36_000.0  # seconds: every canonical state stands at this time, so no period reaches back to the start
_WATCHED = (Phase.WATCHING, Phase.BAKING, Phase.VERIFYING)


def canonical(plan: Plan, state: State) -> State:
    """The state moved to :data:`NOW`. What the next event sees of it is the same."""
    by = NOW - state.t
    begun = state.window_start if state.phase in _WATCHED and state.window_start is not None else state.t
    periods = _newest(plan, state, begun)
    oldest = min((p.start for p in periods), default=state.t)
    rule = plan.health
    return changed(
        state,
        t=NOW,
        commanded_at=0.0 if state.settled else state.commanded_at + by,
        window_start=None if state.window_start is None else state.window_start + by,
        baking_since=state.baking_since + by if state.phase is Phase.BAKING else 0.0,
        held_since=state.held_since + by if state.phase in STOPPED else 0.0,
        reminded_at=state.reminded_at + by if state.phase is Phase.PAUSED else 0.0,
        answered_at=state.answered_at + by if state.phase in (Phase.WATCHING, Phase.BAKING) else NOW,
        limit_read_at=0.0,
        few_since=0.0,
        raised_at=None,
        counted_to=state.counted_to + by if state.counted_to >= oldest else -inf,
        spent=tuple((start + by, end + by) for start, end in state.spent if end >= oldest),
        periods=tuple(replace(p, t=NOW, start=p.start + by, end=p.end + by) for p in periods),
        pairs=tuple(replace(pair, start=pair.start + by, end=pair.end + by) for pair in state.pairs),
        seen_history=_history(state, oldest, by),
        stable_streak=min(state.stable_streak, rule.alert_after + 1),
    )


def _newest(plan: Plan, state: State, begun: float) -> list[Metrics | EdgeMetrics]:
    """Periods that a window, M of N or the other half of a pair may still need."""
    most = max(plan.criteria.error_rate.of, plan.criteria.latency_p95.of, 1)
    mine = [p for p in state.periods if isinstance(p, Metrics) and p.role == "candidate"]
    needed = {id(p) for p in (mine[-most:] if most > 1 else ())}
    return [p for p in state.periods if p.start >= begun or id(p) in needed]


def _history(state: State, oldest: float, by: float) -> tuple[tuple[float, float], ...]:
    """The weights seen since the oldest period began, and the one that stood there."""
    since = [entry for entry in state.seen_history if entry[0] > oldest]
    before = [entry for entry in state.seen_history if entry[0] <= oldest][-1:]
    return (*((0.0, weight) for _, weight in before), *((t + by, weight) for t, weight in since))
