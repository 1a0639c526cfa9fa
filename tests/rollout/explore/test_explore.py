"""Exploring the policy: canonical states decide as the real ones do, invariants hold, and one that does not becomes a file."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path

import pytest

from rollout.explore import command, explorer
from rollout.explore.canonical import NOW, canonical
from rollout.explore.explorer import Explored, Explorer
from rollout.explore.letters import letters
from rollout.journal.replay import main_replay
from rollout.plan import Plan, load_plan
from rollout.policy import IllegalEvent, decide
from rollout.policy.events import Decision, Started
from rollout.policy.state import State

PLANS = ("phase-c", "tuned")


def few(most: int) -> Explorer:
    return Explorer(load_plan("phase-c"), lambda found: found.states > most)


def what(decisions: tuple[Decision, ...]) -> list[object]:
    return [
        (d.decision, d.weight, d.criterion, d.severity, d.break_glass, d.increase, d.outcome)
        for d in decisions
    ]


@pytest.mark.parametrize("name", PLANS)
def test_a_canonical_state_decides_as_the_state_itself(name: str) -> None:
    plan = load_plan(name)
    for seed in range(60):
        draw = random.Random(seed)
        state, _ = decide(plan, State(), Started(t=NOW))
        twin = canonical(plan, state)
        for _ in range(60):
            mine, its = dict(letters(plan, state)), dict(letters(plan, twin))
            assert list(mine) == list(its)
            if not mine:
                break
            letter = draw.choice(
                [*mine] + [n for n in mine if n in ("commanded seen", "a good period", "deadline")] * 6
            )
            try:
                state, decisions = decide(plan, state, mine[letter])
            except IllegalEvent:
                with pytest.raises(IllegalEvent):
                    decide(plan, twin, its[letter])
                continue
            after, same = decide(plan, twin, its[letter])
            assert what(decisions) == what(same), (seed, letter)
            twin = canonical(plan, after)
            assert twin.phase is state.phase


def test_every_time_in_the_state_is_known_to_be_one() -> None:
    """A new field of the state that is a time must be moved with the others."""
    plan: Plan = load_plan("phase-c")
    moved = {
        "t", "commanded_at", "window_start", "baking_since", "held_since", "reminded_at", "answered_at", "limit_read_at",
        "few_since", "raised_at", "counted_to", "spent", "periods", "pairs", "seen_history",
    }  # fmt: skip
    no_times = {
        "phase", "commanded", "settled", "before", "fallback", "seen", "candidate_streak", "stable_streak", "rate_limit",
        "limit_awaited", "abort_criterion", "verification_paged", "standing_alarms", "unread_alarms", "promoted", "watch_s",
        "approved", "foreign", "front_streak", "front_passed", "passing", "baseline_rpm", "few_reported",
    }  # fmt: skip
    assert {field.name for field in fields(State)} == moved | no_times
    assert canonical(plan, State()).t == NOW


def test_a_small_part_of_phase_c_holds() -> None:
    found = few(1500).run()
    assert found.broken is None
    assert found.states > 1500
    assert found.transitions > found.states
    assert found.depth >= 2
    assert found.frontier > 0
    assert not found.closed


def test_a_violation_is_a_file_that_replay_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        explorer.INVARIANTS, "nobody aborts", lambda plan, before, after, decisions: not after.abort_criterion
    )
    said: list[str] = []
    file = tmp_path / "broken.jsonl"
    assert not command.explore(load_plan("phase-c"), 20, 8, file, said.append)
    assert "BROKEN: nobody aborts" in said[-1]
    shown: list[str] = []
    assert main_replay(str(file), None, False, shown.append, shown.append) == 0
    assert any("abort" in line for line in shown)


def test_what_is_not_closed_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert command.explore(load_plan("phase-c"), 0, 8, tmp_path / "none.jsonl", said.append)
    assert "not closed" in said[1]
    assert replace(Explored(), frontier=0).closed
    assert not (tmp_path / "none.jsonl").exists()
