"""Rule 17 in a whole release: somebody changes the rule's conditions, and every user gets a 403."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from rollout.control.exits import Exit
from rollout.control.testing import FakeCloud, FakeProbes
from rollout.journal.account import Verdict, account_of
from rollout.journal.header import Header
from rollout.plan import plan_text
from rollout.policy.events import ROLES
from tests.rollout.releases import Run, release

ROUNDS = (*ROLES, "front_door")


def cloud(**traffic: Any) -> FakeCloud:
    made = FakeCloud()
    for name, value in traffic.items():
        setattr(made.traffic, name, value)

    def failing(role: str, time: float) -> list[str]:
        return ["health"] if role == "front_door" and made.traffic.shut else []

    made.probes = FakeProbes(failing=failing, roles=ROUNDS)
    return made


def shut(run: Run) -> None:
    """A stranger's ModifyRule."""
    run.cloud.traffic.shut = True


def test_an_open_front_door_changes_nothing() -> None:
    run = release(cloud())
    assert run.exit is Exit.DONE
    assert {event["colour"] for event in run.events("health")} == set(ROUNDS)


@pytest.mark.parametrize("stack", [{}, {"broken_stack": True}, {"hanging_stack": True}], ids=str)
def test_users_are_back_on_stable_within_two_minutes(stack: dict[str, bool]) -> None:
    def begin(run: Run) -> None:
        shut(run)
        for name in stack:
            setattr(run.cloud.traffic, name, True)

    began, looks = 400.0, []

    def look(run: Run) -> None:
        looks.append((run.cloud.traffic.shut, run.cloud.traffic.weight))

    run = release(cloud(), (began, begin), (began + 120, look))
    assert looks == [(False, 0)]
    assert run.exit is Exit.ROLLED_BACK
    (aborted,) = [d.body for d in run.decisions("set_weight") if d.body["criterion"] == "front_door"]
    assert aborted["t"] < began + 21
    reached = {note.body["milestone"]: note.body["at"] for note in run.notes("timeline")}
    assert began <= reached["detected"] < began + 6
    assert reached["moved"] < began + 60
    assert any(
        topic == "immediate" and "front_door" in subject for topic, subject, _ in run.cloud.notifier.sent
    )


def test_its_journal_makes_a_report() -> None:
    run = release(cloud(), (400.0, shut))
    header = Header(plan_text("phase-c")[0], "prod", "blue", "green", 0)
    account = account_of([replace(run.journal.records[0], body=header.to_json()), *run.journal.records[1:]])
    (*_, last) = account.stages
    assert (last.verdict, account.outcome) == (Verdict.ERROR, "aborted")
    assert 400 <= (account.breach_s or 0) < 406


def test_one_that_never_passed_is_paged_and_no_more() -> None:
    made = cloud(shut=True)
    run = release(made)
    assert run.exit is Exit.DONE
    told = [subject for _, subject, _ in made.notifier.sent if "front_door" in subject]
    assert told == ["alert: front_door"]


def test_a_round_that_never_ends_is_a_failed_one() -> None:
    made = cloud()

    class Hanging(FakeProbes):
        async def round(self, role: str) -> Any:
            if role == "front_door" and asyncio.get_running_loop().time() > 60:
                await asyncio.Event().wait()
            return await super().round(role)

    made.probes = Hanging(roles=ROUNDS)
    run = release(made)
    assert run.decisions("set_weight")[-1].body["criterion"] == "front_door"
    failed = [event["failed"] for event in run.events("health") if event["failed"]]
    assert failed[0] == ["health", "page"]
