"""One controller at work: adapters put together, commands and signals heard, the journal opened and closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

from rollout.aws.clients import clients
from rollout.aws.cloudwatch import CloudWatchMetrics, Watched
from rollout.aws.elb import WeightedRule
from rollout.aws.notify import SnsNotifier
from rollout.aws.probes import HttpProbes, ProbeLog, probe_client
from rollout.control import dry_run
from rollout.control.controller import Controller, Exit
from rollout.control.ports import Ports, TrafficError
from rollout.journal import FileJournal, Record
from rollout.journal.header import Header
from rollout.journal.notes import EnginesEnded
from rollout.journal.resume import Past, check_rules, recall
from rollout.journal.station import Station
from rollout.plan import Plan
from rollout.procedure.preflight import Finding, check
from rollout.stacks.engine import Engine
from rollout.stacks.environment import Environment, EnvironmentProblem, read_environment
from rollout.stacks.traffic import StackLimits, StackTraffic
from rollout.terminal.signals import Signals
from rollout.terminal.view import Screen

_THREADS = 200


class WallClock:
    """Epoch seconds that no correction of the system's clock can turn back."""

    def __init__(self) -> None:
        self._epoch, self._monotonic = time.time(), time.monotonic()

    def now(self) -> float:
        return self._epoch + time.monotonic() - self._monotonic


class World:
    """The adapters to one environment. A context: leaving it closes connections."""

    def __init__(
        self, engine: Engine, environment: Environment, plan: Plan, start: float, clock: WallClock
    ) -> None:
        self.environment, self.plan = environment, plan
        self.aws = clients(environment.region, plan.health.timeout)
        roles = environment.colours
        rule = WeightedRule(self.aws.elbv2, environment.rule_arn, environment.groups)
        self.traffic = StackTraffic(
            engine, environment.traffic_stack, rule, environment.rule_target, environment.generation, roles
        )
        self.limits = StackLimits(engine, environment.limits_stack, environment.limits_target)
        self.notifier = SnsNotifier(self.aws.sns, environment.topics, environment.name)
        probe_log = ProbeLog(clock.now)
        self._http = probe_client(plan.health.timeout)
        self.probes = HttpProbes(
            self._http,
            self.aws.probing,
            environment.probe_url,
            environment.test_secret,
            roles,
            environment.groups,
            plan.health.timeout,
            probe_log,
        )
        watched = Watched(
            load_balancer=environment.load_balancer_suffix,
            groups=environment.group_suffixes,
            colours=roles,
            web_acl=environment.web_acl,
            alarm_prefix=f"simple378-{environment.name}-",
            topics=environment.topics,
        )
        self.metrics = CloudWatchMetrics(
            self.aws.cloudwatch, watched, plan, start, probe_log, self.aws.edge_cloudwatch
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def ports(self) -> Ports:
        return Ports(self.traffic, self.limits, self.notifier)


async def run_new(
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
) -> Exit:
    """A new rollout: reads, checks, asks, runs. Raises :class:`EnvironmentProblem` before anything is touched."""
    environment = await read_environment(engine, env)
    clock = WallClock()
    header = _header(environment, plan_text, time_scale, clock.now(), dry)
    plan = header.plan
    async with World(engine, environment, plan, header.start, clock) as world:
        findings = await check(environment, world.aws, world.probes, world.traffic, plan, moving=not dry)
        _show(findings, screen)
        if not dry and not confirm(environment):
            raise EnvironmentProblem("not confirmed: nothing was touched")
        # The questions took time; the rollout begins now.
        start = clock.now()
        world.metrics.start = start
        path = journal_path or station.new_journal(start, "dry-" if dry else "")
        journal = FileJournal(path, clock.now, secrets=environment.secrets)
        try:
            journal.append("rollout", 0.0, replace(header, start=start).to_json())
            await journal.durable()
            if not dry:
                station.point_at(journal.path)
            screen.say(f"journal: {journal.path}")
            controller = _controller(world, plan, journal, clock, start, screen, dry)
            return await _conduct(controller, None if dry else station, screen, None)
        finally:
            journal.close()


async def run_again(
    engine: Engine, station: Station, path: Path, records: Sequence[Record], screen: Screen, abort: bool
) -> Exit:
    """Continues a rollout whose controller ended. ``abort``: and aborts it at once."""
    header = Header.read(records[0])
    check_rules(header)
    plan = header.plan
    past = recall(plan, records)
    left = engine.end_left_over()
    environment = await read_environment(engine, header.env, header.roles)
    clock = WallClock()
    async with World(engine, environment, plan, header.start, clock) as world:
        journal = FileJournal(path, clock.now, resume=True, secrets=environment.secrets)
        try:
            controller = _controller(world, plan, journal, clock, header.start, screen, dry=False)
            if left:
                controller.note(EnginesEnded(left))
            return await _conduct(controller, station, screen, past, "abort" if abort else None)
        finally:
            journal.close()


def _show(findings: Sequence[Finding], screen: Screen) -> None:
    for finding in findings:
        mark = "ok" if not finding.problem else "warning" if finding.warning else "NO"
        screen.say(f"  {mark:<8}{finding.name}" + (f": {finding.problem}" if finding.problem else ""))
    problems = [f"{f.name}: {f.problem}" for f in findings if f.problem and not f.warning]
    if problems:
        more = f" (and {len(problems) - 1} more above)" if len(problems) > 1 else ""
        raise EnvironmentProblem(f"{problems[0]}{more}")


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
    world: World, plan: Plan, journal: FileJournal, clock: WallClock, start: float, screen: Screen, dry: bool
) -> Controller:
    controller = Controller(
        plan,
        ports=dry_run.ports() if dry else world.ports,
        metrics=world.metrics,
        probes=world.probes,
        journal=journal,
        clock=clock,
        start=start,
        rate_limit=world.environment.rate_limit,
        observer=screen.observe,
        dry_run=dry,
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
) -> Exit:
    """``station``: whose operator is heard; none for a dry run, which must not take a real rollout's commands."""

    async def operate(command: str) -> tuple[bool, str]:
        answer = await controller.operate(command)
        return answer.accepted, answer.text

    # Calls that hang must never keep the one that moves traffic waiting for a thread.
    asyncio.get_running_loop().set_default_executor(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="rollout")
    )
    helpers = [asyncio.create_task(station.serve(operate))] if station else []
    if command:
        helpers.append(asyncio.create_task(_command(controller, command)))
    signals = Signals(controller, screen.say, screen.live, asks=station is not None)
    signals.install()
    try:
        return await controller.run(past)
    finally:
        signals.remove()
        for helper in helpers:
            helper.cancel()


async def _command(controller: Controller, command: str) -> None:
    await controller.operate(command)


async def to_stable(
    engine: Engine, env: str, say: Callable[[str], None], roles: Mapping[str, str] | None = None
) -> None:
    """All traffic to stable without a controller: by stack update, else break-glass. Raises :class:`TrafficError`.

    ``roles`` (role to colour) are those of the rollout under way, else the traffic stack has them. ``say`` receives
    what is there before it is moved.
    """
    engine.end_left_over()
    environment = await read_environment(engine, env, roles)
    rule = WeightedRule(clients(environment.region).elbv2, environment.rule_arn, environment.groups)
    traffic = StackTraffic(
        engine,
        environment.traffic_stack,
        rule,
        environment.rule_target,
        environment.generation,
        environment.colours,
    )
    try:
        shown = f"{await traffic.read_weight():g} %"
    except TrafficError:
        shown = "an unknown share"  # no reason to leave it there
    stable, candidate = (
        f"{environment.colours[r]} {environment.versions[r]}" for r in ("stable", "candidate")
    )
    say(f"there: {candidate} has {shown} of the traffic, stable is {stable}")
    try:
        await traffic.set_weight(0, increase=False)
    except TrafficError:
        await traffic.break_glass(0)
