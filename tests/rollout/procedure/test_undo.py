"""What an undo goes back to: refused when there is nothing, looked at and scaled up before anything is moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest

from rollout.control.ports import TrafficError
from rollout.control.testing import FakeColours, FakeProbes, FakeTraffic, run_virtually
from rollout.journal import Record
from rollout.journal.header import Header
from rollout.journal.notes import GoingBack
from rollout.procedure.undo import OldColour, UndoRefused, going_back
from rollout.stacks.environment import Environment
from tests.rollout import driver, journals

# After the promotion: green 2.0.0 is stable, blue 1.0.0 is idle.
DEPLOYED = driver.environment("prod").exchanged()


def test_everything_that_goes_by_role_is_exchanged() -> None:
    by_role = {"stable": "s", "candidate": "c"}
    maps = [f.name for f in fields(Environment) if isinstance(getattr(DEPLOYED, f.name), Mapping)]
    others = ("topics", "notify_urls")  # by tier
    values: dict[str, Any] = {name: by_role for name in maps if name not in others}
    one = replace(DEPLOYED, **values, topics={"notice": "arn"})
    found = one.exchanged()
    for name in maps:
        wanted = getattr(one, name) if name in others else {"stable": "c", "candidate": "s"}
        assert getattr(found, name) == wanted, name
    assert found.exchanged() == one


def header(**versions: str) -> Header:
    body = journals.header(versions={"stable": "1.0.0", "candidate": "2.0.0"} | versions)
    return Header.read(Record(1, "", "rollout", 0, body))


def test_the_roles_are_as_they_were_before_the_promotion() -> None:
    before = going_back(DEPLOYED, header(), "")
    assert before.colours == {"stable": "blue", "candidate": "green"}
    assert before.versions == {"stable": "1.0.0", "candidate": "2.0.0"}
    # The names in the stack may not have been exchanged: live, but not promoted.
    assert going_back(DEPLOYED.exchanged(), header(), "").colours == before.colours
    assert going_back(DEPLOYED, None, "1.0.0").colours == before.colours


def idle(version: str) -> Environment:
    return replace(DEPLOYED, versions={**DEPLOYED.versions, "candidate": version})


@pytest.mark.parametrize(
    ("deployed", "promoted", "version", "message"),
    [
        (DEPLOYED, None, "", r"nothing here says .* before 2.0.0; blue runs 1.0.0.*`rollout undo --to 1.0.0`"),
        (DEPLOYED, header(stable=""), "", "nothing here says"),
        (idle("3.0.0"), header(), "", "blue now runs 3.0.0, not 1.0.0.*config set simple378:version 1.0.0 -s prod-blue"),
        (DEPLOYED, header(), "0.9", "blue now runs 1.0.0, not 0.9"),
        (idle("2.0.0"), None, "2.0.0", "both colours run 2.0.0: there is no other version to go back to"),
    ],
)  # fmt: skip
def test_what_is_no_way_back_is_refused(
    deployed: Environment, promoted: Header | None, version: str, message: str
) -> None:
    with pytest.raises(UndoRefused, match=message):
        going_back(deployed, promoted, version)


def test_another_version_may_be_named() -> None:
    assert going_back(idle("1.0.1"), header(), "1.0.1").versions["stable"] == "1.0.1"


@dataclass
class World:
    colours: FakeColours = field(default_factory=FakeColours)
    probes: FakeProbes = field(default_factory=FakeProbes)
    traffic: FakeTraffic = field(default_factory=lambda: FakeTraffic(weight=100))
    said: list[str] = field(default_factory=list)

    def ready(self, *, named_stable: bool = False, pods: int = 0) -> GoingBack:
        """``pods``: as many as the stack of the colour declares."""
        environment = replace(going_back(DEPLOYED, header(), ""), replicas={"stable": pods, "candidate": 4})
        old = OldColour(environment, self.colours, self.probes, self.traffic, self.said.append)
        return run_virtually(old.ready(named_stable=named_stable))


def test_a_colour_with_all_of_its_pods_is_ready_at_once() -> None:
    world = World()
    assert world.ready() == GoingBack("blue", "1.0.0", 4, 4)
    assert world.said == ["back to blue 1.0.0: 4 of 4 targets are healthy"]
    assert world.colours.scaled == []


def test_missing_pods_are_scaled_up_and_it_says_how_far_that_is() -> None:
    world = World()
    world.colours.healthy["stable"] = 0
    found = world.ready()
    assert (found.healthy, found.scaled_s) == (4, 30)
    assert world.colours.scaled == [("stable", 4)]
    assert world.said == [
        "blue: 0 of 4 targets are healthy; scaling it up by an update of prod-blue, for at most 5 min",
        "blue: 1 of 4 targets are healthy after 10 s",
        "blue: 3 of 4 targets are healthy after 20 s",
        "back to blue 1.0.0: 4 of 4 targets are healthy, after 30 s",
    ]


def test_targets_that_become_healthy_after_the_update_are_waited_for() -> None:
    class Late(FakeColours):
        looks = 0

        async def targets(self, role: str) -> tuple[int, str]:
            self.looks += 1
            return (4, "") if self.looks > 20 else (0, "10.0.0.1:8080 is initial")

    world = World(Late(seconds=1))
    assert world.ready().healthy == 4


def test_pods_that_do_not_come_are_not_waited_for_for_ever() -> None:
    world = World()
    world.colours.healthy["stable"], world.colours.stuck = 1, True
    world.colours.wrong = "10.0.0.1:8080 is initial"
    found = world.ready()
    assert (found.healthy, found.scaled_s) == (1, 300)
    assert world.said[-2:] == [
        "blue: the update was ended, not all of its pods came",
        "back to blue 1.0.0: 1 of 4 targets are healthy; 10.0.0.1:8080 is initial, after 5 min",
    ]


@pytest.mark.parametrize("broken", [True, False])
def test_without_a_healthy_target_nothing_is_moved(broken: bool) -> None:
    world = World()
    world.colours.healthy["stable"], world.colours.stuck, world.colours.broken = 0, True, broken
    with pytest.raises(TrafficError, match=r"^nothing was moved: blue 1.0.0: 0 of 4 targets are healthy$"):
        world.ready()
    assert ("blue: the stack update failed" in world.said) is broken
    assert world.traffic.acts == []


class Unseen(FakeColours):
    """``failures`` looks at the targets fail, then they are seen."""

    failures = 1_000

    async def targets(self, role: str) -> tuple[int, str]:
        if self.failures:
            self.failures -= 1
            raise TrafficError("DescribeTargetHealth failed: throttled")
        return await FakeColours.targets(self, role)


def test_a_look_that_fails_once_is_made_again() -> None:
    colours = Unseen()
    colours.failures = 1
    assert World(colours).ready().healthy == 4


@pytest.mark.parametrize("pods", [0, 4])
def test_targets_that_are_not_seen_are_a_warning_and_no_refusal(pods: int) -> None:
    world = World(Unseen())
    found = world.ready(pods=pods)
    assert found.healthy is None
    assert world.colours.scaled == ([] if pods else [("stable", 4)]), "what the stack declares counts instead"
    assert found.scaled_s is None or found.scaled_s < 60
    assert world.said[-1].startswith(
        "warning: back to blue 1.0.0: how many of 4 targets are healthy is not known; DescribeTargetHealth failed"
    )


def test_a_colour_that_fails_its_probes_is_gone_back_to_with_a_warning() -> None:
    world = World(probes=FakeProbes(lambda role, time: ["deep"] if role == "stable" else []))
    assert world.ready().failed == ("deep",)
    assert "warning: deep of blue failed through the test route" in world.said[-1]


def test_a_colour_that_answers_as_another_version_is_not_gone_back_to() -> None:
    world = World(probes=FakeProbes(answering=lambda role, time: ["1.0.0@sha256:1"]))
    world.ready()
    world = World(probes=FakeProbes(answering=lambda role, time: ["1.0.0", "3.0.0"]))
    with pytest.raises(TrafficError, match=r"^nothing was moved: blue answers as 3.0.0, not 1.0.0$"):
        world.ready()


def test_what_has_all_of_the_traffic_already_is_not_gone_back_to() -> None:
    world = World(traffic=FakeTraffic(weight=0))
    with pytest.raises(UndoRefused, match=r"nothing to undo: blue 1.0.0 has all of the traffic already"):
        world.ready(named_stable=True)
    world.ready(named_stable=False)  # it was moved by hand: the stack is brought in line
    World(traffic=FakeTraffic(weight=100)).ready(named_stable=True)
    World(traffic=FakeTraffic(broken_api=True)).ready(named_stable=True)
