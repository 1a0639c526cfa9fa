"""`simulate lab ...`: the commands around a lab."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simulate.lab.errors import LabError, bad_input
from simulate.lab.faults import FAULTS
from simulate.lab.host.state import LabState, ServiceState
from simulate.lab.lab import Lab, all_labs
from simulate.lab.layout import CHECKOUT
from simulate.lab.measure.run import Settings as MeasureSettings
from simulate.lab.measure.run import measure
from simulate.lab.rehearsal.bench import LEAST, bench
from simulate.lab.rehearsal.release import ENVIRONMENT, Stage
from simulate.lab.rehearsal.run import DEFAULT_FAULT, interrupted_by_signals, rehearse, sayer
from simulate.lab.rehearsal.run import Settings as RehearsalSettings

BUILD = CHECKOUT / "build"
INTERRUPTED = 130

app = typer.Typer(name="lab", no_args_is_help=True, help="The same rehearsal on real parts, on this machine.")

Name = Annotated[str, typer.Option("--name", help="Which lab; several can run at once.")]
TimeScale = Annotated[float, typer.Option("--time-scale", help="How much faster than in production.")]


@app.command()
def start(name: Name = "default", time_scale: TimeScale = 10.0) -> None:
    """Start a lab and return when all of it is ready."""
    lab = Lab(name, time_scale=time_scale)
    began = time.monotonic()

    def progress(line: str) -> None:
        typer.echo(f"{time.monotonic() - began:5.1f} s  {line}")

    try:
        lab.start(progress)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: lab {name!r} has been ended", err=True)
        raise
    typer.echo(f"lab {name!r} is ready after {time.monotonic() - began:.1f} s; its logs: {lab.paths.logs}")
    where = "" if name == "default" else f" --name {name}"
    typer.echo(
        f"deploy the stacks with `simulate lab deploy{where}`, then look around in `simulate lab shell{where}`"
    )


@app.command()
def stop(
    name: Name = "default",
    every: Annotated[bool, typer.Option("--all", help="Every lab of this checkout.")] = False,
) -> None:
    """End a lab with everything in it."""
    labs = all_labs() if every else [Lab(name)]
    for lab in labs:
        ended = lab.stop()
        typer.echo(f"lab {lab.name!r} " + ("has ended" if ended else "was not running"))
    if not labs:
        typer.echo("no lab was running")


@app.command()
def status(
    name: Name = "default",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the services of a lab. Exits with 1 if it does not run or one of them has died."""
    current = Lab(name).state()
    if as_json:
        typer.echo(json.dumps(None if current is None else asdict(current), indent=1))
    elif current is None:
        typer.echo(f"lab {name!r} is not running")
    else:
        _show(current)
    if current is None or current.dead_services():
        raise typer.Exit(1)


def _show(current: LabState) -> None:
    process = current.first_process.pid
    typer.echo(
        f"lab {current.name!r} is {current.phase}: process {process}, started {current.started},"
        f" time scale {current.time_scale:g}"
    )
    for service in current.services:
        took = "" if service.took_s is None else f" after {service.took_s:.1f} s"
        typer.echo(f"  {service.name:26} {service.state}{took}")
        if service.state is ServiceState.DEAD:
            typer.echo(f"    exit code {service.exit_code}; the end of {service.log}:")
            typer.echo("".join(f"      {line}\n" for line in service.tail.splitlines()[-5:]), nl=False)


@app.command()
def shell(name: Name = "default") -> None:
    """Open a shell inside a lab, in the Pulumi project."""
    lab = Lab(name)
    program = os.environ.get("SHELL", "/bin/sh")
    _become(lab, [program])


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def execute(
    command: Annotated[list[str], typer.Argument(help="The command with its arguments, after `--`.")],
    name: Name = "default",
) -> None:
    """Run a command inside a lab, in the Pulumi project; its exit code is ours."""
    _become(Lab(name), command)


def _become(lab: Lab, argv: list[str]) -> None:
    command = lab.command(argv)
    environment = lab.environment()
    if not argv:
        raise bad_input("no command given", "simulate lab exec -- COMMAND")
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606
    except OSError as failure:
        raise LabError(f"cannot run {command[0]}: {failure.strerror}", "run `make setup`") from None


@app.command(name="rehearse")
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
    settings = RehearsalSettings.checked(fault, time_scale, out, keep=keep)
    raise typer.Exit(orderly(lambda: rehearse(settings, Console())))


@app.command(name="deploy")
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


@app.command(name="bench")
def bench_command(
    updates: Annotated[int, typer.Option("--updates", min=LEAST, help="Traffic updates to measure.")] = 12,
    out: Annotated[Path, typer.Option("--out", help="Where the figures go.")] = BUILD / "bench.json",
) -> None:
    """Measure stack updates of the traffic as a rollout does them, beside a bare ModifyRule call."""
    raise typer.Exit(orderly(lambda: bench(updates, out, Console())))


@app.command(name="measure")
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
    settings = MeasureSettings.checked(out, part, point, short=short)
    raise typer.Exit(orderly(lambda: measure(settings, Console())))


def orderly(work: Callable[[], int]) -> int:
    """The exit code of ``work``, which has stopped everything when it is interrupted."""
    try:
        return work()
    except KeyboardInterrupt:
        typer.echo("interrupted: everything that was started is stopped", err=True)
        return INTERRUPTED
