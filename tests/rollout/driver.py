"""Stand-in for the world of the command `rollout`: the real command with an environment that is a file.

    python driver.py run --env prod --yes ...

The load balancer's weight is kept in ``weight`` of the project directory, so it outlives the process as a real one
does. ``ERROR_RATE`` (percent) of the environment is the candidate's. With ``RULE`` its load balancer has a rule that can be asked.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rollout import cli
from rollout.control.ports import ColourControl, MetricsSource, Ports, Probes, TrafficControl
from rollout.control.testing import (
    FakeColours,
    FakeMetrics,
    FakeNotifier,
    FakeProbes,
    FakeRateLimits,
    FakeTraffic,
    Release,
)
from rollout.journal import store
from rollout.procedure.preflight import Finding
from rollout.session import Connector
from rollout.stacks.environment import Environment
from rollout.stacks.traffic import Scope

ROLES = {"stable": "blue", "candidate": "green"}


class FileTraffic(FakeTraffic):
    """A load balancer that remembers its weight in a file."""

    def __init__(self) -> None:
        super().__init__(seconds=0.2)
        self._file = Path("weight")
        if self._file.exists():
            self.weight = float(self._file.read_text())

    def _move(self, weight: float) -> None:
        super()._move(weight)
        self._file.write_text(str(weight))


class Adapters:
    """:class:`rollout.session.Adapters` to a load balancer that is a file."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.traffic = FileTraffic()
        self.traffic.history.append((0, self.traffic.weight))
        self.probes: Probes = FakeProbes()
        pods = Path("pods")  # healthy ones of stable
        healthy = int(pods.read_text()) if pods.exists() else 2
        self.colours: ColourControl = FakeColours({"stable": healthy, "candidate": 2}, seconds=0.1)
        self.ports = Ports(self.traffic, FakeRateLimits(), FakeNotifier(), self.colours)
        candidate = Release(error_rate=float(os.environ.get("ERROR_RATE", "0")))
        metrics = FakeMetrics(self.traffic, candidate=candidate, period=1, delay=0.2)
        metrics._next = asyncio.get_running_loop().time()
        self.metrics: MetricsSource = metrics

    async def check(self, *, moving: bool) -> Sequence[Finding]:
        return []

    async def baseline_rpm(self) -> int | None:
        return 6000

    async def ask(self, role: str, path: str) -> str:
        return os.environ.get("WARM_UP", "") if role == "candidate" else ""

    def begin(self, start: float) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class FileRules:
    """The load balancer's own API, as far as its rule's weights are asked for."""

    def describe_rules(self, **_: Any) -> dict[str, Any]:
        weight = FileTraffic().weight
        shares = {"blue-group": 100 - weight, "green-group": weight}
        groups = [{"TargetGroupArn": group, "Weight": share} for group, share in shares.items()]
        return {"Rules": [{"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]}]}


class NoEngine:
    def end_left_over(self) -> list[str]:
        return []


def environment(env: str) -> Environment:
    nothing: Any = Scope("", ())
    asked = "RULE" in os.environ
    return Environment(
        name=env,
        region="us-east-1",
        colours=ROLES,
        versions={"stable": "1.0.0", "candidate": "2.0.0"},
        replicas={"stable": 2, "candidate": 2},
        groups={"stable": "blue-group", "candidate": "green-group"} if asked else {},
        probe_groups={},
        group_suffixes={},
        load_balancer_suffix="",
        rule_arn="rule" if asked else "",
        deployed_weight=0,
        generation=1,
        probe_url="",
        base_url="",
        test_secret="",
        secrets=(),
        topics={},
        notify_urls={},
        web_acl="",
        rate_limit=1000,
        rule_scope=nothing,
        limits_scope=nothing,
    )


class FileConnector(Connector):
    """Comes to no engine, and to adapters of files. ``roles``: those that the last environment was read with."""

    roles: Mapping[str, str] | None = None

    def engine(self, project_dir: Path, running: Path | None) -> Any:
        return NoEngine()

    async def read(self, engine: object, env: str, roles: Mapping[str, str] | None = None) -> Environment:
        self.roles = roles
        return environment(env)

    def adapters(
        self, engine: object, environment: Environment, plan: object, start: float, clock: object
    ) -> Adapters:
        return Adapters(environment)

    def traffic(self, engine: object, environment: Environment) -> TrafficControl:
        return FileTraffic()

    def elbv2(self, region: str) -> Any:
        return FileRules()


if __name__ == "__main__":
    store.TERM = float(os.environ.get("LEASE_TERM", store.TERM))
    store.RENEWAL = store.TERM / 6
    cli.main(FileConnector())
