"""Whether the guardian lives, and what a rollout that is left may expect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.journal.guard import DEAD, EVERY
from rollout.journal.store import Shared
from rollout.procedure.guardian import ask_guardian, unwatched
from tests.rollout.guardian.world import RULE, World
from tests.rollout.procedure.test_preflight import ENVIRONMENT

PROD = replace(ENVIRONMENT, rule_arn=RULE)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def shared(world: World) -> Shared:
    return Shared(world.store)


def test_one_that_lives(world: World, shared: Shared) -> None:
    world.look(1)
    world.clock.now += EVERY
    found = ask_guardian(shared, PROD)
    assert found.problem == ""
    assert found.detail == "looked 60 s ago, takes back what nobody watches for 600 s"
    assert unwatched(shared) == (
        "The guardian sends all traffic to stable when nobody has resumed within 600 s."
    )


def test_one_that_lives_no_more_stops_a_rollout(world: World, shared: Shared) -> None:
    world.look(1)
    world.clock.now += DEAD + 1
    found = ask_guardian(shared, PROD)
    assert "it looked last 231 s ago" in found.problem
    assert "`pulumi up -s prod-guardian`" in found.problem
    assert not found.warning
    assert unwatched(shared) == "No guardian takes it back."


def test_one_of_another_rule_stops_a_rollout(world: World, shared: Shared) -> None:
    world.look(1)
    found = ask_guardian(shared, replace(PROD, rule_arn="arn:another"))
    assert found.problem.startswith("it may modify arn:rule, the rule in force is arn:another")


def test_none_is_a_warning(shared: Shared) -> None:
    for found in (ask_guardian(None, PROD), ask_guardian(shared, PROD)):
        assert found.problem
        assert found.warning
    assert unwatched(None) == unwatched(shared) == "No guardian takes it back."


def test_a_store_that_does_not_answer(world: World, shared: Shared) -> None:
    world.store.down = True
    assert ask_guardian(shared, PROD).problem == "the store is down"
    assert "not known" in unwatched(shared)
