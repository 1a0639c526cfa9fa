"""An undo by the whole controller, on a virtual clock."""

from __future__ import annotations

import pytest

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.testing import FakeCloud, MemoryJournal, Release, run_virtually
from rollout.journal.notes import Ended
from rollout.plan import load_plan

PLAN = load_plan("phase-c")


def undone(cloud: FakeCloud) -> tuple[Exit, MemoryJournal]:
    cloud.traffic.weight = 100
    cloud.traffic.history = [(0, 100)]

    async def night() -> tuple[Exit, MemoryJournal]:
        journal = MemoryJournal(cloud.clock)
        controller = Controller(
            PLAN, ports=cloud.ports, metrics=cloud.metrics, probes=cloud.probes, journal=journal,
            clock=cloud.clock, start=cloud.clock.now(), undo=True, reason="orders are lost",
        )  # fmt: skip
        return await controller.run(), journal

    return run_virtually(night())


def test_all_traffic_goes_back_by_one_stack_update_and_is_verified() -> None:
    cloud = FakeCloud()
    code, journal = undone(cloud)
    assert code is Exit.ROLLED_BACK
    assert [weight for _, weight in cloud.traffic.history] == [100, 0]
    assert cloud.traffic.acts == ["stack 0"]
    assert journal.records[0].body == {"t": 0, "event": "started", "undo": True, "reason": "orders are lost"}
    (end,) = (record.note for record in journal.records if isinstance(record.note, Ended))
    assert (end.outcome, end.verified, [retreat["moved"] is not None for retreat in end.retreats]) == (
        "undone", True, [True]
    )  # fmt: skip
    bodies = [body for topic, _, body in cloud.notifier.sent if topic == "immediate"]
    assert "undo: ordered by the operator: orders are lost" in bodies[0]


@pytest.mark.parametrize("how", ["broken_stack", "hanging_stack"])
def test_by_break_glass_when_the_stack_fails(how: str) -> None:
    cloud = FakeCloud()
    setattr(cloud.traffic, how, True)
    code, _ = undone(cloud)
    assert code is Exit.ROLLED_BACK
    assert cloud.traffic.acts[:2] == ["stack 0", "api 0"]
    assert cloud.traffic.weight == 0


def test_what_is_bad_afterwards_is_not_verified() -> None:
    cloud = FakeCloud()
    cloud.metrics.stable = Release(error_rate=3)
    assert undone(cloud)[0] is Exit.ROLLED_BACK_RED
    assert cloud.traffic.weight == 0
