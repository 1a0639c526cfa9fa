"""``simulate capacity --html``: the answer as a page to share, with the latency curve drawn."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from simulate.commands.capacity_text import (
    CURVE,
    Answer,
    assumptions,
    bounds,
    curve_row,
    hang_reasons,
    hang_rows,
    head,
    lines,
    theory,
)
from simulate.commands.drawing import COLOURS, drawn, pages
from simulate.commands.output import command_line
from simulate.studies.replication import Estimate

_QUANTILES = (
    ("p99", "P99", COLOURS["soft"]),
    ("p95", "P95", COLOURS["candidate"]),
    ("p50", "P50", COLOURS["stable"]),
)


def write_page(path: Path, answer: Answer) -> None:
    hang_heads, hangs = hang_rows(answer.hangs)
    text = (
        pages()
        .get_template("capacity.html.j2")
        .render(
            title=f"Capacity for {answer.sizes.assumptions.per_minute:,.0f} requests a minute",
            head=head(answer),
            command=command_line(),
            lines=lines(answer.sizes),
            sentences=[*bounds(answer), theory(answer)],
            latency=drawn(3.6, lambda axes: _latency(axes, answer)),
            losses=drawn(1.7, lambda axes: _losses(axes, answer)),
            curve_heads=CURVE,
            curve=[curve_row(point) for point in answer.curve.points],
            hang_heads=hang_heads,
            hangs=hangs,
            hang_reasons=hang_reasons(answer),
            parameters=assumptions(answer),
        )
    )
    path.write_text(text)


def _latency(axes: Axes, answer: Answer) -> None:
    points, rate = answer.curve.points, answer.sizes.assumptions.per_minute
    for name, label, colour in _QUANTILES:
        found: list[tuple[float, Estimate]] = [
            (point.per_minute, estimate) for point in points if (estimate := getattr(point.measured, name))
        ]
        x = [load for load, _ in found]
        axes.plot(x, [e.mean for _, e in found], color=colour, label=label, marker=".", linewidth=1.4)
        axes.fill_between(
            x,
            [max(e.low or e.mean, e.mean / 10) for _, e in found],
            [e.high or e.mean for _, e in found],
            color=colour,
            alpha=0.25,
        )
    theory_of = [(point.per_minute, point.closed_form) for point in points if point.closed_form]
    mean = [(p.per_minute, p.measured.mean.mean) for p in points if p.measured.mean]
    axes.plot(*zip(*mean, strict=True), color="black", linewidth=0.8, label="mean")
    if theory_of:
        axes.plot(*zip(*theory_of, strict=True), "x", color="black", markersize=4, label="mean by theory")
    lowest = min(e.p50.mean for p in points if (e := p.measured).p50)
    target = answer.targets[0]
    axes.set_yscale("log")
    axes.axhline(target, color=COLOURS["bad"], linewidth=1, linestyle="--")
    axes.annotate(
        f"target of the P95, {1000 * target:g} ms", (0.01, target), xycoords=("axes fraction", "data"), ha="left",
        va="bottom", color=COLOURS["bad"], xytext=(0, 2), textcoords="offset points",
    )  # fmt: skip
    marks = [(rate, "your load"), (answer.curve.knee.per_minute, "knee"), (answer.curve.capacity, "100 %")]
    for load, what in marks:
        axes.axvline(load, color=COLOURS["soft"], linewidth=0.9, linestyle=":")
        axes.annotate(
            f"{what} {load:,.0f}", (load, 1), xycoords=("data", "axes fraction"), rotation=90, ha="right", va="top",
            fontsize=8, xytext=(-1, -2), textcoords="offset points",
        )  # fmt: skip
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda seconds, _: f"{1000 * seconds:g}")
    axes.set_ylabel("ms")
    axes.set_xlabel("requests per minute")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda load, _: f"{load:,.0f}")
    axes.set_ylim(bottom=0.7 * lowest)
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))


def _losses(axes: Axes, answer: Answer) -> None:
    points = answer.curve.points
    x = [point.per_minute for point in points]
    lost = [point.measured.lost for point in points]
    axes.fill_between(x, [100 * e.mean for e in lost], color=COLOURS["bad"], alpha=0.2)
    axes.plot(x, [100 * e.mean for e in lost], color=COLOURS["bad"], marker=".", linewidth=1.4)
    axes.set_ylabel("lost, %")
    axes.set_xlabel("requests per minute")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=-0.05 * max(1.0, *(100 * e.mean for e in lost)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda load, _: f"{load:,.0f}")
