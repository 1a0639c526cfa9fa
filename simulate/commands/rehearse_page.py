"""``--html``: one page to share, with nothing to load: what was rehearsed, how it ended, one run told, what was assumed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from rollout.plan.units import clock
from simulate.commands.drawing import COLOURS, drawn, pages
from simulate.commands.output import command_line
from simulate.commands.rehearse_text import INTERVALS, head, named, row, timeline
from simulate.controlplane import RehearsalResult
from simulate.dataplane import CANDIDATE, STABLE
from simulate.figures import plain
from simulate.scenarios import find
from simulate.studies.replication import Rows, Summary

_PARTS = {"promoted": "#2da44e", "held": "#bf8700", "aborted": "#cf222e"}


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
            title=f"Rehearsal: {job.scenario}",
            head=head(job, summary.replications),
            sentence=scenario.sentence,
            command=command_line(),
            n=summary.replications,
            shares=many,
            outcome_chart=drawn(1.6, lambda axes: _outcomes(axes, summary)) if many else "",
            histogram=drawn(2.2, lambda axes: _failures(axes, rows)) if many else "",
            run_chart=drawn(3.2, lambda axes: _run(axes, result, job.plan.metrics.period)),
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
        axes.text(101, place, f"{percent:.1f} %", va="center")
    axes.set_yticks(range(len(summary.outcomes)), [*reversed([*summary.outcomes])])
    axes.set_xlim(0, 112)
    axes.set_xlabel("% of the runs")


def _failures(axes: Axes, rows: Rows) -> None:
    axes.hist(rows.column("failed_requests"), bins=40, color=COLOURS["candidate"])
    axes.set_xlabel("failed requests in a run")
    axes.set_ylabel("runs")


def _run(axes: Axes, result: RehearsalResult, period: float) -> None:
    times = [t / 60 for t, _ in result.weights] + [max(result.watched, result.ended) / 60]
    weights = [weight for _, weight in result.weights]
    axes.fill_between(times, [*weights, weights[-1]], step="post", color=COLOURS["candidate"], alpha=0.15)
    axes.step(times, [*weights, weights[-1]], where="post", color=COLOURS["candidate"], linewidth=1)
    axes.set_ylabel("traffic to the candidate, %")
    axes.set_xlabel("minutes from the start")
    axes.set_ylim(0, 105)
    rates = axes.twinx()
    for colour, role in ((STABLE, "stable"), (CANDIDATE, "candidate")):
        seen = [
            ((closed.start + period / 2) / 60, 100 * side.errors / side.requests)
            for closed in result.periods
            if (side := closed.sides[colour]).requests
        ]
        if seen:
            rates.plot(
                *zip(*seen, strict=True), "o-", markersize=3, color=COLOURS[role], label=f"{role}, errors"
            )
    if result.detected is not None:
        axes.axvline(result.detected / 60, color=COLOURS["bad"], linestyle="--", linewidth=1)
    rates.set_ylabel("error rate, %")
    rates.set_ylim(bottom=0)
    if result.periods:
        rates.legend(frameon=False, loc="upper right")
