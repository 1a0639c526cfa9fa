"""Effects on fakes and a leaping clock: what waits for what, what is tried again, and who is notified."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from rollout.control.effects import Effects, describe
from rollout.control.ports import Ports
from rollout.control.testing import FakeNotifier, FakeRateLimits, FakeTraffic, run_virtually
from rollout.journal.card import bring_in_line
from rollout.journal.notes import Note, note_to_json
from rollout.policy import timing
from rollout.policy.events import Breach, Decision, DecisionKind, Reason, Severity
from tests.rollout.releases import PLAN

DONE = timing.SETTLE_GAP * 2 + 0.1  # what a decrease takes beside its stack update


@dataclass
class Ledger:
    """Stand-in for the controller: keeps what effects record, and the disk they wait for."""

    records: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)  # their subjects
    bodies: list[str] = field(default_factory=list)
    limits_read: list[int] = field(default_factory=list)
    disk: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(0))

    def record(self, kind: str, body: Mapping[str, Any]) -> int:
        self.records.append((kind, body))
        return len(self.records)

    async def durable(self) -> None:
        await self.disk()

    def note(self, note: Note) -> int:
        return self.record("note", note_to_json(note))

    def page(self, subject: str, body: str) -> None:
        self.pages.append(subject)
        self.bodies.append(body)

    def limit_read(self, per_minute: int) -> None:
        self.limits_read.append(per_minute)

    def results(self, act: str) -> list[Mapping[str, Any]]:
        return [body for kind, body in self.records if kind == "result" and body.get("act") == act]

    def notes(self) -> list[str]:
        return [body["what"] for kind, body in self.records if kind == "note"]


@dataclass
class World:
    """Effects and everything they act on."""

    traffic: FakeTraffic = field(default_factory=FakeTraffic)
    limits: FakeRateLimits = field(default_factory=FakeRateLimits)
    notifier: Any = field(default_factory=FakeNotifier)
    ledger: Ledger = field(default_factory=Ledger)
    effects: Effects = field(init=False)

    def __post_init__(self) -> None:
        self.effects = Effects(PLAN, Ports(self.traffic, self.limits, self.notifier), self.ledger)

    def to(self, weight: int, *, increase: bool = False, effect: int = 1) -> None:
        self.effects.traffic.command(effect, weight, increase=increase)

    def act(self, kind: DecisionKind, **values: Any) -> None:
        self.effects.act(1, decision(kind, **values))


def decision(kind: DecisionKind, reason: Reason = Reason.ERROR_RATE, **values: Any) -> Decision:
    return Decision(t=1.0, decision=kind, criterion=reason, event="metrics", reason="it happened", **values)


def play(work: Callable[[World], Coroutine[Any, Any, None]], world: World | None = None) -> World:
    """Runs ``work`` in a world of its own, on a clock that leaps."""
    world = world or World()
    run_virtually(work(world))
    return world


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


# --- a decrease


def test_a_decrease_counts_as_done_only_when_two_readings_agree() -> None:
    """A request of the engine that was stopped arrives after the first reading has shown the decrease."""

    async def work(world: World) -> None:
        world.traffic.weight = 50
        world.to(0)
        late = world.traffic.seconds + timing.SETTLE_GAP / 2
        asyncio.get_running_loop().call_later(late, world.traffic._move, 50)
        await world.effects.drain(60)

    world = play(work)
    assert world.traffic.weight == 0
    assert world.traffic.acts[:2] == ["stack 0", "api 0"]
    assert world.ledger.results("set_weight")[0]["break_glass"]


def test_a_decrease_waits_for_the_disk_no_longer_than_a_second() -> None:
    async def work(world: World) -> None:
        world.ledger.disk = forever
        world.traffic.weight = 50
        world.to(0)
        await asyncio.sleep(timing.DISK_WAIT + world.traffic.seconds + DONE)
        assert world.ledger.results("set_weight")[0]["ok"]

    world = play(work)
    assert world.traffic.weight == 0
    assert world.ledger.notes() == ["journal_behind"]


def test_an_increase_waits_for_its_intent_to_be_durable() -> None:
    on_disk = asyncio.Event()

    async def work(world: World) -> None:
        world.ledger.disk = lambda: _ignore(on_disk.wait())
        world.to(5, increase=True)
        await asyncio.sleep(60)
        assert world.traffic.acts == []
        assert [kind for kind, _ in world.ledger.records] == ["intent"]
        on_disk.set()
        await world.effects.drain(60)

    assert play(work).traffic.weight == 5


async def _ignore(work: Awaitable[object]) -> None:
    await work


def test_a_decrease_is_written_only_after_the_engine_it_stops_has_ended() -> None:
    class Slow(FakeTraffic):
        async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
            try:
                return await super().set_weight(weight, increase=increase)
            except asyncio.CancelledError:
                await asyncio.sleep(1)  # ends its engine
                self.acts.append("ended")
                raise

    async def work(world: World) -> None:
        world.to(50, increase=True)
        await asyncio.sleep(2)
        world.to(0, effect=2)
        await world.effects.drain(60)

    world = play(work, World(Slow()))
    assert world.traffic.acts == ["stack 50", "ended", "stack 0"]
    assert [result["ok"] for result in world.ledger.results("set_weight")] == [False, True]


def test_a_decrease_stops_every_increase_before_it() -> None:
    async def work(world: World) -> None:
        world.traffic.seconds = 10
        for effect, (weight, increase) in enumerate(((5, True), (25, True), (0, False)), start=1):
            world.to(weight, increase=increase, effect=effect)
            await asyncio.sleep(1)
        await world.effects.drain(60)

    world = play(work)
    assert world.traffic.acts == ["stack 0"]  # both increases were still at their previews
    assert [result["ok"] for result in world.ledger.results("set_weight")] == [False, False, True]


def test_the_same_decrease_ordered_again_joins_the_one_in_flight() -> None:
    async def work(world: World) -> None:
        world.traffic.weight = 50
        world.to(0)
        await asyncio.sleep(1)
        world.to(0, effect=2)
        await world.effects.drain(60)

    world = play(work)
    assert world.traffic.acts == ["stack 0"]
    assert ("result", {"effect": 2, "ok": True, "joined": 1}) in world.ledger.records


def test_a_decrease_that_is_to_break_the_glass_tries_no_stack_first() -> None:
    async def work(world: World) -> None:
        world.traffic.weight = 50
        world.act(DecisionKind.SET_WEIGHT, weight=0, break_glass=True)
        await world.effects.drain(60)

    assert play(work).traffic.acts == ["api 0", "reconcile 0"]


def test_a_stack_update_that_has_nothing_to_report_is_done() -> None:
    class Silent(FakeTraffic):
        async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
            await super().set_weight(weight, increase=increase)
            return {}

    async def work(world: World) -> None:
        world.traffic.weight = 50
        world.to(0)
        await world.effects.drain(60)

    assert play(work, World(Silent())).traffic.acts == ["stack 0"]


def test_a_check_of_the_next_step_keeps_no_decrease_waiting() -> None:
    class Hanging(FakeTraffic):
        async def foresee(self, weight: int) -> None:
            await forever()

    async def work(world: World) -> None:
        world.traffic.weight = 25
        world.effects.traffic.foresee(50)
        await asyncio.sleep(1)
        world.to(0)
        await asyncio.sleep(world.traffic.seconds + DONE)
        assert world.ledger.results("set_weight")[0]["ok"]

    play(work, World(Hanging()))


def test_while_traffic_cannot_be_moved_people_are_paged_again_and_again() -> None:
    async def work(world: World) -> None:
        world.traffic.weight = 50
        world.traffic.broken_stack = world.traffic.broken_api = True
        world.to(0)
        await asyncio.sleep(260)
        world.traffic.broken_api = False
        await world.effects.drain(60)

    world = play(work)
    tries = sum(note == "break_glass_failed" for note in world.ledger.notes())
    pages = sum("could NOT be moved to 0 %" in page for page in world.ledger.pages)
    assert tries >= 20
    assert pages == 1 + tries // 10
    assert world.traffic.weight == 0


def test_break_glass_is_reconciled_at_once_and_after_a_crash() -> None:
    async def work(world: World) -> None:
        world.effects.traffic.finish_reconcile(5)
        await world.effects.drain(60)

    world = play(work)
    assert (world.traffic.acts, world.traffic.stack_weight) == (["reconcile 5"], 5)


def test_a_failed_reconciliation_pages_how_to_do_it_by_hand() -> None:
    """As the emergency page says it: who is stable, the weight, the generation, in the one stack."""

    async def work(world: World) -> None:
        world.traffic.broken_stack = True
        world.effects.traffic.finish_reconcile(5)
        await world.effects.drain(60)

    assert bring_in_line("prod-traffic", "blue", 5) in play(work).ledger.bodies[-1]


# --- the other effects


def test_the_rate_limit_waits_for_a_weight_change() -> None:
    """Both are stack updates, and the one that moves traffic must not wait for the other one's engine."""
    raised: list[float] = []

    class Limits(FakeRateLimits):
        async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
            raised.append(now())
            return await super().set_rate_limit(per_minute)

    async def work(world: World) -> None:
        world.traffic.seconds = 8
        world.to(5, increase=True)
        world.act(DecisionKind.RAISE_RATE_LIMIT, rate_limit=1500)
        await world.effects.drain(60)

    world = play(work, World(limits=Limits()))
    assert world.limits.limits == world.ledger.limits_read == [1500]
    assert raised == [pytest.approx(12)]  # the preview and the update of the weight come first


def test_a_rate_limit_that_cannot_be_raised_is_paged() -> None:
    class Broken(FakeRateLimits):
        async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
            raise OSError("no")

    async def work(world: World) -> None:
        world.act(DecisionKind.RAISE_RATE_LIMIT, rate_limit=1500)
        await world.effects.drain(60)

    ledger = play(work, World(limits=Broken())).ledger
    assert ledger.pages == ["the rate limit could not be raised"]
    assert ledger.bodies == ["It should be 1500 requests per minute and client: OSError: no"]
    assert ledger.limits_read == [1000], "the policy learns what is deployed whatever came of it"


def test_a_rate_limit_that_cannot_be_read_is_tried_again_and_then_paged() -> None:
    class Unreadable(FakeRateLimits):
        failures = 2

        async def read_rate_limit(self) -> int:
            self.failures -= 1
            if self.failures >= 0:
                raise OSError("no")
            return await super().read_rate_limit()

    async def work(world: World) -> None:
        world.act(DecisionKind.RAISE_RATE_LIMIT, rate_limit=1500)
        await world.effects.drain(60)

    assert play(work, World(limits=Unreadable())).ledger.limits_read == [1500]
    for_good = Unreadable()
    for_good.failures = 99
    ledger = play(work, World(limits=for_good)).ledger
    assert ledger.limits_read == []
    assert ledger.pages == ["the rate limit cannot be read"]


def test_a_promotion_is_tried_three_times() -> None:
    async def work(world: World) -> None:
        world.traffic.broken_stack = True
        asyncio.get_running_loop().call_at(8, setattr, world.traffic, "broken_stack", False)
        world.act(DecisionKind.PROMOTE)
        await world.effects.drain(60)

    world = play(work)
    assert [result["ok"] for result in world.ledger.results("promote")] == [False, False, True]
    assert world.effects.promoted
    assert world.ledger.pages == []


def test_a_promotion_that_fails_every_time_is_paged() -> None:
    async def work(world: World) -> None:
        world.traffic.broken_stack = True
        world.act(DecisionKind.PROMOTE)
        await world.effects.drain(60)

    world = play(work)
    assert len(world.ledger.results("promote")) == timing.PROMOTE_TRIES
    assert not world.effects.promoted
    assert world.ledger.pages == ["the release is live but not promoted"]
    assert "not swapped: the stack update failed. `rollout resume`" in world.ledger.bodies[0]


@pytest.mark.parametrize("kind", ["promote", "prepare_rollback", "raise_rate_limit"])
def test_what_never_returns_is_reported_as_not_done(kind: str) -> None:
    class HangingTraffic(FakeTraffic):
        async def promote(self) -> Mapping[str, Any]:
            await forever()

        async def check_rollback(self) -> Mapping[str, str]:
            await forever()

    class HangingLimits(FakeRateLimits):
        async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
            await forever()

    async def work(world: World) -> None:
        world.act(DecisionKind(kind), rate_limit=1500)
        await world.effects.drain(timing.DRAIN_LIMIT)

    world = play(work, World(traffic=HangingTraffic(), limits=HangingLimits()))
    assert not world.effects.promoted
    assert world.ledger.results(kind)[-1]["ok"] is False
    assert "not_drained" not in world.ledger.notes()
    assert world.ledger.pages or world.notifier.sent


def test_a_decrease_does_not_join_one_that_has_ended() -> None:
    """Its break-glass is done and the stack is being brought in line when somebody else moves traffic."""

    class Slow(FakeTraffic):
        async def reconcile(self, weight: int) -> Mapping[str, Any]:
            await asyncio.sleep(60)
            return {}

    async def work(world: World) -> None:
        world.traffic.weight, world.traffic.broken_stack = 50, True
        world.to(5, effect=1)
        await asyncio.sleep(20)
        assert world.traffic.weight == 5
        world.traffic._move(60)
        world.to(5, effect=2)
        await asyncio.sleep(20)
        assert world.traffic.weight == 5

    play(work, World(traffic=Slow()))


@dataclass
class Unwilling(FakeNotifier):
    """Takes a message only at its ``willing``-th try, of any message; until then it fails, or ``hangs``."""

    willing: int = 2
    hangs: bool = False
    tries: int = 0

    async def send(self, topic: str, subject: str, body: str) -> str:
        self.tries += 1
        if self.tries < self.willing:
            await (forever() if self.hangs else asyncio.sleep(0))
            raise OSError("the topic does not answer")
        return await super().send(topic, subject, body)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_message_is_sent_until_it_is_accepted(hangs: bool) -> None:
    async def work(world: World) -> None:
        world.effects.send(1, "immediate", "held", "somebody must decide")
        await world.effects.drain(60)

    world = play(work, World(notifier=Unwilling(hangs=hangs)))
    (sent,) = world.notifier.sent
    took = (timing.NOTIFY_LIMIT if hangs else 0) + timing.NOTIFY_RETRY[0]
    assert sent[2] == f"somebody must decide\nThis message is {took:.0f} s old: nobody took it before."
    failed, accepted = world.ledger.results("notify")
    assert (failed["ok"], failed["effect"]) == (False, 1)
    assert failed["error"] == ("not done within 10 s" if hangs else "OSError: the topic does not answer")
    assert (accepted["ok"], accepted["effect"], accepted["tries"]) == (True, 1, 2)


def test_a_message_that_nobody_takes_keeps_no_other_waiting_and_is_named_at_the_end() -> None:
    class Partly(FakeNotifier):
        async def send(self, topic: str, subject: str, body: str) -> str:
            if subject == "lost":
                raise OSError("no")
            return await super().send(topic, subject, body)

    async def work(world: World) -> None:
        world.effects.send(1, "immediate", "lost", "")
        world.effects.send(2, "notice", "told", "")
        await asyncio.sleep(0.1)
        assert world.notifier.sent == [("notice", "told", "")]
        began = now()
        await world.effects.drain(300)
        assert now() - began == pytest.approx(timing.NOTIFY_DRAIN)
        tried = len(world.ledger.records)
        await asyncio.sleep(100)
        assert len(world.ledger.records) == tried
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("notify")]

    world = play(work, World(notifier=Partly()))
    assert world.ledger.notes() == ["untold"]
    assert world.ledger.records[-1][1] == {"what": "untold", "topic": "immediate", "subject": "lost"}
    assert [result["ok"] for result in world.ledger.results("notify")] == [False, True]


def test_the_end_waits_for_what_is_under_way_but_not_for_ever() -> None:
    class Slow(FakeNotifier):
        async def send(self, topic: str, subject: str, body: str) -> str:
            await asyncio.sleep(8)
            return await super().send(topic, subject, body)

    async def work(world: World) -> None:
        world.effects.send(1, "notice", "subject", "body")
        await world.effects.drain(300)
        assert world.notifier.sent == [("notice", "subject", "body")]
        world.traffic.broken_stack = world.traffic.broken_api = True
        world.to(0)
        began = now()
        await world.effects.drain(300)
        assert now() - began == pytest.approx(300)

    assert play(work, World(notifier=Slow())).ledger.notes()[-1] == "not_drained"


def test_what_a_rollback_needs_is_checked_and_the_finding_is_sent() -> None:
    class Buggy(FakeTraffic):
        async def check_rollback(self) -> Mapping[str, str]:
            raise KeyError("a bug")

    class Unready(FakeTraffic):
        async def check_rollback(self) -> Mapping[str, str]:
            return {"engine": "", "stable's targets": "no target is registered"}

    async def work(world: World) -> None:
        world.act(DecisionKind.PREPARE_ROLLBACK)
        await world.effects.drain(60)

    for traffic, ok, found in (
        (FakeTraffic(), True, "are ready"),
        (Unready(), False, "prepared: stable's targets: no target is registered"),
        (Buggy(), False, "the check itself: KeyError: 'a bug'"),
    ):
        world = play(work, World(traffic))
        assert world.ledger.results("prepare_rollback")[0]["ok"] is ok
        ((topic, _, body),) = world.notifier.sent
        assert topic == "immediate"
        assert found in body


# --- who is notified


@pytest.mark.parametrize(
    ("kind", "values", "topic"),
    [
        (DecisionKind.SET_WEIGHT, {"weight": 25, "reason": Reason.STAGE_PASSED}, "notice"),
        (DecisionKind.SET_WEIGHT, {"weight": 5, "reason": Reason.STARTED}, "notice"),
        (DecisionKind.SET_WEIGHT, {"weight": 5}, "immediate"),
        (DecisionKind.HOLD, {}, "immediate"),
        (DecisionKind.ALERT, {"severity": Severity.PAGE}, "immediate"),
        (DecisionKind.ALERT, {"severity": Severity.WARNING}, "warning"),
        (DecisionKind.ALERT, {}, "immediate"),
        (DecisionKind.RAISE_RATE_LIMIT, {"rate_limit": 1500}, "warning"),
        (DecisionKind.FINISH, {"outcome": "promoted"}, "notice"),
        (DecisionKind.FINISH, {"outcome": "aborted"}, "immediate"),
        (DecisionKind.PROMOTE, {}, None),
        (DecisionKind.PREPARE_ROLLBACK, {}, None),
    ],
)
def test_each_decision_notifies_by_its_urgency(
    kind: DecisionKind, values: dict[str, Any], topic: str | None
) -> None:
    async def work(world: World) -> None:
        world.effects.notify(1, decision(kind, **values))
        await world.effects.drain(60)

    assert [sent[0] for sent in play(work).notifier.sent] == ([topic] if topic else [])


def test_a_notification_says_what_why_and_when() -> None:
    breach = Breach(Reason.ERROR_RATE, 4.2, 1.0, 5.0, "error rate 4.2 % is above 1 %")
    subject, body = describe(
        decision(DecisionKind.SET_WEIGHT, weight=5, value=4.2, limit=1.0, breaches=(breach,))
    )
    assert subject == "traffic to 5 % of the candidate: error_rate"
    assert "error_rate: 4.2 (limit 1)" in body
    assert "caused by: metrics at 1.0 s" in body


def test_a_subject_is_as_long_as_sns_takes_and_no_longer() -> None:
    subject, _ = describe(decision(DecisionKind.HOLD, reason="a" * 200))  # type: ignore[arg-type]
    assert subject == f"hold: {'a' * 94}"
