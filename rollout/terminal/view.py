"""What the terminal shows: lines of what happened, and in a terminal a panel of how things stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rollout.control.controller import Observer, Snapshot
from rollout.journal.notes import (
    BreakGlass,
    Left,
    Note,
    Page,
    Reconciled,
    Resumed,
    note_to_json,
    parse_note,
)
from rollout.plan.units import duration
from rollout.policy.compare import compare
from rollout.policy.events import EdgeMetrics, Event, Health, Metrics
from rollout.policy.state import Phase

_COLOURS = {
    "set_weight": "cyan",
    "alert": "yellow",
    "hold": "yellow",
    "prepare_rollback": "yellow",
    "finish": "bold",
}


def describe_record(kind: str, t: float, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """One record as a line and its colour; ``None`` for what is not worth one."""
    stamp = f"{t:9.1f} s  "
    if kind == "decision":
        weight = f" {body['weight']:g} %" if "weight" in body else ""
        line = f"{body['decision'].replace('_', ' ')}{weight}  [{body['criterion']}] {body['reason']}"
        return stamp + line, _COLOURS.get(body["decision"], "")
    if kind == "event" and body["event"] == "traffic":
        return f"{stamp}read back: the candidate has {body['weight']:g} % of the traffic", "green"
    if kind == "event" and body["event"] == "metrics_error":
        return f"{stamp}metrics could not be queried: {body['reason']}", "yellow"
    if kind == "rejected":
        return f"{stamp}refused: {body['why']}", "yellow"
    if kind == "note":
        return _describe_note(stamp, parse_note(body))
    if kind == "result" and body.get("act") == "set_weight" and body["ok"]:
        took = ", ".join(f"{key} {value}" for key, value in body.items() if key.endswith("_s"))
        return f"{stamp}traffic moved ({took})", ""
    if kind == "result" and not body["ok"] and body.get("act") == "notify":
        return f"{stamp}not told ({body['topic']}): {body['error']}", "yellow"
    return None


def _describe_note(stamp: str, note: Note) -> tuple[str, str] | None:
    match note:
        case Page(subject, text):
            return f"{stamp}PAGE {subject}: {text}", "red"
        case Resumed() | Left() | BreakGlass() | Reconciled():
            more = ", ".join(f"{key} {value}" for key, value in note_to_json(note).items() if key != "what")
            return f"{stamp}{note.what.replace('_', ' ')}: {more}", ""
        case _:
            return None


class PlainView:
    """One line a record that says something."""

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out

    def observe(self, kind: str, t: float, body: Mapping[str, Any]) -> None:
        if line := describe_record(kind, t, body):
            self._out(line[0])


class LiveView:
    """The same lines, and below them a panel that is drawn anew four times a second."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self.snapshot: Callable[[], Snapshot] | None = None
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def pause(self) -> None:
        self._live.stop()

    def go_on(self) -> None:
        self._live.start()

    def observe(self, kind: str, t: float, body: Mapping[str, Any]) -> None:
        if line := describe_record(kind, t, body):
            self._console.print(Text(line[0], style=line[1]))

    def _render(self) -> Panel:
        return panel(self._title, self.snapshot()) if self.snapshot else Panel("", title=self._title)


@dataclass(slots=True)
class Screen:
    """Where a session shows itself: ``live`` in a terminal, ``say`` always, ``observe`` gets each record."""

    say: Callable[[str], None]
    observe: Observer
    live: LiveView | None = None


def panel(title: str, now: Snapshot) -> Panel:
    """How a rollout stands."""
    state, plan = now.state, now.plan
    head = Text()
    moving = "  (stack update under way)" if now.moving else ""
    head.append(f"{state.phase.value}", style="bold")
    head.append(
        f"   candidate: commanded {state.commanded:g} %, seen {state.seen:g} %{moving}   at {now.now:.0f} s\n"
    )
    head.append(_waiting(now))
    table = Table(box=None, pad_edge=False)
    for heading in ("criterion", "candidate", "limit", "stable"):
        table.add_column(heading)
    candidate, stable = (now.last.get(f"metrics {role}") for role in ("candidate", "stable"))
    for name, limit, value in (
        ("requests", f"{plan.metrics.min_requests} or more", lambda m: f"{m.requests}"),
        ("error rate", f"{plan.criteria.error_rate.limit:g} %", lambda m: _number(m.error_rate, " %")),
        ("P95", f"{plan.criteria.latency_p95.limit:g} s", lambda m: _number(m.p95, " s")),
        (
            "database errors",
            f"{plan.criteria.db_connection_errors.limit:g}",
            lambda m: _number(m.db_connection_errors, ""),
        ),
    ):
        table.add_row(name, _of(candidate, value), limit, _of(stable, value))
    if plan.criteria.comparison:
        found = compare(plan.criteria.comparison, state.pairs) if state.pairs else None
        evidence = f"evidence {found.evidence:.3g}" if found else "-"
        table.add_row("against stable", evidence, f"{100 / plan.criteria.comparison.false_alarms:.0f}", "")
    health = [_health(now.last.get(f"health {role}")) for role in ("candidate", "stable")]
    streak = f"{state.candidate_streak} of {plan.health.abort_after} failed in a row"
    table.add_row("health", health[0], streak, health[1])
    edge = now.last.get("metrics edge")
    limited = _number(edge.share, " %") if isinstance(edge, EdgeMetrics) else "-"
    table.add_row("rate limited", limited, f"{plan.rate_limit.share:g} %", "")
    recent = [
        f"{d.t:8.1f} s  {d.decision.value}{'' if d.weight is None else f' {d.weight:g} %'}  {d.criterion.value}"
        for d in now.decisions[-4:]
    ]
    return Panel(
        Group(head, table, Text("\n" + "\n".join(recent), style="dim")), title=title, title_align="left"
    )


def _waiting(now: Snapshot) -> str:
    state, plan = now.state, now.plan
    end = state.window_end(plan)
    if end is not None:
        left = end - now.now
        if left > 0:
            return f"window: {duration(round(left))} left\n"
        return f"window over; waits for good periods, at most {duration(round(max(left + plan.metrics.max_extension, 0)))} more\n"
    if state.phase is Phase.HELD:
        left = state.held_since + plan.hold_timeout - now.now
        return f"held: `rollout resume` or `rollout abort`; aborts by itself in {duration(round(max(left, 0)))}\n"
    if state.phase is Phase.PAUSED:
        return "paused by the operator: `rollout resume` or `rollout abort`\n"
    if state.phase is Phase.VERIFYING and state.window_start is not None:
        left = state.window_start + plan.verification.watch - now.now
        return f"all traffic on stable, watched for {duration(round(max(left, 0)))} more\n"
    return "\n"


def _of(event: Event | None, value: Callable[[Metrics], str]) -> str:
    return value(event) if isinstance(event, Metrics) else "-"


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.3g}{unit}"


def _health(event: Event | None) -> str:
    if not isinstance(event, Health):
        return "-"
    return "fails " + ", ".join(event.failed) if event.failed else "ok"
