"""Another pool size of a colour, on a fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import CommandResult

from rollout.control.ports import TrafficError
from rollout.procedure.pool import PoolSize
from rollout.stacks import stackfile
from rollout.stacks.project import EnvironmentProblem
from tests.rollout.stacks.test_traffic import command_error

FILE = "config:\n  simple378:poolSize: 50 # of each\n  simple378:version: 1.0.0\n"
OF = "urn:pulumi:prod-blue::p::simple378:workload:ConnectionPool$kubernetes"
STACK = "urn:pulumi:prod-blue::p::pulumi:pulumi:Stack::p-prod-blue"


def step(op: str, name: str) -> dict[str, str]:
    return {"op": op, "urn": f"{OF}:apps/v1:Deployment::{name}"}


CHANGES = ({"op": "update", "urn": STACK}, step("create-replacement", "pool-config"), step("update", "pool-deployment"), step("same", "backend-deployment"))  # fmt: skip


@dataclass
class Engine:
    project_dir: Path
    steps: tuple[Mapping[str, str], ...] = CHANGES
    refusal: str = ""
    failure: str = ""
    declared: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0

    async def json(self, stack: str, *args: str) -> Any:
        assert args[0] == "preview"
        if self.refusal:
            raise command_error(self.refusal)
        return {"steps": list(self.steps)}

    async def run(self, stack: str, *args: str, given: str = "") -> CommandResult:
        assert stack == "prod-blue" and args[0] == "up"
        self.updates += 1
        self.declared.append(stackfile.read_config(Path(args[args.index("--config-file") + 1])))
        if self.failure:
            raise command_error(self.failure)
        return CommandResult("", "", 0)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "Pulumi.prod-blue.yaml").write_text(FILE)
    return Engine(tmp_path)


def resize(engine: Engine, size: int = 60) -> list[str]:
    said: list[str] = []
    asyncio.run(PoolSize(engine, "prod-blue", "1.0.0", said.append).set(size))  # type: ignore[arg-type]
    assert [path.name for path in engine.project_dir.iterdir()] == ["Pulumi.prod-blue.yaml"], (
        "no copy is left"
    )
    return said


def file_of(engine: Engine) -> str:
    return (engine.project_dir / "Pulumi.prod-blue.yaml").read_text()


def test_the_pools_are_changed_and_the_key_opens_no_later_change(engine: Engine) -> None:
    said = resize(engine)
    assert engine.declared == [{"poolSize": 60, "version": "1.0.0", "allowWhileServing": "1.0.0"}]
    assert file_of(engine) == FILE.replace("50 # of each", "60")
    assert said[0].startswith("prod-blue: from 50 to 60 connections")


def test_what_is_so_already_is_left_alone(engine: Engine) -> None:
    engine.steps = (step("same", "pool-deployment"),)
    assert "already" in resize(engine, 50)[0]
    assert engine.updates == 0


def test_an_update_that_would_change_more_is_refused(engine: Engine) -> None:
    engine.steps = (*CHANGES, step("update", "backend-deployment"))
    with pytest.raises(
        EnvironmentProblem, match=r"nothing was touched.*more than its pools: update backend-deployment"
    ):
        resize(engine)
    assert engine.updates == 0 and file_of(engine) == FILE


def test_what_the_program_refuses_is_told_in_its_words(engine: Engine) -> None:
    engine.refusal = "error: two colours need 420 connections, the database allows 419"
    with pytest.raises(EnvironmentProblem, match=r"nothing was touched: .*two colours need 420 connections"):
        resize(engine, 100)
    assert file_of(engine) == FILE


def test_an_update_that_failed_is_continued_by_the_same_command(engine: Engine) -> None:
    engine.failure = "error: the cluster is gone"
    with pytest.raises(TrafficError, match=r"the cluster is gone.*the same command again continues"):
        resize(engine)
    assert stackfile.read_config(engine.project_dir / "Pulumi.prod-blue.yaml")["poolSize"] == 60
