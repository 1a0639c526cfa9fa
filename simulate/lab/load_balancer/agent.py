"""The load balancer's agent: follows what is declared, what is registered and what is healthy, and makes HAProxy, the
API's target health, the names of the lab's hosts and CloudWatch agree with it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from simulate.lab.host import hosts
from simulate.lab.layout import POSTGRES
from simulate.lab.load_balancer import config, edge_config, health, log, metrics
from simulate.lab.load_balancer.checks import Checker
from simulate.lab.load_balancer.edge_model import Distribution, EdgeReader
from simulate.lab.load_balancer.haproxy import Haproxy, HaproxyError
from simulate.lab.load_balancer.health import State, TargetHealth
from simulate.lab.load_balancer.model import LoadBalancer, Reader, Target

_LOG = logging.getLogger(__name__)

#: Seconds until AWS publishes an ALB's metrics, after the end of their period.
PUBLICATION_DELAY_S = 90.0
PERIOD_S = 60.0
#: Changes made within this many seconds of each other are applied together.
_SETTLE_S = 0.03


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """``publication_delay_s`` and ``period_s`` are real seconds, already scaled."""

    endpoint: str
    region: str
    directory: Path
    alb: str
    edge: str
    edge_port: int
    time_scale: float
    period_s: float
    publication_delay_s: float
    hosts_file: Path | None
    ready_file: Path | None


@dataclass(frozen=True, slots=True)
class Declared:
    """What the program declared, as last read."""

    load_balancer: LoadBalancer | None = None
    distributions: tuple[Distribution, ...] = ()
    faults: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def distribution(self) -> Distribution | None:
        """The lab's edge serves one: the newest."""
        return self.distributions[0] if self.distributions else None


class Agent:
    """One load balancer and one edge. All state is touched from the event loop only."""

    def __init__(self, options: AgentOptions) -> None:
        self.options = options
        self.haproxy = Haproxy(options.directory, self._on_line)
        self.collector = metrics.Collector(options.period_s, options.publication_delay_s)
        self.checker = Checker(self._on_check, options.time_scale)
        self.declared = Declared()
        self.targets: dict[str, dict[Target, TargetHealth]] = {}
        self._slots: dict[str, dict[Target, int]] = {}
        self._sizes: dict[str, int] = {}
        self._reported: dict[str, list[dict[str, Any]]] = {}
        self._dirty = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        self._warned: set[str] = set()

        def client(service: str) -> Any:
            return boto3.client(
                service,
                endpoint_url=options.endpoint,
                region_name=options.region,
                config=Config(
                    connect_timeout=5, read_timeout=20, retries={"max_attempts": 2, "mode": "standard"}
                ),
            )

        self.elbv2, self.cloudwatch, self.rds = client("elbv2"), client("cloudwatch"), client("rds")
        self._reader = Reader(self.elbv2)
        self._edge_reader = EdgeReader(client("cloudfront"), client("wafv2"))

    async def run(self) -> None:
        """Serves until cancelled. Raises HaproxyError if HAProxy ends."""
        async with aiohttp.ClientSession(self.options.endpoint) as session:
            self._session = session
            try:
                await self._read({"elbv2", "cloudfront", "wafv2", "rds", "faults"})
                await self._apply()
                if self.options.ready_file is not None:
                    self.options.ready_file.touch()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow_changes(session))
                    group.create_task(self._apply_changes())
                    group.create_task(self._publish())
                    group.create_task(self._expire())
                    group.create_task(self._watch_haproxy())
            finally:
                await self.checker.close()
                await self.haproxy.stop()

    # What is declared

    async def _follow_changes(self, session: aiohttp.ClientSession) -> None:
        version = 0
        while True:
            try:
                async with session.get(f"/lab/changes?since={version}&timeout=20") as response:
                    answer = await response.json()
                version, services = answer["version"], set(answer["services"])
                if services:
                    await self._read(services)
                    self._dirty.set()
            except (aiohttp.ClientError, TimeoutError, ClientError, BotoCoreError) as error:
                # Read all of it when the API is back: it may have been started anew.
                version = 0
                _LOG.warning("the AWS API does not answer: %s", error)
                await asyncio.sleep(0.5)

    async def _read(self, services: set[str]) -> None:
        load_balancer, distributions = self.declared.load_balancer, self.declared.distributions
        faults = self.declared.faults
        if "elbv2" in services:
            load_balancer = await asyncio.to_thread(self._reader.load_balancer)
            # A target registered anew has lost what was reported of it, even if nothing seems to have changed.
            self._reported.clear()
        if services & {"cloudfront", "wafv2"}:
            distributions = tuple(await asyncio.to_thread(self._edge_reader.distributions))
        if "faults" in services and self._session is not None:
            async with self._session.get("/lab/faults") as response:
                faults = await response.json()
        self.declared = Declared(load_balancer, distributions, faults)
        if services & {"elbv2", "cloudfront", "rds"}:
            await self._name_hosts()
        self._warn()

    async def _name_hosts(self) -> None:
        if self.options.hosts_file is None:
            return
        names = dict.fromkeys(await asyncio.to_thread(self._reader.dns_names), self.options.alb)
        for distribution in self.declared.distributions:
            names |= dict.fromkeys((distribution.domain, *distribution.aliases), self.options.edge)
        instances = (await asyncio.to_thread(self.rds.describe_db_instances))["DBInstances"]
        names |= {
            i["Endpoint"]["Address"]: POSTGRES for i in instances if i.get("Endpoint", {}).get("Address")
        }
        hosts.set_section(
            self.options.hosts_file, "load-balancer", {n: a for n, a in names.items() if "*" not in n}
        )

    def _warn(self) -> None:
        """Logs once what is declared but not emulated."""
        unsupported = []
        for listener in self.declared.load_balancer.listeners if self.declared.load_balancer else ():
            if listener.protocol != "HTTP":
                unsupported.append(f"listener {listener.port} is {listener.protocol}; it is served as HTTP")
            unsupported += [
                f"rule {r.arn}: its action is not emulated" for r in listener.rules if r.action is None
            ]
        for distribution in self.declared.distributions:
            acl = distribution.web_acl
            unsupported += [f"function {name}: not emulated, does nothing" for name in distribution.ignored]
            unsupported += [
                f"WAF rule {name}: not emulated, matches nothing" for name in (acl.ignored if acl else ())
            ]
        for text in unsupported:
            if text not in self._warned:
                self._warned.add(text)
                _LOG.warning("%s", text)

    # What is healthy

    def _on_check(self, arn: str, target: Target, failure: str) -> None:
        load_balancer = self.declared.load_balancer
        group = (
            next((g for g in load_balancer.target_groups if g.arn == arn), None) if load_balancer else None
        )
        known = self.targets.get(arn, {}).get(target)
        if group is None or known is None or known.state in (State.DRAINING, State.UNUSED):
            return
        now = known.after_check(
            failure,
            healthy_threshold=group.check.healthy_threshold,
            unhealthy_threshold=group.check.unhealthy_threshold,
        )
        self.targets[arn][target] = now
        if now.state is not known.state:
            _LOG.info("%s %s:%d is %s %s", group.name, target.ip, target.port, now.state, failure)
            self._dirty.set()

    async def _expire(self) -> None:
        """Forgets targets whose deregistration delay is over."""
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            for targets in self.targets.values():
                if any(h.state is State.DRAINING and h.until <= now for h in targets.values()):
                    self._dirty.set()

    # What follows from it

    async def _apply_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await asyncio.sleep(_SETTLE_S)
            try:
                await self._apply()
            except HaproxyError as error:
                _LOG.error("not applied: %s", error)

    async def _apply(self) -> None:
        load_balancer = self.declared.load_balancer
        groups = load_balancer.target_groups if load_balancer else ()
        used = load_balancer.used_target_groups() if load_balancer else frozenset[str]()
        self.targets = {
            group.arn: health.follow(
                self.targets.get(group.arn, {}),
                group.targets,
                now=time.monotonic(),
                # Not scaled: requests take their real time, whatever the clock of the rollout.
                deregistration_delay_s=group.deregistration_delay_s,
                in_use=group.arn in used,
            )
            for group in groups
        }
        self.checker.follow(
            {
                group.arn: (
                    group.check,
                    frozenset(t for t, h in self.targets[group.arn].items() if h.state is not State.DRAINING),
                )
                for group in groups
                if group.arn in used
            }
        )
        self.collector.names = metrics.Names(
            load_balancer=load_balancer.suffix if load_balancer else "",
            groups={config.backend_name(group): group.suffix for group in groups},
            web_acl=acl.metric if (d := self.declared.distribution) and (acl := d.web_acl) else "",
        )
        servers = self._servers(load_balancer)
        await self.haproxy.apply(
            self._structure(load_balancer), config.Dynamic(self._maps(load_balancer), servers)
        )
        await self._report()

    def _servers(self, load_balancer: LoadBalancer | None) -> dict[tuple[str, str], config.Server]:
        servers: dict[tuple[str, str], config.Server] = {}
        for group in load_balancer.target_groups if load_balancer else ():
            name, targets = config.backend_name(group), self.targets[group.arn]
            taken = {t: n for t, n in self._slots.get(name, {}).items() if t in targets}
            free = (n for n in range(1, len(targets) + len(taken) + 1) if n not in set(taken.values()))
            for target in targets:
                if target not in taken:
                    taken[target] = next(free)
            self._slots[name] = taken
            self._sizes[name] = max(self._sizes.get(name, 16), 2 * max(taken.values(), default=0))
            states = health.server_states(targets)
            for number in range(1, self._sizes[name] + 1):
                servers[name, config.slot(number)] = config.Server()
            for target, number in taken.items():
                servers[name, config.slot(number)] = config.Server(target.ip, target.port, states[target])
        return servers

    def _structure(self, load_balancer: LoadBalancer | None) -> str:
        maps, lines = self.haproxy.maps, list[str]()
        if load_balancer is not None:
            lines += config.listeners(load_balancer, self.options.alb, maps)
            lines += config.backends(load_balancer)
        if (distribution := self.declared.distribution) is not None:
            addresses = edge_config.Addresses(
                self.options.edge,
                self.options.edge_port,
                self.options.alb,
                self.options.endpoint.partition("//")[2],
            )
            lines += edge_config.structure(distribution, addresses, maps, self.options.time_scale)
        if not lines:
            # HAProxy needs at least one section; nothing is listening yet.
            lines = ["backend nothing-declared"]
        return "\n".join(lines) + "\n"

    def _maps(self, load_balancer: LoadBalancer | None) -> dict[str, dict[str, str]]:
        cut = (self.declared.faults or {}).get("targets-unreachable")
        return {
            "weights.map": config.weight_map(load_balancer) if load_balancer else {},
            "unreachable.map": config.unreachable_map(load_balancer, cut) if load_balancer else {},
            "limits.map": edge_config.limit_map(self.declared.distribution, self.options.time_scale),
        }

    async def _report(self) -> None:
        """Reports to the API what DescribeTargetHealth returns."""
        report = {
            arn: [{"id": target.ip, "port": target.port, **h.report()} for target, h in targets.items()]
            for arn, targets in self.targets.items()
        }
        changed = {arn: items for arn, items in report.items() if self._reported.get(arn) != items}
        if changed and self._session is not None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self._session.post("/lab/target-health", json=changed) as response:
                    response.raise_for_status()
                self._reported |= changed

    # What is measured

    def _on_line(self, line: str) -> None:
        match log.parse(line):
            case log.AlbRequest() as request:
                self.collector.alb(request)
            case log.EdgeRequest() as request:
                self.collector.edge(request)
            case None:
                _LOG.info("haproxy: %s", line)

    async def _publish(self) -> None:
        every = min(1.0, self.options.period_s / 6)
        while True:
            await asyncio.sleep(every)
            now = time.time()
            load_balancer = self.declared.load_balancer
            for group in load_balancer.target_groups if load_balancer else ():
                states = [h.state for h in self.targets.get(group.arn, {}).values()]
                if states and State.UNUSED not in states:
                    healthy, unhealthy = states.count(State.HEALTHY), states.count(State.UNHEALTHY)
                    self.collector.hosts(now, config.backend_name(group), healthy, unhealthy)
            for start, period in self.collector.due(now):
                for arguments in metrics.requests(metrics.data(period), start):
                    await self._put(arguments)

    async def _put(self, arguments: dict[str, Any]) -> None:
        try:
            await asyncio.to_thread(self.cloudwatch.put_metric_data, **arguments)
        except (ClientError, BotoCoreError) as error:
            _LOG.warning("metrics are lost: %s", error)

    async def _watch_haproxy(self) -> None:
        raise HaproxyError(
            f"HAProxy ended with exit code {await self.haproxy.wait()}; the lines above give the reason"
        )
