"""``simulate risk --html``: the register and its mitigations, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from simulate.commands.drawing import COLOURS, drawn, pages
from simulate.commands.output import command_line
from simulate.commands.risk_text import COLUMNS, NOTES, WORTHS, cells_of, head, worth_of
from simulate.figures import plain
from simulate.scenarios.scenario import COMMON
from simulate.studies.replication import Estimate
from simulate.studies.risk import Result
from simulate.studies.risk.result import Night

_ENDS = {"promoted": COLOURS["stable"], "held": "#bf8700", "rolled_back": COLOURS["bad"]}
_LINEAR = 10.0  # hurt users; a logarithmic axis beyond
_POWERS = FixedLocator([-1_000_000, -10_000, -100, 0, 100, 10_000, 1_000_000])


def write_page(path: Path, result: Result) -> None:
    """Writes the page."""
    bars = [(f"{one.number} {one.name}", one.night) for one in result.alone]
    bars = [("no risk", result.calm), *bars, ("together", result.together)]
    hurt = [(name, night.costs["hurt"], True) for name, night in bars[1:]]
    worth = [(one.mitigation.name, one.more["hurt"], one.seen) for one in result.worths]
    text = pages().get_template("risk.html.j2").render(
        title="Risk register",
        head=head(result),
        command=command_line(),
        ends_chart=drawn(0.6 + 0.28 * len(bars), lambda axes: _ends(axes, bars)),
        cost_chart=drawn(0.6 + 0.28 * len(hurt), lambda axes: _bars(axes, hurt, COLOURS["bad"])),
        worth_chart=drawn(0.6 + 0.28 * len(worth), lambda axes: _bars(axes, worth, COLOURS["candidate"])),
        worths=[
            (
                one.mitigation.name,
                one.mitigation.item,
                worth_of(one) if one.any_seen else [],
            )
            for one in result.worths
        ],
        alone=[
            (
                f"{one.number} {one.name}",
                f"{one.probability:g} %",
                cells_of(one.night, one.detection_s),
            )
            for one in result.alone
        ]
        + [("together", "", cells_of(result.together, None))],
        notes=NOTES,
        columns=COLUMNS,
        worth_columns=WORTHS,
        parameters=list(_parameters(result)),
    )  # fmt: skip
    path.write_text(text)


def _parameters(result: Result) -> Iterator[tuple[str, str, str]]:
    for one in COMMON:
        yield one.name, plain(result.register.common[one.name], 6), f"{one.what} ({one.unit})"
    for risk in result.register.risks:
        for one in risk.scenario.parameters:
            yield f"{risk.name}.{one.name}", plain(risk.values[one.name], 6), f"{one.what} ({one.unit})"


def _ends(axes: Axes, bars: Sequence[tuple[str, Night]]) -> None:
    """One bar each, from the top down, with the interval of the promoted share."""
    places = range(len(bars))[::-1]
    for place, (_, night) in zip(places, bars, strict=True):
        left = 0.0
        for end, found in night.ends.items():
            percent = 100 * found.count / found.total
            axes.barh(place, percent, left=left, color=_ENDS[end], height=0.65)
            if percent >= 5:  # noqa: PLR2004 -- where a figure fits in
                axes.text(
                    left + percent / 2, place, f"{percent:.0f} %", ha="center", va="center", color="white"
                )
            left += percent
        low, high = (100 * bound for bound in (night.ends["promoted"].low, night.ends["promoted"].high))
        axes.plot([low, high], [place - 0.24, place - 0.24], color="black", linewidth=1.2)
    for end, colour in _ENDS.items():
        axes.barh(0, 0, color=colour, label=end.replace("_", " "))
    axes.set_yticks(places, [name for name, _ in bars])
    axes.set_xlim(-0.5, 100.5)
    axes.set_xlabel("% of the nights")
    axes.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))


def _bars(axes: Axes, bars: Sequence[tuple[str, Estimate, bool]], colour: str) -> None:
    """One bar each with its interval; grey where nothing was seen."""
    places = range(len(bars))[::-1]
    for place, (_, found, seen) in zip(places, bars, strict=True):
        axes.barh(place, found.mean, color=colour if seen else COLOURS["soft"], height=0.6)
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [place, place], color="black", linewidth=1.2)
        if not found.mean:
            axes.annotate("0", (0, place), xytext=(3, 0), textcoords="offset points", va="center")
    axes.set_xscale("symlog", linthresh=_LINEAR)
    axes.xaxis.set_major_locator(_POWERS)
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))
    axes.axvline(0, color="black", linewidth=0.6)
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
    axes.set_axisbelow(True)
    axes.set_yticks(places, [name for name, _, _ in bars])
    axes.set_xlabel("hurt: requests, pages, websockets")
