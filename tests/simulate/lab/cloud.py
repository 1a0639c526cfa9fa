"""A small cloud for tests: the lab's AWS server and its load balancer, really running, on loopback addresses.

No cluster and no Pulumi: targets are registered through the ELBv2 API by the test, and are aiohttp servers in its own
event loop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import boto3
from aiohttp import web
from botocore.config import Config

from simulate.lab.rehearsal.switchboard import Switchboard

ALB, EDGE = "127.78.0.10", "127.78.0.20"
ORIGIN_SECRET, TEST_SECRET = "origin's secret", "test secret %5"
TIME_SCALE = 10.0
PERIOD_S = 60 / TIME_SCALE

T = TypeVar("T")


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


async def until(probe: Callable[[], Awaitable[T]], within_s: float = 15.0) -> T:
    """Waits until the probe answers something true."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                if answer := await probe():
                    return answer
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)


@dataclass
class TargetServer:
    """A backend: ``/ready`` answers ``ready``; ``/slow?s=`` sleeps; ``/status/<n>``, ``/abort``; else its name."""

    name: str
    address: str
    port: int = 8000
    ready: int = 200
    served: int = 0
    runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.answer)
        self.runner = web.AppRunner(app, access_log=None, keepalive_timeout=75)
        await self.runner.setup()
        await web.TCPSite(self.runner, self.address, self.port).start()

    async def stop(self) -> None:
        if self.runner is not None:
            await self.runner.cleanup()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/ready":
            return web.Response(status=self.ready)
        self.served += 1
        if path.startswith("/slow"):
            await asyncio.sleep(float(request.query["s"]))
        elif path.startswith("/status/"):
            return web.Response(status=int(path.removeprefix("/status/")))
        elif path == "/abort":
            assert request.transport is not None
            request.transport.abort()
        elif path == "/ws":
            socket_ = web.WebSocketResponse()
            await socket_.prepare(request)
            await socket_.send_json({"colour": self.name})
            async for message in socket_:
                await socket_.send_str(message.data)
            return socket_
        headers = {"X-Simple378-Colour": self.name.partition("-")[0]}
        return web.Response(
            text=self.name, headers={**headers, "X-Seen": request.headers.get("X-Forwarded-For", "")}
        )


@dataclass
class Cloud:
    """``groups`` are target group ARNs by colour, ``rules`` ARNs by name."""

    endpoint: str
    port: int
    edge_port: int
    session: aiohttp.ClientSession
    groups: dict[str, str] = field(default_factory=dict)
    rules: dict[str, str] = field(default_factory=dict)
    arn: str = ""
    targets: list[TargetServer] = field(default_factory=list)

    @property
    def switches(self) -> Switchboard:
        return Switchboard(self.endpoint)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="lab",
            aws_secret_access_key="lab",
            config=Config(retries={"max_attempts": 0}),
        )

    async def call(self, service: str, operation: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client(service), operation), **arguments)

    async def declare(self) -> None:
        """What the program's foundation and traffic stacks declare: 100 % blue."""
        vpc = (await self.call("ec2", "create_vpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
        subnets = [
            (
                await self.call(
                    "ec2", "create_subnet", VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone
                )
            )["Subnet"]["SubnetId"]
            for n, zone in enumerate(("us-east-1a", "us-east-1b"))
        ]
        for colour in ("blue", "green"):
            group = await self.call(
                "elbv2",
                "create_target_group",
                Name=f"lab-{colour}",
                Protocol="HTTP",
                Port=8000,
                VpcId=vpc,
                TargetType="ip",
                HealthCheckPath="/ready",
                HealthCheckIntervalSeconds=5,
                HealthCheckTimeoutSeconds=4,
                HealthyThresholdCount=2,
                UnhealthyThresholdCount=2,
                Matcher={"HttpCode": "200-299"},
            )
            self.groups[colour] = group["TargetGroups"][0]["TargetGroupArn"]
            await self.call(
                "elbv2",
                "modify_target_group_attributes",
                TargetGroupArn=self.groups[colour],
                Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}],
            )
        lb = await self.call("elbv2", "create_load_balancer", Name="lab", Subnets=subnets, Type="application")
        self.arn = lb["LoadBalancers"][0]["LoadBalancerArn"]
        listener = await self.call(
            "elbv2",
            "create_listener",
            LoadBalancerArn=self.arn,
            Protocol="HTTP",
            Port=self.port,
            DefaultActions=[
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {
                        "StatusCode": "403",
                        "ContentType": "text/plain",
                        "MessageBody": "100% no, it's closed",
                    },
                }
            ],
        )
        arn = listener["Listeners"][0]["ListenerArn"]
        for priority, colour in ((10, "blue"), (11, "green")):
            await self._rule(
                arn,
                f"test-{colour}",
                priority,
                {"X-Simple378-Test": TEST_SECRET, "X-Simple378-Colour": colour},
                [{"Type": "forward", "TargetGroupArn": self.groups[colour]}],
            )
        await self._rule(arn, "traffic", 100, {"X-Origin-Verify": ORIGIN_SECRET}, [self._forward(0)])

    async def _rule(
        self, listener: str, name: str, priority: int, headers: dict[str, str], actions: list[dict[str, Any]]
    ) -> None:
        conditions = [
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": header, "Values": [value]}}
            for header, value in headers.items()
        ]
        rule = await self.call(
            "elbv2",
            "create_rule",
            ListenerArn=listener,
            Priority=priority,
            Conditions=conditions,
            Actions=actions,
        )
        self.rules[name] = rule["Rules"][0]["RuleArn"]

    def _forward(self, green: int) -> dict[str, Any]:
        weights = {"blue": 100 - green, "green": green}
        groups = [{"TargetGroupArn": self.groups[c], "Weight": w} for c, w in weights.items()]
        return {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}

    async def weigh(self, green: int) -> None:
        await self.call("elbv2", "modify_rule", RuleArn=self.rules["traffic"], Actions=[self._forward(green)])

    async def target(self, colour: str, number: int) -> TargetServer:
        """A new target, serving and registered, and healthy."""
        server = TargetServer(f"{colour}-{number}", f"127.78.{1 if colour == 'blue' else 2}.{number}")
        await server.start()
        self.targets.append(server)
        await self.register(colour, server)
        await until(lambda: self.has_state(colour, server, "healthy"))
        return server

    async def register(self, colour: str, server: TargetServer) -> None:
        await self.call(
            "elbv2",
            "register_targets",
            TargetGroupArn=self.groups[colour],
            Targets=[{"Id": server.address, "Port": server.port}],
        )

    async def deregister(self, colour: str, server: TargetServer) -> None:
        await self.call(
            "elbv2",
            "deregister_targets",
            TargetGroupArn=self.groups[colour],
            Targets=[{"Id": server.address, "Port": server.port}],
        )

    async def health(self, colour: str) -> dict[str, str]:
        answer = await self.call("elbv2", "describe_target_health", TargetGroupArn=self.groups[colour])
        return {d["Target"]["Id"]: d["TargetHealth"]["State"] for d in answer["TargetHealthDescriptions"]}

    async def has_state(self, colour: str, server: TargetServer, state: str) -> bool:
        return (await self.health(colour)).get(server.address) == state

    async def get(self, path: str = "/", **headers: str) -> tuple[int, str]:
        """A user's request at the load balancer, as the edge forwards it."""
        sent = headers or {"X-Origin-Verify": ORIGIN_SECRET}
        async with self.session.get(
            f"http://{ALB}:{self.port}{path}", headers={k.replace("_", "-"): v for k, v in sent.items()}
        ) as answer:
            return answer.status, await answer.text()

    async def serves(self, status: int = 200, path: str = "/", **headers: str) -> bool:
        return (await self.get(path, **headers))[0] == status

    def suffix(self, colour: str | None = None) -> list[dict[str, str]]:
        """The dimensions of the load balancer's metrics, or of one target group's."""
        dimensions = [{"Name": "LoadBalancer", "Value": self.arn.partition("loadbalancer/")[2]}]
        if colour is not None:
            dimensions.append({"Name": "TargetGroup", "Value": self.groups[colour].rpartition(":")[2]})
        return dimensions

    async def total(
        self,
        name: str,
        colour: str | None = None,
        *,
        since: float,
        statistic: str = "Sum",
        namespace: str = "ELB",
    ) -> float | None:
        """The metric's values since a moment, added up; ``None`` without any datapoint."""
        spaces = {"ELB": "AWS/ApplicationELB"}
        start = int(since - since % PERIOD_S)
        answer = await self.call(
            "cloudwatch",
            "get_metric_data",
            StartTime=start,
            EndTime=start + 3600,
            MetricDataQueries=[
                {
                    "Id": "m",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": spaces[namespace],
                            "MetricName": name,
                            "Dimensions": self.suffix(colour),
                        },
                        "Period": int(PERIOD_S),
                        "Stat": statistic,
                    },
                }
            ],
        )
        values = answer["MetricDataResults"][0]["Values"]
        return sum(values) if values else None


@asynccontextmanager
async def running_cloud(directory: Path, *, delay_s: float = 0.0) -> AsyncIterator[Cloud]:
    """A cloud that serves; all that was started is ended with it."""
    port, environment = free_port(), dict(os.environ)
    environment |= {
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SIMPLE378_TIME_SCALE": str(TIME_SCALE),
    }
    for name in ("SIMPLE378_LAB", "KUBECONFIG"):
        environment.pop(name, None)
    edge_port, endpoint = free_port(EDGE), f"http://127.0.0.1:{port}"
    log = (directory / "cloud.log").open("wb")
    started: list[asyncio.subprocess.Process] = []

    async def start(module: str, *arguments: str) -> None:
        started.append(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"simulate.lab.{module}",
                *arguments,
                env=environment,
                stdout=log,
                stderr=log,
            )
        )

    async with aiohttp.ClientSession(auto_decompress=False) as session:
        cloud = Cloud(endpoint, free_port(ALB), edge_port, session)
        try:
            await start("aws_server", "--port", str(port))

            async def answers() -> bool:
                async with session.get(f"{endpoint}/moto-api/") as answer:
                    return answer.status == 200

            await until(answers, 30)
            await cloud.declare()
            options = {
                "--alb": ALB,
                "--edge": EDGE,
                "--edge-port": str(edge_port),
                "--endpoint": endpoint,
                "--directory": str(directory / "load-balancer"),
                "--publication-delay": str(delay_s),
            }
            await start("load_balancer", *(word for pair in options.items() for word in pair))

            async def listens() -> bool:
                return (await cloud.get("/", X_Nothing="1"))[0] == 403

            await until(listens, 30)
            yield cloud
        finally:
            for process in reversed(started):
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                await process.wait()
            for target in cloud.targets:
                await target.stop()
            log.close()
