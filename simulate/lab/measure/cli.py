"""``simulate lab measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simulate.lab.measure.run import Settings, measure
from simulate.lab.rehearsal.cli import BUILD, orderly


def register(app: typer.Typer) -> None:
    """Adds the command to ``simulate lab``."""
    app.command(name="measure")(measure_command)


def measure_command(
    out: Annotated[Path, typer.Option("--out", help="The file; parts not measured anew stay in it.")] = BUILD
    / "lab.json",
    part: Annotated[
        list[str], typer.Option("--part", help="points, updates or rollouts; all if not given.")
    ] = [],  # noqa: B006 -- typer copies it
    point: Annotated[
        list[str], typer.Option("--point", metavar="TEXT", help="Only the points whose names contain this.")
    ] = [],  # noqa: B006
    short: Annotated[
        bool, typer.Option("--short", help="Few and short: to try it, not to judge by.")
    ] = False,
) -> None:
    """Measure loads, pools and faults on real parts, for `simulate validate --lab FILE`.

    Takes about 35 min, 18 of which want an otherwise idle machine (the points and the updates).
    """
    settings = Settings.checked(out, part, point, short=short)
    raise typer.Exit(orderly(lambda: measure(settings, Console())))
