"""``simulate lab rehearse``, ``simulate lab deploy`` and ``simulate lab bench``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simulate.lab.cli import Name
from simulate.lab.faults import FAULTS
from simulate.lab.lab import Lab
from simulate.lab.rehearsal.bench import LEAST, bench
from simulate.lab.rehearsal.release import ENVIRONMENT, Stage
from simulate.lab.rehearsal.run import DEFAULT_FAULT, Settings, interrupted_by_signals, rehearse, sayer
from simulate.lab.world import CHECKOUT

BUILD = CHECKOUT / "build"
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Adds the commands to ``simulate lab``."""
    app.command(name="rehearse")(rehearse_command)
    app.command(name="deploy")(deploy_command)
    app.command(name="bench")(bench_command)


def rehearse_command(
    fault: Annotated[
        str, typer.Option("--fault", help=f"What is wrong with the second release: {', '.join(FAULTS)}.")
    ] = DEFAULT_FAULT,
    time_scale: Annotated[
        float, typer.Option("--time-scale", help="How much faster than in production.")
    ] = 10.0,
    out: Annotated[Path, typer.Option("--out", help="Where the report goes; emptied first.")] = BUILD
    / "rehearsal",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
) -> None:
    """Perform two releases on real parts: a good one, then a bad one that is rolled back by itself.

    Exits with 0 only if both ended as they must.
    """
    settings = Settings.checked(fault, time_scale, out, keep=keep)
    raise typer.Exit(orderly(lambda: rehearse(settings, Console())))


def deploy_command(name: Name = "default") -> None:
    """Deploy the five local stacks in a lab as their settings say: at first both sides at 1.0.0, traffic on blue.

    It can be repeated, also after changes in the lab's shell, which it keeps.
    """
    lab = Lab(name)
    lab.require()
    with interrupted_by_signals():
        Stage.of(lab, lab.paths.root, sayer(Console())).deploy_as_set()
    where = "" if name == "default" else f" --name {name}"
    typer.echo(f"the stacks of {ENVIRONMENT} are deployed; use them in `simulate lab shell{where}`")


def bench_command(
    updates: Annotated[int, typer.Option("--updates", min=LEAST, help="Traffic updates to measure.")] = 12,
    out: Annotated[Path, typer.Option("--out", help="Where the figures go.")] = BUILD / "bench.json",
) -> None:
    """Measure stack updates of the traffic as a rollout does them, beside a bare ModifyRule call."""
    raise typer.Exit(orderly(lambda: bench(updates, out, Console())))


def orderly(work: Callable[[], int]) -> int:
    """The exit code of ``work``, which has stopped everything when it is interrupted."""
    try:
        return work()
    except KeyboardInterrupt:
        typer.echo("interrupted: everything that was started is stopped", err=True)
        return INTERRUPTED
