"""When the policy may act by itself: the times at which one of its time-outs can fall due.

Waking it at other times changes nothing, and a test compares this with waking it on every tick of the controller. So a time
too many here costs a little speed, one too few would delay a decision.
"""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan import Plan
from rollout.policy import Phase, State


def due_times(plan: Plan, state: State) -> Iterator[int]:
    """Candidates, in ms from the start, in any order; past ones among them."""
    if not state.settled:
        yield round(1000 * (state.commanded_at + plan.apply_limit))
    if state.phase is Phase.WATCHING and state.window_start is not None:
        over = state.window_start + plan.window_at(state.commanded)
        yield round(1000 * over)
        yield round(1000 * (over + plan.metrics.max_extension))
        yield round(1000 * (max(state.answered_at, state.window_start) + plan.metrics.blind_limit))
    elif state.phase is Phase.HELD:
        yield round(1000 * (state.held_since + plan.hold_timeout))
    elif state.phase is Phase.PAUSED:
        yield round(1000 * (state.reminded_at + plan.hold_timeout))
    elif state.phase is Phase.VERIFYING and state.window_start is not None:
        watched = state.window_start + plan.verification.watch
        yield round(1000 * watched)
        yield round(1000 * (watched + plan.metrics.delay))
