"""A controller that is killed at any instant and resumed ends in the same place, or on stable."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.ports import TrafficError
from rollout.control.testing import Crash, FakeCloud, FakeTraffic, MemoryJournal, Release, run_virtually
from rollout.journal import Record
from rollout.journal.header import Header
from rollout.journal.notes import Ended, Left, Note, Page, Reconciled, note_to_json
from rollout.journal.resume import ResumeError, check_rules, ended, header_under_way, recall
from rollout.plan import Plan, Stage, load_plan
from rollout.policy import RULES
from rollout.policy.events import DecisionKind
from tests.rollout import journals

PHASE_C = load_plan("phase-c")
# Few events, so that every one of them can be the last.
PLAN: Plan = replace(
    PHASE_C,
    stages=(Stage(50, 60), Stage(100, 60)),
    health=replace(PHASE_C.health, interval=30),
    verification=replace(PHASE_C.verification, watch=60),
    hold_timeout=60,
)


def controller(cloud: FakeCloud, journal: MemoryJournal, start: float, **begins: Any) -> Controller:
    return Controller(
        PLAN,
        ports=cloud.ports,
        metrics=cloud.metrics,
        probes=cloud.probes,
        journal=journal,
        clock=cloud.clock,
        start=start,
        **begins,
    )


BEGINS: Mapping[str, Mapping[str, Any]] = {"undo": {"undo": True}, "watch": {"watch_s": 3600}}


def cloud_of(kind: str) -> FakeCloud:
    cloud = FakeCloud()
    cloud.traffic.seconds = 3
    if kind == "errors":
        cloud.metrics.candidate = Release(error_rate=5, bad_from=180)
    elif kind == "probes":
        cloud.probes.failing = lambda role, time: ["ready"] if role == "candidate" and time > 150 else []
    elif kind in BEGINS:
        if kind == "watch":
            cloud.probes.failing = lambda role, time: ["ready"] if role == "candidate" and time > 100 else []
        cloud.traffic.weight = 100
        cloud.traffic.history = [(0, 100)]
    elif kind == "broken stack":
        cloud.metrics.candidate = Release(db_connection_errors=3, bad_from=60)
    return cloud


async def killed_after(
    cloud: FakeCloud, records: int | None, orphans: bool = False, **begins: Any
) -> tuple[Exit, list[Record]]:
    """One release whose controller dies in place of the record after ``records`` and is resumed 2 s later."""
    # What a task of a dead process raised is nobody's concern.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    start = cloud.clock.now()
    journal = MemoryJournal(cloud.clock, crash_after=records)
    try:
        journal.append("rollout", 0, {})
        code = await controller(cloud, journal, start, **begins).run()
        if records is not None:
            raise Crash  # it died in a task of which the loop does not hear
        return code, journal.records
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
    return await controller(cloud, journal, start, **begins).run(past), journal.records


@pytest.mark.parametrize("orphans", [False, True], ids=["engine dies", "engine lives on"])
@pytest.mark.parametrize("kind", ["good", "errors", "probes", "broken stack", "undo", "watch"])
def test_killed_at_every_record(kind: str, orphans: bool) -> None:
    def run(records: int | None) -> tuple[FakeCloud, Exit, list[Record]]:
        cloud = cloud_of(kind)
        if kind == "broken stack":

            async def breaking() -> tuple[Exit, list[Record]]:
                asyncio.get_running_loop().call_at(100, setattr, cloud.traffic, "broken_stack", True)
                asyncio.get_running_loop().call_at(400, setattr, cloud.traffic, "broken_stack", False)
                return await killed_after(cloud, records, orphans)

            return cloud, *run_virtually(breaking())
        return cloud, *run_virtually(killed_after(cloud, records, orphans, **BEGINS.get(kind, {})))

    whole, wanted, records = run(None)
    if kind in BEGINS:
        assert (wanted, whole.traffic.weight) == (Exit.ROLLED_BACK, 0)
    assert (20 if kind in BEGINS else 60) < len(records) < 400
    for n in range(1, len(records)):
        cloud, code, journal = run(n)
        if code != wanted:
            # It is not begun again. Unless it arrives after all, the policy takes it back, and nobody resumes.
            assert increase_without_result(records[:n]), f"killed after record {n}: {records[n - 1]}"
            assert code in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)
        same = code == wanted
        assert cloud.traffic.weight == (whole.traffic.weight if same else 0), n
        assert cloud.traffic.promoted == (whole.traffic.promoted and same), n
        assert [r.seq for r in journal] == list(range(1, len(journal) + 1))
        told = {subject for _, subject, _ in cloud.notifier.sent}
        assert any(subject.startswith("finish") for subject in told), n


def test_a_stack_that_break_glass_left_behind_is_brought_in_line_by_the_controller_that_continues() -> None:
    class NoDecrease(FakeTraffic):
        async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
            raise TrafficError("the stack update failed")

    def run(records: int | None) -> list[Record]:
        cloud = FakeCloud(traffic=NoDecrease(weight=100))
        return run_virtually(killed_after(cloud, records, undo=True))[1]

    moved = next(r.seq for r in run(None) if r.kind == "result" and r.body.get("break_glass"))
    written = run(moved)
    assert not any(isinstance(r.note, Reconciled) for r in written[:moved])
    assert [r.note.weight for r in written if isinstance(r.note, Reconciled)] == [0]


def increase_without_result(records: list[Record]) -> bool:
    """Whether the newest weight was to be an increase of which the journal does not say what came of it."""
    past = recall(PLAN, records)
    decided = [d for d in past.decisions if d.decision is DecisionKind.SET_WEIGHT]
    results = [r for r in records if r.kind == "result" and r.body.get("act") == "set_weight"]
    return bool(decided) and decided[-1].increase and len(results) < len(decided)


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
    assert [(p.decision.decision, p.act, p.notify) for p in past.pending] == [
        (DecisionKind.SET_WEIGHT, False, True)  # told again, but not begun again
    ]


Body = Mapping[str, Any]
STARTED: Body = {"t": 0, "event": "started"}
WEIGHT: Body = {"t": 0, "decision": "set_weight", "weight": 50, "criterion": "started"} | {
    "value": None, "limit": None, "event": "started", "reason": ""
}  # fmt: skip
ABORT: Body = {"t": 9, "event": "operator", "command": "abort"}
EFFECT = 3  # the number of the record with the first decision


def numbered(*records: tuple[str, Body]) -> list[Record]:
    return [Record(seq, "", kind, 0, body) for seq, (kind, body) in enumerate(records, start=1)]


def begun(*more: tuple[str, Body]) -> list[Record]:
    """A rollout that commanded its first weight, and what the journal says after that."""
    return numbered(("rollout", journals.header()), ("event", STARTED), ("decision", WEIGHT), *more)


def result(act: str, *, effect: int = EFFECT, **more: Any) -> tuple[str, Body]:
    return "result", {"effect": effect, "act": act, "ok": True, **more}


def note(value: Note) -> tuple[str, Body]:
    return "note", note_to_json(value)


@pytest.mark.parametrize(
    ("results", "pending"),
    [
        ([], (False, True)),  # an increase that may still arrive
        ([result("set_weight")], (False, True)),
        ([result("notify")], None),
        ([result("set_weight"), result("notify")], None),
        ([result("set_weight"), result("notify", ok=False)], (False, True)),  # nobody was told
        ([result("set_weight"), result("notify", ok=False), result("notify")], None),
        ([result("set_weight", ok=False), result("notify")], None),  # refused: for the policy to take back
        ([result("set_weight", ok=False, stopped=True), result("notify")], (True, False)),
        ([result("set_weight", effect=EFFECT + 1), result("notify", effect=EFFECT + 1)], (False, True)),
    ],
)
def test_what_has_no_good_result_is_pending(
    results: list[tuple[str, Body]], pending: tuple[bool, bool] | None
) -> None:
    found = recall(PLAN, begun(*results)).pending
    assert [(each.effect, each.act, each.notify) for each in found] == (
        [] if pending is None else [(EFFECT, *pending)]
    )


def test_pages_that_nobody_took_are_sent_again() -> None:
    page, other = note(Page("nobody watches", "come back")), note(Page("told", ""))
    records = begun(
        page, other, result("notify", effect=EFFECT + 1, ok=False), result("notify", effect=EFFECT + 2)
    )
    assert recall(PLAN, records).untold == ((EFFECT + 1, Page("nobody watches", "come back")),)


def test_only_the_latest_weight_is_commanded_again() -> None:
    back = {**WEIGHT, "t": 9, "weight": 0, "criterion": "operator", "event": "operator"}
    past = recall(PLAN, begun(("event", ABORT), ("decision", back)))
    assert [(each.decision.weight, each.act, each.notify) for each in past.pending] == [
        (50, False, True),
        (0, True, True),
    ]
    assert [decision.weight for decision in past.decisions] == [50, 0]


def test_a_promotion_that_failed_is_tried_again_and_nobody_is_notified_of_it_twice() -> None:
    async def run() -> list[Record]:
        return (await killed_after(cloud_of("good"), None))[1]

    written = run_virtually(run())
    assert [each for each in recall(PLAN, written).pending if each.decision.decision == "promote"] == []
    failed = [
        replace(record, body={**record.body, "ok": False})
        if record.kind == "result" and record.body["act"] in ("promote", "prepare_rollback")
        else record
        for record in written
    ]
    # What prepares a rollback only makes it quicker.
    assert [(p.decision.decision, p.act, p.notify) for p in recall(PLAN, failed).pending] == [
        (DecisionKind.PROMOTE, True, False)
    ]


@pytest.mark.parametrize(
    ("records", "must"),
    [
        ([], False),
        ([result("set_weight")], False),
        ([result("set_weight", break_glass=True)], True),
        ([result("set_weight", break_glass=True, ok=False)], False),
        ([result("promote", break_glass=True)], False),
        ([("intent", {"act": "set_weight", "ok": True, "break_glass": True})], False),
        ([result("set_weight", break_glass=True), result("notify")], True),
        ([result("set_weight", break_glass=True), result("set_weight")], False),
        ([result("set_weight", break_glass=True), note(Left("SIGTERM", 0))], True),
        ([result("set_weight", break_glass=True), note(Reconciled(0))], False),
        ([note(Reconciled(0)), result("set_weight", break_glass=True)], True),
    ],
)
def test_the_stack_is_brought_in_line_unless_it_was_since(
    records: list[tuple[str, Body]], must: bool
) -> None:
    assert recall(PLAN, begun(*records)).reconcile is must


def test_a_decision_without_an_event_is_refused() -> None:
    records = numbered(("rollout", journals.header()), ("decision", WEIGHT))
    with pytest.raises(ResumeError, match=r"^record 2: the journal says .*, the policy decides nothing$"):
        recall(PLAN, records)


def test_the_last_closing_note_counts_whatever_was_noted_after_it() -> None:
    assert ended(begun(note(Left("SIGTERM", 5)))) is None
    first, last = Ended("aborted", True, 3), Ended("promoted", None, 0)
    assert ended(begun(note(first), note(last), note(Left("SIGTERM", 5)))) == last
    assert recall(PLAN, begun(note(last))).ended == last


def test_only_a_header_whose_roles_still_hold_is_under_way() -> None:
    assert header_under_way([]) is None
    records = begun()
    assert header_under_way(records) == Header.read(records[0])
    assert header_under_way(begun(("decision", {**WEIGHT, "decision": "promote"}))) is None
    # Only a decision exchanges the roles.
    assert header_under_way(begun(("note", {"what": "page", "decision": "promote"}))) is not None
    assert header_under_way(numbered(("rollout", {}))) is None


def test_a_rollout_of_other_rules_is_not_resumed() -> None:
    header = Header.read(begun()[0])
    check_rules(header)
    with pytest.raises(
        ResumeError, match=f"version {RULES + 1} of the policy's rules, this is version {RULES}"
    ):
        check_rules(replace(header, policy=RULES + 1))
    with pytest.raises(ResumeError, match="the journal has format 1"):
        check_rules(replace(header, format=1))
