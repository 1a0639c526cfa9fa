"""A session: when a rollout's time begins, what is on the disk before anything moves, and a clock that only goes on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout import session
from rollout.control.controller import Controller, Exit
from rollout.journal import read_journal
from rollout.journal.station import Station
from rollout.plan import plan_text
from rollout.procedure.preflight import Finding
from rollout.session import WallClock
from rollout.stacks.environment import Environment, EnvironmentProblem
from rollout.terminal.view import Screen
from tests.rollout import driver

EPOCH = 1_766_196_000.0
SECRET = "the secret of the test route"


class Clock:
    """Stand-in for the wall clock; somebody else moves it."""

    time = EPOCH

    def now(self) -> float:
        return self.time


class Session:
    """`session.run_new` on the stand-ins of the command's tests, up to the loop of its controller."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.station = Station(folder, "prod")
        self.clock = Clock()
        self.worlds: list[driver.World] = []
        self.controllers: list[Controller] = []
        self.stations: list[Station | None] = []
        self.findings: list[Finding] = []

        def world(*args: Any) -> driver.World:
            self.worlds.append(driver.World(*args))
            return self.worlds[-1]

        async def read_environment(*args: Any) -> Environment:
            return replace(await driver.read_environment(*args), secrets=(SECRET,))

        async def check(*_: Any, **__: Any) -> list[Finding]:
            return self.findings

        async def conduct(controller: Controller, station: Station | None, *_: Any) -> Exit:
            self.controllers.append(controller)
            self.stations.append(station)
            return Exit.PROMOTED

        monkeypatch.chdir(folder)
        for name, fake in (
            ("World", world),
            ("read_environment", read_environment),
            ("check", check),
            ("WallClock", lambda: self.clock),
            ("_conduct", conduct),
        ):
            monkeypatch.setattr(session, name, fake)

    def run(self, *, dry: bool = False, confirmed: bool = True, text: str = "") -> Exit:
        def confirm(environment: Environment) -> bool:
            self.clock.time += 40  # somebody reads the question
            return confirmed

        return asyncio.run(
            session.run_new(
                driver.Engine(self.station.directory),  # type: ignore[arg-type]
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
    """Also for the metrics, whose periods are counted from it: else a window would hold what was before the rollout."""
    assert one.run() is Exit.PROMOTED
    journal = one.station.latest()
    assert journal
    (first,) = read_journal(journal)
    assert first.body["start"] == EPOCH + 40
    assert one.worlds[0].metrics.start == EPOCH + 40
    assert one.controllers[0].t == 0
    one.clock.time += 7
    assert one.controllers[0].t == 7


def test_whoever_does_not_confirm_has_touched_nothing(one: Session) -> None:
    with pytest.raises(EnvironmentProblem, match="nothing was touched"):
        one.run(confirmed=False)
    assert (one.controllers, one.station.latest()) == ([], None)


def test_a_check_that_fails_stops_the_rollout_and_a_warning_does_not(one: Session) -> None:
    one.findings = [Finding("version", "both are 2.0.0", warning=True)]
    assert one.run() is Exit.PROMOTED
    one.findings.append(Finding("replicas", "candidate has 2 replicas, stable 4"))
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
