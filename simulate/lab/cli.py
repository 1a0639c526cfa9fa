"""The command line of the lab, ``simulate lab ...``. The work is imported late: most commands need little of it."""

# ruff: noqa: PLC0415

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulate.lab.errors import LabError
from simulate.lab.faults import DEFAULT_FAULT, FAULTS
from simulate.lab.layout import BUILD, DEFAULT_LAB

if TYPE_CHECKING:
    from simulate.lab.host.state import LabState
    from simulate.lab.lab import Lab

#: The exit code after Ctrl-C.
INTERRUPTED = 130
#: Fewest traffic updates whose median means something.
FEWEST_UPDATES = 10

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    help="Rehearse on real parts: Pulumi, Kubernetes, HAProxy and PostgreSQL, on this machine.",
)


def _complete_fault(typed: str) -> list[tuple[str, str]]:
    return [(name, fault.sentence) for name, fault in FAULTS.items() if name.startswith(typed)]


def _complete_lab(typed: str) -> list[str]:
    from simulate.lab.lab import all_labs

    return [lab.name for lab in all_labs() if lab.name.startswith(typed)]


def _complete_part(typed: str) -> list[str]:
    from simulate.lab.measure.run import PARTS

    return [part for part in PARTS if part.startswith(typed)]


NameOption = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Name of the lab; several can run at once.",
        autocompletion=_complete_lab,
    ),
]
TimeScaleOption = Annotated[
    float,
    typer.Option(
        "--time-scale",
        metavar="N",
        help="How many times faster than in production, 1 to 60.",
        show_default="10",
    ),
]


@app.command()
def start(name: NameOption = DEFAULT_LAB, time_scale: TimeScaleOption = 10.0) -> None:
    """Start a lab and return when all its services are ready."""
    import time

    from rich.console import Console

    from simulate.lab.lab import Lab
    from simulate.lab.rehearsal.run import reporter

    lab = Lab(name, time_scale=time_scale)
    began = time.monotonic()
    try:
        lab.start(reporter(Console()))
    except KeyboardInterrupt:
        raise LabError(f"interrupted: lab {name!r} has been stopped", exit_code=INTERRUPTED) from None
    typer.echo(f"lab {name!r} is ready after {time.monotonic() - began:.1f} s; logs: {lab.paths.logs}")
    typer.echo(f"next: simulate lab deploy{_name_flag(name)}, then simulate lab shell{_name_flag(name)}")


@app.command()
def stop(
    name: NameOption = DEFAULT_LAB,
    every: Annotated[bool, typer.Option("--all", help="Stop every lab of this checkout.")] = False,
) -> None:
    """Stop a lab and everything that runs in it."""
    from simulate.lab.lab import Lab, all_labs

    labs = all_labs() if every else [Lab(name)]
    for lab in labs:
        stopped = lab.stop()
        typer.echo(f"lab {lab.name!r} " + ("is stopped" if stopped else "was not running"))
    if not labs:
        typer.echo("no lab was running")


@app.command()
def status(
    name: NameOption = DEFAULT_LAB,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, null if no lab runs.")
    ] = False,
) -> None:
    """Show a lab's services. Exits with 1 if the lab is not running or a service has died."""
    import json
    from dataclasses import asdict

    from simulate.lab.lab import Lab

    current = Lab(name).state()
    if as_json:
        typer.echo(json.dumps(None if current is None else asdict(current), indent=1))
    elif current is None:
        typer.echo(f"lab {name!r} is not running")
    else:
        _print_state(current)
    if current is None or current.dead_services():
        raise typer.Exit(1)


def _print_state(current: LabState) -> None:
    from simulate.lab.host.state import ServiceState

    typer.echo(
        f"lab {current.name!r} is {current.phase}: process {current.first_process.pid}, started {current.started},"
        f" time scale {current.time_scale:g}"
    )
    for service in current.services:
        took = "" if service.took_s is None else f" after {service.took_s:.1f} s"
        typer.echo(f"  {service.name:26} {service.state}{took}")
        if service.state is ServiceState.DEAD:
            typer.echo(f"    exit code {service.exit_code}; the end of {service.log}:")
            typer.echo("".join(f"      {line}\n" for line in service.tail.splitlines()[-5:]), nl=False)


@app.command()
def shell(name: NameOption = DEFAULT_LAB) -> None:
    """Open a shell inside a lab, in the Pulumi project."""
    from simulate.lab.lab import Lab

    _become(Lab(name), [os.environ.get("SHELL", "/bin/sh")])


# The options of the command itself follow its name, so they are not ours to read.
@app.command(name="exec", context_settings={"allow_interspersed_args": False})
def execute(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments.")],
    name: NameOption = DEFAULT_LAB,
) -> None:
    """Run a command inside a lab, in the Pulumi project. Exits with the command's exit code."""
    from simulate.lab.lab import Lab

    _become(Lab(name), command)


def _become(lab: Lab, argv: list[str]) -> None:
    try:
        lab.become(argv)
    except OSError as failure:
        raise LabError(f"cannot enter the lab: {failure.strerror}", "run `make setup`") from None


@app.command()
def deploy(name: NameOption = DEFAULT_LAB) -> None:
    """Deploy the lab's five stacks as their settings files say.

    In a fresh lab: both colours at 1.0.0, all traffic on blue. Can be repeated, and keeps changes that were made to the
    settings files in the lab's shell.
    """
    from rich.console import Console

    from simulate.lab.lab import Lab
    from simulate.lab.rehearsal.release import ENVIRONMENT, Rig
    from simulate.lab.rehearsal.run import interrupted_by_signals, reporter

    lab = Lab(name)
    lab.require()
    with interrupted_by_signals():
        Rig.of(lab, lab.paths.root, reporter(Console())).deploy_as_set()
    typer.echo(f"the stacks of {ENVIRONMENT} are deployed; next: simulate lab shell{_name_flag(name)}")


@app.command()
def rehearse(
    fault: Annotated[
        str,
        typer.Option(
            "--fault",
            metavar="FAULT",
            help=f"The fault of the second release: {', '.join(FAULTS)}.",
            autocompletion=_complete_fault,
        ),
    ] = DEFAULT_FAULT,
    time_scale: TimeScaleOption = 10.0,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where the report goes; emptied first.",
            show_default="build/rehearsal",
        ),
    ] = BUILD / "rehearsal",
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON; progress goes to stderr.")
    ] = False,
) -> None:
    """Rehearse two releases on real parts: a good one, then a bad one that is rolled back automatically.

    Exits with 0 only if both ended as expected.
    """
    from rich.console import Console

    from simulate.lab.rehearsal import run

    options = run.RehearsalOptions.checked(fault, time_scale, out, keep=keep)
    code = _orderly(lambda: run.rehearse(options, Console(stderr=as_json)))
    if as_json and options.summary.exists():
        typer.echo(options.summary.read_text(), nl=False)
    raise typer.Exit(code)


@app.command()
def bench(
    updates: Annotated[
        int, typer.Option("--updates", metavar="N", min=FEWEST_UPDATES, help="Traffic updates to measure.")
    ] = 12,
    undos: Annotated[
        int, typer.Option("--undos", metavar="N", min=0, help="Undos under load to measure.")
    ] = 20,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="Where the figures go.", show_default="build/bench.json"),
    ] = BUILD / "bench.json",
) -> None:
    """Measure how long a traffic update by Pulumi takes, beside a bare ModifyRule call, and undos under load."""
    from rich.console import Console

    from simulate.lab.rehearsal import bench as work

    raise typer.Exit(_orderly(lambda: work.bench(updates, undos, out, Console())))


@app.command()
def measure(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where the figures go; parts that are not measured again stay.",
            show_default="build/lab.json",
        ),
    ] = BUILD / "lab.json",
    part: Annotated[
        list[str],
        typer.Option(
            "--part",
            metavar="PART",
            help="points, updates or rollouts; all of them by default. Can be repeated.",
            autocompletion=_complete_part,
        ),
    ] = [],  # noqa: B006 -- typer copies it
    point: Annotated[
        list[str],
        typer.Option(
            "--point", metavar="TEXT", help="Only points whose name contains this. Can be repeated."
        ),
    ] = [],  # noqa: B006
    short: Annotated[
        bool, typer.Option("--short", help="Few and short measurements, for a trial run.")
    ] = False,
) -> None:
    """Measure loads, pools and faults on real parts, for `simulate validate --lab FILE`.

    Takes about 35 min. The points and the updates (18 min) need an otherwise idle machine.
    """
    from rich.console import Console

    from simulate.lab.measure import run

    options = run.MeasureOptions.checked(out, part, point, short=short)
    raise typer.Exit(_orderly(lambda: run.measure(options, Console())))


def _name_flag(name: str) -> str:
    return "" if name == DEFAULT_LAB else f" --name {name}"


def _orderly(work: Callable[[], int]) -> int:
    """The exit code of ``work``, which stops everything that it started when it is interrupted."""
    try:
        return work()
    except KeyboardInterrupt:
        raise LabError("interrupted: everything that was started is stopped", exit_code=INTERRUPTED) from None
