"""A whole release under test: the controller on fakes and a leaping clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.control.controller import Answer, Controller
from rollout.control.exits import Exit
from rollout.control.testing import FakeCloud, MemoryJournal, run_virtually
from rollout.journal import Record
from rollout.plan import Plan, load_plan

PLAN = load_plan("phase-c")
Act = Callable[["Run"], None]


@dataclass
class Run:
    cloud: FakeCloud
    journal: MemoryJournal
    controller: Controller
    exit: Exit | None = None
    answers: list[asyncio.Task[Answer]] = field(default_factory=list)

    def notes(self, what: str) -> list[Record]:
        return [r for r in self.journal.records if r.kind == "note" and r.body["what"] == what]

    def decisions(self, kind: str) -> list[Record]:
        return [r for r in self.journal.records if r.kind == "decision" and r.body["decision"] == kind]

    def events(self, kind: str) -> list[Mapping[str, Any]]:
        return [r.body for r in self.journal.records if r.kind == "event" and r.body["event"] == kind]

    @property
    def weights(self) -> list[float]:
        return [weight for _, weight in self.cloud.traffic.history]


def controller(
    cloud: FakeCloud, journal: MemoryJournal, start: float, plan: Plan = PLAN, **more: Any
) -> Controller:
    return Controller(
        plan,
        ports=cloud.ports,
        metrics=cloud.metrics,
        probes=cloud.probes,
        journal=journal,
        clock=cloud.clock,
        start=start,
        **more,
    )


def release(cloud: FakeCloud, *acts: tuple[float, Act], plan: Plan = PLAN, **more: Any) -> Run:
    """Runs one release to its end; each act happens at its time (seconds)."""

    async def run() -> Run:
        journal = MemoryJournal(cloud.clock)
        journal.append("rollout", 0, {})
        one = Run(cloud, journal, controller(cloud, journal, cloud.clock.now(), plan, **more))
        for at, act in acts:
            asyncio.get_running_loop().call_at(at, act, one)
        one.exit = await one.controller.run()
        return one

    return run_virtually(run())


def operate(command: str) -> Act:
    def act(run: Run) -> None:
        run.answers.append(asyncio.create_task(run.controller.operate(command)))

    return act
