"""What happened and what is awaited, each as a line of plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollout.journal.notes import (
    BreakGlass,
    Left,
    Note,
    Page,
    Reconciled,
    Resumed,
    Untold,
    parse_note,
)
from rollout.plan import Plan
from rollout.plan.units import duration
from rollout.policy import bake, verification
from rollout.policy.state import Phase, State

_COLOURS = {
    "set_weight": "cyan",
    "alert": "yellow",
    "hold": "yellow",
    "prepare_rollback": "yellow",
    "finish": "bold",
}


def describe_record(kind: str, t: float, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """One record as a line and its colour; ``None`` for what is not worth one."""
    match kind:
        case "decision":
            found = _describe_decision(body), _COLOURS.get(body["decision"], "")
        case "event" if body["event"] == "traffic":
            found = f"read back: the candidate has {body['weight']:g} % of the traffic", "green"
        case "event" if body["event"] == "metrics_error":
            found = f"metrics could not be queried: {body['reason']}", "yellow"
        case "rejected":
            found = f"refused: {body['why']}", "yellow"
        case "result" if body.get("act") in ("set_weight", "stop") and body["ok"]:
            found = _describe_done(body), ""
        case "result" if body.get("act") == "notify" and not body["ok"]:
            found = f"nobody told yet ({body['topic']}, {body['subject']}): {body['error']}", "yellow"
        case "result" if body.get("act") == "notify" and body.get("tries"):
            found = f"told at try {body['tries']} ({body['topic']}, {body['subject']})", ""
        case "result" if body.get("act") == "notify" and body.get("error"):
            found = (
                f"not told by every service ({body['topic']}, {body['subject']}): {body['error']}",
                "yellow",
            )
        case "note":
            found = _describe_note(parse_note(body))
        case _:
            return None
    return (f"{t:9.1f} s  {found[0]}", found[1]) if found[0] else None


def _describe_done(body: Mapping[str, Any]) -> str:
    if body["act"] == "stop":
        return "the candidate's pods are stopped: 0 replicas, until its next deployment"
    took = [f"{key[:-2].replace('_', ' ')} {value:g} s" for key, value in body.items() if key.endswith("_s")]
    return "traffic moved" + (f" ({', '.join(took)})" if took else "")


def _describe_decision(body: Mapping[str, Any]) -> str:
    weight = f" {body['weight']:g} %" if "weight" in body else ""
    return f"{body['decision'].replace('_', ' ')}{weight}  [{body['criterion']}] {body['reason']}"


def _describe_note(note: Note) -> tuple[str, str]:
    match note:
        case Page(subject, text):
            return f"PAGE {subject}: {text}", "red"
        case Resumed(phase, commanded, seen):
            return f"resumed: {phase}, {commanded:g} % commanded, {seen:g} % seen", ""
        case Left(why, weight):
            has = "an unknown share" if weight is None else f"{weight:g} %"
            return f"the controller left ({why}): the candidate has {has} of the traffic", ""
        case Untold(topic, subject):
            return f"NOBODY WAS TOLD ({topic}): {subject}", "red"
        case BreakGlass(weight, because):
            return f"break-glass to {weight} %: {because}", ""
        case Reconciled(weight):
            return f"the traffic stack agrees with the load balancer again: {weight} %", ""
        case _:
            return "", ""


class PlainView:
    """One line a record that says something."""

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out

    def observe(self, kind: str, t: float, body: Mapping[str, Any]) -> None:
        if line := describe_record(kind, t, body):
            self._out(line[0])


def awaited(plan: Plan, state: State, t: float) -> str:
    """What the rollout waits for at ``t`` (seconds from the start); '' when for nothing that has a time."""
    end = state.window_end(plan)
    if end is not None:
        left = end - t
        if left > 0:
            return f"window: {duration(round(left))} left"
        return f"window over; waits for good periods, at most {duration(round(max(left + plan.metrics.max_extension, 0)))} more"
    if state.phase is Phase.BAKING:
        left = bake.over(plan, state) - t
        if left > 0:
            return f"bake at {state.commanded:g} %: {duration(round(left))} left"
        most = duration(round(max(min(bake.deadlines(plan, state)) - t, 0)))
        return f"bake at {state.commanded:g} %: waits for metrics, at most {most} more"
    if state.phase is Phase.HELD:
        left = max(state.held_since + plan.hold_timeout - t, 0)
        return f"held: `rollout resume` or `rollout abort`; aborts automatically in {duration(round(left))}"
    if state.phase is Phase.PAUSED:
        return "paused by the operator: `rollout resume` or `rollout abort`"
    if state.phase is Phase.VERIFYING and state.window_start is not None:
        left = verification.over(plan, state) - t
        if left > 0:
            return f"all traffic on stable, watched for {duration(round(left))} more"
        most = duration(round(max(verification.ends(plan, state) - t, 0)))
        return f"all traffic on stable; waits for its last metrics, at most {most} more"
    if state.phase is Phase.STEADY and state.window_start is not None and state.watch_s is not None:
        left = max(state.window_start + state.watch_s - t, 0)
        return f"promoted, watched for {duration(round(left))} more; `rollout undo` takes it back"
    return ""
