"""``simulate tune --html``: the plans as two drawings and a table, the proposed one in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.axes import Axes

from simulate.commands.drawing import COLOURS, drawn, pages
from simulate.commands.tune_text import (
    HEADS,
    NOTE,
    cell,
    difference,
    fixed_and_compared,
    main,
    others,
    proposed,
)
from simulate.figures import plain
from simulate.studies.tune import GUIDE, Figures, Tuned, Value

_LABEL = (30.0, 14.0)  # points of room that a label needs


def write_page(path: Path, tuned: Tuned, command: str) -> None:
    asked = tuned.asked
    guide = asked.plans[GUIDE]
    given = "".join(f", {name}={plain(value, 6)}" for name, value in asked.given.items())
    text = (
        pages()
        .get_template("tune.html.j2")
        .render(
            title="Which plan",
            head=f"{len(asked.plans)} plans on {len(asked.cases)} releases, {tuned.screened_of:,} rehearsals of each, seed {asked.seed}{given}",
            command=command,
            proposed=[*proposed(tuned)],
            hurt_chart=drawn(
                3.6,
                lambda axes: _scatter(
                    axes, tuned, "requests hurt in a bad night", lambda f: f.hurt, log=True
                ),
            ),
            missed_chart=drawn(
                3.0, lambda axes: _scatter(axes, tuned, "bad nights that end promoted, %", lambda f: f.missed)
            ),
            heads=HEADS,
            tables=[
                (f"All plans, seed {asked.seed}", _rows(dict(enumerate(tuned.screened)), tuned)),
                (f"Confirmed on seed {asked.confirm_seed}", _rows(tuned.confirmed, tuned)),
            ],
            note=NOTE,
            compared=[*fixed_and_compared(tuned)],
            cases=[(case.label, plain(case.weight) if case.weight else "good") for case in asked.cases],
            guide=guide.name,
        )
    )
    path.write_text(text)


def _rows(found: Mapping[int, Figures], tuned: Tuned) -> list[tuple[str, str, list[tuple[str, str]]]]:
    plans = tuned.asked.plans
    return [
        (
            f"{number}{' *' if number in tuned.front else ''}",
            f"{plans[number].name}: {difference(tuned, number)}",
            [cell(value) for value in (*main(mine), *others(mine))],
        )
        for number, mine in found.items()
    ]


def _scatter(
    axes: Axes, tuned: Tuned, name: str, of: Callable[[Figures], Value], *, log: bool = False
) -> None:
    """Every plan with its intervals; a linear axis numbers only those above the guide's plan."""
    least = 0.0 if log else of(tuned.screened[GUIDE]).mean
    numbered: dict[int, tuple[float, float]] = {}
    for number, mine in enumerate(tuned.screened):
        across, up = mine.false_rollbacks, of(mine)
        if up.mean > least:
            numbered[number] = across.mean, up.mean
        colour = COLOURS["soft"]
        if number in tuned.front:
            colour = COLOURS["candidate"]
        if number == GUIDE:
            colour = COLOURS["bad"]
        if number == tuned.chosen:
            colour = COLOURS["stable"]
        axes.errorbar(
            across.mean,
            up.mean,
            xerr=[[across.mean - across.low], [across.high - across.mean]],
            yerr=[[up.mean - up.low], [up.high - up.mean]],
            fmt="o",
            markersize=5,
            color=colour,
            ecolor=colour,
            elinewidth=0.8,
            alpha=0.9,
        )
    axes.set_xlabel("good nights with a false rollback, %")
    axes.set_ylabel(name)
    axes.set_xlim(left=-0.03 * axes.get_xlim()[1])
    if log:
        axes.set_yscale("log")
        for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            ticks(lambda value, _: plain(value))
    else:
        axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])
    for numbers in _together(axes, numbered):
        label = ", ".join(map(str, numbers))
        axes.annotate(label, numbered[numbers[0]], xytext=(4, 3), textcoords="offset points", fontsize=8)


def _together(axes: Axes, places: Mapping[int, tuple[float, float]]) -> list[list[int]]:
    """Numbers whose labels would overlap stand in one label, at the lowest of them."""
    points = {
        number: axes.transData.transform(place) * 72 / axes.figure.dpi for number, place in places.items()
    }
    found: list[list[int]] = []
    for number in sorted(points, key=lambda number: float(points[number][1])):
        x, y = points[number]
        near = (
            one
            for one in found
            if abs(points[one[0]][0] - x) < _LABEL[0] and y - points[one[0]][1] < _LABEL[1]
        )
        group = next(near, None)
        if group is None:
            found.append([number])
        else:
            group.append(number)
    return found
