"""When the policy may act by itself, as `due_times` says it to whoever wakes it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from rollout.plan import Plan, load_plan
from rollout.policy import IllegalEvent, Phase, State, decide, due_times
from rollout.policy.events import Tick
from tests.rollout.runs import PLAN, at_weight, brief
from tests.rollout.streams import night


def next_due(plan: Plan, state: State) -> float | None:
    return min((at for at in due_times(plan, state) if at > state.t), default=None)


def ticked(plan: Plan, state: State, t: float) -> list[str]:
    return [decision.decision for decision in decide(plan, state, Tick(t))[1]]


def test_a_window_its_extension_and_the_blind_limit_fall_due() -> None:
    run, t = at_weight(5)
    assert sorted(due_times(PLAN, run.state)) == [t + 120, t + 360, t + 420]
    run.metrics(t + 61, t)
    assert sorted(due_times(PLAN, run.state)) == [t + 120, t + 420, t + 61 + 360]
    assert brief(run(t + 120, "tick")) == [("set_weight", 25, "stage_passed")]
    assert list(due_times(PLAN, run.state)) == [t + 120 + 60]  # until it is seen


@pytest.mark.parametrize("name", ["phase-c", "tuned"])
def test_between_them_time_alone_decides_nothing(name: str) -> None:
    """Random nights: ticks before the next due time are silent, and those after it find what was due at it."""
    plan, acted = load_plan(name), 0
    for seed in range(60):
        nights = [(event.t, state) for event, state, _ in night(plan, seed)]
        for (_, state), (until, _) in pairwise([*nights, (nights[-1][0] + 4000, nights[-1][1])]):
            now, woken = state, 0
            while (due := next_due(plan, now)) is not None and due < until:
                assert ticked(plan, now, (now.t + due) / 2) == []
                assert ticked(plan, now, due - 1e-6) == []
                now, decisions = decide(plan, now, Tick(due))
                acted, woken = acted + bool(decisions), woken + 1
                assert woken < 400
            if now.t < until:
                assert ticked(plan, now, until - 1e-6) == []
    assert acted > 100


def test_nothing_is_due_before_the_start_and_after_the_end() -> None:
    assert list(due_times(PLAN, State())) == []
    assert list(due_times(PLAN, State(phase=Phase.FINISHED))) == []
    with pytest.raises(IllegalEvent):
        decide(PLAN, State(), Tick(1))
