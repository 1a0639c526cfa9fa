"""The picture of a rollout as one inline SVG: weight, error rate, P95, traffic and probes on one time axis.

Everything is drawn in CSS classes of the page, so light, dark and print need no second picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from rollout.journal.account import Account
from rollout.plan import Plan
from rollout.plan.criteria import VERIFIED, Criterion
from rollout.plan.units import clock, number
from rollout.policy.events import Metrics

INSET = 5.0  # between a panel's frame and what lies on its lowest and highest value
BADGE = 19.0  # the room of a numbered badge
LABEL = 12.0  # the height of a label
LABELS = 100.0  # the room that limits' labels need beside a plot
LETTER = 6.7  # the width of one in a legend
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture for screens of one size, in CSS pixels. ``ticks``: at most so many on the time axis."""

    css: str
    width: float
    left: float
    right: float  # the room for the limits' labels; too little: they stand inside
    gap: float  # between panels
    ticks: int

    @property
    def plot(self) -> float:
        return self.width - self.left - self.right

    @property
    def narrow(self) -> bool:
        """Legends stand below their titles and limits' labels in the plot."""
        return self.right < LABELS


# The page's style shows the one that fits.
LAYOUTS = (Layout("wide", 1080.0, 64.0, 168.0, 36.0, 12), Layout("narrow", 380.0, 46.0, 12.0, 50.0, 5))


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
    layout: Layout
    begin: float
    end: float
    y: float = 0.0
    parts: list[str] = field(default_factory=list)

    def x(self, t: float) -> float:
        share = (min(max(t, self.begin), self.end) - self.begin) / (self.end - self.begin)
        return self.layout.left + self.layout.plot * share

    @property
    def right(self) -> float:
        return self.layout.left + self.layout.plot

    def add(self, *parts: str) -> None:
        self.parts += parts


def draw(panels: Sequence[Panel], begin: float, end: float, marks: Sequence[Mark], label: str) -> str:
    """The SVG texts, one for each of :data:`LAYOUTS`. ``begin`` and ``end`` in seconds from the start."""
    return "".join(_draw(layout, panels, begin, max(end, begin + 1.0), marks, label) for layout in LAYOUTS)


def _draw(
    layout: Layout, panels: Sequence[Panel], begin: float, end: float, marks: Sequence[Mark], label: str
) -> str:
    top = (38.0 if marks else 4.0) + (layout.gap - 16.0)
    body = _Canvas(layout, begin, end, top)
    for panel in panels:
        _panel(body, panel)
        body.y += panel.height + layout.gap
    bottom = body.y - layout.gap
    canvas = _Canvas(layout, begin, end)
    _axis(canvas, top, bottom)
    badges = _marks(canvas, marks, top - layout.gap + 16.0, bottom)
    canvas.add(*body.parts, *badges)
    height = bottom + 34
    return (
        f'<svg class="picture {layout.css}" viewBox="0 0 {layout.width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(label)}">' + "".join(canvas.parts) + "</svg>"
    )


def _step(span: float, ticks: int) -> float:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800)
    return next((step for step in steps if span / step <= ticks), 3600.0)


def _axis(canvas: _Canvas, top: float, bottom: float) -> None:
    step = _step(canvas.end - canvas.begin, canvas.layout.ticks)
    t = -(-canvas.begin // step) * step
    while t <= canvas.end:
        x = canvas.x(t)
        canvas.add(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
        canvas.add(
            f'<text class="tick" x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{clock(t)}</text>'
        )
        t += step
    canvas.add(
        f'<text class="tick" x="{canvas.right:.1f}" y="{bottom + 30:.1f}" text-anchor="end">min:s from the start</text>'
    )


def _panel(canvas: _Canvas, panel: Panel) -> None:
    layout, top, height = canvas.layout, canvas.y, panel.height
    left, right = layout.left, canvas.right

    def y(value: float) -> float:
        share = min(max(value, 0.0), panel.top) / panel.top
        return top + INSET + (height - 2 * INSET) * (1 - (math.sqrt(share) if panel.root else share))

    title = top - (22 if layout.narrow else 7)
    canvas.add(f'<rect class="frame" x="{left}" y="{top:.1f}" width="{layout.plot}" height="{height}"/>')
    canvas.add(f'<text class="panel" x="{left}" y="{title:.1f}">{escape(panel.title)}</text>')
    for tick in (0.0, panel.top) if panel.ticks is None else panel.ticks:
        canvas.add(
            f'<text class="tick" x="{left - 7}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{number(tick)}{panel.unit}</text>'
        )
        canvas.add(f'<line class="grid" x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
    for line in panel.lines:
        _line(canvas, line, y)
    for bars in panel.bars:
        _bars(canvas, bars, y, panel.top)
    lowest = -math.inf  # where the last label stands
    for value, name, css in sorted(panel.limits, reverse=True):
        lowest = max(y(value), lowest + LABEL)  # labels of near limits stand below each other
        place = (
            f'x="{right - 4}" y="{lowest - 3:.1f}" text-anchor="end"'
            if layout.narrow
            else f'x="{right + 8}" y="{lowest + 3.5:.1f}"'
        )
        canvas.add(
            f'<line class="limit {css}" x1="{left}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>',
            f'<text class="limit {css}" {place}>{escape(name)}</text>',
        )
    if not any(line.points for line in panel.lines) and not any(bars.levels for bars in panel.bars):
        canvas.add(f'<text class="tick" x="{left + 8}" y="{top + height / 2 + 4:.1f}">none</text>')
    _legend(canvas, top - 7, [*panel.lines, *panel.bars])


def _legend(canvas: _Canvas, y: float, entries: Sequence[Line | Bars]) -> None:
    sample, space = 20.0, 14.0  # of a line, and between entries
    width = sum(sample + LETTER * len(entry.name) + space for entry in entries) - space
    x = canvas.layout.left if canvas.layout.narrow else canvas.right - width
    for entry in entries:
        canvas.add(
            f'<line class="series {entry.css}" x1="{x:.1f}" x2="{x + sample - 5:.1f}" y1="{y - 3.5:.1f}" y2="{y - 3.5:.1f}"/>',
            f'<text class="tick" x="{x + sample:.1f}" y="{y:.1f}">{escape(entry.name)}</text>',
        )
        x += sample + LETTER * len(entry.name) + space


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
            f"{number(value, 4)}</title></line>"
        )
        if value > bars.limit:
            canvas.add(f'<circle class="breach" cx="{(x1 + x2) / 2:.1f}" cy="{level:.1f}" r="4.5"/>')
        if value > top:
            canvas.add(
                f'<text class="beyond {bars.css}" x="{(x1 + x2) / 2:.1f}" y="{level + 13:.1f}" '
                f'text-anchor="middle">{number(value, 3)}</text>'
            )


def _marks(canvas: _Canvas, marks: Sequence[Mark], top: float, bottom: float) -> list[str]:
    """Draws the lines; returns the badges and labels, which stand above everything else."""
    badges: list[str] = []
    taken = -math.inf  # where the last badge stands
    numbered = [mark for mark in marks if mark.label.isdigit()]
    left = len(numbered)
    for mark in sorted(marks, key=lambda m: m.t):
        x = canvas.x(mark.t)
        canvas.add(
            f'<line class="mark {mark.kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 12:.1f}" y2="{bottom:.1f}"/>'
        )
        if mark.label.isdigit():
            left -= 1
            # Beside the last one, and with room for those that follow.
            taken = max(min(x, canvas.layout.width - BADGE / 2 - left * BADGE), taken + BADGE)
            badges += [
                f'<circle class="badge {mark.kind}" cx="{taken:.1f}" cy="{top - 20:.1f}" r="8.5"/>',
                f'<text class="badge" x="{taken:.1f}" y="{top - 16.3:.1f}" text-anchor="middle">{mark.label}</text>',
            ]
        else:
            badges.append(
                f'<text class="mark {mark.kind}" x="{x + 4:.1f}" y="{bottom + 30:.1f}">{escape(mark.label)}</text>'
            )
    return badges


# --- a rollout ----------------------------------------------------------------------------------------------------


def rollout_picture(account: Account, marks: Sequence[Mark]) -> str:
    """Weight, error rate, P95 and traffic of one rollout."""
    plan = account.plan
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

    traffic = series(lambda p: None if p.requests is None else p.requests / (p.end - p.start))
    panels = [
        Panel(
            "candidate's weight",
            " %",
            118,
            100,
            lines=(
                Line(account.candidate, "read back", _with_start(account, account.seen), filled=True),
                Line("commanded", "commanded", _with_start(account, account.commanded)),
            ),
            ticks=(0, *(s.weight for s in plan.stages)),
            root=True,
        ),
        *(_criterion_panel(plan, row, series(row.value, row.rule(plan).limit)) for row in VERIFIED),
        Panel("requests per second", "", 70, nice_top(traffic), bars=traffic),
        _probe_panel(account),
    ]
    return draw(panels, 0.0, account.ended_s, marks, "weight, error rate, P95, traffic and probes over time")


def _criterion_panel(plan: Plan, row: Criterion, bars: tuple[Bars, ...]) -> Panel:
    limit, stable = row.rule(plan).limit, row.normal(plan)
    return Panel(
        f"{row.name} per metric period",
        row.unit,
        96,
        nice_top(bars, limit),
        bars=bars,
        limits=(
            (limit, f"limit {row.shown(limit)}", "candidate-limit"),
            (stable, f"stable after abort {row.shown(stable)}", "stable-limit"),
        ),
    )


def _probe_panel(account: Account) -> Panel:
    interval = account.plan.health.interval
    streaks = {
        role: tuple((r.t - interval, r.t) for r in account.rounds if r.role == role and r.failed)
        for role in ("candidate", "stable")
    }
    return Panel(
        "failed probe rounds",
        "",
        22,
        2,
        bars=(
            Bars("failed", "candidate", tuple((a, b, 1.45) for a, b in streaks["candidate"])),
            Bars("failed-stable", "stable", tuple((a, b, 0.55) for a, b in streaks["stable"])),
        ),
        ticks=(),
    )


def _with_start(account: Account, points: Sequence[Point]) -> tuple[Point, ...]:
    return ((0.0, account.first_weight), *points)


def nice_top(bars: Iterable[Bars], limit: float = 0.0) -> float:
    """A round top of a scale: room for the values, but never so high that a limit is lost at the bottom."""
    highest = max((value for one in bars for _, _, value in one.levels), default=0.0)
    wanted = max(highest * 1.1, limit * 1.5, 1e-9)
    if limit:
        wanted = min(wanted, limit * 8)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if step * power >= wanted)
