"""The bad colour goes to 0 replicas once nobody needs it: after a verified abort or undo, or at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.testing import Crash, FakeCloud, MemoryJournal, Release, run_virtually
from rollout.journal.resume import recall
from rollout.plan import load_plan

PLAN = load_plan("phase-c")


def controller(cloud: FakeCloud, journal: MemoryJournal, start: float, **begins: Any) -> Controller:
    return Controller(
        PLAN, ports=cloud.ports, metrics=cloud.metrics, probes=cloud.probes, journal=journal,
        clock=cloud.clock, start=start, **begins,
    )  # fmt: skip


def ran(cloud: FakeCloud, command: str = "", **begins: Any) -> tuple[Exit, MemoryJournal]:
    """A bad release, or one that is aborted by ``command`` after a minute."""

    async def night() -> tuple[Exit, MemoryJournal]:
        journal = MemoryJournal(cloud.clock)
        one = controller(cloud, journal, cloud.clock.now(), **begins)
        if command:
            asyncio.get_running_loop().call_later(60, lambda: asyncio.ensure_future(one.operate(command)))
        return await one.run(), journal

    return run_virtually(night())


def bad() -> FakeCloud:
    cloud = FakeCloud()
    cloud.metrics.candidate = Release(db_connection_errors=3)
    return cloud


def acts(journal: MemoryJournal) -> list[tuple[str, Any]]:
    return [(r.kind, r.body.get("ok")) for r in journal.records if r.body.get("act") == "stop"]


def finished_at(journal: MemoryJournal) -> float:
    return next(r.t for r in journal.records if r.body.get("decision") == "finish")


def stopped_at(journal: MemoryJournal) -> float:
    return next(r.t for r in journal.records if r.body.get("act") == "stop")


def test_after_a_verified_abort_the_candidate_goes_to_0_replicas() -> None:
    cloud = bad()
    code, journal = ran(cloud)
    assert code is Exit.ROLLED_BACK
    assert cloud.colours.scaled == [("candidate", 0)]
    assert acts(journal) == [("intent", None), ("result", True)]
    assert stopped_at(journal) >= finished_at(journal)
    assert journal.records[-1].body["what"] == "ended"


def test_an_undo_stops_what_was_promoted() -> None:
    cloud = FakeCloud()
    cloud.traffic.weight, cloud.traffic.history = 100, [(0, 100)]
    assert ran(cloud, undo=True)[0] is Exit.ROLLED_BACK
    assert cloud.colours.scaled == [("candidate", 0)]


def test_an_abort_that_is_not_verified_stops_nothing() -> None:
    cloud = bad()
    cloud.metrics.stable = Release(error_rate=5)
    assert ran(cloud)[0] is Exit.ROLLED_BACK_RED
    assert cloud.colours.scaled == []


def test_a_promotion_stops_nothing() -> None:
    cloud = FakeCloud()
    assert ran(cloud)[0] is Exit.DONE
    assert cloud.colours.scaled == []


def test_the_candidate_is_kept_when_that_is_ordered() -> None:
    cloud = bad()
    ran(cloud, stop=False)
    assert cloud.colours.scaled == []
    cloud = FakeCloud()
    assert ran(cloud, "abort --keep")[0] is Exit.ROLLED_BACK
    assert cloud.colours.scaled == []


@pytest.mark.parametrize("stable", [Release(), Release(error_rate=5)])
def test_at_once_it_goes_when_its_weight_is_read_back_as_0(stable: Release) -> None:
    cloud = FakeCloud()
    cloud.metrics.stable = stable
    _, journal = ran(cloud, "abort --stop")
    assert cloud.colours.scaled == [("candidate", 0)]
    moved = cloud.traffic.history[-1]
    assert moved[1] == 0
    assert moved[0] <= stopped_at(journal) < moved[0] + 10
    abort = next(r.body for r in journal.records if r.body.get("event") == "operator")
    assert abort["stop"] is True


@pytest.mark.parametrize("seen", [(5,), (0, 5)])
def test_a_colour_with_traffic_is_never_stopped(seen: tuple[int, ...]) -> None:
    """Somebody gives it traffic just as the watch is over, or a late request of a stopped engine does: it looks twice."""
    looks = iter(seen)

    class Late(type(FakeCloud().traffic)):  # type: ignore[misc]
        async def read_weight(self) -> float:
            finished = any(subject.startswith("finish") for _, subject, _ in cloud.notifier.sent)
            return next(looks, 5) if finished else float(await super().read_weight())

    cloud = bad()
    cloud.traffic = Late()
    cloud.metrics.traffic = cloud.traffic
    code, journal = ran(cloud)
    assert code is Exit.ROLLED_BACK
    assert cloud.colours.scaled == []
    assert acts(journal)[-1] == ("result", False)
    (body,) = (
        body for _, subject, body in cloud.notifier.sent if subject == "the bad colour was not stopped"
    )
    assert "the candidate has 5 % of the traffic" in body


def test_an_update_that_fails_is_paged_and_does_not_change_the_exit_code() -> None:
    cloud = bad()
    cloud.colours.broken = True
    code, journal = ran(cloud)
    assert code is Exit.ROLLED_BACK
    assert acts(journal) == [("intent", None), ("result", False)]
    assert "the bad colour was not stopped" in [subject for _, subject, _ in cloud.notifier.sent]


def test_one_that_hangs_is_ended() -> None:
    cloud = bad()
    cloud.colours.stuck = True
    code, journal = ran(cloud)
    assert code is Exit.ROLLED_BACK
    assert acts(journal) == [("intent", None), ("result", False)]


@pytest.mark.parametrize("command", ["", "abort --stop"])
def test_killed_in_the_middle_it_is_stopped_by_the_next_controller(command: str) -> None:
    def night(cloud: FakeCloud, crash_after: int | None) -> list[Any]:
        async def work() -> list[Any]:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: None)
            start, journal = cloud.clock.now(), MemoryJournal(cloud.clock, crash_after=crash_after)
            journal.records = []
            one = controller(cloud, journal, start)
            if command:
                loop.call_later(60, lambda: asyncio.ensure_future(one.operate(command)))
            try:
                await one.run()
            except Crash:
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
                await asyncio.sleep(1)
                journal = MemoryJournal(cloud.clock, records=journal.records)
                await controller(cloud, journal, start).run(recall(PLAN, journal.records))
            return journal.records

        return run_virtually(work())

    def cloud() -> FakeCloud:
        return FakeCloud() if command else bad()

    whole = night(cloud(), None)
    first = next(i for i, r in enumerate(whole) if r.body.get("act") == "stop")
    for n in (*range(first - 2, first + 6), *range(len(whole) - 3, len(whole) - 1)):
        one = cloud()
        records = night(one, n)
        assert one.colours.scaled, n
        assert set(one.colours.scaled) == {("candidate", 0)}
        assert [r.body["ok"] for r in records if r.kind == "result" and r.body["act"] == "stop"] == [True], n
