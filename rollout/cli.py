"""The command `rollout`.

Exit codes: 0 promoted (or the command was carried out), 1 a failure at run time or nobody watches any more, 2 bad
input, before anything was touched, 3 rolled back and verified, 4 rolled back and stable is not back to normal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from rollout import session
from rollout.control.controller import Exit
from rollout.control.ports import TrafficError
from rollout.extras import missing
from rollout.journal import JournalError, Record, read_journal
from rollout.journal.replay import ReplayError, main_replay
from rollout.journal.report import write_report
from rollout.journal.resume import ResumeError, ended, roles_under_way
from rollout.journal.station import Station, StationError
from rollout.plan import Plan, PlanError, load_plan, parse_plan, plan_text
from rollout.plan.explain import explain
from rollout.stacks.engine import Engine, EngineMissing
from rollout.stacks.environment import Environment, EnvironmentProblem, check_name, check_project
from rollout.stacks.stackfile import StackFileError
from rollout.terminal.status import Status, status_of
from rollout.terminal.view import LiveView, PlainView, Screen

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Releases the idle colour in stages, watches it, and takes it back by itself when it is bad.\n\n"
    "Exit codes: 0 promoted, 1 failure at run time, 2 bad input, 3 rolled back and verified, 4 rolled back but stable "
    "is not back to normal.",
)

Env = Annotated[
    str,
    typer.Option(
        "--env", help="The environment: its stacks are ENV, ENV-traffic and so on.", callback=check_name
    ),
]
ProjectDir = Annotated[
    Path, typer.Option("--project-dir", help="Where Pulumi.yaml is.", file_okay=False, show_default="here")
]
HERE = Path()
_BAD_INPUT = (
    PlanError,
    EngineMissing,
    EnvironmentProblem,
    StationError,
    StackFileError,
    ReplayError,
    JournalError,
    ResumeError,
)


def fail(message: str, code: int = Exit.BAD_INPUT) -> NoReturn:
    typer.echo(f"rollout: {message}", err=True)
    raise typer.Exit(code)


def _scaled(plan: Plan, time_scale: float) -> Plan:
    if not 0 < time_scale < float("inf"):
        fail(f"--time-scale {time_scale:g}: it takes a number above 0, such as 10")
    period = plan.metrics.period / time_scale
    if period < 1 or period != int(period):
        fail(
            f"--time-scale {time_scale:g} makes a metric period of {plan.metrics.period:g} s last {period:g} s: "
            "take one that leaves whole seconds, such as 10"
        )
    return plan.scaled(time_scale)


def _screen(title: str) -> Screen:
    console = Console(highlight=False)
    if console.is_terminal:
        live = LiveView(console, title)
        return Screen(console.print, live.observe, live)
    view = PlainView(typer.echo)
    return Screen(typer.echo, view.observe)


@app.command()
def run(
    env: Env = "prod",
    plan: Annotated[
        str, typer.Option("--plan", help="A plan file, or one that ships: phase-c, tuned.")
    ] = "phase-c",
    project_dir: ProjectDir = HERE,
    time_scale: Annotated[
        float,
        typer.Option(
            "--time-scale", envvar="SIMPLE378_TIME_SCALE", help="Shorten windows and periods (lab only)."
        ),
    ] = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide on live metrics, pretend the weights, move nothing.")
    ] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            help="A new file for the journal; else .rollout/ENV/TIME.jsonl in the project.",
            dir_okay=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the first step.")] = False,
) -> None:
    """Release the idle colour: stage by stage, back by itself when it is bad."""
    text, source = plan_text(plan)
    _scaled(parse_plan(text, source), time_scale)
    check_project(project_dir, env)
    if journal and journal.exists():
        fail(
            f"--journal {journal}: there is a file already; a journal is only ever continued by `rollout resume`"
        )
    if not (yes or dry_run or sys.stdin.isatty()):
        fail("nobody can be asked here: add --yes")
    station = Station(project_dir, env)
    engine = Engine(project_dir, None if dry_run else station.directory)
    screen = _screen(f"rollout {env}")

    async def work() -> Exit:
        return await session.run_new(
            engine,
            station,
            plan_text=text,
            env=env,
            time_scale=time_scale,
            dry=dry_run,
            journal_path=journal,
            screen=screen,
            confirm=lambda environment: yes or _confirm(environment, source),
        )

    _conduct(work, None if dry_run else station, screen, _DRY_ENDS if dry_run else _ENDS)


def _confirm(environment: Environment, plan: str) -> bool:
    colours, versions = environment.colours, environment.versions
    return typer.confirm(
        f"Release {versions['candidate']} ({colours['candidate']}) over {versions['stable']} ({colours['stable']}) "
        f"in {environment.name} by {plan}?"
    )


def _conduct(
    work: Callable[[], Any], station: Station | None, screen: Screen, ends: Mapping[Exit, str]
) -> NoReturn:
    """Runs a controller with the environment's lock held; ends the process with its exit code and last words."""
    if station:
        station.take()
    try:
        if screen.live:
            with screen.live:
                code = asyncio.run(work())
        else:
            code = asyncio.run(work())
    except KeyboardInterrupt:
        fail("interrupted before the first step: nothing was touched", Exit.FAILED)
    finally:
        if station:
            station.give_back()
    screen.say(ends[code])
    raise typer.Exit(code)


_ENDS = {
    Exit.PROMOTED: "promoted: the candidate is stable now",
    Exit.ROLLED_BACK: "rolled back: all traffic is on stable, which is back to normal",
    Exit.ROLLED_BACK_RED: "rolled back: all traffic is on stable, but it is NOT back to normal",
    Exit.FAILED: "ended without a result; `rollout status` says where the traffic is, `rollout resume` goes on",
}
_DRY_ENDS = {
    Exit.PROMOTED: "dry run ended: it would have been promoted; nothing was moved",
    Exit.ROLLED_BACK: "dry run ended: it would have been rolled back; nothing was moved",
    Exit.ROLLED_BACK_RED: "dry run ended: it would have been rolled back, and stable is NOT normal; nothing was moved",
    Exit.FAILED: "dry run ended without a result; nothing was moved",
}


@app.command()
def status(
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say how the latest rollout stands, whether or not its controller lives."""
    station = Station(project_dir, env)
    found = _status(station, env)
    typer.echo(found.to_json() if as_json else found.in_words())


def _status(station: Station, env: str) -> Status:
    path = station.latest()
    if path is None:
        fail(f"there is no rollout of {env} in {station.directory}")
    return status_of(path, read_journal(path), station.holder())


@app.command()
def pause(env: Env = "prod", project_dir: ProjectDir = HERE) -> None:
    """Hold the traffic where it is until `resume` or `abort`."""
    station = Station(project_dir, env)
    if station.holder() is None:
        fail(
            f"no controller is at work in {env}: nothing moves traffic. `rollout resume` goes on, `rollout abort` ends it"
        )
    _ask(station, "pause")


@app.command()
def resume(env: Env = "prod", project_dir: ProjectDir = HERE) -> None:
    """End a hold; or, when the controller is gone, go on with its rollout from the journal."""
    _again(env, project_dir, "resume")


@app.command()
def abort(env: Env = "prod", project_dir: ProjectDir = HERE) -> None:
    """Send all traffic to stable, whether or not a controller is at work."""
    _again(env, project_dir, "abort")


def _again(env: str, project_dir: Path, command: str) -> None:
    station = Station(project_dir, env)
    if station.holder() is not None:
        _ask(station, command)
        return
    check_project(project_dir, env)
    path = station.latest()
    if path is None and command != "abort":
        fail(f"there is no rollout of {env} in {station.directory}")
    station.take()
    engine = Engine(project_dir, station.directory)
    screen = _screen(f"rollout {env}")
    records: Sequence[Record] = ()
    try:
        path, records = _unfinished(path, env)
        typer.echo(
            f"no controller is at work: going on with {path}"
            + (", to abort it" if command == "abort" else "")
        )
        _conduct(
            lambda: session.run_again(engine, station, path, records, screen, command == "abort"),
            None,
            screen,
            _ENDS,
        )
    except (JournalError, ResumeError, PlanError, OSError) as error:
        if command != "abort":
            raise
        typer.echo(f"rollout: {error}", err=True)
        _abort_without_controller(engine, env, roles_under_way(records))
    finally:
        station.give_back()


def _unfinished(path: Path | None, env: str) -> tuple[Path, tuple[Record, ...]]:
    """The journal to go on with. Raises :class:`ResumeError`, :class:`JournalError`, ``OSError``."""
    if path is None:
        raise ResumeError(f"no rollout of {env} is recorded here")
    records = read_journal(path)
    if not records:
        raise ResumeError(
            f"{path}: the rollout ended before its first record: nothing was touched. Start a new one"
        )
    if end := ended(records):
        raise ResumeError(
            f"the latest rollout of {env} has ended ({end.outcome}): start a new one with `rollout run`"
        )
    return path, records


def _abort_without_controller(engine: Engine, env: str, roles: Mapping[str, str] | None) -> NoReturn:
    """Moves all traffic to stable: the journal's, if it names one, else the one that the stacks name."""
    typer.echo("no rollout to continue: moving all traffic to stable")
    try:
        asyncio.run(session.to_stable(engine, env, typer.echo, roles))
    except TrafficError as error:
        fail(f"traffic could NOT be moved: {error}", Exit.FAILED)
    typer.echo("all traffic is on stable; nobody has verified that it is back to normal")
    raise typer.Exit(Exit.ROLLED_BACK_RED)


def _ask(station: Station, command: str) -> None:
    accepted, text = station.ask(command)
    if not accepted:
        fail(f"{command} was refused: {text}")
    typer.echo(f"{command}: {text}")


@app.command()
def report(
    journal: Annotated[
        Path | None, typer.Argument(help="A rollout's journal; else the latest one of ENV.", dir_okay=False)
    ] = None,
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    html: Annotated[Path, typer.Option("--html", help="The page to write.", dir_okay=False)] = Path(
        "report.html"
    ),
) -> None:
    """Write what happened in a rollout as one HTML page: the picture, the stages, the guide's timeline."""
    path = journal or Station(project_dir, env).latest()
    if path is None:
        fail(f"there is no rollout of {env} in {Station(project_dir, env).directory}; name a journal")
    try:
        account = write_report(path, html)
    except OSError as error:
        fail(f"{error.filename or path}: {error.strerror}")
    typer.echo(f"{html}: {account.outcome}")


@app.command()
def replay(
    events: Annotated[
        str, typer.Argument(metavar="EVENTS.jsonl", help="Events, or the journal of a rollout.")
    ],
    plan: Annotated[
        str | None, typer.Option("--plan", help="Plan file or name; else the journal's own, or phase-c.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a decision.")] = False,
) -> None:
    """Run the policy on recorded or hand-written events and print its decisions."""
    code = main_replay(events, plan, as_json, typer.echo, lambda line: typer.echo(line, err=True))
    raise typer.Exit(code)


@app.command()
def plan(
    plan: Annotated[str, typer.Argument(metavar="[PLAN]", help="Plan file or name.")] = "phase-c",
    time_scale: Annotated[float, typer.Option("--time-scale", help="As `run` would shorten it.")] = 1.0,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="N", help="Requests per minute: what chance does to the plan."),
    ] = None,
    base_errors: Annotated[
        float | None,
        typer.Option(
            "--base-errors", metavar="P", help="Percent that fail in a healthy release; else 0.05 and 0.2."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Explain a plan in words: stages, what each breach does, how long it takes; with --rate, its odds."""
    scaled = _scaled(load_plan(plan), time_scale)
    if base_errors is not None and rate is None:
        fail("--base-errors says what --rate looks at: give both")
    if rate is None:
        typer.echo(json.dumps({"plan": asdict(scaled)}) if as_json else "\n".join(explain(scaled)))
        return
    from rollout.odds import text as odds_text  # noqa: PLC0415 -- numpy, which the night does without
    from rollout.odds.odds import BASE_ERRORS, HIGHEST_RATE, WORST, odds  # noqa: PLC0415

    if not 0 < rate <= HIGHEST_RATE:
        fail(f"--rate {rate:g}: it takes requests per minute, above 0 and up to {HIGHEST_RATE:,}")
    if base_errors is not None and not 0 <= base_errors < WORST:
        fail(f"--base-errors {base_errors:g}: it takes percent, from 0 to below {WORST:g}")
    found = odds(scaled, rate, BASE_ERRORS if base_errors is None else (base_errors,), time_scale=time_scale)
    if as_json:
        typer.echo(json.dumps({"plan": asdict(scaled), "odds": odds_text.to_json(found)}))
        return
    typer.echo("\n".join([*explain(scaled), "", *odds_text.words(found)]))


def main() -> None:
    """The console script."""
    try:
        app()
    except _BAD_INPUT as error:
        typer.echo(f"rollout: {error}", err=True)
        sys.exit(Exit.BAD_INPUT)
    except TrafficError as error:
        typer.echo(f"rollout: {error}", err=True)
        sys.exit(Exit.FAILED)
    except ModuleNotFoundError as error:
        if (sentence := missing(error)) is None:
            raise
        typer.echo(f"rollout: {sentence}", err=True)
        sys.exit(Exit.BAD_INPUT)
