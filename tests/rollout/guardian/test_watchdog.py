"""One look of the guardian at a time, on a clock that stands."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.guardian.watchdog import GuardianFailed
from rollout.journal.guard import AFTER, DEAD, EVERY, KEY, LEAST_AFTER, LOOK_LIMIT, RESUME_LIMIT, Guard
from rollout.journal.store import LEASE, RENEWAL, TERM, StoreError
from tests.rollout.guardian.world import BLUE, GREEN, NAME, RULE, World

ENDED = ("note", {"what": "ended", "outcome": "promoted", "verified": None, "exit": 0})
PROMOTE = ("decision", {"decision": "promote"})


@pytest.fixture
def world() -> World:
    return World()


def test_an_unwatched_rollout_goes_to_stable(world: World) -> None:
    assert world.look(AFTER).startswith("somebody was at work")
    assert world.balancer.modified == []
    assert world.look(1) == f"no controller of {NAME} for 601 s: all traffic is on blue 1.0.0"
    assert world.balancer.weights == {BLUE: 100, GREEN: 0}
    assert not world.balancer.sticky
    # Nothing else of the rule.
    assert [changes.keys() for changes in world.balancer.modified] == [{"RuleArn", "Actions"}]
    assert world.store.read(f"aborted/{NAME}")
    ((subject, text),) = world.pages
    assert subject == "an unwatched rollout was taken back"
    assert "pulumi config set simple378:candidateWeight 0 -s prod-traffic" in text


def test_it_is_done_once_and_then_nothing_is_read_again(world: World) -> None:
    world.look(AFTER + 1)
    world.balancer.weights = {BLUE: 50, GREEN: 50}  # a person, who knows what they do
    world.store.reads.clear()
    for _ in range(3):
        world.look(EVERY)
    assert world.balancer.weights == {BLUE: 50, GREEN: 50}
    assert len(world.pages) == 1
    assert not [key for key in world.store.reads if key.startswith("journals/")]


def test_a_living_controller_is_left_alone(world: World) -> None:
    for _ in range(100):
        world.renew()
        world.look(EVERY)
    assert world.balancer.modified == []


def test_who_resumes_is_watched_anew(world: World) -> None:
    world.look(AFTER - 1)
    world.renew()
    world.look(AFTER - 1)
    assert world.balancer.modified == []
    world.look(2)
    assert world.balancer.weights[GREEN] == 0


def test_who_resumes_while_the_journal_is_read_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = world.store.read

    def resumes(key: str) -> Any:
        found = read(key)
        if key.startswith("journals/"):
            world.renew()
        return found

    monkeypatch.setattr(world.store, "read", resumes)
    assert world.look(AFTER + 1) == "somebody has just begun to work"
    assert world.balancer.modified == []
    assert not world.store.read(f"aborted/{NAME}")


def test_a_rollout_that_was_left_is_taken_back(world: World) -> None:
    left = ("note", {"what": "left", "why": "the operator left", "weight": 25})
    world.begin("20251220T030000Z", left)
    world.look(AFTER + 1)
    assert world.balancer.weights[GREEN] == 0


@pytest.mark.parametrize(
    ("bodies", "header", "told"),
    [
        ([ENDED], {}, []),
        ([PROMOTE], {}, ["a promotion is not finished, and nobody is at work"]),
        ([], {"kind": "watch"}, ["nobody watches the promoted release"]),
        ([("note", {"what": "left", "why": "SIGTERM", "weight": 100})], {"kind": "watch"}, []),
    ],
)
def test_what_is_over_or_promoted_is_not_taken_back(
    world: World, bodies: list[Any], header: dict[str, Any], told: list[str]
) -> None:
    world.begin("20251220T030000Z", *bodies, **header)
    for _ in range(3):
        world.look(AFTER + 1)
    assert world.balancer.modified == []
    assert world.subjects == told


def test_an_undo_goes_to_the_old_colour(world: World) -> None:
    world.balancer.weights = {BLUE: 0, GREEN: 100}
    world.begin("20251220T030000Z", kind="undo")
    world.look(AFTER + 1)
    assert world.balancer.weights == {BLUE: 100, GREEN: 0}


def test_an_undo_that_a_watch_began_goes_to_the_old_colour(world: World) -> None:
    world.balancer.weights = {BLUE: 0, GREEN: 100}
    world.begin("20251220T030000Z", ("decision", {"decision": "set_weight", "weight": 0}), kind="watch")
    world.look(AFTER + 1)
    assert world.balancer.weights == {BLUE: 100, GREEN: 0}


def test_what_is_on_stable_already_is_not_modified_but_told(world: World) -> None:
    world.balancer.weights, world.balancer.sticky = {BLUE: 100, GREEN: 0}, False
    world.look(AFTER + 1)
    assert world.balancer.modified == []
    assert world.subjects == ["a rollout was left unfinished"]


def test_a_dead_stable_gets_no_traffic(world: World) -> None:
    world.balancer.healthy[BLUE] = 0
    for _ in range(2):
        with pytest.raises(GuardianFailed, match=r"blue 1\.0\.0 has no healthy target"):
            world.look(AFTER + 1)
    assert world.balancer.weights[GREEN] == 25
    assert not world.store.read(f"aborted/{NAME}")
    assert world.subjects == ["an unwatched rollout could NOT be taken back"]
    world.balancer.healthy[BLUE] = 1
    world.look(EVERY)
    assert world.balancer.weights[GREEN] == 0


@pytest.mark.parametrize("broken", ["ModifyRule", "DescribeRules"])
def test_what_fails_is_told_once_and_tried_until_it_works(world: World, broken: str) -> None:
    world.balancer.broken = {broken, "DescribeTargetHealth"}
    for _ in range(3):
        with pytest.raises(GuardianFailed, match="access denied"):
            world.look(AFTER + 1)
    assert len(world.pages) == 1
    assert world.store.read(f"aborted/{NAME}"), "whoever resumes hears the abort"
    world.balancer.broken = {"DescribeTargetHealth"}
    world.look(EVERY)
    assert world.balancer.weights[GREEN] == 0
    assert world.subjects[1:] == ["an unwatched rollout was taken back"]


def test_a_weight_that_is_not_read_back_is_no_success(world: World) -> None:
    world.balancer.deaf = True
    with pytest.raises(GuardianFailed, match="something else is read back"):
        world.look(AFTER + 1)


def test_a_message_that_nobody_accepted_is_sent_again(world: World) -> None:
    world.deaf = True
    with pytest.raises(GuardianFailed, match="sns:Publish"):
        world.look(AFTER + 1)
    assert world.balancer.weights[GREEN] == 0, "traffic did not wait"
    world.deaf = False
    world.look(EVERY)
    assert len(world.pages) == 1


def test_a_store_that_is_down_is_an_error(world: World) -> None:
    world.store.down = True
    with pytest.raises(StoreError):
        world.look(AFTER + 1)
    assert world.balancer.modified == []


def test_without_a_lease_the_journal_is_the_sign_of_life(world: World) -> None:
    del world.store.held[LEASE]
    world.look(AFTER - 1)
    assert world.balancer.modified == []
    world.look(2)
    assert world.balancer.weights[GREEN] == 0


def test_a_journal_that_cannot_be_read_is_told(world: World) -> None:
    world.store.write(f"journals/{NAME}/0000001.json", b"{}\n")
    world.look(AFTER + 1)
    assert world.subjects == ["a rollout's journal cannot be read"]


def test_it_says_that_it_lives(world: World) -> None:
    world.look(10)
    guard = Guard.read(world.store)
    assert guard == Guard(
        "10", AFTER, RULE, "somebody was at work 10 s ago", NAME, guard.lease if guard else ""
    )
    assert world.store.age(KEY) == 0


def test_an_empty_store_is_no_failure(world: World) -> None:
    world.store.held.clear()
    assert world.look(AFTER + 1) == "there was no rollout yet"


def test_the_times_fit_together() -> None:
    # A controller that lives, or is being taken over, is never taken for dead.
    assert AFTER >= LEAST_AFTER >= RENEWAL + TERM + RESUME_LIMIT
    # One look is over before the next begins, and a missed one does not count as death.
    assert LOOK_LIMIT < EVERY < 2 * EVERY < DEAD
