"""What the terminal shows."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import pytest
from rich.console import Console

from rollout.control.controller import Controller
from rollout.control.testing import FakeCloud, MemoryJournal, Release, run_virtually
from rollout.plan import Comparison, Plan, Rollback, load_plan
from rollout.terminal.lines import PlainView, awaited, describe_record
from rollout.terminal.view import LiveView, panel
from tests.rollout.runs import at_weight

PLAN = load_plan("phase-c")


def shown_at(*times: float, plan: Plan = PLAN, **how: Any) -> tuple[list[str], list[str]]:
    """The panel at each time (seconds), and all lines, of a release that fails as ``how`` says."""
    panels: list[str] = []
    lines: list[str] = []

    async def run() -> None:
        cloud = FakeCloud()
        cloud.metrics.candidate = Release(**how)
        cloud.probes.failing = lambda role, time: ["deep"] if role == "candidate" and 20 < time < 24 else []
        view = PlainView(lines.append)
        controller = Controller(
            plan,
            ports=cloud.ports,
            metrics=cloud.metrics,
            probes=cloud.probes,
            journal=MemoryJournal(cloud.clock),
            clock=cloud.clock,
            start=cloud.clock.now(),
            observer=view.observe,
        )
        task = asyncio.create_task(controller.run())
        for at in times:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            out = io.StringIO()
            Console(file=out, width=110).print(panel("rollout prod", controller.snapshot()))
            panels.append(out.getvalue())
        await task

    run_virtually(run())
    return panels, lines


def test_the_panel_shows_stage_window_and_criteria() -> None:
    (moving, failing, watching, waiting), _ = shown_at(1, 22, 100, 140)
    assert "candidate: commanded 5 %, seen 0 %  (stack update under way)" in moving
    assert "fails deep" in failing
    assert "1 of 3 failed in a row" in failing
    assert "watching" in watching
    assert "window: 24 s left" in watching
    assert "window over; waits for good periods" in waiting
    assert "ok" in watching


def test_the_panel_shows_a_hold_and_the_watch_after_it() -> None:
    (held, verifying), _ = shown_at(200, 800, error_rate=5)
    assert "held: `rollout resume` or `rollout abort`; aborts automatically in" in held
    assert re.search(r"error rate +5 % +1 %", held)
    assert "all traffic on stable, watched for" in verifying


def test_the_panel_shows_the_comparison_of_a_plan_that_has_one() -> None:
    plan = PLAN.with_criteria(comparison=Comparison(0.1, 0.5, Rollback.ABORT))
    (before, after), _ = shown_at(30, 400, plan=plan)
    assert re.search(r"against stable +- +1000", before)
    assert re.search(r"against stable +evidence 0\.\d+ +1000", after)
    (plain,), _ = shown_at(100)
    assert "against stable" not in plain


def test_plain_lines_tell_the_story() -> None:
    _, lines = shown_at(1, error_rate=5)
    story = "\n".join(lines)
    for told in (
        "set weight 5 %  [started]",
        "read back: the candidate has 5 % of the traffic",
        "traffic moved",
        "set weight 0 %  [error_rate] error rate 5 % (14 of 280 requests) is above 1 %: 0 %",
        "finish 0 %  [hold_timeout]",
    ):
        assert told in story
    assert len(lines) < 30


@pytest.mark.parametrize(
    ("kind", "body", "line"),
    [
        ("rejected", {"event": "operator", "why": "nothing to resume"}, "refused: nothing to resume"),
        ("note", {"what": "page", "subject": "s", "text": "t"}, "PAGE s: t"),
        (
            "note",
            {"what": "break_glass", "weight": 0, "because": "locked"},
            "break-glass to 0 %: locked",
        ),
        (
            "event",
            {"event": "metrics_error", "reason": "throttled"},
            "metrics could not be queried: throttled",
        ),
        (
            "result",
            {"act": "notify", "ok": False, "topic": "immediate", "subject": "held", "error": "x"},
            "nobody told yet (immediate, held): x",
        ),
        (
            "result",
            {"act": "notify", "ok": True, "topic": "immediate", "subject": "held", "tries": 3},
            "told at try 3 (immediate, held)",
        ),
        (
            "result",
            {"act": "notify", "ok": True, "topic": "immediate", "subject": "held", "error": "Slack did not"},
            "not told by every service (immediate, held): Slack did not",
        ),
        (
            "note",
            {"what": "untold", "topic": "immediate", "subject": "held"},
            "NOBODY WAS TOLD (immediate): held",
        ),
    ],
)
def test_lines(kind: str, body: dict[str, Any], line: str) -> None:
    told = describe_record(kind, 1.5, body)
    assert told
    assert told[0] == f"      1.5 s  {line}"


def test_what_others_wrote_is_never_read_as_markup() -> None:
    foreign = "a preview failed: [/some/path] [red]is[/red] [link=x]"
    out = io.StringIO()
    view = LiveView(Console(file=out, width=110), "rollout [/prod]")
    view.say(foreign)
    view.observe("note", 0, {"what": "page", "subject": foreign, "text": foreign})
    view.observe("event", 0, {"event": "metrics_error", "reason": foreign})
    assert out.getvalue().replace("\n", "").count("[/some/path] [red]is[/red] [link=x]") == 4


def test_routine_makes_no_lines() -> None:
    assert describe_record("event", 0, {"event": "tick"}) is None
    assert describe_record("note", 0, {"what": "foreseen", "weight": 25, "ok": True}) is None
    assert describe_record("intent", 0, {"effect": 1}) is None


def test_the_panel_says_when_the_watch_over_stable_waits_for_its_last_metrics() -> None:
    run, t = at_weight(25)
    run(t + 1, "operator", command="abort")
    run(t + 2, "traffic", weight=0)
    assert awaited(run.plan, run.state, t + 2) == "all traffic on stable, watched for 5 min more"
    assert (
        awaited(run.plan, run.state, t + 362)
        == "all traffic on stable; waits for its last metrics, at most 2 min more"
    )
