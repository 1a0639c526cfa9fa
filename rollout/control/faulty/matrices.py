"""Two tables of what fails: the death of the process at every record, and each fault of what moves traffic off the candidate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.faulty.draw import ALL, Night, draw_night
from rollout.control.faulty.night import play_night
from rollout.control.faulty.process import Death
from rollout.control.ports import TrafficError
from rollout.control.testing import FakeCloud, FakeProbes, FakeTraffic, MemoryJournal, Release, run_virtually
from rollout.journal.resume import recall
from rollout.plan import Stage, load_plan
from rollout.policy.events import FRONT_DOOR, FRONT_DOOR_PROBES, ROLES
from rollout.policy.state import Phase

# --- the death of the process

ROLLOUTS = ("good", "bad", "undo")
_REST = 2.0  # seconds until somebody resumes
_NEVER = 1e9


def quiet_night(rollout: str) -> Night:
    """A night in which nothing fails, with few events, so that each of them can be the last."""
    plan = load_plan("phase-c")
    plan = replace(
        plan,
        stages=(Stage(50, 60), Stage(100, 60)),
        health=replace(plan.health, interval=30),
        verification=replace(plan.verification, watch=60),
        hold_timeout=60,
    )
    return replace(
        draw_night(0),
        undo=rollout == "undo",
        plan=plan,
        candidate=Release(error_rate=5, bad_from=180) if rollout == "bad" else Release(),
        stable=Release(),
        metrics_delay=30.0,
        missing_from=_NEVER,
        rate_limited=0.0,
        roles=ROLES,
        streaks=(),
        alarms=(),
        commands=(),
        sleeps=(),
        strangers=(),
        deaths=(),
        rests=(),
        skews=(),
        rates={},
        outages=(),
        engine=(3.0, 3.0),
        refused_from=_NEVER,
        calm_at=0.0,
        elsewhere=None,
        foreign=(),
        watch_s=None,
        watched=False,
    )


@dataclass(slots=True)
class Deaths:
    """One row: the process was killed before and after each of these records, and somebody resumed."""

    rollout: str
    record: str  # kind of the record
    kills: int = 0
    same: int = 0  # ended as without
    stable: int = 0  # ended on stable instead
    broken: list[str] = field(default_factory=list)  # anything else, or an invariant was broken


def deaths(stride: int = 1) -> Iterator[Deaths]:
    """The rows; ``stride``: only every so many records of a rollout."""
    for rollout in ROLLOUTS:
        night = quiet_night(rollout)
        whole = play_night(night)
        rows: dict[tuple[str, str], Deaths] = {}
        baking_from = (
            next(
                (n for n in range(1, len(whole.records)) if _phase(night, whole.records[:n]) is Phase.BAKING),
                len(whole.records),
            )
            if rollout == "good"
            else len(whole.records)
        )
        for number in range(1, len(whole.records), stride):
            record = whole.records[number]  # the header is written before
            part = "good, in the bake" if number >= baking_from else rollout
            row = rows.setdefault((part, record.kind), Deaths(part, record.kind))
            for after in (False, True):
                killed = replace(
                    night, deaths=(Death("record", number, after),), rests=(_REST,), skews=(0.0,)
                )
                _count(row, whole.exit, killed)
        yield from rows.values()


def _phase(night: Night, records: Any) -> Phase:
    return recall(night.plan, records).state.phase


def _count(row: Deaths, wanted: Exit | None, night: Night) -> None:
    played = play_night(night)
    row.kills += 1
    if played.violations:
        row.broken.append(f"{night.deaths[0]}: {played.violations[0]}")
    elif played.exit is wanted:
        row.same += 1
    elif played.exit in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED):
        row.stable += 1
    else:
        row.broken.append(f"{night.deaths[0]}: exit {played.exit}")


# --- a fault of what moves traffic off the candidate

LASTING = (
    "stack locked",
    "backend 503",
    "engine missing",
    "engine hanging",
    "read-back disagreeing",
    "disk full",
)
PASSING = ("ELB throttled", "credentials wrong", "SNS down")  # until then nothing else helps
FAULTS = ("none", *LASTING, *PASSING, "front door broken")
ACTIONS = ("abort", "breach", "undo")
PASSES_AFTER = 120.0  # seconds after the fault began
_ORDERED_AT = 40.0  # seconds: the operator's abort
_FOUND_AT = 150.0  # seconds: the breach, when the first metric period is published
_EVERYWHERE = ("ELB throttled", "credentials wrong")


class FaultyStack(FakeTraffic):
    """A load balancer and its stack of which a fault takes hold at a time."""

    fault = ""

    def _check_api(self) -> None:
        if self.fault in _EVERYWHERE:
            raise TrafficError(f"the load balancer's API: {self.fault}")

    async def _check_stack(self) -> None:
        match self.fault:
            case "stack locked":
                await asyncio.sleep(3)  # as long as a decrease waits for another update
                raise TrafficError("the stack is locked by another update")
            case "backend 503":
                await asyncio.sleep(1)
                raise TrafficError("the state cannot be read: 503 Service Unavailable")
            case "engine missing":
                raise FileNotFoundError(2, "No such file or directory", "pulumi")
            case "engine hanging":
                await asyncio.Event().wait()
            case "credentials wrong":
                raise TrafficError("the update failed: ExpiredToken")

    async def read_weight(self) -> float:
        self._check_api()
        return await super().read_weight()

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        await self._check_stack()
        if self.fault == "read-back disagreeing":
            await asyncio.sleep(self.seconds)
            return {}  # the engine says that it is done
        return await super().set_weight(weight, increase=increase)

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        self._check_api()
        return await super().break_glass(weight)

    async def reconcile(self, weight: int) -> Mapping[str, Any]:
        await self._check_stack()
        return await super().reconcile(weight)


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one action under one fault. ``seconds`` from the decision until no traffic was on the candidate."""

    fault: str
    action: str
    way: str  # "stack", "break-glass"; empty: never
    seconds: float
    exit: Exit
    told: bool  # of the decision and of what did not work
    in_line: bool  # the stack declares what the load balancer has

    @property
    def words(self) -> str:
        """``break-glass after 3.5 s, exit 3``."""
        moved = f"{self.way} after {self.seconds:.1f} s" if self.way else "NOT MOVED"
        line = "" if self.in_line else ", stack out of line (paged)"
        return f"{moved}, exit {int(self.exit)}{line}{'' if self.told else ', NOBODY TOLD'}"


def cell(fault: str, action: str) -> Cell:
    """Plays one action under one fault."""
    return run_virtually(_play(fault, action))


def cells() -> Iterator[Cell]:
    return (cell(fault, action) for fault in FAULTS for action in ACTIONS)


async def _play(fault: str, action: str) -> Cell:
    loop = asyncio.get_running_loop()
    traffic, probes = FaultyStack(), FakeProbes(roles=(*ROLES, FRONT_DOOR))
    cloud = FakeCloud(traffic=traffic, probes=probes)
    if action == "breach":
        cloud.metrics.candidate = Release(db_connection_errors=1)
    if action == "undo":
        traffic.weight, traffic.stack_weight, traffic.history = ALL, ALL, [(0.0, ALL)]
    journal, begins = MemoryJournal(cloud.clock), 0.0 if action == "undo" else _ORDERED_AT - 1
    controller = Controller(
        load_plan("phase-c"),
        ports=cloud.ports,
        metrics=cloud.metrics,
        probes=probes,
        journal=journal,
        clock=cloud.clock,
        start=cloud.clock.now(),
        undo=action == "undo",
    )

    def begin() -> None:
        traffic.fault = fault
        cloud.notifier.broken = fault == "SNS down"
        journal.failure = OSError(28, "No space left on device") if fault == "disk full" else None
        if fault == "front door broken":
            probes.failing = lambda role, time: FRONT_DOOR_PROBES if role == FRONT_DOOR else ()

    def end() -> None:
        traffic.fault, cloud.notifier.broken = "", False

    if begins:
        loop.call_at(begins, begin)
    else:
        begin()
    if fault in PASSING:
        loop.call_at((_FOUND_AT if action == "breach" else begins) + PASSES_AFTER, end)
    if action == "abort":
        loop.call_at(_ORDERED_AT, lambda: loop.create_task(controller.operate("abort")))
    code = await controller.run()
    return _found(fault, action, cloud, journal, code)


def _found(fault: str, action: str, cloud: FakeCloud, journal: MemoryJournal, code: Exit) -> Cell:
    decided = next(
        r
        for r in journal.records
        if r.kind == "decision" and r.body["decision"] == "set_weight" and r.body["weight"] == 0
    )
    moved = next((at for at, weight in cloud.traffic.history if weight == 0), None)
    results = [r.body for r in journal.records if r.kind == "result" and r.body.get("act") == "set_weight"]
    way = "break-glass" if any(r.get("break_glass") for r in results) else "stack"
    said = Counter(subject for _, subject, _ in cloud.notifier.sent)
    pages = [r.body["subject"] for r in journal.records if r.body.get("what") == "page"]
    told = any("traffic to 0 %" in subject for subject in said) and all(page[:100] in said for page in pages)
    in_line = cloud.traffic.stack_weight == cloud.traffic.weight
    if not in_line:
        told = told and any("out of line" in subject for subject in said)
    return Cell(fault, action, "" if moved is None else way, (moved or 0) - decided.t, code, told, in_line)
