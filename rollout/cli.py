"""The command `rollout`. What a command needs is imported when it runs: most need little of it.

Exit codes: 0 promoted (or the command was carried out), 1 a failure at run time, or nothing to act on, 2 bad input,
before anything was touched, 3 rolled back or undone and stable is back to normal, 4 the same but stable is not verified to be.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rollout import program
from rollout.control.exits import Exit
from rollout.program import Program
from rollout.stacks.project import EnvironmentProblem, check_name, check_project
from rollout.terminal.reply import Reply

if TYPE_CHECKING:
    from rollout.control.orders import Order
    from rollout.journal import Record
    from rollout.journal.header import Header
    from rollout.journal.station import Station, StationError
    from rollout.journal.store import Shared
    from rollout.plan import Plan
    from rollout.session import Connector
    from rollout.stacks.environment import Environment
    from rollout.terminal.status import Status
    from rollout.terminal.view import Screen

app = typer.Typer(
    cls=Program,
    name="rollout",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Releases the idle colour in stages, watches it, and rolls back automatically if it misbehaves.",
    epilog="Exit codes: 0 promoted, or the command was carried out; 1 failure at run time, or nothing to act on; "
    "2 bad input, before anything was touched; 3 rolled back or undone, and stable is back to normal; 4 rolled back or "
    "undone, but stable is not verified to be back to normal.",
)
HERE = Path()
_given = {"store": ""}  # before the command, or after it
_reply = Reply()
WATCH_INTERVAL = 2.0  # seconds between two looks of `status --watch`


def _complete_plan(typed: str) -> list[str]:
    shipped = [path.stem for path in Path(__file__).with_name("plans").glob("*.yaml")]
    return [name for name in sorted([*shipped, *map(str, HERE.glob("*.yaml"))]) if name.startswith(typed)]


def _complete_env(typed: str) -> list[str]:
    names = (path.name[len("Pulumi.") : -len("-traffic.yaml")] for path in HERE.glob("Pulumi.*-traffic.yaml"))
    return [name for name in sorted(names) if name.startswith(typed)]


def _print_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        typer.echo(f"rollout {metadata.version('simple378')}")
        raise typer.Exit


Env = Annotated[
    str,
    typer.Option(
        "--env",
        metavar="ENV",
        help="The environment; its stacks are ENV, ENV-traffic and so on.",
        callback=check_name,
        autocompletion=_complete_env,
    ),
]
ProjectDir = Annotated[
    Path,
    typer.Option(
        "--project-dir",
        metavar="DIR",
        help="The folder with Pulumi.yaml.",
        file_okay=False,
        show_default="here",
    ),
]
Keep = Annotated[
    bool,
    typer.Option(
        "--keep",
        help="Leave the candidate's pods running after a rollback, to look at them. Otherwise they are stopped once stable is "
        "verified.",
    ),
]
Stop = Annotated[
    bool | None,
    typer.Option(
        "--stop/--keep",
        help="Stop the bad colour's pods as soon as they have no traffic, or leave them running, to look at them. Otherwise "
        "they are stopped once stable is verified.",
        show_default=False,
    ),
]
Why = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", help="Why; for the journal, the report and whoever is paged."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
JsonReply = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object at the end: command, env, exit, result and messages, which also go to stderr.",
    ),
]


def _take_store(url: str) -> str:
    if url:
        _given["store"] = url
    return url


Store = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="s3://BUCKET/PREFIX",
        help="As before the command: journals and the lease are in S3 as well.",
        callback=_take_store,
        show_default=False,
    ),
]


def _replies(command: Callable[..., None]) -> Callable[..., None]:
    """A command which, with `--json`, ends with one object that says how."""

    @functools.wraps(command)
    def replied(**options: Any) -> None:
        if not options["as_json"]:
            command(**options)
            return
        _reply.begin(command.__name__, options["env"])
        code: int | None = None
        try:
            command(**options)
            code = Exit.DONE
        except typer.Exit as end:
            code = end.exit_code
        except Exception as error:
            sentence, code = _explained(error)
            if code is None:
                raise
            warn(sentence)
        finally:
            _reply.end(code)
        raise typer.Exit(code)

    return replied


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="s3://BUCKET/PREFIX",
            envvar="SIMPLE378_STORE",
            help="Keep journals and the controller's lease in S3 as well, so that any machine can look, resume and abort.",
            show_default=False,
        ),
    ] = "",
) -> None:
    _given["store"] = store


def say(text: str, *, err: bool = False) -> None:
    """Says it to the user; with `--json` on stderr, and as a part of the reply."""
    _reply.say(text, err=err)


def warn(message: str) -> None:
    """Says what is wrong."""
    say(f"rollout: {message}", err=True)


def fail(message: str, code: int = Exit.BAD_INPUT) -> NoReturn:
    warn(message)
    raise typer.Exit(code)


def _connector(context: typer.Context) -> Connector:
    from rollout.session import Connector

    return context.obj or Connector()


def _station(project_dir: Path, env: str, *, store_needed: bool = True) -> Station:
    """The environment's directory of rollouts. Raises :class:`EnvironmentProblem` in a folder that has no such environment."""
    from rollout.journal.station import Station

    check_project(project_dir, env)
    station = Station(project_dir, env, _shared(env, needed=store_needed))
    _fetch(station)
    return station


def _shared(env: str, *, needed: bool = True) -> Shared | None:
    """What the store holds of the environment; None without `--store`. What takes traffic back needs none."""
    url = _given["store"]
    if not url:
        return None
    from rollout.aws.store import BadStore, S3Store
    from rollout.journal.store import Shared

    try:
        return Shared(S3Store(url, env))
    except BadStore as error:
        if needed:
            fail(str(error))
        warn(f"{error}: going on without the store")
        return None


def _fetch(station: Station) -> None:
    try:
        station.fetch()
    except OSError as error:
        warn(f"{error}. What follows is what this machine knows")


def _scaled(plan: Plan, time_scale: float) -> Plan:
    from rollout.plan.units import number

    if not 0 < time_scale < float("inf"):
        fail(f"--time-scale {number(time_scale)}: it takes a number above 0, such as 10")
    period = plan.metrics.period / time_scale
    if period < 1 or period != int(period):
        fail(
            f"--time-scale {number(time_scale)} makes a metric period of {number(plan.metrics.period)} s last {number(period)} s: "
            "take one that leaves whole seconds, such as 10"
        )
    return plan.scaled(time_scale)


def _screen(title: str) -> Screen:
    from rich.console import Console

    from rollout.terminal.lines import PlainView
    from rollout.terminal.view import LiveView, Screen

    console = Console(highlight=False)
    if _reply.begun:
        return Screen(say, PlainView(lambda line: program.say(line, err=True)).observe)
    if console.is_terminal:
        live = LiveView(console, title)
        return Screen(live.say, live.observe, live)
    view = PlainView(say)
    return Screen(say, view.observe)


def _traffic_now(station: Station) -> str:
    """Where traffic is, for the end of whatever failed."""
    from rollout.emergency import where
    from rollout.journal import JournalError, read_journal
    from rollout.journal.header import Header
    from rollout.session import Connector
    from rollout.terminal.traffic_now import traffic_now

    path, card = station.latest(), station.card()
    try:
        if path and (records := read_journal(path)):
            card = Header.read(records[0]).card
    except (JournalError, OSError) as error:
        if not card:
            return f"traffic now: unknown: {error}"
    if card:
        return f"traffic now: {traffic_now(card).in_words()}"
    return where(Connector(), station.directory.parents[1], station.env)


@app.command()
def run(
    context: typer.Context,
    env: Env = "prod",
    plan: Annotated[
        str,
        typer.Option(
            "--plan",
            metavar="PLAN",
            help="A plan file, or the name of a plan that ships.",
            autocompletion=_complete_plan,
        ),
    ] = "phase-c",
    project_dir: ProjectDir = HERE,
    time_scale: Annotated[
        float,
        typer.Option(
            "--time-scale",
            metavar="N",
            envvar="SIMPLE378_TIME_SCALE",
            help="Divide windows and periods by N (lab only).",
        ),
    ] = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide on live metrics as if traffic moved, but move nothing.")
    ] = False,
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="FILE",
            help="A new file for the journal instead of .rollout/ENV/TIME.jsonl in the project.",
            dir_okay=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the first step.")] = False,
    keep: Keep = False,
    store: Store = "",
) -> None:
    """Release the idle colour in stages; roll back automatically if it misbehaves."""
    from rollout.plan import parse_plan, plan_text

    text, source = plan_text(plan)
    _scaled(parse_plan(text, source), time_scale)
    station = _station(project_dir, env)
    if journal and station.shared:
        fail(
            f"--journal {journal}: with --store the journal has the store's name for it; leave one of them out"
        )
    if journal and journal.exists():
        fail(f"--journal {journal}: the file exists; only `rollout resume` continues a journal")
    if not (yes or dry_run or sys.stdin.isatty()):
        fail("stdin is not a terminal; pass --yes to skip the question")
    from rollout import session

    connector = _connector(context)
    engine = connector.engine(project_dir, None if dry_run else station.directory)
    screen = _screen(f"rollout {env}")

    async def work() -> Exit:
        return await session.run_new(
            connector,
            engine,
            station,
            plan_text=text,
            env=env,
            time_scale=time_scale,
            dry=dry_run,
            journal_path=journal,
            screen=screen,
            confirm=lambda environment: yes or _confirm(environment, source),
            stop=False if keep else None,
        )

    if dry_run:
        code = _conduct(work, screen)
        screen.say(_DRY_ENDS[code])
        raise typer.Exit(code)
    station.take(say)
    try:
        code = _conduct(work, screen)
    finally:
        station.give_back()
    _end(code, screen, station)


def _confirm(environment: Environment, plan: str) -> bool:
    colours, versions = environment.colours, environment.versions
    return typer.confirm(
        f"Release {versions['candidate']} ({colours['candidate']}) in place of {versions['stable']} "
        f"({colours['stable']}) in {environment.name}, following the plan {plan}?"
    )


def _conduct(work: Callable[[], Any], screen: Screen, untouched: str = "nothing was touched") -> Exit:
    """Runs a controller to its end."""
    import asyncio
    from contextlib import nullcontext

    try:
        with screen.live or nullcontext():
            code: Exit = asyncio.run(work())
            return code
    except KeyboardInterrupt:
        fail(f"interrupted before the first step; {untouched}", Exit.FAILED)


def _end(code: Exit, screen: Screen, station: Station, kind: str = "release") -> NoReturn:
    """The last lines of a rollout, and the end of the process."""
    screen.say(_ENDS[kind][code])
    if code in (Exit.FAILED, Exit.ROLLED_BACK_RED):
        screen.say(_traffic_now(station))
    raise typer.Exit(code)


_UNDONE = {
    Exit.ROLLED_BACK: "undone: all traffic is on the colour that was stable before the promotion, and it is normal",
    Exit.ROLLED_BACK_RED: "undone: all traffic is on the colour that was stable before the promotion, but it is NOT verified "
    "to be normal",
    Exit.FAILED: "the controller ended before the undo did; `rollout resume` continues",
}
_ENDS = {  # by the kind of the journal
    "release": {
        Exit.DONE: "promoted: the candidate is stable now",
        Exit.ROLLED_BACK: "rolled back: all traffic is on stable, which is back to normal",
        Exit.ROLLED_BACK_RED: "rolled back: all traffic is on stable, but stable is NOT verified to be back to normal",
        Exit.FAILED: "the controller ended without a result; `rollout resume` continues, `rollout abort` sends all traffic "
        "to stable",
    },
    "undo": _UNDONE,
    "watch": {
        **_UNDONE,
        Exit.DONE: "watched to the end: nothing led to an undo. Nobody watches from now on",
        Exit.FAILED: "nobody watches any more; `rollout watch` watches again, `rollout undo` goes back, and `rollout resume` "
        "continues what was begun",
    },
}
_DRY_ENDS = {
    Exit.DONE: "dry run: the release would have been promoted; nothing was moved",
    Exit.ROLLED_BACK: "dry run: the release would have been rolled back; nothing was moved",
    Exit.ROLLED_BACK_RED: "dry run: the release would have been rolled back, and stable is NOT normal; nothing was moved",
    Exit.FAILED: "dry run: ended without a result; nothing was moved",
}


@app.command()
def status(
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 s, until Ctrl-C.")] = False,
    as_json: AsJson = False,
    store: Store = "",
) -> None:
    """Show how the latest rollout stands, whether or not a controller is running."""
    station = _station(project_dir, env)
    try:
        while True:
            text = _status_text(station, env, as_json)
            if watch and not as_json and sys.stdout.isatty():
                typer.echo("\x1b[H\x1b[2J", nl=False)
            say(text)
            if not watch:
                return
            time.sleep(WATCH_INTERVAL)
            _fetch(station)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _status_text(station: Station, env: str, as_json: bool) -> str:
    found = _status(station)
    if found is not None:
        return found.to_json() if as_json else found.in_words()
    if as_json:
        return json.dumps({"journal": None, "env": env, "controller": station.holder(), "outcome": None})
    return f"no rollout of {env} has been started from this folder ({station.directory} holds no journal)"


def _status(station: Station) -> Status | None:
    path = station.latest()
    if path is None:
        return None
    from rollout.journal import read_journal
    from rollout.journal.header import Header
    from rollout.journal.resume import ended
    from rollout.terminal.status import status_of
    from rollout.terminal.traffic_now import traffic_now

    records = read_journal(path)
    if not records:
        return None
    # Once a rollout is over the rule is the next one's, and boto3 is slow to import.
    traffic = None if ended(records) else traffic_now(Header.read(records[0]).card)
    return status_of(path, records, _controller_of(station), time.time(), traffic)


def _controller_of(station: Station) -> str | None:
    try:
        return station.holder() or station.elsewhere()
    except OSError as error:
        return f"unknown: {error}"


@app.command()
@_replies
def pause(
    env: Env = "prod", project_dir: ProjectDir = HERE, store: Store = "", as_json: JsonReply = False
) -> None:
    """Hold the traffic where it is until `resume` or `abort`."""
    station = _station(project_dir, env)
    if station.holder() is None:
        warn(
            f"{_elsewhere(station)}no controller of {env} was started from this folder ({station.directory.resolve()}), so nothing was paused; "
            "one that runs on another machine or from another folder was not asked. `rollout resume` continues an unfinished "
            "rollout, `rollout abort` sends all traffic to stable"
        )
        fail(_traffic_now(station), Exit.FAILED)
    _ask(station, "pause")


def _elsewhere(station: Station) -> str:
    """Who holds the lease of the store, as the beginning of a sentence."""
    try:
        who = station.elsewhere()
    except OSError as error:
        return f"{error}; "
    return f"the lease is held by {who}; " if who else ""


@app.command()
@_replies
def resume(
    context: typer.Context,
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    store: Store = "",
    as_json: JsonReply = False,
) -> None:
    """End a hold or, when the controller is gone, continue its rollout from the journal."""
    station = _station(project_dir, env)
    if station.holder() is not None:
        _ask(station, "resume")
    elif station.latest() is None:
        fail(f"nothing to resume: no rollout of {env} has been started from this folder", Exit.FAILED)
    else:
        from rollout.stacks.engine import EngineMissing

        station.take(say)
        try:
            path, records = _unfinished(station, env)
            _continue(_connector(context), project_dir, station, path, records)
        except (EngineMissing, EnvironmentProblem) as error:
            warn(f"the rollout could NOT be continued: {error}")
            fail(_traffic_now(station), Exit.FAILED)
        finally:
            station.give_back()


@app.command()
@_replies
def abort(
    context: typer.Context,
    env: Env = "prod",
    reason: Why = "",
    stop: Stop = None,
    project_dir: ProjectDir = HERE,
    stable: Annotated[
        str,
        typer.Option(
            "--stable",
            metavar="COLOUR",
            help="Who is stable, blue or green, for when neither a journal nor Pulumi says it.",
            show_default=False,
        ),
    ] = "",
    region: Annotated[
        str,
        typer.Option(
            "--region",
            metavar="REGION",
            help="The region, for when no stack file here says it.",
            show_default=False,
        ),
    ] = "",
    store: Store = "",
    as_json: JsonReply = False,
) -> None:
    """Send all traffic to stable, whether or not a controller or Pulumi works. After the promotion: `rollout undo`.

    Exit codes: 0 a running controller took the order, 3 aborted and verified,
    4 traffic is on stable but not verified, 1 traffic was not moved, 2 it is not known where to act.
    """
    from rollout.journal.station import StationError

    if stable not in {"", "blue", "green"}:
        fail(f"--stable {stable}: it takes blue or green")
    station, stacks = _station_if_any(project_dir, env, stable, region)
    alone = False
    try:
        if station and station.holder() is not None:
            if watched := _watched(station):
                old = watched.named("stable")
                fail(
                    f"{watched.named('candidate')} is promoted, all traffic is on it: `rollout undo` goes back to {old}"
                )
            _ask(station, _abort_order(stop, reason))
            return
        if station and stacks:
            station.take()
            alone = True
    except (StationError, OSError) as error:
        warn(f"{error}: going on without the controller")
    try:
        _abort(
            _connector(context),
            project_dir,
            station,
            env,
            _abort_order(stop, reason),
            stacks=stacks,
            alone=alone,
            stable=stable,
            region=region,
        )
    finally:
        if station:
            station.give_back()


def _station_if_any(project_dir: Path, env: str, stable: str, region: str) -> tuple[Station | None, bool]:
    """And whether the folder holds such an environment; without it there is a station if there is a store.

    Raises :class:`EnvironmentProblem` when nothing else says where to act.
    """
    import tempfile

    from rollout.journal.station import Station
    from rollout.stacks.project import default_region

    try:
        return _station(project_dir, env, store_needed=False), True
    except EnvironmentProblem as error:
        if shared := _shared(env, needed=False):
            station = Station(Path(tempfile.mkdtemp(prefix="rollout-")), env, shared)
            _fetch(station)
            return station, False
        if not stable:
            raise EnvironmentProblem(
                f"{error}. From any folder: `rollout abort --env {env} --stable blue --region REGION` (or green)"
            ) from None
    if not region:
        default_region(project_dir, env)
    return None, False


@app.command()
@_replies
def undo(
    context: typer.Context,
    env: Env = "prod",
    reason: Why = "",
    version: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="VERSION",
            help="The version that the idle colour must run; by default the one that was stable before the promotion. Needed "
            "where no journal says which that was.",
        ),
    ] = "",
    plan: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="PLAN",
            help="The plan whose time limits and verification count; by default the release's own, else phase-c.",
            autocompletion=_complete_plan,
        ),
    ] = None,
    stop: Stop = None,
    project_dir: ProjectDir = HERE,
    time_scale: Annotated[
        float | None,
        typer.Option(
            "--time-scale",
            metavar="N",
            envvar="SIMPLE378_TIME_SCALE",
            help="Divide periods by N (lab only); by default as the release did.",
        ),
    ] = None,
    store: Store = "",
    as_json: JsonReply = False,
) -> None:
    """After a promotion, send all traffic back to the colour that was stable, and verify it.

    That colour is looked at first: its version, targets and probes.
    Missing pods are scaled up, which takes a minute or two.
    Without a healthy target nothing is moved.
    Before the promotion an undo is an abort.

    Exit codes: 3 undone and verified, 4 undone but not verified,
    1 nothing was moved, 2 there is nothing to go back to.
    """
    from rollout.journal.station import StationError

    try:
        station = _station(project_dir, env, store_needed=False)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            f"{error}. From any folder, without a look at the old colour: "
            f"`rollout abort --env {env} --stable OLD --region REGION`"
        ) from None
    if station.holder() is not None:
        _undo_by_another(_connector(context), project_dir, station, version, _abort_order(stop, reason))
        return
    try:
        station = _taken_if_possible(station, project_dir)
    except StationError as error:
        _undo_elsewhere(_connector(context), project_dir, station, version, _abort_order(stop, reason), error)
    try:
        _undo(_connector(context), project_dir, station, version, plan, time_scale, reason, stop)
    finally:
        station.give_back()


def _taken_if_possible(station: Station, project_dir: Path) -> Station:
    """The station of an undo, which waits for neither store nor disk. Raises :class:`StationError` when another is at work."""
    from rollout.journal.station import Station

    try:
        station.take(say)
    except OSError as error:
        if station.shared:
            warn(f"{error}: going on without the store; the journal is on this machine only")
            return _taken_if_possible(Station(project_dir, station.env), project_dir)
        warn(f"{error}: going on without the lock that keeps another controller away")
    return station


@app.command()
def watch(
    context: typer.Context,
    env: Env = "prod",
    length: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long, such as 24h or 90m.")
    ] = "24h",
    project_dir: ProjectDir = HERE,
    store: Store = "",
) -> None:
    """After a promotion, keep watching the release's health: three failed rounds in a row undo it.

    A round every 30 s for the first 24 h, then every 60 s.
    Metrics and alarms say nothing here.
    Ctrl-C ends it, and nobody watches from then on.
    """
    from rollout.plan import units

    try:
        seconds = units.seconds(length)
    except ValueError as error:
        fail(f"--for {length}: {error}")
    if not seconds:
        fail(f"--for {length}: it takes a time above 0, such as 24h or 90m")
    station = _station(project_dir, env)
    station.take(say)
    try:
        _watch(_connector(context), project_dir, station, seconds)
    finally:
        station.give_back()


@app.command()
def rotate(
    context: typer.Context,
    secret: Annotated[
        str,
        typer.Argument(metavar="SECRET", help="origin, what CloudFront sends; or test, of the test route."),
    ],
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    store: Store = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the first step.")] = False,
) -> None:
    """Exchange a secret while users are served: the new value is accepted before it is sent, the old one until nobody sends it.

    Updates the stacks ENV and ENV-traffic, in which nothing else may be pending.
    Refused while a rollout runs or the candidate has traffic.
    A rotation that was ended half-way is continued by the same command.
    """
    if secret not in {"origin", "test"}:
        fail(f"rotate {secret}: it takes origin or test")
    station = _station(project_dir, env)
    station.take(say)
    try:
        _rotate(_connector(context), project_dir, station, secret, yes)
    finally:
        station.give_back()


def _rotate(connector: Connector, project_dir: Path, station: Station, secret: str, yes: bool) -> None:
    import asyncio

    from rollout.procedure import drift
    from rollout.procedure.rotate import Rotation, asking
    from rollout.stacks.configuration import StackConfiguration

    engine = connector.engine(project_dir, station.directory)
    environment = asyncio.run(connector.read(engine, station.env))
    if weight := asyncio.run(connector.traffic(engine, environment).read_weight()):
        fail(
            f"{environment.named('candidate')} has {weight:g} % of the traffic: end the rollout first, with `rollout resume` or "
            "`rollout abort`"
        )
    if not yes and not sys.stdin.isatty():
        fail("stdin is not a terminal; pass --yes to skip the question")
    if not yes and not typer.confirm(f"Exchange the {secret} secret of {station.env} now?"):
        fail("not confirmed, nothing was touched")

    async def work() -> None:
        from rollout.aws.probes import probe_client
        from rollout.procedure.rotate import TIMEOUT

        async with probe_client(TIMEOUT) as client:
            rotation = Rotation(
                environment,
                StackConfiguration(engine, station.env),
                StackConfiguration(engine, environment.traffic_stack),
                asking(client),
                lambda stack: drift.problem(engine, stack),
                say,
            )
            await (rotation.origin() if secret == "origin" else rotation.test())

    asyncio.run(work())
    say(f"the {secret} secret is exchanged; the previous value opens nothing any more")


@app.command()
def pool(
    context: typer.Context,
    colour: Annotated[str, typer.Argument(metavar="COLOUR", help="blue or green.")],
    size: Annotated[
        int, typer.Argument(metavar="SIZE", help="Connections to the database of each of its pgbouncers.")
    ],
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
) -> None:
    """Give a colour's connection pools another size, also while it serves (Risk 6).

    Updates the colour's stack, which replaces its pgbouncers one by one, and nothing else of it.
    Refused beyond what the database allows for both colours: raise simple378:databaseMaxConnections of the stack ENV first.
    """
    import asyncio

    from rollout.procedure.pool import PoolSize
    from rollout.stacks.project import check_project

    if colour not in {"blue", "green"}:
        fail(f"pool {colour}: it takes blue or green")
    check_project(project_dir, env)
    connector = _connector(context)
    engine = connector.engine(project_dir, None)
    environment = asyncio.run(connector.read(engine, env))
    (version,) = (environment.versions[role] for role, of in environment.colours.items() if of == colour)
    asyncio.run(PoolSize(engine, f"{env}-{colour}", version, say).set(size))


def _watch(connector: Connector, project_dir: Path, station: Station, seconds: float) -> NoReturn:
    import asyncio

    from rollout import session
    from rollout.journal import read_journal
    from rollout.journal.resume import ended, promotion

    path = station.latest()
    records = read_journal(path) if path else ()
    promoted = promotion(records)
    if promoted is None:
        fail(
            f"nothing to watch: the latest rollout of {station.env} from here was not promoted; `rollout status`"
        )
    if path and ended(records) is None and (order := asyncio.run(station.surely_marked(path.stem))):
        fail(
            f"`{order}` was left for the {promoted.kind} that is not finished, and a new watch would not hear it: `rollout resume` "
            f"carries it out, or `rollout undo` goes back to {promoted.named('stable')}"
        )
    engine = connector.engine(project_dir, station.directory)
    screen = _screen(f"watch {station.env}")

    async def work() -> Exit:
        return await session.watch(
            connector,
            engine,
            station,
            promoted=promoted,
            plan_text=promoted.plan_text,
            time_scale=promoted.time_scale,
            seconds=seconds,
            screen=screen,
        )

    _end(_conduct(work, screen), screen, station, "watch")


def _undo_by_another(
    connector: Connector, project_dir: Path, station: Station, version: str, order: Order
) -> None:
    """An undo by the controller that runs: of a release, for which it is an abort, or of the watch after it."""
    from rollout.journal.station import StationError

    watched = _watched(station)
    if watched is None:
        say("a controller is running, so nothing is promoted yet: the undo is an abort")
        _ask(station, order)
        return
    _look_before_another(connector, project_dir, station, watched, version)
    try:
        _ask(station, order, "undo")
    except StationError as error:
        warn(str(error))
        _mark_undo(station, order)
        _undo_without_stacks(connector, station, watched)


def _undo_elsewhere(
    connector: Connector,
    project_dir: Path,
    station: Station,
    version: str,
    order: Order,
    held: StationError,
) -> NoReturn:
    """An undo by the watch of another machine, which acts on a mark. Raises ``held`` when no watch is known there."""
    from rollout.terminal.traffic_now import MOVED_LIMIT, wait_for_stable

    watched = _watched(station)
    if watched is None:
        raise held
    warn(str(held))
    _look_before_another(connector, project_dir, station, watched, version)
    if not _mark_undo(station, order):
        fail(_traffic_now(station), Exit.FAILED)
    old = watched.named("stable")
    say(
        f"the mark of an undo is left: the watch acts on it within seconds and goes back to {old}; waiting to see it"
    )
    seen = wait_for_stable(watched.card, connector.elbv2, MOVED_LIMIT)
    if seen.weight != 0:
        warn(f"traffic was not seen to move within {MOVED_LIMIT:g} s: {seen.in_words()}")
        fail(
            f"all traffic to {old} at once: `rollout abort --env {station.env} --stable {watched.stable}`",
            Exit.FAILED,
        )
    say(f"traffic now: {seen.in_words()}. The watch verifies it: `rollout status`")
    raise typer.Exit(Exit.ROLLED_BACK_RED)


def _mark_undo(station: Station, order: Order) -> bool:
    """Leaves the mark that a watch takes as the operator's undo."""
    path = station.latest()
    try:
        if path:
            station.mark(path.stem, str(order))
    except OSError as error:
        warn(f"the mark of the undo could not be left: {error}")
        return False
    return True


def _look_before_another(
    connector: Connector, project_dir: Path, station: Station, watched: Header, version: str
) -> None:
    """Looks at what the watch of another process would go back to; ends this one when nothing there is healthy."""
    import asyncio

    from rollout import session
    from rollout.control.ports import TrafficError
    from rollout.procedure.undo import UndoRefused
    from rollout.stacks.engine import EngineMissing

    try:
        engine = connector.engine(project_dir, station.directory)
        asyncio.run(session.make_ready(connector, engine, watched, version, say))
    except UndoRefused:
        raise
    except TrafficError as error:
        warn(str(error))
        fail(_traffic_now(station), Exit.FAILED)
    except (EngineMissing, EnvironmentProblem) as error:
        warn(f"{error}; {watched.named('stable')} could not be looked at")


def _watched(station: Station) -> Header | None:
    """The header of the watch over a promoted release that is the latest here, unless it was taken back."""
    from rollout.journal import JournalError, read_journal
    from rollout.journal.resume import promotion

    path = station.latest()
    try:
        found = promotion(read_journal(path)) if path else None
    except (JournalError, OSError):
        return None
    return found if found and found.kind == "watch" else None


def _undo(
    connector: Connector,
    project_dir: Path,
    station: Station,
    version: str,
    plan: str | None,
    time_scale: float | None,
    reason: str,
    stop: bool | None,
) -> NoReturn:
    """An undo by a controller of its own; one that was begun before is continued."""
    from rollout import session
    from rollout.control.ports import TrafficError
    from rollout.plan import PlanError, parse_plan, plan_text
    from rollout.procedure.undo import UndoRefused
    from rollout.stacks.engine import EngineMissing

    promoted = _promoted(connector, project_dir, station, version, _abort_order(stop, reason))
    text, source = plan_text(plan or "phase-c")
    scale = (promoted.time_scale if promoted else 1.0) if time_scale is None else time_scale
    if promoted and plan is None:
        try:
            parse_plan(promoted.plan_text, "the plan of the release")
            text, source = promoted.plan_text, "the plan of the release"
        except PlanError as error:
            warn(f"{error}; phase-c counts instead")
    _scaled(parse_plan(text, source), scale)
    screen = _screen(f"undo {station.env}")
    try:
        engine = connector.engine(project_dir, station.directory)

        async def work() -> Exit:
            return await session.undo(
                connector,
                engine,
                station,
                promoted=promoted,
                version=version,
                plan_text=text,
                env=station.env,
                time_scale=scale,
                reason=reason,
                stop=stop,
                screen=screen,
            )

        _end(_conduct(work, screen, "no traffic was moved"), screen, station, "undo")
    except UndoRefused:
        raise
    except TrafficError as error:
        warn(str(error))
        fail(_traffic_now(station), Exit.FAILED)
    except (EngineMissing, EnvironmentProblem, OSError) as error:
        warn(str(error))
        if promoted is None:
            warn(_traffic_now(station))
            fail(
                "no journal here says what to go back to. All traffic to a colour, without journal and Pulumi: "
                f"`rollout abort --env {station.env} --stable COLOUR`, with the colour that served before the release; docs/emergency.md",
                Exit.FAILED if isinstance(error, OSError) else Exit.BAD_INPUT,
            )
        _undo_without_stacks(connector, station, promoted)


def _promoted(
    connector: Connector, project_dir: Path, station: Station, version: str, order: Order
) -> Header | None:
    """The header of the release to take back; ``None`` without a journal of it.

    Raises :class:`rollout.procedure.undo.UndoRefused` when there is no such release. What is not finished is finished instead.
    """
    from rollout.journal import JournalError, read_journal
    from rollout.journal.header import Header
    from rollout.journal.resume import ended, promotion
    from rollout.procedure.undo import UndoRefused

    path = station.latest()
    try:
        records = read_journal(path) if path else ()
        if path is None:
            return None
        if not records:
            raise JournalError(f"{path}: there is no record in it")
        header, promoted, end = Header.read(records[0]), promotion(records), ended(records)
    except (JournalError, OSError) as error:
        warn(str(error))
        return None
    if promoted:
        return promoted
    if end is None and header.promoted:
        try:
            _continue(connector, project_dir, station, path, records)
        except OSError as error:
            warn(f"{error}: the undo in {path} cannot be continued, it is begun anew")
            return header
    if end is None:
        say(f"{header.named('candidate')} is not promoted yet: the undo is an abort")
        _abort(connector, project_dir, station, station.env, order, alone=True)
    if version:
        return None  # it was promoted from elsewhere, after this one
    raise UndoRefused(
        f"nothing to undo: the latest rollout of {station.env} from here, of {header.named('candidate')}, was "
        f"{end.outcome}, and all traffic went to {header.named('stable')}. If another was promoted from another machine since: "
        "`rollout undo --to VERSION`, with the version to go back to"
    )


def _undo_without_stacks(connector: Connector, station: Station, promoted: Header) -> NoReturn:
    """The last resort: the load balancer's own API, by what the journal of the release says of it."""
    import asyncio

    from rollout import session
    from rollout.aws.elb import modify_rule_line
    from rollout.aws.failures import AWS_ERRORS
    from rollout.control.ports import TrafficError
    from rollout.procedure.undo import NoTarget

    old = promoted.named("stable")
    say(
        f"moving all traffic back to {old} through the load balancer's API; that it still runs this version is not checked"
    )
    try:
        asyncio.run(session.undo_without_stacks(connector, promoted, say))
    except (TrafficError, *AWS_ERRORS) as error:
        warn(f"traffic could NOT be moved: {error}")
        warn(_traffic_now(station))
        if promoted.card.complete and not isinstance(error, NoTarget):
            warn("by hand, with the AWS command line, from any machine:")
            _reply.say(modify_rule_line(promoted.card), err=True, whole=True)
        raise typer.Exit(Exit.FAILED) from None
    say(
        f"all traffic is on {old}, which is not verified to be normal. The traffic stack does not know it yet: "
        "`rollout undo` again brings it in line when Pulumi is back. Until then no `pulumi up` of "
        f"{station.env}-traffic"
    )
    raise typer.Exit(Exit.ROLLED_BACK_RED)


def _unfinished(station: Station, env: str) -> tuple[Path, tuple[Record, ...]]:
    """The journal to continue. Raises :class:`ResumeError`, :class:`JournalError`, ``OSError``."""
    from rollout.journal import read_journal
    from rollout.journal.resume import ResumeError, ended

    path = station.latest()
    if path is None:
        raise ResumeError(f"no rollout of {env} has been started from this folder")
    records = read_journal(path)
    if not records:
        raise ResumeError(
            f"{path}: the rollout ended before its first record; nothing was touched. Start a new one"
        )
    if end := ended(records):
        raise ResumeError(
            f"the latest rollout of {env} has ended ({end.outcome}): start a new one with `rollout run`"
        )
    return path, records


def _continue(
    connector: Connector, project_dir: Path, station: Station, path: Path, records: Sequence[Record]
) -> NoReturn:
    """Continues a rollout or an undo from its journal, to its end."""
    from rollout.journal.header import Header

    screen = _screen(f"rollout {station.env}")
    code = _run_on(connector, project_dir, station, path, records, screen)
    _end(code, screen, station, Header.read(records[0]).kind)


def _run_on(
    connector: Connector,
    project_dir: Path,
    station: Station,
    path: Path,
    records: Sequence[Record],
    screen: Screen,
    *,
    command: str | None = None,
) -> Exit:
    from rollout import session
    from rollout.journal.header import Header

    engine = connector.engine(project_dir, station.directory)
    kind = Header.read(records[0]).kind
    what = "rollout" if kind == "release" else kind
    say(f"no controller is running: continuing the {what} in {path}" + (", to abort it" if command else ""))
    return _conduct(
        lambda: session.run_again(connector, engine, station, path, records, screen, command), screen
    )


def _abort(
    connector: Connector,
    project_dir: Path,
    station: Station | None,
    env: str,
    order: Order,
    *,
    alone: bool,
    stacks: bool = True,
    stable: str = "",
    region: str = "",
) -> NoReturn:
    """Aborts without a controller, and ends the process."""
    from rollout.emergency import Emergency

    screen = _screen(f"rollout {env}")
    continued: list[str] = []  # of what kind it is

    def resume(path: Path, records: Sequence[Record]) -> Exit:
        from rollout.journal.header import Header

        assert station  # noqa: S101 -- it has the journal
        code = _run_on(connector, project_dir, station, path, records, screen, command=str(order))
        continued.append(Header.read(records[0]).kind)
        return code

    emergency = Emergency(
        connector,
        env,
        project_dir,
        station,
        stacks,
        alone,
        stable,
        region,
        order,
        say,
        warn=warn,
        paste=lambda line: _reply.say(line, err=True, whole=True),
        resume=resume,
    )
    code = emergency.abort()
    if continued and station:
        _end(code, screen, station, continued[0])
    raise typer.Exit(code)


def _abort_order(stop: bool | None, reason: str = "") -> Order:
    from rollout.control.orders import Order

    return Order("abort", stop, reason)


def _ask(station: Station, order: Order | str, typed: str = "") -> None:
    accepted, text = station.ask(str(order))
    if not accepted:
        fail(f"{typed or order} was refused: {text}")
    say(text if typed else f"{order}: {text}")


@app.command()
def restart(
    context: typer.Context,
    colour: Annotated[str, typer.Argument(metavar="COLOUR", help="blue or green; also the one that serves.")],
    what: Annotated[str, typer.Argument(metavar="WHAT", help="backend or pgbouncer.")],
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    store: Store = "",
) -> None:
    """Replace the pods of one colour's backend or pgbouncer, one by one, by stack update.

    Refused while a rollout is under way.
    """
    import asyncio

    from rollout.journal import read_journal
    from rollout.journal.card import OTHER
    from rollout.journal.resume import ended
    from rollout.stacks import colours

    if colour not in OTHER:
        fail(f"{colour}: COLOUR is blue or green")
    if what not in colours.RESTARTABLE:
        fail(f"{what}: WHAT is {' or '.join(colours.RESTARTABLE)}")
    station = _station(project_dir, env)
    path = station.latest()
    watched = _watched(station)
    under_way = path is not None and ended(read_journal(path)) is None
    elsewhere = _elsewhere(station)
    if not watched and (station.holder() is not None or under_way or elsewhere):
        fail(
            f"a rollout of {env} is under way: {elsewhere}pods that come and go would be taken for its doing. Let it end, or `rollout "
            "abort`; nothing was restarted"
        )
    engine = _connector(context).engine(project_dir, None)
    say(f"replacing the pods of {what} in {env}-{colour}, one by one")
    seconds = asyncio.run(colours.restart(engine, env, colour, what))
    say(f"done in {seconds:.0f} s; traffic was not moved")


@app.command()
def doctor(env: Env = "prod", project_dir: ProjectDir = HERE, as_json: AsJson = False) -> None:
    """Check folder, engine, login, plugins, stacks, credentials and rights, without touching anything."""
    from dataclasses import asdict

    from rollout.procedure.doctor import WRITES, examine

    problems = 0
    for finding in examine(project_dir, env):
        problems += bool(finding.problem) and not finding.warning
        say(json.dumps(asdict(finding)) if as_json else finding.in_words())
    if not as_json:
        say(f"Not tested, because that would change something: {', '.join(WRITES)}.")
        say(f"{problems or 'no'} problem{'s' if problems != 1 else ''} found")
    raise typer.Exit(Exit.FAILED if problems else Exit.DONE)


@app.command()
def contract(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where a backend answers, such as http://localhost:8000.")
    ],
    idle: Annotated[
        str,
        typer.Option("--idle", metavar="TIME", help="How long the load balancer keeps an idle connection."),
    ] = "25s",
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="The version that it must name; else any.")
    ] = "",
    pid: Annotated[
        int,
        typer.Option(
            "--restart",
            metavar="PID",
            help="At the end, send SIGTERM to this process, and see how its websockets are closed.",
            show_default=False,
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Check whether a running backend keeps docs/application-contract.md: a line a check, half a minute."""
    from dataclasses import asdict

    from rollout.plan import units
    from rollout.procedure.contract import Backend, BadUrl, examine

    try:
        seconds = units.seconds(idle)
    except ValueError as error:
        fail(f"--idle {idle}: {error}")
    try:
        backend = Backend.at(url, idle=seconds, version=version, pid=pid)
    except BadUrl as error:
        fail(str(error))
    problems = 0
    for finding in examine(backend):
        problems += bool(finding.problem)
        say(json.dumps(asdict(finding)) if as_json else finding.in_words())
    if not as_json:
        say(f"{problems or 'no'} problem{'s' if problems != 1 else ''} found")
    raise typer.Exit(Exit.FAILED if problems else Exit.DONE)


@app.command()
@_replies
def report(
    journal: Annotated[
        Path | None,
        typer.Argument(
            metavar="[JOURNAL]", help="A rollout's journal; by default the latest one of ENV.", dir_okay=False
        ),
    ] = None,
    env: Env = "prod",
    project_dir: ProjectDir = HERE,
    html: Annotated[
        Path, typer.Option("--html", metavar="FILE", help="The page to write.", dir_okay=False)
    ] = Path("report.html"),
    store: Store = "",
    as_json: JsonReply = False,
) -> None:
    """Write one HTML page about a rollout: a picture of it, its stages, and the guide's timeline."""
    path = journal
    if path is None:
        station = _station(project_dir, env)
        path = station.latest()
    if path is None:
        fail(f"no rollout of {env} has been started from this folder; name a journal", Exit.FAILED)
    from rollout.journal.journal import WHERE_JOURNALS_ARE
    from rollout.journal.report import write_report

    try:
        account = write_report(path, html)
    except OSError as error:
        hint = f"; {WHERE_JOURNALS_ARE}" if error.filename == str(path) else ""
        fail(f"{error.filename or path}: {error.strerror}{hint}")
    _reply.add(html=str(html), outcome=account.outcome)
    say(f"{html}: {account.outcome}")


@app.command()
def replay(
    events: Annotated[
        str, typer.Argument(metavar="EVENTS.jsonl", help="Events, or the journal of a rollout; - is stdin.")
    ],
    plan: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="PLAN",
            help="A plan file or name; by default the journal's own plan, or phase-c.",
            autocompletion=_complete_plan,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a decision.")] = False,
) -> None:
    """Run the policy on recorded or hand-written events and print its decisions."""
    from rollout.journal.replay import main_replay

    code = main_replay(events, plan, as_json, typer.echo, lambda line: typer.echo(line, err=True))
    raise typer.Exit(code)


@app.command()
def explore(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="Plan file or name.", autocompletion=_complete_plan)
    ],
    limit: Annotated[str, typer.Option("--for", metavar="TIME", help="At most so long.")] = "10m",
    memory: Annotated[float, typer.Option("--memory", metavar="GIB", help="At most so much.", min=0.1)] = 8.0,
    file: Annotated[Path, typer.Option("--file", help="Where the events of a violation go.")] = Path(
        "violation.jsonl"
    ),
) -> None:
    """Explore the states that the policy can reach under a plan, and check at each transition what must hold."""
    from rollout.explore.command import explore
    from rollout.plan import load_plan
    from rollout.plan.units import seconds

    found = load_plan(plan)
    try:
        longest = seconds(limit)
    except ValueError as error:
        fail(f"--for {limit}: {error}")
    raise typer.Exit(Exit.DONE if explore(found, longest, memory, file, typer.echo) else Exit.FAILED)


@app.command()
def plan(
    plan: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLAN]", help="Plan file or name; else phase-c.", autocompletion=_complete_plan
        ),
    ] = None,
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="[OTHER]", help="A second plan, to compare side by side.", autocompletion=_complete_plan
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option("--time-scale", help="Shorten windows and periods, as `run` does.")
    ] = 1.0,
    plan_option: Annotated[
        str | None,
        typer.Option(
            "--plan", metavar="PLAN", help="The same as the first argument.", autocompletion=_complete_plan
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="N",
            help="Requests per minute: adds how often chance alone decides, and advice.",
        ),
    ] = None,
    base_errors: Annotated[
        float | None,
        typer.Option(
            "--base-errors",
            metavar="P",
            help="Percent of requests that fail even in a healthy release; else 0.05 and 0.2.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    as_schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a plan file, for your editor.")
    ] = False,
) -> None:
    """Explain a plan in words, or compare two; with --rate, their odds."""
    if as_schema:
        from rollout.plan.schema import schema

        typer.echo(json.dumps(schema(), indent=2))
        return
    from rollout.odds.command import BadRate, describe
    from rollout.plan import load_plan

    if plan_option and plan:
        fail(f"--plan {plan_option}: {plan} is given too; to compare two plans, name both without --plan")
    names = [name for name in (plan_option, plan, other) if name is not None] or ["phase-c"]
    plans = [_scaled(load_plan(name), time_scale) for name in names]
    width = shutil.get_terminal_size().columns
    try:
        text = describe(plans, rate, base_errors, time_scale=time_scale, as_json=as_json, width=width)
    except BadRate as error:
        fail(str(error))
    typer.echo(text)


def main(connector: Connector | None = None) -> None:
    """The console script. ``connector``: to another world than AWS and Pulumi, for tests."""
    try:
        app(obj=connector)
    except Exception as error:
        sentence, code = _explained(error)
        if code is None:
            raise
        warn(sentence)
        sys.exit(code)
    finally:
        program.end_output("rollout")


def _explained(error: Exception) -> tuple[str, Exit | None]:
    """What a failure is to the user, and the exit code; None for a bug."""
    if isinstance(error, EnvironmentProblem):
        return str(error), Exit.BAD_INPUT
    if isinstance(error, ModuleNotFoundError):
        from rollout.extras import missing

        return missing(error) or "", Exit.BAD_INPUT if missing(error) else None
    from rollout.control.ports import TrafficError
    from rollout.journal import JournalError
    from rollout.journal.replay import ReplayError
    from rollout.journal.resume import ResumeError
    from rollout.journal.station import StationError
    from rollout.journal.store import StoreError
    from rollout.plan import PlanError
    from rollout.stacks.engine import EngineMissing
    from rollout.stacks.stackfile import StackFileError

    bad_input = (
        EngineMissing,
        JournalError,
        PlanError,
        ReplayError,
        ResumeError,
        StackFileError,
        StationError,
    )
    if isinstance(error, bad_input):
        return str(error), Exit.BAD_INPUT
    if isinstance(error, StoreError):
        return f"{error}\ntraffic now: as it was before this command", Exit.FAILED
    if isinstance(error, TrafficError):
        return f"{error}\ntraffic now: as it was before this command", Exit.FAILED
    if isinstance(error, OSError):
        return f"{error}; `rollout status` says where traffic is", Exit.FAILED
    return "", None
