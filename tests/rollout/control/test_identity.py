"""Rule 16 in a whole release: a candidate that is redeployed under way, also while nobody watches."""

from __future__ import annotations

import asyncio

from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.testing import FakeCloud, FakeProbes, MemoryJournal, run_virtually
from rollout.journal.resume import recall
from rollout.policy import Phase
from tests.rollout.releases import PLAN

VERSIONS = {"candidate": "2.0.0", "stable": "1.0.0"}


def controller(cloud: FakeCloud, journal: MemoryJournal, start: float) -> Controller:
    return Controller(
        PLAN,
        ports=cloud.ports,
        metrics=cloud.metrics,
        probes=cloud.probes,
        journal=journal,
        clock=cloud.clock,
        start=start,
        versions=VERSIONS,
    )


def redeployed_from(moment: float) -> FakeCloud:
    def answering(role: str, time: float) -> list[str]:
        return ["2.0.1"] if role == "candidate" and time >= moment else [VERSIONS[role]]

    return FakeCloud(probes=FakeProbes(answering=answering))


def test_what_was_approved_is_promoted() -> None:
    async def night() -> Exit:
        cloud = redeployed_from(1e9)
        return await controller(cloud, MemoryJournal(cloud.clock), cloud.clock.now()).run()

    assert run_virtually(night()) is Exit.DONE


def test_a_candidate_redeployed_after_the_controller_was_killed_is_not_promoted_on_the_old_ones_evidence() -> (
    None
):
    async def night() -> None:
        cloud = redeployed_from(310)
        journal, start = MemoryJournal(cloud.clock), cloud.clock.now()
        killed = asyncio.create_task(controller(cloud, journal, start).run())
        await asyncio.sleep(300)
        assert cloud.traffic.weight == 25
        killed.cancel()
        await asyncio.sleep(300)

        resumed = controller(cloud, journal, start)
        task = asyncio.create_task(resumed.run(recall(PLAN, journal.records)))
        await asyncio.sleep(400)  # longer than the window at 25 %
        assert resumed.state.phase is Phase.HELD
        assert cloud.traffic.weight == 25
        answer = await resumed.operate("resume")
        assert not answer.accepted
        assert "candidate still answers as version 2.0.1, and 2.0.0 was approved" in answer.text
        assert await resumed.operate("abort")
        assert await task is Exit.ROLLED_BACK
        told = [subject for topic, subject, _ in cloud.notifier.sent if "identity" in subject]
        assert told == ["hold 25 %: identity"]

    run_virtually(night())
