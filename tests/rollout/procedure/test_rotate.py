"""A rotation on a world of three stores: what is configured, what is deployed, what is sent. Somebody sends all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from rollout.aws.probes import COLOUR_HEADER, TEST_HEADER
from rollout.control.ports import TrafficError
from rollout.control.testing import run_virtually
from rollout.procedure.rotate import ORIGIN_HEADER, Rotation
from rollout.stacks.project import EnvironmentProblem
from tests.rollout.driver import environment

ORIGINS = ("originSecret", "originSecretNext", "originSecretPrevious")


class Killed(Exception):
    pass


@dataclass
class World:
    """``left`` counts operations down to a death; ``shut`` keeps users out whatever the secret is."""

    config: dict[str, str] = field(
        default_factory=lambda: {"originSecret": "old-origin", "testSecret": "old-test"}
    )
    outputs: dict[str, str] = field(default_factory=dict)
    rule: set[str] = field(default_factory=lambda: {"old-origin"})
    sent: str = "old-origin"
    left: int = -1
    shut_after: int = 1000
    updates: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    drifted: str = ""

    def __post_init__(self) -> None:
        self.outputs = dict(self.config)

    def operation(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    @property
    def tests(self) -> set[str]:
        return {self.outputs[key] for key in ("testSecret", "testSecretPrevious") if key in self.outputs}

    async def ask(self, url: str, headers: dict[str, str]) -> int:
        if len(self.updates) > self.shut_after:
            return 403
        if url.startswith("https://users"):
            return 200 if self.sent in self.rule else 403
        if headers.get(TEST_HEADER) in self.tests and headers.get(COLOUR_HEADER) == "blue":
            return 200
        return 200 if headers.get(ORIGIN_HEADER) in self.rule else 403

    async def drift(self, stack: str) -> str:
        return self.drifted

    def rotation(self) -> Rotation:
        made = environment("prod")
        found = {"probe_url": "https://balancer", "base_url": "https://users"}
        for name, value in found.items():
            object.__setattr__(made, name, value)
        return Rotation(
            made, Stack(self, "prod"), Stack(self, "prod-traffic"), self.ask, self.drift, self.said.append
        )


@dataclass
class Stack:
    world: World
    name: str

    def has(self, key: str) -> bool:
        return key in self.world.config

    async def value(self, key: str) -> str:
        return self.world.config[key]

    async def put_secret(self, key: str, value: str) -> None:
        self.world.operation()
        self.world.config[key] = value

    async def drop(self, key: str) -> None:
        self.world.operation()
        del self.world.config[key]

    async def outputs(self) -> Mapping[str, Any]:
        return self.world.outputs if self.name == "prod" else {"originSecrets": len(self.world.rule)}

    async def update(self, message: str) -> None:
        """For a while some of CloudFront's locations send the new value and some the old one."""
        world = self.world
        world.operation()
        world.updates.append(self.name)
        if self.name == "prod":
            world.outputs = dict(world.config)
            assert {world.sent, world.outputs["originSecret"]} <= world.rule, "users are not let in"
            world.sent = world.outputs["originSecret"]
        else:
            world.rule = {world.outputs[key] for key in ORIGINS if key in world.outputs}
            assert world.sent in world.rule, "users are not let in"


def test_the_origin_secret_is_exchanged_and_nobody_is_kept_out() -> None:
    world = World()
    run_virtually(world.rotation().origin())
    assert set(world.config) == {"originSecret", "testSecret"}
    assert world.sent == world.config["originSecret"] != "old-origin"
    assert world.rule == {world.sent}
    assert world.updates == ["prod", "prod-traffic", "prod", "prod", "prod-traffic"]
    assert len(world.sent) >= 32
    assert [line[:6] for line in world.said] == ["1 of 3", "2 of 3", "3 of 3"]
    assert not any(world.sent in line or "old-origin" in line for line in world.said)


def test_the_test_secret_is_exchanged() -> None:
    world = World()
    run_virtually(world.rotation().test())
    assert world.tests == {world.config["testSecret"]} != {"old-test"}
    assert world.updates == ["prod", "prod"]
    assert world.config["originSecret"] == "old-origin"


@pytest.mark.parametrize("what", ["origin", "test"])
def test_ended_anywhere_it_is_continued_by_the_same_command(what: str) -> None:
    for operations in range(20):
        world = World(left=operations)

        async def rotate(world: World = world) -> None:
            await getattr(world.rotation(), what)()

        try:
            run_virtually(rotate())
        except Killed:
            world.left, world.drifted = -1, "half of a rotation is pending"
            if operations == 0:
                world.drifted = ""
            run_virtually(rotate())
        else:
            assert operations > 4
            break
        assert set(world.config) == {"originSecret", "testSecret"}, operations
        assert world.rule == {world.sent} == {world.config["originSecret"]}, operations
        changed = world.config[f"{what}Secret"]
        assert not changed.startswith("old"), operations
        assert world.tests == {world.config["testSecret"]}
    else:
        pytest.fail("it never ended")


def test_what_else_is_pending_is_not_deployed_with_it() -> None:
    world = World(drifted="prod is not as its program declares")
    with pytest.raises(EnvironmentProblem, match="nothing was touched: prod is not as its program declares"):
        run_virtually(world.rotation().origin())
    assert world.updates == [] and set(world.config) == {"originSecret", "testSecret"}


def test_users_kept_out_at_the_end_get_the_previous_value_back() -> None:
    world = World(shut_after=4)  # after the last two updates
    with pytest.raises(
        TrafficError, match="what users send was not accepted 10 times in a row within 60 s: 403"
    ):
        run_virtually(world.rotation().origin())
    assert world.rule == {"old-origin", world.sent}
    assert world.said[-1] == "users are not let in: the previous value is accepted again"


def test_no_answer_is_named() -> None:
    world = World()

    async def nobody(url: str, headers: dict[str, str]) -> int:
        raise httpx.ConnectError("connection refused")

    async def rotate() -> None:
        rotation = world.rotation()
        object.__setattr__(rotation, "ask", nobody)
        await rotation.test()

    with pytest.raises(TrafficError, match="connection refused"):
        run_virtually(rotate())
    assert asyncio.run(world.ask("https://users/health", {})) == 200
