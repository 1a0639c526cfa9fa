"""``simulate rehearse --html``: what was rehearsed, how it ended, one run in detail, what was assumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from markupsafe import Markup
from matplotlib.axes import Axes

from rollout.journal.report_chart import Bars, Line, Mark, Panel, draw, nice_top
from rollout.plan import Plan
from rollout.plan.units import clock
from simulate.commands.drawing import COLOURS, drawn, pages
from simulate.commands.output import command_line
from simulate.commands.rehearse_text import INTERVALS, ending, head, named, row, timeline
from simulate.controlplane import RehearsalResult
from simulate.dataplane import CANDIDATE, STABLE, Period
from simulate.figures import plain
from simulate.scenarios import find
from simulate.studies.replication import Rows, Summary

_PARTS = {"promoted": "#2da44e", "held": "#bf8700", "aborted": "#cf222e", "undone": "#8250df"}


def write_page(path: Path, summary: Summary, rows: Rows, result: RehearsalResult) -> None:
    """Writes the page; ``result`` is the first of the runs."""
    job = summary.job
    scenario = find(job.scenario)
    values = scenario.values(job.given)
    many = summary.replications > 1
    text = (
        pages(clock=partial(clock, tenths=True))
        .get_template("rehearse.html.j2")
        .render(
            title=f"Rehearsal: {job.scenario}" + ("" if many else f", {ending(result)}"),
            head=head(job, summary.replications),
            sentence=scenario.sentence,
            command=command_line(),
            n=summary.replications,
            shares=many,
            outcome_chart=drawn(1.6, lambda axes: _outcomes(axes, summary)) if many else "",
            histogram=drawn(2.2, lambda axes: _failures(axes, rows)) if many else "",
            run_chart=_picture(result, job.plan),
            timeline=timeline(result),
            figures=[
                (named(name), *row(found))
                for name, found in [*summary.figures.items(), *summary.findings.items()]
            ],
            intervals=INTERVALS,
            parameters=[
                (one.name, plain(values[one.name], 6), f"{one.what} ({one.unit})")
                for one in scenario.all_parameters()
            ],
        )
    )
    path.write_text(text)


def _outcomes(axes: Axes, summary: Summary) -> None:
    for place, (name, share) in enumerate(reversed([*summary.outcomes.items()])):
        percent = 100 * share.count / share.total
        axes.barh(place, percent, color=_PARTS[name], height=0.6)
        axes.plot([100 * share.low, 100 * share.high], [place, place], color="black", linewidth=1.2)
        axes.text(102, place, f"{percent:.1f} %", va="center")
    axes.set_yticks(range(len(summary.outcomes)), [*reversed([*summary.outcomes])])
    axes.set_xlim(-1, 118)
    axes.set_xlabel("% of the runs")


def _failures(axes: Axes, rows: Rows) -> None:
    axes.hist(rows.column("failed_requests"), bins=40, color=COLOURS["candidate"])
    axes.set_xlabel("failed requests in a run")
    axes.set_ylabel("runs")


def _picture(result: RehearsalResult, plan: Plan) -> Markup:
    """The run in the report's panels."""
    period = plan.metrics.period

    def series(value: Callable[[Period], float | None], limit: float = math.inf) -> tuple[Bars, ...]:
        return tuple(
            Bars(
                f"{role} {css}",
                role,
                tuple(
                    (closed.start, closed.start + period, found)
                    for closed in result.periods
                    if (found := value(closed.sides[colour])) is not None
                ),
                limit if role == "candidate" else math.inf,
            )
            for colour, role, css in ((STABLE, "stable", "green"), (CANDIDATE, "candidate", "blue"))
        )

    rate, p95 = plan.criteria.error_rate.limit, plan.criteria.latency_p95.limit
    errors = series(lambda side: 100 * side.errors / side.requests if side.requests else None, rate)
    latencies = series(lambda side: side.p95, p95)
    traffic = series(lambda side: side.requests / period)
    weights = (Line("blue", "in force", ((0.0, 0.0), *result.weights), filled=True),)
    ticks = (0, *(stage.weight for stage in plan.stages))
    panels = [
        Panel("candidate's weight", " %", 118, 100, lines=weights, ticks=ticks, root=True),
        Panel(
            "error rate per metric period",
            " %",
            96,
            nice_top(errors, rate),
            bars=errors,
            limits=((rate, f"limit {plain(rate)} %", "candidate-limit"),),
        ),
        Panel(
            "P95 latency per metric period",
            " s",
            96,
            nice_top(latencies, p95),
            bars=latencies,
            limits=((p95, f"limit {plain(p95)} s", "candidate-limit"),),
        ),
        Panel("requests per second", "", 70, nice_top(traffic), bars=traffic),
    ]
    marks = [] if result.detected is None else [Mark(result.detected, "bad", "detected")]
    end = max(result.watched, result.ended)
    return Markup(draw(panels, 0.0, end, marks, "weight, errors, latency and traffic"))  # noqa: S704 -- escaped by draw
