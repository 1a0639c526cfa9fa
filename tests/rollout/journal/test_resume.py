"""A controller that is killed at any instant and resumed ends in the same place."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.testing import Crash, FakeCloud, MemoryJournal, Release, run_virtually
from rollout.journal import Record
from rollout.journal.resume import ResumeError, recall
from rollout.plan import Plan, Stage, load_plan
from rollout.policy.events import DecisionKind

PHASE_C = load_plan("phase-c")
# Few events, so that every one of them can be the last.
PLAN: Plan = replace(
    PHASE_C,
    stages=(Stage(50, 60), Stage(100, 60)),
    health=replace(PHASE_C.health, interval=30),
    verification=replace(PHASE_C.verification, watch=60),
    hold_timeout=60,
)


def controller(cloud: FakeCloud, journal: MemoryJournal, start: float) -> Controller:
    return Controller(
        PLAN,
        ports=cloud.ports,
        metrics=cloud.metrics,
        probes=cloud.probes,
        journal=journal,
        clock=cloud.clock,
        start=start,
    )


def cloud_of(kind: str) -> FakeCloud:
    cloud = FakeCloud()
    cloud.traffic.seconds = 3
    if kind == "errors":
        cloud.metrics.candidate = Release(error_rate=5, bad_from=180)
    elif kind == "probes":
        cloud.probes.failing = lambda role, time: ["ready"] if role == "candidate" and time > 150 else []
    elif kind == "broken stack":
        cloud.metrics.candidate = Release(db_connection_errors=3, bad_from=60)
    return cloud


async def killed_after(
    cloud: FakeCloud, records: int | None, orphans: bool = False
) -> tuple[Exit, list[Record]]:
    """One release whose controller dies in place of the record after ``records`` and is resumed 2 s later."""
    # What a task of a dead process raised is nobody's concern.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    start = cloud.clock.now()
    journal = MemoryJournal(cloud.clock, crash_after=records)
    try:
        journal.append("rollout", 0, {})
        return await controller(cloud, journal, start).run(), journal.records
    except Crash:
        cloud.traffic.orphaned = orphans
        running = {t for t in asyncio.all_tasks() if not (orphans and "_engine" in repr(t.get_coro()))}
        running -= {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(2)
        cloud.traffic.orphaned = False
    written = journal.records or [Record(1, "", "rollout", 0, {})]
    journal = MemoryJournal(cloud.clock, records=written)
    past = recall(PLAN, written)
    if past.ended:
        return Exit(past.ended.exit), written
    return await controller(cloud, journal, start).run(past), journal.records


@pytest.mark.parametrize("orphans", [False, True], ids=["engine dies", "engine lives on"])
@pytest.mark.parametrize("kind", ["good", "errors", "probes", "broken stack"])
def test_killed_at_every_record(kind: str, orphans: bool) -> None:
    def run(records: int | None) -> tuple[FakeCloud, Exit, list[Record]]:
        cloud = cloud_of(kind)
        if kind == "broken stack":

            async def breaking() -> tuple[Exit, list[Record]]:
                asyncio.get_running_loop().call_at(100, setattr, cloud.traffic, "broken_stack", True)
                asyncio.get_running_loop().call_at(400, setattr, cloud.traffic, "broken_stack", False)
                return await killed_after(cloud, records, orphans)

            return cloud, *run_virtually(breaking())
        return cloud, *run_virtually(killed_after(cloud, records, orphans))

    whole, wanted, records = run(None)
    assert 60 < len(records) < 400
    for n in range(1, len(records)):
        cloud, code, journal = run(n)
        assert code == wanted, f"killed after record {n}: {records[n - 1]}"
        assert cloud.traffic.weight == whole.traffic.weight, n
        assert cloud.traffic.promoted == whole.traffic.promoted, n
        assert [r.seq for r in journal] == list(range(1, len(journal) + 1))
        told = {subject for _, subject, _ in cloud.notifier.sent}
        assert {subject for _, subject, _ in whole.notifier.sent if subject.startswith("finish")} <= told, n


def test_a_journal_of_another_policy_is_refused() -> None:
    async def run() -> list[Record]:
        return (await killed_after(cloud_of("good"), None))[1]

    written = run_virtually(run())
    first = next(i for i, r in enumerate(written) if r.kind == "decision")
    changed = [*written]
    changed[first] = replace(written[first], body={**written[first].body, "weight": 10})
    with pytest.raises(ResumeError, match=f"record {first + 1}"):
        recall(PLAN, changed)
    with pytest.raises(ResumeError, match="the journal nothing"):
        recall(PLAN, [r for r in written if r.kind != "decision"])


def test_a_journal_from_before_decisions_said_increase_is_continued() -> None:
    async def run() -> list[Record]:
        return (await killed_after(cloud_of("good"), None))[1]

    written = run_virtually(run())
    raised = [r for r in written if r.kind == "decision" and r.body.get("increase")]
    assert [r.body["weight"] for r in raised] == [50, 100]
    old = [replace(r, body={k: v for k, v in r.body.items() if k != "increase"}) for r in written]
    past = recall(PLAN, old)
    assert [d.weight for d in past.decisions if d.increase] == [50, 100]


def test_what_the_crash_swallowed_is_done_again() -> None:
    async def run() -> list[Record]:
        return (await killed_after(cloud_of("good"), None))[1]

    written = run_virtually(run())
    decided = next(i for i, r in enumerate(written) if r.kind == "decision" and r.body["weight"] == 100)
    assert [d.weight for d in recall(PLAN, written[:decided]).unwritten] == [100]
    past = recall(PLAN, written[: decided + 1])
    assert not past.unwritten
    assert [(p.decision.decision, p.act) for p in past.pending] == [(DecisionKind.SET_WEIGHT, True)]
