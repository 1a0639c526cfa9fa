"""What a terminal shows besides lines: a panel of how things stand.

Whatever did not come from this module is wrapped in :class:`rich.text.Text`, for Rich would read its brackets as markup.
"""

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
from rollout.plan.criteria import CRITERIA
from rollout.plan.units import number
from rollout.policy.compare import compare
from rollout.policy.events import FRONT_DOOR, EdgeMetrics, Event, Health, Metrics
from rollout.terminal.lines import awaited, describe_record


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
        """Gives way to a question."""
        self._live.stop()

    def resume(self) -> None:
        self._live.start()

    def observe(self, kind: str, t: float, body: Mapping[str, Any]) -> None:
        if line := describe_record(kind, t, body):
            self._console.print(Text(line[0], style=line[1]))

    def _render(self) -> Panel:
        return panel(self._title, self.snapshot()) if self.snapshot else Panel("", title=Text(self._title))

    def say(self, text: str) -> None:
        self._console.print(Text(text))


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
    head.append(awaited(plan, state, now.now) + "\n")
    table = Table(box=None, pad_edge=False)
    for heading in ("criterion", "candidate", "limit", "stable"):
        table.add_column(heading)
    candidate, stable = (now.last.get(f"metrics {role}") for role in ("candidate", "stable"))

    def row(*cells: str) -> None:
        table.add_row(*map(Text, cells))

    of_both = [one if isinstance(one, Metrics) else None for one in (candidate, stable)]
    mine, its = ("-" if one is None else f"{one.requests}" for one in of_both)
    row("requests", mine, f"{plan.metrics.min_requests} or more", its)
    for criterion in CRITERIA:
        mine, its = (_number(criterion.value(one) if one else None, criterion.unit) for one in of_both)
        row(criterion.name, mine, criterion.shown(criterion.rule(plan).limit), its)
    if plan.criteria.comparison:
        found = compare(plan.criteria.comparison, state.pairs) if state.pairs else None
        evidence = f"evidence {number(found.evidence, 3)}" if found else "-"
        row("against stable", evidence, f"{100 / plan.criteria.comparison.false_alarms:.0f}", "")
    health = [_health(now.last.get(f"health {role}")) for role in ("candidate", "stable")]
    streak = f"{state.candidate_streak} of {plan.health.abort_after} failed in a row"
    row("health", health[0], streak, health[1])
    if front := now.last.get(f"health {FRONT_DOOR}"):
        row(
            "front door",
            _health(front),
            f"{state.front_streak} of {plan.health.abort_after} failed in a row",
            "",
        )
    edge = now.last.get("metrics edge")
    limited = _number(edge.share, " %") if isinstance(edge, EdgeMetrics) else "-"
    row("rate limited", limited, f"{plan.rate_limit.share:g} %", "")
    recent = [
        f"{d.t:8.1f} s  {d.decision.value}{'' if d.weight is None else f' {d.weight:g} %'}  {d.criterion.value}"
        for d in now.decisions[-4:]
    ]
    return Panel(
        Group(head, table, Text("\n" + "\n".join(recent), style="dim")), title=Text(title), title_align="left"
    )


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{number(value, 3)}{unit}"


def _health(event: Event | None) -> str:
    if not isinstance(event, Health):
        return "-"
    return "fails " + ", ".join(event.failed) if event.failed else "ok"
