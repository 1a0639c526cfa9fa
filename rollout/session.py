"""One running controller: adapters put together, commands and signals received, the journal opened and closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

from rollout.aws.clients import Clients, clients, patient
from rollout.aws.cloudwatch import CloudWatchMetrics, Watched
from rollout.aws.elb import OriginSecret, WeightedRule, target_health
from rollout.aws.failures import AWS_ERRORS
from rollout.aws.notify import notifier
from rollout.aws.probes import FrontDoor, HttpProbes, ProbeLog, probe_client
from rollout.control import dry_run
from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.ports import (
    ColourControl,
    MetricsSource,
    Ports,
    Probes,
    TrafficControl,
    TrafficError,
)
from rollout.journal import FileJournal, NoJournal, Record
from rollout.journal.card import Card
from rollout.journal.header import Header
from rollout.journal.notes import EnginesEnded, Note, WarmedUp
from rollout.journal.resume import Past, check_rules, recall
from rollout.journal.station import Station
from rollout.plan import Plan
from rollout.policy import timing
from rollout.procedure import baseline
from rollout.procedure.guardian import ask_guardian, unwatched
from rollout.procedure.preflight import Finding, check
from rollout.procedure.undo import NoTarget, OldColour, going_back
from rollout.procedure.warm_up import in_words, warm_up
from rollout.stacks.colours import StackColours
from rollout.stacks.engine import Engine
from rollout.stacks.environment import Environment, read_card, read_environment
from rollout.stacks.project import EnvironmentProblem
from rollout.stacks.traffic import StackLimits, StackTraffic
from rollout.terminal.signals import Signals
from rollout.terminal.view import Screen

_THREADS = 200


class WallClock:
    """Epoch seconds that no correction of the system's clock can turn back."""

    def __init__(self) -> None:
        self._epoch, self._began = time.time(), _steady()

    def now(self) -> float:
        return self._epoch + _steady() - self._began


def _steady() -> float:
    """Seconds that also pass while the machine is suspended, where the system counts them (Linux)."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Adapters(Protocol):
    """The adapters to one environment. A context: leaving it closes connections."""

    environment: Environment
    metrics: MetricsSource
    probes: Probes
    colours: ColourControl

    @property
    def ports(self) -> Ports: ...
    async def check(self, *, moving: bool) -> Sequence[Finding]:
        """The checks before a rollout; ``moving`` is False for a dry run."""

    async def ask(self, role: str, path: str) -> str:
        """One request to a colour through the test route; what is wrong with its answer, '' for nothing."""

    async def baseline_rpm(self) -> int | None:
        """The users' requests a minute before the rollout; ``None``: unknown."""

    def begin(self, start: float) -> None:
        """The rollout's clock reads 0 at this epoch second."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...


class AwsAdapters:
    """:class:`Adapters` to AWS, and to Pulumi's engine."""

    def __init__(
        self, engine: Engine, environment: Environment, plan: Plan, start: float, clock: WallClock
    ) -> None:
        self.environment, self.plan = environment, plan
        self.aws = clients(environment.region, plan.health.timeout)
        roles = environment.colours
        self.traffic = _traffic(engine, environment, self.aws)
        self.colours: ColourControl = StackColours(
            engine, environment.name, self.aws.elbv2, roles, environment.groups
        )
        self.limits = StackLimits(engine, environment.limits_stack, environment.limits_scope)
        self.notifier = notifier(self.aws.sns, environment.topics, environment.notify_urls, environment.name)
        probe_log = ProbeLog(clock.now)
        self._http = probe_client(plan.health.timeout)
        self._to_colours = HttpProbes(
            self._http,
            self.aws.probing,
            environment.probe_url,
            environment.test_secret,
            roles,
            {role: (environment.groups[role], environment.probe_groups[role]) for role in environment.groups},
            plan.health.timeout,
            probe_log,
            FrontDoor(
                self._http,
                environment.base_url,
                {colour: role for role, colour in roles.items()},
                plan.health.timeout,
                probe_log,
            ),
        )
        self.probes: Probes = self._to_colours
        watched = Watched(
            load_balancer=environment.load_balancer_suffix,
            groups=environment.group_suffixes,
            colours=roles,
            web_acl=environment.web_acl,
            alarm_prefix=f"simple378-{environment.name}-",
            topics=environment.topics,
        )
        self._cloudwatch = CloudWatchMetrics(
            self.aws.cloudwatch, watched, plan, start, probe_log, self.aws.edge_cloudwatch
        )
        self.metrics: MetricsSource = self._cloudwatch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def ports(self) -> Ports:
        return Ports(self.traffic, self.limits, self.notifier, self.colours)

    async def check(self, *, moving: bool) -> Sequence[Finding]:
        return await check(self.environment, self.aws, self.probes, self.traffic, self.plan, moving=moving)

    async def ask(self, role: str, path: str) -> str:
        return await self._to_colours.ask(role, path)

    async def baseline_rpm(self) -> int | None:
        try:
            found = await baseline.requests_per_minute(self.aws.cloudwatch, self.environment, self.plan)
        except AWS_ERRORS:
            return None  # pre-flight has just asked the same
        return baseline.median(found)

    def begin(self, start: float) -> None:
        self._cloudwatch.start = start


class Connector:
    """Makes the engine and the adapters of a session, and reads the stacks. Tests override it."""

    def engine(self, project_dir: Path, running: Path | None) -> Engine:
        """Raises :class:`rollout.stacks.engine.EngineMissing`."""
        return Engine(project_dir, running)

    async def read(self, engine: Engine, env: str, roles: Mapping[str, str] | None = None) -> Environment:
        """Raises :class:`EnvironmentProblem`."""
        return await read_environment(engine, env, roles)

    async def read_card(self, engine: Engine, env: str) -> Card:
        """Raises :class:`EnvironmentProblem`."""
        return await read_card(engine, env)

    def adapters(
        self, engine: Engine, environment: Environment, plan: Plan, start: float, clock: WallClock
    ) -> Adapters:
        return AwsAdapters(engine, environment, plan, start, clock)

    def traffic(self, engine: Engine, environment: Environment) -> TrafficControl:
        """What moves traffic, and nothing else that could fail."""
        return _traffic(engine, environment, clients(environment.region))

    def colours(self, engine: Engine, environment: Environment) -> ColourControl:
        """What starts and stops pods."""
        elbv2 = patient("elbv2", environment.region)
        return StackColours(engine, environment.name, elbv2, environment.colours, environment.groups)

    def elbv2(self, region: str) -> Any:
        """A client of the load balancer's API. Raises botocore's errors."""
        return patient("elbv2", region)

    def rule(self, card: Card) -> WeightedRule:
        """The load balancer's rule, without the stacks. Raises botocore's errors."""
        origin = OriginSecret(patient("secretsmanager", card.region), card.env)
        return WeightedRule(self.elbv2(card.region), card.rule_arn, card.groups, origin)


class TooSlow(EnvironmentProblem):
    """Pulumi did not answer in the time that an abort has."""


async def read_in_time(
    connector: Connector, engine: Engine, env: str, roles: Mapping[str, str] | None
) -> Environment:
    """Reads the stacks for an abort, which waits for nobody. Raises :class:`EnvironmentProblem`, :class:`TooSlow`."""
    try:
        async with asyncio.timeout(timing.READING_LIMIT):
            return await connector.read(engine, env, roles)
    except TimeoutError:
        raise TooSlow(f"the stacks of {env} could not be read within {timing.READING_LIMIT:g} s") from None


def _traffic(engine: Engine, environment: Environment, aws: Clients) -> StackTraffic:
    origin = OriginSecret(aws.secretsmanager, environment.name)
    return StackTraffic(
        engine,
        environment.traffic_stack,
        WeightedRule(aws.elbv2, environment.rule_arn, environment.groups, origin),
        environment.rule_scope,
        environment.generation,
        environment.colours,
    )


async def run_new(
    connector: Connector,
    engine: Engine,
    station: Station,
    *,
    plan_text: str,
    env: str,
    time_scale: float,
    dry: bool,
    journal_path: Path | None,
    screen: Screen,
    confirm: Callable[[Environment], bool],
    stop: bool | None = None,
) -> Exit:
    """A new rollout: reads, checks, asks, runs. Raises :class:`EnvironmentProblem` before anything is touched."""
    environment = await connector.read(engine, env)
    clock = WallClock()
    header = replace(_header(environment, plan_text, time_scale, clock.now(), dry), stop=stop)
    plan = header.plan
    async with connector.adapters(engine, environment, plan, header.start, clock) as adapters:
        found = list(await adapters.check(moving=not dry))
        if not dry:
            found.append(await asyncio.to_thread(ask_guardian, station.shared, environment))
        _show(found, screen)
        if not dry and not confirm(environment):
            raise EnvironmentProblem("not confirmed, nothing was touched")
        warmed = () if dry else await _warm_up(adapters, plan, "candidate", screen)
        if warmed and warmed[0].failed:
            raise TrafficError(f"the candidate could not be warmed up: {in_words(warmed[0])}")
        return await _begin(adapters, header, station, journal_path, clock, screen, *warmed)


async def _warm_up(
    adapters: Adapters, plan: Plan, role: str, screen: Screen, limit: float | None = None
) -> tuple[WarmedUp, ...]:
    """The requests before the first users', if the plan asks for any; ``limit`` as :func:`warm_up` takes it."""
    if plan.warm_up is None:
        return ()
    return (await warm_up(plan.warm_up, role, adapters.ask, screen.say, limit=limit),)


async def undo(
    connector: Connector,
    engine: Engine,
    station: Station,
    *,
    promoted: Header | None,
    version: str,
    plan_text: str,
    env: str,
    time_scale: float,
    reason: str,
    stop: bool | None,
    screen: Screen,
) -> Exit:
    """Takes a promotion back: checks the colour that was stable, then moves all traffic to it, and verifies.

    ``promoted`` and ``version`` as in :func:`rollout.procedure.undo.going_back`. Raises :class:`EnvironmentProblem` and
    :class:`TrafficError` before anything is moved.
    """
    engine.end_left_over()
    deployed = await connector.read(engine, env)
    environment = going_back(deployed, promoted, version)
    clock = WallClock()
    header = replace(
        _header(environment, plan_text, time_scale, clock.now(), dry=False),
        kind="undo",
        reason=reason,
        stop=stop,
    )
    async with connector.adapters(engine, environment, header.plan, header.start, clock) as adapters:
        old = OldColour(environment, adapters.colours, adapters.probes, adapters.ports.traffic, screen.say)
        found = await old.ready(named_stable=deployed.colours["stable"] == old.colour)
        # New pods; what fails is told, and is no reason to stay on a bad release.
        warmed: tuple[WarmedUp, ...] = ()
        if found.scaled_s is not None:
            warmed = await _warm_up(adapters, header.plan, "stable", screen, timing.WARM_UP_LIMIT)
        return await _begin(adapters, header, station, None, clock, screen, found, *warmed)


async def watch(
    connector: Connector,
    engine: Engine,
    station: Station,
    *,
    promoted: Header,
    plan_text: str,
    time_scale: float,
    seconds: float,
    screen: Screen,
) -> Exit:
    """The steady state after a promotion, for so many seconds. Raises :class:`EnvironmentProblem`, :class:`TrafficError`."""
    environment = going_back(await connector.read(engine, promoted.env), promoted, "")
    clock = WallClock()
    header = replace(
        _header(environment, plan_text, time_scale, clock.now(), dry=False), kind="watch", watch_s=seconds
    )
    async with connector.adapters(engine, environment, header.plan, header.start, clock) as adapters:
        old = OldColour(environment, adapters.colours, adapters.probes, adapters.ports.traffic, screen.say)
        await old.look()
        return await _begin(adapters, header, station, None, clock, screen)


async def make_ready(
    connector: Connector, engine: Engine, promoted: Header, version: str, say: Callable[[str], None]
) -> None:
    """Looks at what an undo goes back to, for another process that will move the traffic. Raises as :func:`undo` does."""
    environment = going_back(await connector.read(engine, promoted.env), promoted, version)
    clock = WallClock()
    async with connector.adapters(engine, environment, promoted.plan, clock.now(), clock) as adapters:
        old = OldColour(environment, adapters.colours, adapters.probes, adapters.ports.traffic, say)
        await old.ready(named_stable=False)


async def _begin(
    adapters: Adapters,
    header: Header,
    station: Station,
    path: Path | None,
    clock: WallClock,
    screen: Screen,
    *notes: Note,
) -> Exit:
    """Opens a journal and runs what it is of, from its first event. Raises ``OSError``; an undo goes on without a journal."""
    rpm = None if header.undo else await adapters.baseline_rpm()
    start = clock.now()  # not when the checks and questions began: they took time
    adapters.begin(start)
    header = replace(header, start=start)
    path = path or station.new_journal(start, "dry-" if header.dry_run else "")
    journal: FileJournal | NoJournal
    try:
        journal = station.open_journal(
            path, clock.now, secrets=adapters.environment.secrets, local=header.dry_run
        )
    except OSError as error:
        if not header.undo:
            raise
        journal = NoJournal(path, error)
    try:
        journal.append("rollout", 0.0, header.to_json())
        try:
            await journal.durable()
            if not header.dry_run:
                station.point_at(journal.path)
        except OSError as error:
            if not header.undo:
                raise
            screen.say(f"warning: the undo goes on, but its journal cannot be written: {error}")
        else:
            screen.say(f"journal: {journal.path}")
        _turn_card(station, header, Exit.DONE if header.kind == "watch" else None, screen)
        controller = _controller(adapters, header, journal, clock, screen, rpm)
        for note in notes:
            controller.note(note)
        listens = None if header.dry_run else station
        code = await _conduct(controller, listens, screen, None, asks=header.watch_s is None)
        _turn_card(station, header, code, screen)
        return code
    finally:
        journal.close()


async def run_again(
    connector: Connector,
    engine: Engine,
    station: Station,
    path: Path,
    records: Sequence[Record],
    screen: Screen,
    command: str | None = None,
) -> Exit:
    """Continues a rollout whose controller ended. ``command``: one that is given at once, such as ``abort``."""
    header = Header.read(records[0])
    check_rules(header)
    plan = header.plan
    past = recall(plan, records)
    left = engine.end_left_over()
    if command:
        environment = await read_in_time(connector, engine, header.env, header.roles)
    else:
        environment = await connector.read(engine, header.env, header.roles)
    clock = WallClock()
    async with connector.adapters(engine, environment, plan, header.start, clock) as adapters:
        journal = station.open_journal(path, clock.now, resume=True, secrets=environment.secrets)
        try:
            controller = _controller(adapters, header, journal, clock, screen)
            if left:
                controller.note(EnginesEnded(left))
            ordered = await _left_meanwhile(station, path.stem, goes_back=bool(command or header.undo))
            code = await _conduct(
                controller, station, screen, past, command, asks=header.watch_s is None, ordered=ordered
            )
            _turn_card(station, header, code, screen)
            return code
        finally:
            journal.close()


async def _left_meanwhile(station: Station, name: str, *, goes_back: bool) -> str | None:
    """The abort that was left while nobody was at work. Raises ``StoreError`` if that is not known, unless traffic ``goes_back`` anyway."""
    try:
        return await (station.marked(name) if goes_back else station.surely_marked(name))
    except OSError:
        if goes_back:
            return None
        raise


def _turn_card(station: Station, header: Header, code: Exit | None, screen: Screen) -> None:
    """Who is stable is on the card too: the candidate once it is promoted. ``code``: how it ended, None before.

    A card that cannot be written is told, and changes nothing of how the rollout ends.
    """
    if not header.dry_run and code is not Exit.FAILED:
        stable = header.candidate if code is Exit.DONE else header.stable
        try:
            station.write_card(header.card.with_stable(stable))
        except OSError as error:
            screen.say(f"warning: the card for `rollout abort` could not be written: {error}")


def _show(findings: Sequence[Finding], screen: Screen) -> None:
    for finding in findings:
        screen.say(finding.in_words())
    problems = [f"{f.name}: {f.problem}" for f in findings if f.problem and not f.warning]
    if problems:
        more = f" (and {len(problems) - 1} more above)" if len(problems) > 1 else ""
        raise EnvironmentProblem(f"{problems[0]}{more}")


async def _check_again(adapters: Adapters) -> list[str]:
    findings = await adapters.check(moving=False)
    return [
        f"{finding.name}: {finding.problem}"
        for finding in findings
        if finding.problem and not finding.warning
    ]


def _header(environment: Environment, plan_text: str, time_scale: float, start: float, dry: bool) -> Header:
    return Header(
        plan_text=plan_text,
        env=environment.name,
        stable=environment.colours["stable"],
        candidate=environment.colours["candidate"],
        start=start,
        time_scale=time_scale,
        dry_run=dry,
        region=environment.region,
        versions=environment.versions,
        replicas=environment.replicas,
        generation=environment.generation,
        rule_arn=environment.rule_arn,
        groups=environment.groups,
    )


def _controller(
    adapters: Adapters,
    header: Header,
    journal: FileJournal | NoJournal,
    clock: WallClock,
    screen: Screen,
    rpm: int | None = None,
) -> Controller:
    controller = Controller(
        header.plan,
        ports=dry_run.ports() if header.dry_run else adapters.ports,
        metrics=adapters.metrics,
        probes=adapters.probes,
        journal=journal,
        clock=clock,
        start=header.start,
        rate_limit=adapters.environment.rate_limit,
        versions=adapters.environment.versions,
        baseline_rpm=rpm,
        recheck=partial(_check_again, adapters),
        undo=header.undo,
        reason=header.reason,
        watch_s=header.watch_s,
        stop=header.stop,
        time_scale=header.time_scale,
        observer=screen.observe,
        dry_run=header.dry_run,
    )
    if screen.live:
        screen.live.snapshot = controller.snapshot
    return controller


async def _conduct(
    controller: Controller,
    station: Station | None,
    screen: Screen,
    past: Past | None,
    command: str | None = None,
    *,
    asks: bool = True,
    ordered: str | None = None,
) -> Exit:
    """``station``: whose commands are carried out; none for a dry run, which must not take a real rollout's.

    ``asks``: Ctrl-C asks what to do, else it leaves.
    """

    async def operate(command: str) -> tuple[bool, str]:
        answer = await controller.operate(command)
        return answer.accepted, answer.text

    # Calls that hang must never keep the one that moves traffic waiting for a thread.
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="rollout")
    )
    helpers = [
        asyncio.create_task(work) for work in (_watches(controller, station, operate) if station else ())
    ]
    if station:
        helpers.append(asyncio.create_task(_learn(controller, station)))
    if command:
        helpers.append(asyncio.create_task(_command(controller, command)))
    signals = Signals(controller, screen.say, screen.live, asks=asks and station is not None)
    signals.install()
    try:
        return await controller.run(past, ordered)
    finally:
        signals.remove()
        for helper in helpers:
            helper.cancel()


def _watches(
    controller: Controller, station: Station, operate: Callable[[str], Awaitable[tuple[bool, str]]]
) -> list[Coroutine[Any, Any, None]]:
    """What goes on beside a controller: commands, marks of an abort, the lease."""

    def down(problem: str) -> None:
        controller.page(
            "the store cannot be written", f"{problem}. Traffic is not raised until it can; decreases go on."
        )

    current = station.latest()
    watches = [
        station.serve(operate),
        station.keep_lease(lambda who: controller.leave(f"{who} has taken over"), down),
    ]
    return [*watches, station.hear_marks(current.stem, operate)] if current else watches


async def _learn(controller: Controller, station: Station) -> None:
    """What becomes of the rollout when this controller leaves it."""
    controller.unwatched = await asyncio.to_thread(unwatched, station.shared)


async def _command(controller: Controller, command: str) -> None:
    await controller.operate(command)


async def undo_without_stacks(connector: Connector, promoted: Header, say: Callable[[str], None]) -> None:
    """An undo by the load balancer's API and what the journal's header of the release says of it, without Pulumi.

    Raises :class:`TrafficError`; when no target is healthy nothing is moved.
    """
    if promoted.groups:
        try:
            health = await target_health(connector.rule(promoted.card).elbv2, promoted.groups["stable"])
        except TrafficError as error:
            say(f"warning: how many targets of {promoted.stable} are healthy is not known: {error}")
        else:
            if not health.healthy:
                raise NoTarget(f"no target of {promoted.stable} is healthy: {health.problem}")
    await to_stable_without_stacks(connector, promoted.card)


async def to_stable_without_stacks(connector: Connector, card: Card) -> Mapping[str, str]:
    """All traffic to stable by the load balancer's API and what the card says of it, without Pulumi.

    Returns what else of the rule was put right, as :meth:`WeightedRule.make_whole`. Raises :class:`TrafficError`.
    """
    if not card.complete:
        raise TrafficError("the journal does not name the load balancer's rule")
    rule = connector.rule(card)
    await rule.write_weight(0)
    if seen := await rule.read_weight():
        raise TrafficError(f"0 % was written, {seen:g} % is read back")
    return await rule.make_whole()
