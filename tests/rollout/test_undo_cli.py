"""The command `rollout undo`: what it goes back to, what it refuses, what it says."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from rollout import cli
from rollout.journal import Record, read_journal
from rollout.journal.card import Card
from rollout.journal.header import FORMAT, Header
from rollout.journal.station import Station, StationError
from rollout.journal.store import Shared, StoreError
from rollout.policy import RULES
from rollout.stacks.engine import EngineMissing
from rollout.stacks.environment import Environment
from rollout.terminal import traffic_now
from tests.rollout import driver
from tests.rollout.test_cli import PLACE, Ran, project, record_of, rollout, start, weight

__all__ = ["project", "rollout"]  # fixtures
Run = Callable[..., Ran]
RELEASE: Mapping[str, Any] = {
    "env": "prod", "stable": "blue", "candidate": "green", "start": 0,
    "versions": {"stable": "1.0.0", "candidate": "2.0.0"},
}  # fmt: skip
PROMOTE = {"t": 0, "decision": "promote", "weight": 100, "criterion": "stage_passed"}


def journal_of(folder: Path, *records: tuple[str, Mapping[str, Any]], **begins: Any) -> None:
    header = {**RELEASE, "plan": (folder / "quick.yaml").read_text(), **begins}
    lines = enumerate((("rollout", header), *records), start=1)
    record_of(folder, "".join(Record(seq, "", kind, 0, body).to_line() for seq, (kind, body) in lines))


def ended(outcome: str) -> tuple[str, Mapping[str, Any]]:
    return "note", {"what": "ended", "outcome": outcome, "verified": True, "exit": 0}


def promoted(folder: Path, **begins: Any) -> None:
    journal_of(folder, ("decision", PROMOTE), ended("promoted"), **begins)
    (folder / "weight").write_text("100")


def test_the_help_says_what_it_does_and_when(rollout: Run) -> None:
    text = " ".join(rollout("undo", "--help").out.replace("│", " ").split())
    assert "After a promotion, send all traffic back to the colour that was stable" in text
    assert "Before the promotion an undo is an abort." in text
    assert "Without a healthy target nothing is moved." in text


def test_all_traffic_goes_back_and_is_verified(rollout: Run, project: Path) -> None:
    promoted(project)
    ran = rollout("undo", "--reason", "orders are lost", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "back to blue 1.0.0: 2 of 2 targets are healthy"
    assert "undo: ordered by the operator: orders are lost" in ran.out
    assert (
        lines[-1]
        == "undone: all traffic is on the colour that was stable before the promotion, and it is normal"
    )
    latest = Station(project, "prod").latest()
    assert latest
    begins, found = read_journal(latest)[:2]
    header = Header.read(begins)
    assert (header.kind, header.reason, header.roles) == (
        "undo", "orders are lost", {"stable": "blue", "candidate": "green"}
    )  # fmt: skip
    assert found.body["what"] == "going_back"
    assert Station(project, "prod").holder() is None
    assert rollout("status").out.startswith("prod, plan phase-c: undone\n")
    again = rollout("undo", connector=driver.FileConnector())
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "nothing to undo: the latest rollout of prod from here, of green 2.0.0, was undone" in again.err
    assert "`rollout undo --to VERSION`" in again.err


def test_pods_are_brought_back_first(rollout: Run, project: Path) -> None:
    promoted(project)
    (project / "pods").write_text("0")
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err
    assert "blue: 0 of 2 targets are healthy; scaling it up by an update of prod-blue" in ran.out


def test_its_pods_may_be_kept_or_go_at_once(rollout: Run, project: Path) -> None:
    for flag, stop in (("--keep", False), ("--stop", True)):
        promoted(project)
        ran = rollout("undo", flag, connector=driver.FileConnector())
        assert (ran.code, weight(project)) == (3, 0), ran.err
        latest = Station(project, "prod").latest()
        assert latest
        records = read_journal(latest)
        assert Header.read(records[0]).stop is stop
        assert any(record.body.get("act") == "stop" for record in records) is stop
        shutil.rmtree(project / ".rollout")


class NoPods(driver.FileConnector):
    def adapters(self, *args: Any) -> driver.Adapters:
        made = super().adapters(*args)
        made.colours.healthy["stable"], made.colours.broken = 0, True  # type: ignore[attr-defined]
        return made


def test_without_a_healthy_target_nothing_is_moved_and_it_says_where_traffic_is(
    rollout: Run, project: Path
) -> None:
    promoted(project)
    ran = rollout("undo", connector=NoPods())
    assert (ran.code, weight(project)) == (1, 100)
    assert "rollout: nothing was moved: blue 1.0.0: 0 of 2 targets are healthy" in ran.err
    assert ran.err.splitlines()[-1].startswith("rollout: traffic now: ")
    latest = Station(project, "prod").latest()
    assert latest and latest.name == "journal.jsonl", "the promotion's is still the latest journal"


@pytest.mark.parametrize(
    ("records", "begins", "args", "message"),
    [
        (None, {}, (), "nothing here says which version was stable before 1.0.0; green runs 2.0.0"),
        ([ended("aborted")], {}, (), "of green 2.0.0, was aborted, and all traffic went to blue 1.0.0"),
        (
            [("decision", PROMOTE), ended("promoted")],
            {"versions": {"stable": "0.9", "candidate": "2.0.0"}},
            (),
            "blue now runs 1.0.0, not 0.9, which was stable before: deploy that with `pulumi config set",
        ),
        ([("decision", PROMOTE)], {}, ("--to", "7"), "blue now runs 1.0.0, not 7"),
        ([("decision", PROMOTE)], {}, ("--plan", "phase-d"), "phase-d: cannot read this plan"),
        ([("decision", PROMOTE)], {}, ("--time-scale", "0"), "--time-scale 0: it takes a number above 0"),
    ],
)
def test_what_cannot_be_undone_is_one_line_with_the_fix(
    rollout: Run, project: Path, records: Any, begins: Any, args: tuple[str, ...], message: str
) -> None:
    if records is not None:
        journal_of(project, *records, **begins)
    (project / "weight").write_text("100")
    ran = rollout("undo", *args, connector=driver.FileConnector())
    assert (ran.code, ran.err.count("\n"), weight(project)) == (2, 1, 100), ran.err
    assert message in ran.err


def test_a_plan_that_this_version_does_not_read_is_no_obstacle(rollout: Run, project: Path) -> None:
    promoted(project, plan="stages: of another format")
    ran = rollout("undo", connector=NoPods())
    assert "phase-c counts instead" in ran.err
    assert (ran.code, weight(project)) == (1, 100)
    (project / ".rollout/prod/journal.jsonl").write_text("not a journal\n")
    ran = rollout("undo", connector=NoPods())
    assert ran.code == 2
    assert "not a journal record" in ran.err
    assert "nothing here says which version was stable" in ran.err
    (project / ".rollout/prod/journal.jsonl").write_text("")
    assert "there is no record in it" in rollout("undo", connector=NoPods()).err


def test_another_machine_names_the_version(rollout: Run, project: Path) -> None:
    class Elsewhere(driver.FileConnector):
        async def read(self, engine: object, env: str, roles: Any = None) -> Environment:
            return driver.environment(env).exchanged()

    (project / "weight").write_text("100")
    ran = rollout("undo", "--to", "1.0.0", "--plan", "quick.yaml", connector=Elsewhere())
    assert (ran.code, weight(project)) == (3, 0), ran.err


def test_before_the_promotion_it_is_an_abort(rollout: Run, project: Path) -> None:
    journal_of(project, region="r")  # of a controller that is gone
    (project / "weight").write_text("25")
    ran = rollout("undo", connector=driver.FileConnector())
    assert "green 2.0.0 is not promoted yet: the undo is an abort" in ran.out
    assert weight(project) == 0


def test_a_running_controller_is_asked_to_abort(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(self: Station, command: str) -> tuple[bool, str]:
        asked.append(command)
        return True, "abort: ordered by the operator"

    monkeypatch.setattr(Station, "ask", ask)
    station = Station(project, "prod")
    station.take()
    ran = rollout("undo", connector=driver.FileConnector())
    station.give_back()
    assert (ran.code, asked) == (0, ["abort"])
    assert ran.out.splitlines() == [
        "a controller is running, so nothing is promoted yet: the undo is an abort",
        "abort: abort: ordered by the operator",
    ]


class NoPulumi(driver.FileConnector):
    def __init__(self, healthy: int) -> None:
        self.healthy = healthy

    def engine(self, project_dir: Path, running: Path | None) -> Any:
        raise EngineMissing("pulumi is not on PATH")

    def rule(self, card: Card) -> Any:
        return Rule(self.healthy)


class Rule(driver.FileTraffic):
    def __init__(self, healthy: int) -> None:
        super().__init__()
        self.elbv2 = self
        self.healthy = healthy

    def describe_target_health(self, **_: Any) -> Any:
        target = {"Target": {"Id": "10.0.0.1"}, "TargetHealth": {"State": "healthy"}}
        return {"TargetHealthDescriptions": [target] * self.healthy}

    async def write_weight(self, weight: int) -> None:
        self._move(weight)

    async def make_whole(self) -> None:
        pass


def test_it_works_without_pulumi(rollout: Run, project: Path) -> None:
    promoted(project, **PLACE)
    ran = rollout("undo", connector=NoPulumi(0))
    assert (ran.code, weight(project)) == (1, 100)
    assert "could NOT be moved: no target of blue is healthy: no target is registered" in ran.err
    assert "modify-rule" not in ran.err, "nobody should move it there by hand either"
    ran = rollout("undo", connector=NoPulumi(2))
    assert (ran.code, weight(project)) == (4, 0)
    assert "pulumi is not on PATH" in ran.err
    assert "`rollout undo` again brings it in line when Pulumi is back" in ran.out


def test_without_journal_and_pulumi_it_says_where_traffic_is_and_the_way_on(rollout: Run) -> None:
    ran = rollout("undo", connector=NoPulumi(2))
    assert ran.code == 2
    first, now, *way = ran.err.splitlines()
    assert first == "rollout: pulumi is not on PATH"
    assert now.startswith("rollout: traffic now: ")
    assert "`rollout abort --env prod --stable COLOUR`" in " ".join(way)
    assert "docs/emergency.md" in " ".join(way)


def test_without_pulumi_targets_that_are_not_seen_are_no_refusal(rollout: Run, project: Path) -> None:
    class Throttled(Rule):
        def describe_target_health(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "DescribeTargetHealth")

    class Unseen(NoPulumi):
        def rule(self, card: Card) -> Any:
            return Throttled(0)

    promoted(project, **PLACE)
    ran = rollout("undo", connector=Unseen(0))
    assert (ran.code, weight(project)) == (4, 0), ran.err
    assert "warning: how many targets of blue are healthy is not known: " in ran.out


@pytest.mark.parametrize("command", ["resume", pytest.param("undo", marks=pytest.mark.lab)])
def test_killed_in_the_middle_it_is_continued(project: Path, command: str) -> None:
    promoted(project)
    code = """
import os
import signal
from rollout.journal.journal import FileJournal
from tests.rollout import driver
from rollout import cli
append = FileJournal.append
def dying(self, kind, t, body):
    number = append(self, kind, t, body)
    if kind == "intent":
        os._exit(9)
    return number
FileJournal.append = dying
cli.main(driver.FileConnector())
"""
    env = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", str(Path(cli.__file__).parents[1]))}
    killed = subprocess.run(
        [sys.executable, "-c", code, "undo"], cwd=project, env=env, capture_output=True, check=False
    )
    assert killed.returncode == 9, killed.stderr
    assert weight(project) == 100
    ran = subprocess.run(
        [sys.executable, str(Path(driver.__file__)), command],
        cwd=project, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, weight(project)) == (3, 0), ran.stderr
    assert "no controller is running: continuing the undo in" in ran.stdout
    assert "undone: all traffic is on" in ran.stdout


# --- a disk that is full, or not to be written


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device", "/there")


def test_a_card_that_cannot_be_written_does_not_change_how_it_ends(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(project)
    monkeypatch.setattr(Station, "write_card", full)
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err
    assert "warning: the card for `rollout abort` could not be written: [Errno 28] No space left" in ran.out


def test_a_run_without_a_disk_ends_in_one_sentence(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Station, "open_journal", full)
    ran = rollout("run", "--yes", "--plan", "quick.yaml", connector=driver.FileConnector())
    assert (ran.code, ran.err.count("\n"), weight(project)) == (1, 1, 0), ran.err
    assert "No space left on device: '/there'; `rollout status` says where traffic is" in ran.err


@pytest.mark.parametrize("what", ["take", "open_journal", "point_at"])
def test_an_undo_waits_for_no_disk(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    promoted(project)
    monkeypatch.setattr(Station, what, full)
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err
    assert "No space left on device" in ran.out + ran.err


def test_an_undo_whose_first_record_cannot_be_written_goes_on(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(project)
    monkeypatch.setattr("rollout.journal.journal._write_fully", full)
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err
    assert "warning: the undo goes on, but its journal cannot be written: [Errno 28]" in ran.out
    latest = Station(project, "prod").latest()
    assert latest and latest.name == "journal.jsonl", "what cannot be read is not the latest"


def test_an_undo_whose_engine_has_no_disk_goes_by_the_load_balancers_api(rollout: Run, project: Path) -> None:
    class Full(NoPulumi):
        def engine(self, project_dir: Path, running: Path | None) -> Any:
            full()

    promoted(project, **PLACE)
    ran = rollout("undo", connector=Full(2))
    assert (ran.code, weight(project)) == (4, 0), ran.err


def test_an_undo_does_not_wait_for_the_store(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise StoreError("GetObject failed: the store is down")

    class Down:
        where = "s3://there"
        create = read = replace = write = names = age = down

    promoted(project)
    monkeypatch.setattr(cli, "_shared", lambda env, needed: Shared(Down()))
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err
    assert "the store is down: going on without the store; the journal is on this machine only" in ran.err


# --- the watch after the promotion


def test_a_watch_ends_with_its_time(rollout: Run, project: Path) -> None:
    promoted(project)
    ran = rollout("watch", "--for", "1s", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (0, 100), ran.err
    assert ran.out.splitlines()[0] == "an undo goes back to blue 1.0.0: 2 of 2 targets are healthy"
    assert (
        ran.out.splitlines()[-1] == "watched to the end: nothing led to an undo. Nobody watches from now on"
    )
    assert rollout("status").out.startswith("prod, plan phase-c: watched\n")
    assert rollout("report").out == "report.html: watched\n"
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err


@pytest.mark.parametrize("length", ["0", "soon", "-1m"])
def test_a_watch_has_a_length(rollout: Run, project: Path, length: str) -> None:
    promoted(project)
    ran = rollout("watch", "--for", length)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"--for {length}: it " in ran.err


def test_only_what_was_promoted_is_watched(rollout: Run, project: Path) -> None:
    ran = rollout("watch", connector=driver.FileConnector())
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "nothing to watch: the latest rollout of prod from here was not promoted" in ran.err


def test_a_new_watch_does_not_leave_an_undo_behind_that_nobody_heard(rollout: Run, project: Path) -> None:
    journal_of(project, kind="watch", watch_s=3600, format=FORMAT, policy=RULES, **PLACE)
    (project / "weight").write_text("100")
    station = Station(project, "prod")
    before = station.latest()
    assert before
    station.mark(before.stem, "abort --reason orders are lost")
    ran = rollout("watch", connector=driver.FileConnector())
    assert (ran.code, ran.err.count("\n"), weight(project)) == (2, 1, 100), ran.err
    assert "`abort --reason orders are lost` was left for the watch that is not finished" in ran.err
    assert "`rollout resume` carries it out" in ran.err
    assert "`rollout undo`" in ran.err
    assert station.latest() == before
    ran = rollout("resume", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (3, 0), ran.err


def test_a_watch_needs_a_release_with_all_of_the_traffic(rollout: Run, project: Path) -> None:
    promoted(project)
    (project / "weight").write_text("40")
    ran = rollout("watch", connector=driver.FileConnector())
    assert ran.code == 1
    assert "green 2.0.0 has 40 % of the traffic, not all of it: there is no promotion to watch" in ran.err


def test_a_watch_that_runs_is_asked_to_undo_once_the_old_colour_was_looked_at(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(self: Station, command: str) -> tuple[bool, str]:
        asked.append(command)
        return True, "undo: ordered by the operator"

    monkeypatch.setattr(Station, "ask", ask)
    journal_of(project, kind="watch", watch_s=3600)
    station = Station(project, "prod")
    station.take()
    ran = rollout("undo", connector=NoPods())
    assert (ran.code, asked) == (1, [])
    ran = rollout("undo", connector=driver.FileConnector())
    assert (ran.code, asked) == (0, ["abort"])
    assert ran.out.splitlines() == [
        "back to blue 1.0.0: 2 of 2 targets are healthy",
        "undo: ordered by the operator",
    ]
    ran = rollout("abort", connector=driver.FileConnector())
    assert (ran.code, asked) == (2, ["abort"])
    assert "green 2.0.0 is promoted, all traffic is on it: `rollout undo` goes back to blue 1.0.0" in ran.err
    station.give_back()
    ran = rollout("abort", connector=driver.FileConnector())
    assert "green 2.0.0 is promoted: `rollout undo` goes back to blue 1.0.0" in ran.err


def test_a_watch_that_does_not_answer_finds_a_mark_and_traffic_goes_back_without_it(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(self: Station, command: str) -> tuple[bool, str]:
        raise StationError("the controller did not answer within 15 s")

    class Balancer(driver.FileConnector):
        def rule(self, card: Card) -> Any:
            return Rule(2)

    monkeypatch.setattr(Station, "ask", ask)
    journal_of(project, kind="watch", watch_s=3600, **PLACE)
    (project / "weight").write_text("100")
    station = Station(project, "prod")
    station.take()
    ran = rollout("undo", connector=Balancer())
    station.give_back()
    assert (ran.code, weight(project)) == (4, 0), ran.err
    assert (project / ".rollout/prod/aborted/journal").exists()


class Follows(driver.FileConnector):
    """The watch of another machine, which moves traffic at the second look, or never."""

    def __init__(self, *, moves: bool) -> None:
        self.looks, self.moves = 0, moves

    def elbv2(self, region: str) -> Any:
        self.looks += 1
        if self.moves and self.looks == 2:
            Path("weight").write_text("0")
        return driver.FileRules()


def held_elsewhere(*_: Any) -> None:
    raise StationError("another controller is running: process 7 on b")


@pytest.mark.parametrize("moves", [True, False])
def test_who_leaves_a_mark_waits_until_the_load_balancer_shows_it(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch, *, moves: bool
) -> None:
    monkeypatch.setattr(Station, "take", held_elsewhere)
    monkeypatch.setattr(traffic_now, "LOOK_GAP", 0.01)
    monkeypatch.setattr(traffic_now, "MOVED_LIMIT", 5 if moves else 0.1)
    groups = {"stable": "blue-group", "candidate": "green-group"}
    journal_of(project, kind="watch", watch_s=3600, region="us-east-1", rule_arn="rule", groups=groups)
    (project / "weight").write_text("100")
    ran = rollout("undo", "--stop", "--reason", "orders are lost", connector=Follows(moves=moves))
    mark = json.loads((project / ".rollout/prod/aborted/journal").read_text())
    assert mark["order"] == "abort --stop --reason orders are lost"
    assert "waiting to see it" in ran.out
    if moves:
        assert ran.code == 4, ran.err
        assert "traffic now: green 2.0.0 has 0 %, blue 1.0.0 has 100 % (load balancer" in ran.out
    else:
        assert ran.code == 1
        assert "traffic was not seen to move within 0.1 s: green 2.0.0 has 100 %" in ran.err
        assert "`rollout abort --env prod --stable blue`" in ran.err


@pytest.mark.lab
def test_ctrl_c_ends_a_watch_without_a_question(project: Path) -> None:
    promoted(project)
    controller = start(project, "watch")
    latest = project / ".rollout/prod/latest"
    while '"started"' not in latest.read_text():
        time.sleep(0.02)
    controller.send_signal(signal.SIGTERM)
    out, _ = controller.communicate(timeout=30)
    assert (controller.returncode, weight(project)) == (1, 100)
    assert "nobody watches any more; `rollout watch` watches again" in out


# --- warming up


def test_a_candidate_that_fails_to_warm_up_gets_no_traffic(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = project / "warm.yaml"
    plan.write_text((project / "quick.yaml").read_text() + "warm_up: {requests: 20}\n")
    monkeypatch.setenv("WARM_UP", "503")
    ran = rollout("run", "--yes", "--plan", "warm.yaml", connector=driver.FileConnector())
    assert (ran.code, weight(project)) == (1, 0)
    assert "the candidate could not be warmed up: 1 of 1 requests failed: 503 (1)" in ran.err
    assert "traffic now: " in ran.err
    assert Station(project, "prod").latest() is None


@pytest.mark.lab
def test_a_candidate_is_warmed_up_before_its_first_traffic(rollout: Run, project: Path) -> None:
    plan = project / "warm.yaml"
    plan.write_text((project / "quick.yaml").read_text() + "warm_up: {requests: 20}\n")
    ran = rollout("run", "--yes", "--plan", "warm.yaml", connector=driver.FileConnector())
    assert ran.code == 0, ran.err
    assert any(line.startswith("warmed up candidate: 20 requests in ") for line in ran.out.splitlines()), (
        ran.out
    )
    latest = Station(project, "prod").latest()
    assert latest
    assert [record.body.get("what") for record in read_journal(latest)[:3]][1] == "warmed_up"


def test_nothing_is_restarted_while_a_rollout_is_under_way(rollout: Run, project: Path) -> None:
    journal_of(project)
    ran = rollout("restart", "blue", "backend")
    assert ran.code == 2
    assert "a rollout of prod is under way" in ran.err
    assert "nothing was restarted" in ran.err
    for wrong, words in (
        (("red", "backend"), "COLOUR is blue or green"),
        (("blue", "db"), "WHAT is backend or"),
    ):
        ran = rollout("restart", *wrong)
        assert (ran.code, words in ran.err) == (2, True), ran.err
