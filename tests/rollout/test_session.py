"""A session: when a rollout's time begins, what is on the disk before anything moves, and a clock that only goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from rollout import session
from rollout.aws.cloudwatch import CloudWatchMetrics
from rollout.aws.probes import HttpProbes
from rollout.control.controller import Controller
from rollout.control.exits import Exit
from rollout.journal import read_journal, station
from rollout.journal.card import Card
from rollout.journal.station import Station
from rollout.journal.store import StoreError
from rollout.plan import plan_text
from rollout.procedure.preflight import Finding
from rollout.session import WallClock
from rollout.stacks.environment import Environment
from rollout.stacks.project import EnvironmentProblem
from rollout.terminal.view import Screen
from tests.rollout import driver
from tests.rollout.releases import PLAN

EPOCH = 1_766_196_000.0
SECRET = "the secret of the test route"


class Clock:
    """Stand-in for the wall clock; somebody else moves it."""

    time = EPOCH

    def now(self) -> float:
        return self.time


class Adapters(driver.Adapters):
    """Stand-in for the adapters: the findings of their checks, and when they were said to begin."""

    def __init__(self, environment: Environment, findings: Sequence[Finding]) -> None:
        super().__init__(environment)
        self.findings, self.began = findings, 0.0

    async def check(self, *, moving: bool) -> Sequence[Finding]:
        return self.findings

    def begin(self, start: float) -> None:
        self.began = start


class Connector(driver.FileConnector):
    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.changes: dict[str, Any] = {}
        self.made: list[Adapters] = []

    async def read(self, engine: object, env: str, roles: Mapping[str, str] | None = None) -> Environment:
        return replace(await super().read(engine, env, roles), secrets=(SECRET,), **self.changes)

    def adapters(
        self, engine: object, environment: Environment, plan: object, start: float, clock: object
    ) -> Adapters:
        self.made.append(Adapters(environment, self.findings))
        return self.made[-1]


class Session:
    """`session.run_new` up to the loop of its controller."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.station, self.connector, self.clock = Station(folder, "prod"), Connector(), Clock()
        self.controllers: list[Controller] = []
        self.stations: list[Station | None] = []

        async def conduct(controller: Controller, station: Station | None, *_: Any, **__: Any) -> Exit:
            self.controllers.append(controller)
            self.stations.append(station)
            return Exit.DONE

        monkeypatch.chdir(folder)
        monkeypatch.setattr(session, "WallClock", lambda: self.clock)
        monkeypatch.setattr(session, "_conduct", conduct)

    def run(self, *, dry: bool = False, confirmed: bool = True, text: str = "") -> Exit:
        def confirm(environment: Environment) -> bool:
            self.clock.time += 40  # somebody reads the question
            return confirmed

        return asyncio.run(
            session.run_new(
                self.connector,
                self.connector.engine(self.station.directory, None),
                self.station,
                plan_text=text or plan_text("phase-c")[0],
                env="prod",
                time_scale=1,
                dry=dry,
                journal_path=None,
                screen=Screen(lambda line: None, lambda kind, t, body: None),
                confirm=confirm,
            )
        )


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    return Session(tmp_path, monkeypatch)


def test_the_rollouts_time_begins_when_the_questions_are_answered(one: Session) -> None:
    assert one.run() is Exit.DONE
    journal = one.station.latest()
    assert journal
    (first,) = read_journal(journal)
    assert first.body["start"] == EPOCH + 40
    assert one.connector.made[0].began == EPOCH + 40
    assert one.controllers[0].t == 0
    one.clock.time += 7
    assert one.controllers[0].t == 7


def test_it_begins_with_what_was_approved_and_the_users_before_it(one: Session) -> None:
    assert one.run() is Exit.DONE
    started = one.controllers[0]._started(0)
    assert (started.candidate_version, started.stable_version) == ("2.0.0", "1.0.0")
    assert started.baseline_rpm == 6000


def test_the_front_door_is_probed_where_users_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")

    async def look() -> None:
        engine: Any = driver.NoEngine()
        environment = replace(driver.environment("prod"), base_url="https://app.example")
        async with session.AwsAdapters(engine, environment, PLAN, EPOCH, WallClock()) as adapters:
            assert isinstance(adapters.probes, HttpProbes)
            assert adapters.probes.roles == ("candidate", "stable", "front_door")
            front = adapters.probes.front_door
            assert front and (front.url, front.log) == ("https://app.example", adapters.probes.log)
            assert front.roles == {"green": "candidate", "blue": "stable"}
            assert isinstance(adapters.metrics, CloudWatchMetrics)
            assert adapters.metrics.probes is front.log
            assert adapters.traffic.rule.origin

    asyncio.run(look())


def test_metrics_are_counted_from_the_rollouts_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a window would hold what was before it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")

    async def begin() -> list[float]:
        engine: Any = driver.NoEngine()
        made = session.AwsAdapters(engine, driver.environment("prod"), PLAN, EPOCH, WallClock())
        async with made as adapters:
            adapters.begin(EPOCH + 600)
            assert isinstance(adapters.metrics, CloudWatchMetrics)
            return adapters.metrics._periods(130)

    assert asyncio.run(begin()) == [EPOCH + 600, EPOCH + 660]  # the closed ones


def test_whoever_does_not_confirm_has_touched_nothing(one: Session) -> None:
    with pytest.raises(EnvironmentProblem, match="nothing was touched"):
        one.run(confirmed=False)
    assert (one.controllers, one.station.latest()) == ([], None)


def test_a_check_that_fails_stops_the_rollout_and_a_warning_does_not(one: Session) -> None:
    one.connector.findings = [Finding("version", "both are 2.0.0", warning=True)]
    assert one.run() is Exit.DONE
    one.connector.findings.append(Finding("replicas", "candidate has 2 replicas, stable 4"))
    with pytest.raises(EnvironmentProblem, match="candidate has 2 replicas"):
        one.run()
    assert len(one.controllers) == 1


def test_no_secret_is_written_to_the_journal(one: Session) -> None:
    one.run(text=f"# {SECRET}\n{plan_text('phase-c')[0]}")
    journal = one.station.latest()
    assert journal
    assert SECRET not in journal.read_text()
    assert "# [secret]" in journal.read_text()


def test_a_dry_run_is_not_the_environments_rollout(one: Session) -> None:
    """It takes no commands of a real rollout, and `rollout status` does not take its journal for one."""
    one.run(dry=True)
    assert one.stations == [None]
    assert one.station.latest() is None
    assert [path.name.startswith("dry-") for path in one.station.directory.glob("*.jsonl")] == [True]


def test_the_clock_goes_on_when_the_systems_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallClock()
    before, real = clock.now(), time.time
    assert abs(before - real()) < 1
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    assert before <= clock.now() < before + 60


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux counts the time that it sleeps")
def test_the_clock_counts_the_time_that_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallClock()
    before, real = clock.now(), time.clock_gettime
    slept = {time.CLOCK_BOOTTIME: 1200.0}
    monkeypatch.setattr(time, "clock_gettime", lambda which: real(which) + slept.get(which, 0.0))
    assert before + 1200 <= clock.now() < before + 1260


def test_the_card_says_who_is_stable_before_and_after_a_promotion(
    one: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Card | None] = []

    async def conduct(*_: Any, **__: Any) -> Exit:
        seen.append(one.station.card())
        return codes.pop(0)

    monkeypatch.setattr(session, "_conduct", conduct)
    codes = [Exit.ROLLED_BACK, Exit.DONE]
    one.connector.changes = {
        "rule_arn": "arn:rule",
        "groups": {"stable": "arn:blue", "candidate": "arn:green"},
    }
    one.run()
    before = one.station.card()
    one.run()
    after = one.station.card()
    assert before and after
    assert seen == [before, before]
    assert (before.rule_arn, before.named("stable"), before.groups["stable"]) == (
        "arn:rule",
        "blue 1.0.0",
        "arn:blue",
    )
    assert (after.rule_arn, after.named("stable"), after.groups["stable"]) == (
        "arn:rule",
        "green 2.0.0",
        "arn:green",
    )


def test_a_rollout_that_is_resumed_hears_what_was_ordered_meanwhile(
    one: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered: list[str | None] = []

    async def conduct(*_: Any, **named: Any) -> Exit:
        ordered.append(named.get("ordered"))
        return Exit.FAILED

    monkeypatch.setattr(session, "_conduct", conduct)
    assert one.run() is Exit.FAILED
    journal = one.station.latest()
    assert journal

    def resume() -> None:
        engine, screen = (
            one.connector.engine(one.station.directory, None),
            Screen(lambda line: None, lambda kind, t, body: None),
        )
        asyncio.run(
            session.run_again(one.connector, engine, one.station, journal, read_journal(journal), screen)
        )

    resume()
    one.station.mark(journal.stem, "abort --reason orders are lost")
    resume()
    assert ordered == [None, None, "abort --reason orders are lost"]


def test_a_watch_is_not_resumed_while_nobody_knows_whether_its_undo_was_ordered(
    one: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered: list[str | None] = []
    answers: list[str | None] = []
    code = one.run()
    journal = one.station.latest()
    assert code is Exit.DONE
    assert journal

    async def conduct(*_: Any, **named: Any) -> Exit:
        ordered.append(named.get("ordered"))
        return Exit.FAILED

    async def marked(self: Station, name: str) -> str | None:
        if not answers:
            raise StoreError("the store is down")
        return answers.pop()

    def resume(command: str | None = None) -> None:
        engine, screen = (
            one.connector.engine(one.station.directory, None),
            Screen(lambda line: None, lambda kind, t, body: None),
        )
        records = read_journal(journal)
        asyncio.run(session.run_again(one.connector, engine, one.station, journal, records, screen, command))

    monkeypatch.setattr(session, "_conduct", conduct)
    monkeypatch.setattr(station, "MARK_POLL", 0.0)
    monkeypatch.setattr(Station, "marked", marked)
    with pytest.raises(StoreError, match="is not known whether"):
        resume()
    assert ordered == []
    resume("abort")  # whatever the mark says, this says it too
    assert ordered == [None]


def test_whose_lease_is_gone_leaves_and_a_store_that_is_down_is_paged(one: Session) -> None:
    told: list[str] = []

    class Told:
        def leave(self, why: str) -> None:
            told.append(f"left: {why}")

        def page(self, subject: str, body: str) -> None:
            told.append(f"paged: {subject}")

    class Taken:
        def serve(self, operate: object) -> str:
            return "serves"

        def latest(self) -> Path:
            return Path("one.jsonl")

        def hear_marks(self, name: str, operate: object) -> str:
            return f"hears marks of {name}"

        def keep_lease(self, lost: Callable[[str], None], down: Callable[[str], None]) -> str:
            down("no answer")
            lost("process 1 on b")
            return "keeps"

    controller, station, operate = (cast("Any", made) for made in (Told(), Taken(), None))
    watches: list[Any] = session._watches(controller, station, operate)
    assert watches == ["serves", "keeps", "hears marks of one"]
    assert told == ["paged: the store cannot be written", "left: process 1 on b has taken over"]
