"""`simulate lab ...`: the commands around a lab."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from typing import Annotated

import typer

from simulate.lab.errors import LabError, bad_input
from simulate.lab.lab import Lab, all_labs
from simulate.lab.state import LabState, ServiceState

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
