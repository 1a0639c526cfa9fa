"""Stand-in for the world of the command `rollout`: the real command with an environment that is a file.

    python driver.py run --env prod --yes ...

The load balancer's weight is kept in ``weight`` of the project directory, so it outlives the process as a real one
does. ``ERROR_RATE`` (percent) of the environment is the candidate's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from rollout import cli, session
from rollout.control.ports import Ports
from rollout.control.testing import (
    FakeMetrics,
    FakeNotifier,
    FakeProbes,
    FakeRateLimits,
    FakeTraffic,
    Release,
)
from rollout.stacks.environment import Environment
from rollout.stacks.traffic import Target

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


class Metrics(FakeMetrics):
    """Metrics that may be told when the rollout began."""

    start = 0.0


class World:
    """What :class:`rollout.session.World` offers."""

    def __init__(
        self, engine: object, environment: Environment, plan: object, start: float, clock: object
    ) -> None:
        self.aws, self.environment = None, environment
        self.traffic = FileTraffic()
        self.traffic.history.append((0, self.traffic.weight))
        self.ports = Ports(self.traffic, FakeRateLimits(), FakeNotifier())
        self.probes = FakeProbes()
        candidate = Release(error_rate=float(os.environ.get("ERROR_RATE", "0")))
        self.metrics = Metrics(self.traffic, candidate=candidate, period=1, delay=0.2)
        self.metrics._next = asyncio.get_running_loop().time()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Engine:
    """No engine."""

    def __init__(self, project_dir: Path, running: Path | None = None) -> None:
        pass

    def end_left_over(self) -> list[str]:
        return []


async def read_environment(engine: object, env: str, colours: Mapping[str, str] | None = None) -> Environment:
    nothing: Any = Target("", ())
    return Environment(
        name=env,
        region="us-east-1",
        colours=ROLES,
        versions={"stable": "1.0.0", "candidate": "2.0.0"},
        replicas={"stable": 2, "candidate": 2},
        groups={},
        group_suffixes={},
        load_balancer_suffix="",
        rule_arn="",
        deployed_weight=0,
        generation=1,
        probe_url="",
        test_secret="",
        secrets=(),
        topics={},
        web_acl="",
        rate_limit=1000,
        rule_target=nothing,
        limits_target=nothing,
    )


async def check(*_: object, **__: object) -> list[object]:
    return []


if __name__ == "__main__":
    for module, name, fake in (
        (session, "World", World),
        (session, "read_environment", read_environment),
        (session, "check", check),
        (cli, "Engine", Engine),
    ):
        setattr(module, name, fake)
    cli.main()
