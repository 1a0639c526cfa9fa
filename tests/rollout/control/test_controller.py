"""The controller on fakes and a leaping clock: what is released, what is taken back, and how."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from rollout.control import testing
from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.control.ports import Ports, Reading, Round, TrafficError
from rollout.control.testing import (
    FakeClock,
    FakeCloud,
    FakeMetrics,
    FakeProbes,
    FakeTraffic,
    MemoryJournal,
    Release,
    run_virtually,
)
from rollout.journal.resume import recall
from rollout.plan import Comparison, Rollback
from rollout.policy import decide, initial_state, timing
from rollout.policy.events import MetricsError, event_to_json, parse_event
from tests.rollout.releases import PLAN, Act, Run, controller, operate, release


def test_a_good_release_is_promoted() -> None:
    run = release(FakeCloud())
    assert run.exit is Exit.DONE
    assert run.weights == [5, 25, 50, 100]
    assert run.cloud.traffic.promoted
    assert [retreat for note in run.notes("ended") for retreat in note.body["retreats"]] == []


def test_an_increase_in_flight_is_stopped_when_less_is_kept() -> None:
    """Somebody else takes traffic off the candidate while its next stage is deployed."""
    cloud = FakeCloud()
    cloud.traffic.seconds = 12
    second = 222  # the increase to 25 % is under way since 210
    run = release(
        cloud,
        (second, lambda run: cloud.traffic._move(0)),
        (second + 20, lambda run: run.controller.leave("SIGTERM")),
    )
    assert [d.body["weight"] for d in run.decisions("set_weight")] == [5, 25]
    assert run.decisions("hold")[0].body["weight"] == 0
    assert run.weights == [5, 0]
    past = recall(PLAN, run.journal.records)
    assert [(p.decision.weight, p.act) for p in past.pending if p.act] == []


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
    run = release(cloud, plan=PLAN.with_criteria(comparison=Comparison(0.1, 0.5, Rollback.ABORT)))
    reasons = [record.body["criterion"] for record in run.decisions("set_weight")]
    assert ("comparison" in reasons) == (stable < 0.5)
    assert run.exit is (Exit.ROLLED_BACK if stable < 0.5 else Exit.DONE)


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


def test_a_reconciliation_says_how_long_it_took() -> None:
    class Slow(FakeTraffic):
        async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
            if not increase:
                raise TrafficError("the stack update failed")
            return await super().set_weight(weight, increase=increase)

        async def reconcile(self, weight: int) -> Mapping[str, Any]:
            await asyncio.sleep(4)
            return {"generation": 7}

    cloud = FakeCloud(traffic=Slow())
    cloud.metrics.candidate = Release(error_rate=5)
    note, *_ = release(cloud).notes("reconciled")
    assert note.body == {"what": "reconciled", "weight": 0, "took_s": 4, "generation": 7}


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
    assert run.exit is Exit.DONE
    assert run.weights == [5, 25, 50, 100]
    assert run.cloud.traffic.history[1][0] >= 2000 + PLAN.stages[0].window


def suspend(seconds: float) -> Act:
    """The machine sleeps: its clock goes on, nothing else does."""

    def act(run: Run) -> None:
        run.cloud.clock.epoch += seconds

    return act


@pytest.mark.parametrize("slept", [20, 1200])
def test_a_suspended_controller_starts_the_window_again(slept: float) -> None:
    undisturbed = release(FakeCloud())
    cloud = FakeCloud()
    run = release(cloud, (100, suspend(slept)))
    (gap,) = run.events("resumed")
    assert gap["t"] - gap["since"] == pytest.approx(slept, abs=PLAN.health.interval)
    assert run.exit is Exit.DONE
    assert run.weights == [5, 25, 50, 100]
    # By the loop's time, which does not contain the sleep: the stage at 5 % was watched anew from the 100th second on.
    assert run.cloud.traffic.history[1][0] >= 100 + PLAN.stages[0].window
    assert undisturbed.cloud.traffic.history[1][0] < 100 + PLAN.stages[0].window + 80
    assert [subject for _, subject, _ in cloud.notifier.sent].count("nobody watched the rollout") == 1


async def all_is_well() -> Sequence[str]:
    return ()


async def too_few_targets() -> Sequence[str]:
    await asyncio.sleep(1)
    return ("targets of candidate (green): 1 of 2 targets are registered",)


async def no_login() -> Sequence[str]:
    raise OSError("no such file")


async def never() -> Sequence[str]:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("recheck", "found"),
    [
        (too_few_targets, "targets of candidate (green): 1 of 2 targets are registered"),
        (no_login, "the checks could not be made: OSError: no such file"),
        (never, "the checks could not be made: not done within 60 s"),
    ],
)
def test_what_fails_of_the_checks_after_a_gap_holds_and_is_told(
    recheck: Callable[[], Awaitable[Sequence[str]]], found: str
) -> None:
    run = release(FakeCloud(), (100, suspend(1200)), recheck=recheck)
    (hold,) = run.decisions("hold")
    assert hold.body["criterion"] == "preflight"
    assert hold.body["reason"] == f"after a time in which nobody watched: {found}"
    assert ("immediate", "hold 5 %: preflight") in [sent[:2] for sent in run.cloud.notifier.sent]
    assert run.weights == [5, 0], "nobody came: the hold timed out"


def test_queries_that_go_on_failing_are_told_once() -> None:
    unseen = FakeCloud()
    unseen.metrics.failing_from = 60
    release(unseen)
    subjects = [subject for _, subject, _ in unseen.notifier.sent]
    assert subjects.count("metrics or alarms cannot be read") == 1


class FailsAtTimes(FakeMetrics):
    """Of its first polls the ``failing`` ones, counted from 1, fail."""

    failing: Sequence[int] = ()
    polls = 0

    async def poll(self, t: float) -> Sequence[Reading]:
        self.polls += 1
        if self.polls in self.failing:
            return [Reading(partial(MetricsError, reason="throttled"))]
        return await super().poll(t)


@pytest.mark.parametrize(("failing", "paged"), [((3, 5, 7), True), ((3, 6, 9, 12), False), ((3, 4), False)])
def test_only_queries_that_fail_in_a_row_are_paged(failing: Sequence[int], paged: bool) -> None:
    cloud = FakeCloud()
    cloud.metrics = FailsAtTimes(cloud.traffic)
    cloud.metrics.failing = failing
    release(cloud)
    subjects = [subject for _, subject, _ in cloud.notifier.sent]
    assert ("metrics or alarms cannot be read" in subjects) is paged


def test_checks_are_made_after_a_gap_and_only_then() -> None:
    run = release(FakeCloud(), (100, suspend(1200)), recheck=all_is_well)
    assert [event["failed"] for event in run.events("checked")] == [[]]
    assert run.weights == [5, 25, 50, 100]
    assert release(FakeCloud(), recheck=too_few_targets).events("checked") == []


def test_after_an_abort_the_candidate_is_checked_no_more() -> None:
    run = release(FakeCloud(), (60, operate("abort")), (100, suspend(1200)), recheck=too_few_targets)
    assert len(run.events("resumed")) == 1
    assert run.events("checked") == []


def test_under_the_operators_pause_what_the_checks_find_is_told() -> None:
    acts = ((60, operate("pause")), (100, suspend(1200)), (200, operate("abort")))
    run = release(FakeCloud(), *acts, recheck=too_few_targets)
    assert [record.body["criterion"] for record in run.decisions("hold")] == ["operator"]
    assert "preflight" in [record.body["criterion"] for record in run.decisions("alert")]


def test_a_short_delay_is_no_gap() -> None:
    run = release(FakeCloud(), (100, suspend(10)))
    assert run.events("resumed") == []


def test_a_hold_times_out_during_the_sleep_but_a_blind_spell_does_not_count() -> None:
    run = release(bad(error_rate=5.0), (300, suspend(1200)))
    assert run.weights[-1] == 0
    assert [d.body["criterion"] for d in run.decisions("set_weight")][-1] == "hold_timeout"
    unseen = FakeCloud()
    unseen.metrics.failing_from = 60
    kept = release(unseen, (90, suspend(PLAN.metrics.blind_limit + 60)))
    aborted = next(d for d in kept.decisions("set_weight") if d.body["criterion"] == "blind")
    (gap,) = kept.events("resumed")
    assert aborted.t - gap["t"] >= PLAN.metrics.blind_limit, "only what was blind while somebody watched"


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
        roles = ("candidate", "stable")

        async def round(self, role: str) -> Round:
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
    assert run.exit is Exit.DONE
    assert cloud.limits.limits[:3] == [1500, 2000, 2500]


# --- faults of what the controller reads


def test_weights_that_cannot_be_read_are_paged_once_an_outage() -> None:
    cloud = FakeCloud()
    page = "the load balancer's weights cannot be read"

    def api(*, broken: bool) -> Act:
        return lambda run: setattr(run.cloud.traffic, "broken_api", broken)

    run = release(cloud, *((at, api(broken=at % 40 == 20)) for at in (20, 40, 60, 80)))
    assert [note.body["subject"] for note in run.notes("page")] == [page] * 2
    assert [subject for topic, subject, _ in cloud.notifier.sent if topic == "immediate"] == [page] * 2
    assert run.exit is Exit.DONE


def test_a_reading_that_never_ends_is_paged() -> None:
    class Hanging(FakeTraffic):
        async def read_weight(self) -> float:
            if 20 < asyncio.get_running_loop().time() < 150:
                await asyncio.Event().wait()
            return await super().read_weight()

    cloud = FakeCloud(traffic=Hanging())
    run = release(cloud)
    assert [note.body["subject"] for note in run.notes("page")] == [
        "the load balancer's weights cannot be read"
    ]
    assert run.exit is Exit.DONE


def test_one_reading_that_fails_pages_nobody() -> None:
    cloud = FakeCloud()
    run = release(
        cloud,
        (21, lambda run: setattr(cloud.traffic, "broken_api", True)),
        (29, lambda run: setattr(cloud.traffic, "broken_api", False)),
    )
    assert run.notes("page") == []


@pytest.mark.parametrize("part", ["metrics", "probes"])
def test_a_query_that_never_ends_is_no_data(part: str) -> None:
    class Hanging(FakeMetrics):
        async def poll(self, t: float) -> Sequence[Reading]:
            await asyncio.Event().wait()
            raise AssertionError

    cloud = FakeCloud()
    if part == "metrics":
        cloud.metrics = Hanging(cloud.traffic)
    else:
        cloud.probes.seconds = 1e6
    run = release(cloud)
    assert run.weights == [5, 0]
    assert run.decisions("set_weight")[1].body["criterion"] == {"metrics": "blind", "probes": "health"}[part]
    errors = [event["reason"] for event in run.events("metrics_error")]
    assert (errors[:1] == ["no answer within 30 s"]) == (part == "metrics")


def test_a_part_of_the_controller_that_fails_is_paged_and_started_again() -> None:
    bugs = [ValueError("a bug")]

    class Buggy(FakeTraffic):
        async def read_weight(self) -> float:
            if self.weight == 25 and bugs:
                raise bugs.pop()
            return await super().read_weight()

    cloud = FakeCloud(traffic=Buggy())
    run = release(cloud)
    assert run.exit is Exit.DONE
    (page,) = run.notes("page")
    assert page.body["subject"] == "a part of the controller failed and was restarted"
    assert "_watch_traffic: ValueError('a bug')" in page.body["text"]


def test_rounds_are_posted_in_the_order_in_which_they_began() -> None:
    class Uneven(FakeProbes):
        """The second round fails and takes so long that the third, a clean one, is back before it."""

        async def round(self, role: str) -> Round:
            second = 5 <= asyncio.get_running_loop().time() < 10
            await asyncio.sleep(6 if second else 0.1)
            return Round(("deep",) if second else ())

    plan = replace(PLAN, health=replace(PLAN.health, timeout=4))
    run = release(FakeCloud(probes=Uneven()), (30, operate("abort")), plan=plan)
    rounds = [event["failed"] for event in run.events("health") if event["colour"] == "candidate"]
    assert rounds[:6] == [[], ["deep"], [], [], [], []]


def test_a_clock_that_steps_back_does_not_turn_back_the_rollout() -> None:
    class Unsteady(FakeClock):
        """Ten seconds are lost after half a minute."""

        def now(self) -> float:
            return super().now() - (10 if super().now() - self.epoch > 30 else 0)

    run = release(FakeCloud(clock=Unsteady()))
    times = [record.t for record in run.journal.records]
    assert times == sorted(times)
    assert not [record for record in run.journal.records if record.kind == "rejected"]
    assert run.exit is Exit.DONE


def test_a_weight_is_read_back_often_while_it_is_to_change() -> None:
    cloud = FakeCloud()
    cloud.traffic.seconds = (
        2 * PLAN.health.interval
    )  # the pause that was under way when it was commanded is over
    run = release(cloud)
    arrived = [at for at, _ in run.cloud.traffic.history]
    seen = [event["t"] for event in run.events("traffic")][1:]  # 0 % first
    assert len(seen) == len(arrived)
    assert all(0 <= later - at <= timing.READ_BACK for at, later in zip(arrived, seen, strict=True))


def test_a_weight_that_arrives_after_its_update_failed_is_seen_as_soon() -> None:
    class Late(FakeTraffic):
        async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
            if increase:
                asyncio.get_running_loop().call_later(7.5, self._move, weight)
                raise TrafficError("the engine died")
            return await super().set_weight(weight, increase=increase)

    run = release(FakeCloud(traffic=Late()))
    (arrived, *_), (_, seen, *_) = run.cloud.traffic.history, run.events("traffic")
    assert seen["weight"] == 5
    assert 0 <= seen["t"] - arrived[0] <= timing.READ_BACK


def test_a_weight_that_is_still_higher_than_commanded_is_news_once() -> None:
    cloud = bad(error_rate=5)
    cloud.traffic.seconds = 20
    assert [event["weight"] for event in release(cloud).events("traffic")].count(5) == 1


# --- the end


def test_leaving_stops_an_increase_in_flight() -> None:
    cloud = FakeCloud()
    cloud.traffic.seconds = 12
    run = release(cloud, (10, lambda run: run.controller.leave("SIGTERM")))
    assert run.weights == []
    assert run.notes("left")[0].body["weight"] == 0


def test_leaving_waits_for_a_decrease_in_flight() -> None:
    cloud = bad(error_rate=5)
    cloud.traffic.seconds = 4
    at = 60 + 90 + 10 + 2  # the first period is polled, found bad, and the stack update runs
    run = release(cloud, (at, lambda run: run.controller.leave("SIGTERM")))
    assert run.weights == [5, 0]
    assert run.notes("left")[0].body["weight"] == 0


def test_a_release_whose_promotion_fails_is_no_success() -> None:
    cloud = FakeCloud()
    run = release(cloud, (700, lambda run: setattr(cloud.traffic, "broken_stack", True)))
    assert run.weights == [5, 25, 50, 100]
    assert run.exit is Exit.FAILED
    assert run.notes("ended") == []  # `rollout resume` tries the promotion again
    assert any("live but not promoted" in subject for _, subject, _ in cloud.notifier.sent)


def test_a_release_whose_promotion_never_returns_is_no_success() -> None:
    class Locked(FakeTraffic):
        async def promote(self) -> Mapping[str, Any]:
            await asyncio.Event().wait()
            raise AssertionError

    cloud = FakeCloud(traffic=Locked())
    run = release(cloud)
    assert run.exit is Exit.FAILED
    assert run.notes("ended") == []
    assert any("live but not promoted" in subject for _, subject, _ in cloud.notifier.sent)


def test_whoever_leaves_says_so_whatever_a_reading_raises() -> None:
    class Buggy(FakeTraffic):
        async def read_weight(self) -> float:
            raise KeyError("a bug")

    run = release(FakeCloud(traffic=Buggy()), (20, lambda run: run.controller.leave("SIGTERM")))
    assert run.exit is Exit.FAILED
    assert run.notes("left")[0].body["weight"] is None


def test_an_answer_is_on_the_disk_before_it_is_given() -> None:
    class Slow(MemoryJournal):
        on_disk = 0

        async def durable(self) -> None:
            written = len(self.records)
            await asyncio.sleep(0.5)
            self.on_disk = written

    async def run() -> None:
        cloud = FakeCloud()
        journal = Slow(cloud.clock)
        one = controller(cloud, journal, cloud.clock.now())
        task = asyncio.create_task(one.run())
        await asyncio.sleep(10)
        assert (await one.operate("abort")).accepted
        assert "abort" in [r.body.get("command") for r in journal.records[: journal.on_disk]]
        await task

    run_virtually(run())


def test_a_command_that_comes_too_late_is_answered() -> None:
    runs: list[Run] = []

    class Traffic(FakeTraffic):
        async def promote(self) -> Mapping[str, Any]:
            operate("abort")(runs[0])
            return await super().promote()

    run = release(FakeCloud(traffic=Traffic()), (0, runs.append))
    (answer,) = run.answers
    assert (answer.result().accepted, answer.result().text) == (False, "the rollout is over")


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


def test_the_example_of_the_fakes() -> None:
    assert doctest.testmod(testing).failed == 0


def test_ports_are_one_world() -> None:
    cloud = FakeCloud()
    assert cloud.ports == Ports(cloud.traffic, cloud.limits, cloud.notifier, cloud.colours)
