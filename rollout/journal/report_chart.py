"""The picture of a rollout as one inline SVG: weight, error rate, P95, traffic and probes on one time axis.

Everything is drawn in CSS classes of the page, so light, dark and print need no second picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from rollout.journal.account import Account
from rollout.policy.events import Metrics

WIDTH, LEFT, RIGHT = 1080.0, 64.0, 168.0
PLOT = WIDTH - LEFT - RIGHT
GAP = 34.0
BADGE = 19.0  # the room of a numbered badge
LABEL = 12.0  # the height of a label
TICKS = 12  # at most, on the time axis
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a line through all panels: ``kind`` is a CSS class (decision, fault, breach)."""

    t: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Bars:
    """One value per metric period, drawn as a level from its start to its end; above ``limit`` with a red dot."""

    css: str
    name: str
    levels: tuple[tuple[float, float, float], ...]  # (start, end, value)
    limit: float = math.inf


@dataclass(frozen=True, slots=True)
class Line:
    """A step line through (t, value); the value holds until the next point."""

    css: str
    name: str
    points: tuple[Point, ...]
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot. ``limits``: (value, label, CSS class). Values above ``top`` are drawn at the top with their number."""

    title: str
    unit: str
    height: float
    top: float
    lines: tuple[Line, ...] = ()
    bars: tuple[Bars, ...] = ()
    limits: tuple[tuple[float, str, str], ...] = ()
    ticks: tuple[float, ...] | None = None
    root: bool = False  # a square-root scale, on which 5 % is seen beside 100 %


@dataclass(slots=True)
class _Canvas:
    begin: float
    end: float
    y: float = 0.0
    parts: list[str] = field(default_factory=list)

    def x(self, t: float) -> float:
        share = (min(max(t, self.begin), self.end) - self.begin) / (self.end - self.begin)
        return LEFT + PLOT * share

    def add(self, *parts: str) -> None:
        self.parts += parts


def clock(t: float) -> str:
    """Seconds as ``1:02``."""
    sign, t = ("-" if t < 0 else ""), abs(round(t))
    return f"{sign}{t // 60:.0f}:{t % 60:02.0f}"


def draw(panels: Sequence[Panel], begin: float, end: float, marks: Sequence[Mark], label: str) -> str:
    """The SVG text. ``begin`` and ``end`` in seconds from the start."""
    canvas = _Canvas(begin, max(end, begin + 1.0), y=58.0 if marks else 24.0)
    top = canvas.y
    body = _Canvas(canvas.begin, canvas.end, canvas.y)
    for panel in panels:
        _panel(body, panel)
        body.y += panel.height + GAP
    bottom = body.y - GAP
    _axis(canvas, top, bottom)
    canvas.add(*body.parts)
    _marks(canvas, marks, top, bottom)
    height = bottom + 34
    return (
        f'<svg class="picture" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">'
        + "".join(canvas.parts)
        + "</svg>"
    )


def _step(span: float) -> float:
    return next((step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300) if span / step <= TICKS), 600.0)


def _axis(canvas: _Canvas, top: float, bottom: float) -> None:
    step = _step(canvas.end - canvas.begin)
    t = -(-canvas.begin // step) * step
    while t <= canvas.end:
        x = canvas.x(t)
        canvas.add(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        canvas.add(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{clock(t)}</text>'
        )
        t += step
    canvas.add(
        f'<text class="tick" x="{LEFT + PLOT:.1f}" y="{bottom + 30:.1f}" text-anchor="end">min:s from the start</text>'
    )


def _panel(canvas: _Canvas, panel: Panel) -> None:
    top, height = canvas.y, panel.height

    def y(value: float) -> float:
        share = min(max(value, 0.0), panel.top) / panel.top
        return top + height * (1 - (math.sqrt(share) if panel.root else share))

    canvas.add(f'<rect class="frame" x="{LEFT}" y="{top:.1f}" width="{PLOT}" height="{height}"/>')
    canvas.add(f'<text class="panel" x="{LEFT}" y="{top - 7:.1f}">{escape(panel.title)}</text>')
    for tick in (0.0, panel.top) if panel.ticks is None else panel.ticks:
        canvas.add(
            f'<text class="tick" x="{LEFT - 7}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{tick:g}{panel.unit}</text>'
        )
        canvas.add(
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + PLOT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        )
    lowest = top - LABEL
    for value, name, css in sorted(panel.limits, reverse=True):
        lowest = max(y(value), lowest + LABEL)  # labels of near limits stand below each other
        canvas.add(
            f'<line class="limit {css}" x1="{LEFT}" x2="{LEFT + PLOT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>',
            f'<text class="limit {css}" x="{LEFT + PLOT + 8}" y="{lowest + 3.5:.1f}">{escape(name)}</text>',
        )
    for line in panel.lines:
        _line(canvas, line, y)
    for bars in panel.bars:
        _bars(canvas, bars, y, panel.top)
    _legend(canvas, top, [*panel.lines, *panel.bars])


def _legend(canvas: _Canvas, top: float, entries: Iterable[Line | Bars]) -> None:
    x = LEFT + PLOT
    for entry in reversed(list(entries)):
        x -= 6.7 * len(entry.name)
        canvas.add(f'<text class="tick" x="{x:.1f}" y="{top - 7:.1f}">{escape(entry.name)}</text>')
        canvas.add(
            f'<line class="series {entry.css}" x1="{x - 20:.1f}" x2="{x - 5:.1f}" '
            f'y1="{top - 10.5:.1f}" y2="{top - 10.5:.1f}"/>'
        )
        x -= 34


def _line(canvas: _Canvas, line: Line, y: Callable[[float], float]) -> None:
    if not line.points:
        return
    path = [f"M{canvas.x(line.points[0][0]):.1f},{y(line.points[0][1]):.1f}"]
    for t, value in line.points[1:]:
        path.append(f"H{canvas.x(t):.1f}V{y(value):.1f}")
    path.append(f"H{canvas.x(canvas.end):.1f}")
    if line.filled:
        area = "".join(path) + f"V{y(0):.1f}H{canvas.x(line.points[0][0]):.1f}Z"
        canvas.add(f'<path class="area {line.css}" d="{area}"/>')
    canvas.add(f'<path class="series {line.css}" d="{"".join(path)}"/>')


def _bars(canvas: _Canvas, bars: Bars, y: Callable[[float], float], top: float) -> None:
    for start, end, value in bars.levels:
        if end <= canvas.begin or start >= canvas.end:
            continue
        x1, x2, level = canvas.x(start), canvas.x(end), y(value)
        canvas.add(
            f'<line class="series level {bars.css}" x1="{x1 + 1:.1f}" x2="{x2 - 1:.1f}" '
            f'y1="{level:.1f}" y2="{level:.1f}"><title>{escape(bars.name)} {clock(start)} to {clock(end)}: '
            f"{value:.4g}</title></line>"
        )
        if value > bars.limit:
            canvas.add(f'<circle class="breach" cx="{(x1 + x2) / 2:.1f}" cy="{level:.1f}" r="4.5"/>')
        if value > top:
            canvas.add(
                f'<text class="beyond {bars.css}" x="{(x1 + x2) / 2:.1f}" y="{level + 13:.1f}" '
                f'text-anchor="middle">{value:.3g}</text>'
            )


def _marks(canvas: _Canvas, marks: Sequence[Mark], top: float, bottom: float) -> None:
    taken: list[float] = []
    for mark in sorted(marks, key=lambda m: m.t):
        x = canvas.x(mark.t)
        canvas.add(
            f'<line class="mark {mark.kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 34:.1f}" y2="{bottom:.1f}"/>'
        )
        place = x
        while any(abs(place - other) < BADGE for other in taken):
            place += 1
        taken.append(place)
        if mark.label.isdigit():
            canvas.add(
                f'<circle class="badge {mark.kind}" cx="{place:.1f}" cy="{top - 42:.1f}" r="8.5"/>',
                f'<text class="badge" x="{place:.1f}" y="{top - 38.3:.1f}" text-anchor="middle">{mark.label}</text>',
            )
        else:
            canvas.add(
                f'<text class="mark {mark.kind}" x="{x + 4:.1f}" y="{bottom + 30:.1f}">{escape(mark.label)}</text>'
            )


# --- a rollout ----------------------------------------------------------------------------------------------------


def rollout_picture(account: Account, marks: Sequence[Mark]) -> str:
    """Weight, error rate, P95 and traffic of one rollout."""
    plan = account.plan
    limits = plan.verification
    sides = [("candidate", account.candidate), ("stable", account.stable)]
    periods = {role: account.of(role) for role, _ in sides}

    def series(value: Callable[[Metrics], float | None], limit: float = math.inf) -> tuple[Bars, ...]:
        return tuple(
            Bars(
                f"{role} {colour}",
                f"{colour} ({role})",
                tuple((p.start, p.end, v) for p in periods[role] if (v := value(p)) is not None),
                limit if role == "candidate" else math.inf,
            )
            for role, colour in reversed(sides)
        )

    errors = series(lambda p: p.error_rate, plan.criteria.error_rate.limit)
    p95 = series(lambda p: p.p95, plan.criteria.latency_p95.limit)
    traffic = series(lambda p: None if p.requests is None else p.requests / (p.end - p.start))
    panels = [
        Panel(
            "candidate's weight",
            " %",
            118,
            100,
            lines=(
                Line(account.candidate, "read back", _with_start(account.seen), filled=True),
                Line("commanded", "commanded", _with_start(account.commanded)),
            ),
            ticks=(0, *(s.weight for s in plan.stages)),
            root=True,
        ),
        Panel(
            "error rate per metric period",
            " %",
            96,
            nice_top(errors, plan.criteria.error_rate.limit),
            bars=errors,
            limits=(
                (
                    plan.criteria.error_rate.limit,
                    f"limit {plan.criteria.error_rate.limit:g} %",
                    "candidate-limit",
                ),
                (limits.error_rate, f"stable after abort {limits.error_rate:g} %", "stable-limit"),
            ),
        ),
        Panel(
            "P95 latency per metric period",
            " s",
            96,
            nice_top(p95, plan.criteria.latency_p95.limit),
            bars=p95,
            limits=(
                (
                    plan.criteria.latency_p95.limit,
                    f"limit {plan.criteria.latency_p95.limit:g} s",
                    "candidate-limit",
                ),
                (limits.latency_p95, f"stable after abort {limits.latency_p95:g} s", "stable-limit"),
            ),
        ),
        Panel("requests per second", "", 70, nice_top(traffic), bars=traffic),
        _probe_panel(account),
    ]
    return draw(panels, 0.0, account.ended_s, marks, "weight, error rate, P95, traffic and probes over time")


def _probe_panel(account: Account) -> Panel:
    interval = account.plan.health.interval
    streaks = {
        role: tuple((r.t - interval, r.t, 1.0) for r in account.rounds if r.role == role and r.failed)
        for role in ("candidate", "stable")
    }
    return Panel(
        "failed probe rounds",
        "",
        22,
        2,
        bars=(
            Bars("failed", "candidate", tuple((a, b, 1.45) for a, b, _ in streaks["candidate"])),
            Bars("failed-stable", "stable", tuple((a, b, 0.55) for a, b, _ in streaks["stable"])),
        ),
        ticks=(),
    )


def _with_start(points: Sequence[Point]) -> tuple[Point, ...]:
    return ((0.0, 0.0), *points)


def nice_top(bars: Iterable[Bars], limit: float = 0.0) -> float:
    """A round top of a scale: room for the values, but never so high that a limit is lost at the bottom."""
    highest = max((value for one in bars for _, _, value in one.levels), default=0.0)
    wanted = max(highest * 1.1, limit * 1.5, 1e-9)
    if limit:
        wanted = min(wanted, limit * 8)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if step * power >= wanted)
