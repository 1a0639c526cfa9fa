"""An undo by the whole controller, on a virtual clock."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.testing import FakeCloud, MemoryJournal, Release, run_virtually
from rollout.journal.notes import Ended
from rollout.journal.resume import recall
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


HOUR = 3600.0


def watched(cloud: FakeCloud, hours: float = 30) -> tuple[Exit, MemoryJournal]:
    """The steady state after a promotion."""
    cloud.traffic.weight = 100
    cloud.traffic.history = [(0, 100)]

    async def night() -> tuple[Exit, MemoryJournal]:
        journal = MemoryJournal(cloud.clock)
        controller = Controller(
            PLAN, ports=cloud.ports, metrics=cloud.metrics, probes=cloud.probes, journal=journal,
            clock=cloud.clock, start=cloud.clock.now(), watch_s=hours * HOUR,
        )  # fmt: skip
        return await controller.run(), journal

    return run_virtually(night(), limit=40 * HOUR)


def times_of(journal: MemoryJournal, event: str, role: str = "") -> list[float]:
    bodies = (record.body for record in journal.records if record.kind == "event")
    return [b["t"] for b in bodies if b["event"] == event and b.get("colour", "") == role]


def test_the_steady_state_looks_every_30_s_for_a_day_then_every_minute_and_moves_nothing() -> None:
    cloud = FakeCloud()
    code, journal = watched(cloud)
    assert code is Exit.DONE
    rounds = times_of(journal, "health", "candidate")
    gaps = {(t < 24 * HOUR, round(after - t)) for t, after in pairwise(rounds)}
    assert gaps == {(True, 30), (False, 60)}
    assert cloud.traffic.acts == []
    assert not times_of(journal, "resumed")
    (end,) = (record.note for record in journal.records if isinstance(record.note, Ended))
    assert (end.outcome, end.exit) == ("watched", 0)
    assert {topic for topic, _, _ in cloud.notifier.sent} == {"notice"}


def test_three_failed_rounds_undo_and_then_it_looks_as_often_as_in_a_release() -> None:
    cloud = FakeCloud()
    cloud.probes.failing = lambda role, time: ["ready"] if role == "candidate" and time > HOUR else []
    code, journal = watched(cloud)
    assert code is Exit.ROLLED_BACK
    (_, went) = cloud.traffic.history
    assert HOUR + 60 < went[0] < HOUR + 100
    assert went[1] == 0
    after = [t for t in times_of(journal, "health", "stable") if t > went[0] + 5]
    assert {round(b - a) for a, b in pairwise(after)} == {5}
    assert after[0] < went[0] + 10, "it does not sleep on"


def test_a_watch_that_leaves_says_how_to_go_on() -> None:
    cloud = FakeCloud()
    cloud.traffic.weight = 100

    async def night() -> Exit:
        controller = Controller(
            PLAN, ports=cloud.ports, metrics=cloud.metrics, probes=cloud.probes, journal=MemoryJournal(cloud.clock),
            clock=cloud.clock, start=cloud.clock.now(), watch_s=HOUR,
        )  # fmt: skip
        asyncio.get_running_loop().call_later(100, controller.leave, "SIGINT")
        return await controller.run()

    assert run_virtually(night()) is Exit.FAILED
    (told,) = (body for _, subject, body in cloud.notifier.sent if subject == "nobody watches the rollout")
    assert "`rollout watch` watches it again, `rollout undo` takes it back" in told


def test_a_watch_that_is_resumed_after_its_time_hears_first_what_was_ordered_meanwhile() -> None:
    """Found by seed 20038: the time was over before the mark of an undo was looked at."""

    async def night() -> tuple[Exit, list[str]]:
        cloud = FakeCloud()
        cloud.traffic.weight = 100
        cloud.traffic.history = [(0, 100)]
        start, journal = cloud.clock.now(), MemoryJournal(cloud.clock)

        def controller() -> Controller:
            return Controller(
                PLAN, ports=cloud.ports, metrics=cloud.metrics, probes=cloud.probes, journal=journal,
                clock=cloud.clock, start=start, watch_s=600,
            )  # fmt: skip

        first = controller()
        asyncio.get_running_loop().call_later(60, first.leave, "the machine is needed")
        assert await first.run() is Exit.FAILED
        await asyncio.sleep(1000)
        code = await controller().run(recall(PLAN, journal.records), "abort")
        ends = [r.body["outcome"] for r in journal.records if r.body.get("decision") == "finish"]
        return code, ends

    assert run_virtually(night()) == (Exit.ROLLED_BACK, ["undone"])
