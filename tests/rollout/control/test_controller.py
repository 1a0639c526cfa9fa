"""The controller on fakes and a leaping clock: what is released, what is taken back, and how."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from rollout.control.controller import Controller, Exit
from rollout.control.ports import Ports
from rollout.control.testing import FakeCloud, FakeTraffic, MemoryJournal, Release, run_virtually
from rollout.journal import Record
from rollout.plan import Comparison, Plan, Rollback, load_plan
from rollout.policy import decide, initial_state
from rollout.policy.events import event_to_json, parse_event

PLAN = load_plan("phase-c")
Act = Callable[["Run"], None]


@dataclass
class Run:
    cloud: FakeCloud
    journal: MemoryJournal
    controller: Controller
    exit: Exit | None = None

    def notes(self, what: str) -> list[Record]:
        return [r for r in self.journal.records if r.kind == "note" and r.body["what"] == what]

    def decisions(self, kind: str) -> list[Record]:
        return [r for r in self.journal.records if r.kind == "decision" and r.body["decision"] == kind]

    @property
    def weights(self) -> list[float]:
        return [weight for _, weight in self.cloud.traffic.history]


def controller(cloud: FakeCloud, journal: MemoryJournal, start: float, plan: Plan = PLAN) -> Controller:
    return Controller(
        plan,
        ports=cloud.ports,
        metrics=cloud.metrics,
        probes=cloud.probes,
        journal=journal,
        clock=cloud.clock,
        start=start,
    )


def release(cloud: FakeCloud, *acts: tuple[float, Act], plan: Plan = PLAN) -> Run:
    """Runs one release to its end; each act happens at its time (seconds)."""

    async def run() -> Run:
        journal = MemoryJournal(cloud.clock)
        journal.append("rollout", 0, {})
        one = Run(cloud, journal, controller(cloud, journal, cloud.clock.now(), plan))
        for at, act in acts:
            asyncio.get_running_loop().call_at(at, act, one)
        one.exit = await one.controller.run()
        return one

    return run_virtually(run())


def operate(command: str) -> Act:
    def act(run: Run) -> None:
        run.controller.answer = asyncio.ensure_future(run.controller.operate(command))  # type: ignore[attr-defined]

    return act


def test_a_good_release_is_promoted() -> None:
    run = release(FakeCloud())
    assert run.exit is Exit.PROMOTED
    assert run.weights == [5, 25, 50, 100]
    assert run.cloud.traffic.promoted
    assert [retreat for note in run.notes("ended") for retreat in note.body["retreats"]] == []


def test_each_window_is_held_after_the_weight_was_seen() -> None:
    run = release(FakeCloud())
    times = [at for at, _ in run.cloud.traffic.history]
    for stage, (seen, left) in zip(PLAN.stages, pairwise(times), strict=False):
        assert left - seen >= stage.window


def bad(**how: float) -> FakeCloud:
    cloud = FakeCloud()
    cloud.metrics.candidate = Release(**how)  # type: ignore[arg-type]
    return cloud


@pytest.mark.parametrize("stable", [0.05, 0.9])
def test_a_candidate_worse_than_stable_is_taken_back_under_a_plan_that_compares(stable: float) -> None:
    """0.9 % is within the guide's limit. Where stable has it too, nothing is taken back."""
    cloud = bad(error_rate=0.9)
    cloud.metrics.rate = 1000
    cloud.metrics.stable = Release(error_rate=stable)
    run = release(cloud, plan=replace(PLAN, comparison=Comparison(0.1, 0.5, Rollback.ABORT)))
    reasons = [record.body["criterion"] for record in run.decisions("set_weight")]
    assert ("comparison" in reasons) == (stable < 0.5)
    assert run.exit is (Exit.ROLLED_BACK if stable < 0.5 else Exit.PROMOTED)


@pytest.mark.parametrize(
    ("cloud", "criterion"),
    [
        (bad(error_rate=5), "error_rate"),
        (bad(p95=2.5), "latency_p95"),
        (bad(db_connection_errors=1), "db_connection_errors"),
    ],
    ids=["errors", "latency", "database"],
)
def test_a_bad_release_is_taken_back_from_the_first_stage(cloud: FakeCloud, criterion: str) -> None:
    run = release(cloud)
    assert run.weights == [5, 0]
    assert run.exit is Exit.ROLLED_BACK
    first = run.decisions("set_weight")[1].body
    assert (first["criterion"], first["weight"]) == (criterion, 0)
    assert any(topic == "immediate" and criterion in subject for topic, subject, _ in cloud.notifier.sent)


def test_errors_at_a_later_stage_fall_back_to_five_percent_and_hold() -> None:
    run = release(bad(error_rate=5, bad_from=400))
    assert run.weights == [5, 25, 50, 5, 0]  # nobody resumed: hold_timeout
    assert run.exit is Exit.ROLLED_BACK


def test_failing_probes_abort_after_three_rounds() -> None:
    cloud = FakeCloud()
    cloud.probes.failing = lambda role, time: ["ready"] if role == "candidate" and time > 60 else []
    run = release(cloud)
    assert run.exit is Exit.ROLLED_BACK
    assert run.weights == [5, 0]
    assert run.decisions("set_weight")[1].t == pytest.approx(70, abs=1)
    assert [note.body["milestone"] for note in run.notes("timeline")] == [
        "detected",
        "decided",
        "moved",
        "flowing",
        "stable",
    ]
    prepared = [
        r.body for r in run.journal.records if r.body.get("act") == "prepare_rollback" and r.kind == "result"
    ]
    assert [result["ok"] for result in prepared] == [True]


@pytest.mark.parametrize("how", ["missing_from", "failing_from"])
def test_no_metrics_never_promote(how: str) -> None:
    cloud = FakeCloud()
    setattr(cloud.metrics, how, 60.0)
    run = release(cloud)
    assert run.exit in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)
    assert run.weights[-1] == 0
    assert max(run.weights) == 5


def test_rolled_back_but_stable_is_bad_is_red() -> None:
    cloud = bad(error_rate=5)
    cloud.metrics.stable = Release(error_rate=1)
    assert release(cloud).exit is Exit.ROLLED_BACK_RED


def test_a_decrease_stops_an_increase_in_flight() -> None:
    cloud = FakeCloud()
    cloud.traffic.seconds = 12
    run = release(cloud, (10, operate("abort")))
    assert run.weights == []
    assert cloud.traffic.acts == ["stack 5", "stack 0"]
    assert run.exit in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)
    results = [r.body for r in run.journal.records if r.kind == "result" and r.body["act"] == "set_weight"]
    assert results[0]["stopped"]


def test_an_increase_that_never_arrives_is_taken_back_and_held() -> None:
    cloud = FakeCloud()
    cloud.traffic.hanging_stack = True
    run = release(cloud)
    assert run.weights == []
    assert run.decisions("hold")[0].body["criterion"] == "traffic"


@pytest.mark.parametrize("fault", ["broken_stack", "hanging_stack"])
def test_a_decrease_whose_stack_update_fails_breaks_the_glass(fault: str) -> None:
    cloud = bad(error_rate=5)
    run = release(cloud, (30, lambda run: setattr(run.cloud.traffic, fault, True)))
    assert run.weights == [5, 0]
    assert run.exit is Exit.ROLLED_BACK
    assert "api 0" in cloud.traffic.acts
    assert any("break-glass" in subject for _, subject, _ in cloud.notifier.sent)
    moved = next(n.body["at"] for n in run.notes("timeline") if n.body["milestone"] == "moved")
    decided = next(n.body["at"] for n in run.notes("timeline") if n.body["milestone"] == "decided")
    assert moved - decided < 25


def test_a_bug_in_an_adapter_does_not_stop_a_decrease() -> None:
    class Buggy(FakeTraffic):
        async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
            if not increase:
                raise KeyError("a bug")
            return await super().set_weight(weight, increase=increase)

        async def reconcile(self, weight: int) -> Mapping[str, Any]:
            raise ValueError("another")

    cloud = FakeCloud(traffic=Buggy())
    cloud.metrics.candidate = Release(error_rate=5)
    run = release(cloud)
    assert run.weights == [5, 0]
    assert run.exit is Exit.ROLLED_BACK
    assert any("out of line" in subject for _, subject, _ in cloud.notifier.sent)


def test_a_decrease_is_tried_until_it_holds() -> None:
    cloud = bad(error_rate=5)

    def break_both(run: Run) -> None:
        cloud.traffic.broken_stack = cloud.traffic.broken_api = True

    def mend(run: Run) -> None:
        cloud.traffic.broken_api = False

    run = release(cloud, (30, break_both), (400, mend))
    assert run.weights == [5, 0]
    assert run.exit in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)
    assert any("could NOT be moved" in subject for _, subject, _ in cloud.notifier.sent)


def test_a_refused_preview_stops_an_increase_but_not_a_decrease() -> None:
    cloud = FakeCloud()
    cloud.traffic.refused = {25, 0, 5}
    assert release(cloud, (1000, operate("abort"))).weights == []
    cloud = FakeCloud()
    cloud.traffic.refused = {25, 0}
    assert release(cloud).weights == [5, 0]
    assert any("would be refused" in subject for _, subject, _ in cloud.notifier.sent)


def test_a_full_disk_stops_increases_only() -> None:
    cloud = FakeCloud()

    def fill(run: Run) -> None:
        run.journal.failure = OSError(28, "No space left on device")

    run = release(cloud, (30, fill), (400, operate("abort")))
    assert run.weights == [5, 0]
    assert run.notes("journal_behind")


def test_pause_holds_and_resume_opens_a_new_window() -> None:
    run = release(FakeCloud(), (60, operate("pause")), (2000, operate("resume")))
    assert run.exit is Exit.PROMOTED
    assert run.weights == [5, 25, 50, 100]
    assert run.cloud.traffic.history[1][0] >= 2000 + PLAN.stages[0].window


def test_an_illegal_command_is_answered_and_journaled() -> None:
    async def run() -> None:
        cloud = FakeCloud()
        journal = MemoryJournal(cloud.clock)
        one = controller(cloud, journal, cloud.clock.now())
        task = asyncio.create_task(one.run())
        await asyncio.sleep(10)
        answer = await one.operate("resume")
        assert not answer.accepted
        assert "nothing to resume" in answer.text
        assert [r.body["event"] for r in journal.records if r.kind == "rejected"] == ["operator"]
        await one.operate("abort")
        assert (await task) in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)

    run_virtually(run())


def test_leaving_keeps_traffic_and_says_so() -> None:
    cloud = FakeCloud()
    run = release(cloud, (60, lambda run: run.controller.leave("SIGTERM")))
    assert run.exit is Exit.FAILED
    assert run.weights == [5]
    assert run.notes("left")[0].body["weight"] == 5
    assert any("nobody watches" in subject for _, subject, _ in cloud.notifier.sent)


def test_notifications_that_fail_do_not_stop_a_rollback() -> None:
    cloud = bad(error_rate=5)
    cloud.notifier.broken = True
    assert release(cloud).exit is Exit.ROLLED_BACK


def test_faults_of_adapters_are_failures_of_what_they_measure() -> None:
    class Broken:
        async def round(self, role: str) -> tuple[str, ...]:
            raise ValueError("a bug")

    cloud = FakeCloud()

    async def run() -> None:
        journal = MemoryJournal(cloud.clock)
        one = Controller(
            PLAN,
            ports=cloud.ports,
            metrics=cloud.metrics,
            probes=Broken(),
            journal=journal,
            clock=cloud.clock,
            start=cloud.clock.now(),
        )
        assert await one.run() in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)
        assert [w for _, w in cloud.traffic.history][-1] == 0

    run_virtually(run())


def test_many_rate_limited_requests_raise_the_limit() -> None:
    cloud = FakeCloud()
    cloud.metrics.rate_limited = 8
    run = release(cloud)
    assert run.exit is Exit.PROMOTED
    assert cloud.limits.limits[:3] == [1500, 2000, 2500]


def test_the_journal_replays_as_it_is() -> None:
    run = release(bad(error_rate=5, bad_from=400))
    state = initial_state()
    replayed = []
    for record in run.journal.records:
        if record.kind == "event":
            event = parse_event(record.body)
            assert event_to_json(event) == record.body
            state, decisions = decide(PLAN, state, event)
            replayed += [decision.to_json() for decision in decisions]
    assert replayed == [r.body for r in run.journal.records if r.kind == "decision"]


def test_ports_are_one_world() -> None:
    cloud = FakeCloud()
    assert cloud.ports == Ports(cloud.traffic, cloud.limits, cloud.notifier)
