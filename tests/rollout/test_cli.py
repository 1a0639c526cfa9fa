"""The command `rollout`: exit codes, one-line errors, and two terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout import cli
from rollout.control.ports import TrafficControl
from rollout.control.testing import FakeTraffic
from rollout.journal import Record, read_journal
from rollout.journal.card import Card
from rollout.journal.station import Station
from rollout.plan import plan_text
from rollout.session import Connector
from rollout.stacks.engine import EngineMissing
from rollout.stacks.environment import Environment
from tests.rollout.driver import FileConnector, FileTraffic
from tests.rollout.journals import bad_release

DRIVER = Path(__file__).with_name("driver.py")
# A whole rollout in a few real seconds.
QUICK = {
    "  - {weight: 25, window: 3m}\n  - {weight: 50, window: 3m}\n": "",
    "weight: 5, window: 2m": "weight: 5, window: 1s",
    "weight: 100, window: 5m": "weight: 100, window: 1s",
    "period: 60s": "period: 1s",
    "interval: 5s": "interval: 200ms",
    "watch: 5m": "watch: 2s",
    "hold_timeout: 10m": "hold_timeout: 1s",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: simple378\nruntime: python\n")
    (tmp_path / "Pulumi.prod-traffic.yaml").write_text("config:\n  simple378:stable: blue\n")
    text, _ = plan_text("phase-c")
    for old, new in QUICK.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "quick.yaml").write_text(text)
    (tmp_path / "patient.yaml").write_text(text.replace("window: 1s", "window: 5m"))
    return tmp_path


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def rollout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], project: Path
) -> Iterator[object]:
    monkeypatch.chdir(project)

    def run(*args: str, connector: Connector | None = None) -> Ran:
        monkeypatch.setattr(sys, "argv", ["rollout", *args])
        code = 0
        try:
            cli.main(connector)
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run  # type: ignore[return-value]


# --- bad input: one line, exit code 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "--plan", "nowhere.yaml"], "nowhere.yaml: cannot read this plan"),
        (
            ["run", "--env", "staging"],
            "; the environments here: prod",
        ),
        (
            ["run", "--project-dir", "/"],
            "/: there is no Pulumi.yaml in it; give the project's directory with --project-dir",
        ),
        (["run", "--time-scale", "0"], "--time-scale 0: it takes a number above 0"),
        (["run", "--time-scale", "-3"], "--time-scale -3: it takes a number above 0"),
        (["run", "--time-scale", "nan"], "--time-scale nan: it takes a number above 0"),
        (["run", "--time-scale", "7"], "take one that leaves whole seconds"),
        (["run", "--time-scale", "100"], "take one that leaves whole seconds"),
        (["run"], "stdin is not a terminal; pass --yes to skip the question"),
        (["run", "--yes", "--journal", "quick.yaml"], "--journal quick.yaml: the file exists"),
        (["status", "--project-dir", "/"], "/: there is no Pulumi.yaml in it"),
        (["pause", "--project-dir", "/"], "/: there is no Pulumi.yaml in it"),
        (["resume", "--project-dir", "/"], "/: there is no Pulumi.yaml in it"),
        (["report", "--project-dir", "/"], "/: there is no Pulumi.yaml in it"),
        (["status", "--env", "staging"], "--env staging: there is no Pulumi.staging-traffic.yaml in /"),
        (["run", "--env", "prod-traffic"], "--env 'prod-traffic': not an environment's name"),
        (["status", "--env", "../prod"], "--env '../prod': not an environment's name"),
        (["abort", "--env", ""], "--env '': not an environment's name"),
        (["abort", "--env", "staging"], "--env staging: there is no Pulumi.staging-traffic.yaml"),
        (["plan", "nowhere.yaml"], "nowhere.yaml: cannot read this plan"),
        (
            ["plan", "--plan", "phase-d"],
            "phase-d: cannot read this plan: No such file or directory; did you mean phase-c?",
        ),
        (["plan", "phase-c", "--plan", "tuned"], "--plan tuned: phase-c is given too"),
        (
            ["replay", "nowhere.jsonl"],
            "nowhere.jsonl: cannot read these events: No such file or directory; journals are in .rollout/ENV/",
        ),
        (
            ["report", "nowhere.jsonl"],
            "nowhere.jsonl: No such file or directory; journals are in .rollout/ENV/",
        ),
        (["--store", "nowhere", "status"], "--store nowhere: it takes s3://BUCKET or s3://BUCKET/PREFIX"),
        (["status", "--store", "nowhere"], "--store nowhere: it takes s3://BUCKET or s3://BUCKET/PREFIX"),
        (
            ["status", "--evn", "prod"],
            "no such option: --evn (Possible options: --env); see `rollout status -h`",
        ),
        (["explore"], "missing argument 'PLAN'; see `rollout explore -h`"),
        (["prmote"], "no such command 'prmote' (did you mean 'rotate'?); see `rollout -h`"),
        (["xyzzy"], "no such command 'xyzzy'; see `rollout -h`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(rollout: object, args: list[str], message: str) -> None:
    ran = rollout(*args)  # type: ignore[operator]
    assert ran.code == 2
    assert ran.err.startswith("rollout: ")
    assert ran.err.count("\n") == 1
    assert message in ran.err


def test_a_plan_with_an_unknown_key_is_refused_before_anything(rollout: object, project: Path) -> None:
    (project / "bad.yaml").write_text(plan_text("phase-c")[0] + "\nstagse: []\n")
    ran = rollout("run", "--yes", "--plan", "bad.yaml")  # type: ignore[operator]
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "bad.yaml: line 45: stagse: unknown key" in ran.err
    assert not (project / ".rollout").exists()


def test_a_missing_engine_is_named_with_the_fix(
    rollout: object, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setenv("PATH", str(project))
    ran = rollout("run", "--yes")  # type: ignore[operator]
    assert (ran.code, ran.err) == (
        2,
        "rollout: pulumi is not on PATH: run `make setup` and `. .venv/bin/activate`, or install it from pulumi.com\n",
    )


def test_plan_is_explained(rollout: object) -> None:
    ran = rollout("plan")  # type: ignore[operator]
    assert ran.code == 0
    assert "5 % of the traffic to the candidate, watched for 2 min" in ran.out
    assert "Earliest end of a good release: 13 min" in ran.out
    scaled = rollout("plan", "--time-scale", "10")  # type: ignore[operator]
    assert "watched for 12 s" in scaled.out
    assert rollout("plan", "--plan", "tuned").out == rollout("plan", "tuned").out != ran.out  # type: ignore[operator]


def test_explore_is_wired(rollout: object, project: Path) -> None:
    ran = rollout("explore", "phase-c", "--for", "0s")  # type: ignore[operator]
    assert ran.code == 0
    assert "not closed" in ran.out
    assert "--for soon: it is not a duration" in rollout("explore", "phase-c", "--for", "soon").err  # type: ignore[operator]


def test_replay_is_wired(rollout: object, project: Path) -> None:
    (project / "events.jsonl").write_text('{"t":0,"event":"started"}\n')
    ran = rollout("replay", "events.jsonl", "--json")  # type: ignore[operator]
    assert ran.code == 0
    assert json.loads(ran.out)["weight"] == 5
    (project / "events.jsonl").write_text('{"t":0,"event":"started"}\n{"t":1,"event":"gossip"}\n')
    assert "events.jsonl:2" in rollout("replay", "events.jsonl").err  # type: ignore[operator]


ENDED = "".join(
    Record(seq, "", kind, 0, body).to_line()
    for seq, kind, body in (
        (1, "rollout", {}),
        (2, "note", {"what": "ended", "outcome": "promoted", "verified": None, "exit": 0}),
    )
)


def test_where_nothing_runs_is_no_bad_input(rollout: object) -> None:
    ran = rollout("status")  # type: ignore[operator]
    assert (ran.code, ran.err) == (0, "")
    assert "no rollout of prod has been started from this folder" in ran.out
    ran = rollout("status", "--json")  # type: ignore[operator]
    assert json.loads(ran.out) == {"journal": None, "env": "prod", "controller": None, "outcome": None}
    ran = rollout("pause")  # type: ignore[operator]
    assert ran.code == 1
    assert "no controller of prod was started from this folder" in ran.err
    assert ran.err.splitlines()[-1].startswith(
        "rollout: traffic now: unknown: no stack file here names the region"
    )
    ran = rollout("resume")  # type: ignore[operator]
    assert ran.code == 1
    assert "nothing to resume" in ran.err
    ran = rollout("report")  # type: ignore[operator]
    assert (ran.code, ran.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("journal", "message"),
    [
        (None, "no rollout of prod"),
        ("", "journal.jsonl: the rollout ended before its first record"),
        ('{"seq": 1, "at"', "journal.jsonl: the rollout ended before its first record"),
        (ENDED, "the latest rollout of prod has ended (promoted)"),
        ("not a record\n", "journal.jsonl: line 1: not a journal record"),
    ],
    ids=["none", "empty", "torn", "ended", "broken"],
)
def test_abort_needs_no_journal(rollout: object, project: Path, journal: str | None, message: str) -> None:
    class Locked(FileConnector):
        def traffic(self, engine: object, environment: Environment) -> TrafficControl:
            assert Station(project, "prod").holder(), "the lock is not held"
            return super().traffic(engine, environment)

    connector = Locked()
    (project / "weight").write_text("25")
    record_of(project, journal)
    ran = rollout("resume", connector=connector)  # type: ignore[operator]
    assert (ran.code, weight(project)) == (1 if journal is None else 2, 25)
    assert message in ran.err
    ran = rollout("abort", connector=connector)  # type: ignore[operator]
    assert (ran.code, weight(project)) == (4, 0)
    assert connector.roles is None, "who is stable is what the stacks say"
    assert message in ran.err
    assert ran.out.splitlines() == [
        "no rollout to continue: moving all traffic to stable",
        "before: green 2.0.0 has 25 % of the traffic, stable is blue 1.0.0",
        "all traffic is on stable, which is not verified to be back to normal",
    ]
    assert Station(project, "prod").holder() is None


def record_of(project: Path, journal: str | None) -> None:
    """Puts a journal where the latest rollout's is."""
    station = project / ".rollout/prod"
    station.mkdir(parents=True)
    if journal is not None:
        (station / "journal.jsonl").write_text(journal)
        (station / "latest").symlink_to("journal.jsonl")


def test_a_rollout_of_other_rules_is_not_resumed_but_aborted(rollout: object, project: Path) -> None:
    begins = {"plan": "stages: of another format", "env": "prod", "stable": "green", "candidate": "blue"}
    record_of(project, Record(1, "", "rollout", 0, begins | {"start": 0}).to_line())
    (project / "weight").write_text("25")
    connector = FileConnector()
    ran = rollout("status")  # type: ignore[operator]
    assert ran.code == 0
    assert "unknown (the journal has format 1" in ran.out
    ran = rollout("resume", connector=connector)  # type: ignore[operator]
    assert (ran.code, ran.err.count("\n"), weight(project)) == (2, 1, 25)
    assert "cannot be resumed: the journal has format 1" in ran.err
    ran = rollout("abort", connector=connector)  # type: ignore[operator]
    assert (ran.code, weight(project)) == (4, 0)
    assert connector.roles == {"stable": "green", "candidate": "blue"}


def test_a_failed_abort_says_where_traffic_is(rollout: object, project: Path) -> None:
    class Broken(FileConnector):
        def traffic(self, engine: object, environment: Environment) -> TrafficControl:
            return FakeTraffic(broken_stack=True, broken_api=True)

    record_of(project, ENDED)
    ran = rollout("abort", connector=Broken())  # type: ignore[operator]
    assert ran.code == 1
    assert "rollout: the load balancer's API does not answer" in ran.err
    assert "traffic could NOT be moved: " in ran.err
    assert "rollout: traffic now: unknown: " in ran.err


class NoPulumi(FileConnector):
    """Pulumi is not there, the load balancer is; its rule is kept in the file ``weight``."""

    def engine(self, project_dir: Path, running: Path | None) -> Any:
        raise EngineMissing("pulumi is not on PATH")

    def rule(self, card: Card) -> Any:
        return FileRule()


class FileRule(FileTraffic):
    async def write_weight(self, weight: int) -> None:
        self._move(weight)

    async def make_whole(self) -> Mapping[str, str]:
        return {}


BEGUN = {"plan": "", "env": "prod", "stable": "blue", "candidate": "green", "start": 0}
PLACE = {"region": "r", "rule_arn": "a", "groups": {"stable": "b", "candidate": "g"}}


def test_abort_works_without_pulumi(rollout: object, project: Path) -> None:
    record_of(project, Record(1, "", "rollout", 0, BEGUN | PLACE).to_line())
    (project / "weight").write_text("25")
    ran = rollout("resume", connector=NoPulumi())  # type: ignore[operator]
    assert (ran.code, weight(project)) == (1, 25)
    assert "could NOT be continued: pulumi is not on PATH" in ran.err
    assert ran.err.splitlines()[-1].startswith("rollout: traffic now: ")
    ran = rollout("abort", connector=NoPulumi())  # type: ignore[operator]
    assert (ran.code, weight(project)) == (4, 0)
    assert "pulumi is not on PATH" in ran.err
    assert "The traffic stack does not know it yet" in ran.out
    assert Station(project, "prod").holder() is None


def test_abort_with_neither_pulumi_nor_the_rule_is_refused(rollout: object, project: Path) -> None:
    record_of(project, Record(1, "", "rollout", 0, BEGUN).to_line())
    (project / "weight").write_text("25")
    ran = rollout("abort", connector=NoPulumi())  # type: ignore[operator]
    assert (ran.code, weight(project)) == (1, 25)
    assert "rollout: the journal does not name the load balancer's rule" in ran.err
    assert "traffic could NOT be moved: no stack file here names the region" in ran.err
    assert "rollout: traffic now: unknown" in ran.err
    assert ran.err.splitlines()[-1].endswith("docs/emergency.md")


def test_abort_with_neither_pulumi_nor_a_journal_reports_where_traffic_is(rollout: object) -> None:
    ran = rollout("abort", connector=NoPulumi())  # type: ignore[operator]
    assert ran.code == 1
    assert "rollout: pulumi is not on PATH" in ran.err
    assert "traffic could NOT be moved: who is stable is not known here" in ran.err
    assert "rollout: traffic now: unknown: no stack file here names the region" in ran.err


def test_without_a_command_there_is_help_and_no_error(rollout: object) -> None:
    ran = rollout()  # type: ignore[operator]
    assert ran.code == 2
    assert "Usage: rollout" in ran.out + ran.err
    assert "rollout: " not in ran.err


@pytest.mark.parametrize("command", ["run", "status", "pause", "resume", "abort", "undo", "watch", "report"])
def test_the_store_is_given_before_the_command_or_after_it(rollout: object, command: str) -> None:
    yes = ["--yes"] if command == "run" else []
    before = rollout("--store", "s3://a/b/../c", command, *yes)  # type: ignore[operator]
    after = rollout(command, *yes, "--store", "s3://a/b/../c")  # type: ignore[operator]
    assert (before.code, before.err) == (after.code, after.err)
    assert "--store s3://a/b/../c: " in before.err
    assert (before.code == 2) or (command == "abort"), "what takes traffic back goes on without it"


def replied(ran: Ran) -> dict[str, Any]:
    """The one object on stdout."""
    assert ran.out.count("\n") == 1
    found: dict[str, Any] = json.loads(ran.out)
    assert found["exit"] == ran.code
    assert ran.err.splitlines() == [line for text in found.pop("messages") for line in text.split("\n")]
    return found


@pytest.mark.parametrize("command", ["pause", "resume", "undo", "report"])
def test_a_script_reads_why_nothing_was_done(rollout: object, command: str) -> None:
    ran = rollout(command, "--json", connector=NoPulumi())  # type: ignore[operator]
    code = 2 if command == "undo" else 1
    result = {1: "failed", 2: "bad_input"}[code]
    assert replied(ran) == {"command": command, "env": "prod", "exit": code, "result": result}


def test_a_script_reads_how_a_command_ended(rollout: object, project: Path) -> None:
    record_of(project, Record(1, "", "rollout", 0, BEGUN | PLACE).to_line())
    (project / "weight").write_text("25")
    ran = rollout("resume", "--json", connector=NoPulumi())  # type: ignore[operator]
    assert replied(ran) == {"command": "resume", "env": "prod", "exit": 1, "result": "failed"}
    ran = rollout("abort", "--json", connector=NoPulumi())  # type: ignore[operator]
    assert (ran.code, weight(project)) == (4, 0)
    assert "The traffic stack does not know it yet" in ran.err
    assert replied(ran)["result"] == "rolled_back_red"


def test_a_script_reads_where_the_report_is(rollout: object, project: Path) -> None:
    (project / "night.jsonl").write_text("".join(record.to_line() for record in bad_release()))
    ran = rollout("report", "night.jsonl", "--json")  # type: ignore[operator]
    found = replied(ran)
    assert (found["exit"], found["html"], found["outcome"]) == (0, "report.html", "aborted")
    # What follows is for people again.
    assert rollout("report", "night.jsonl").out == "report.html: aborted\n"  # type: ignore[operator]


def test_a_script_gets_the_line_to_paste_whole(
    rollout: object, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(NoPulumi):
        def rule(self, card: Card) -> Any:
            raise OSError("no network")

    record_of(project, Record(1, "", "rollout", 0, BEGUN | PLACE).to_line())
    ran = rollout("abort", "--json", connector=Dead())  # type: ignore[operator]
    assert ran.code == 1
    assert json.loads(ran.out)["messages"][-1].startswith("aws elbv2 modify-rule ")


@pytest.mark.parametrize("accepted", [True, False])
def test_a_script_reads_what_the_controller_answers(
    rollout: object, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    monkeypatch.setattr(Station, "holder", lambda _: "process 1")
    monkeypatch.setattr(Station, "ask", lambda _, command: (accepted, f"{command} it is"))
    ran = rollout("pause", "--json")  # type: ignore[operator]
    message = "pause: pause it is" if accepted else "rollout: pause was refused: pause it is"
    assert json.loads(ran.out) == {
        "command": "pause",
        "env": "prod",
        "exit": 0 if accepted else 2,
        "result": "done" if accepted else "bad_input",
        "messages": [message],
    }


def test_version_and_short_help(rollout: object) -> None:
    assert re.fullmatch(r"rollout \d+\.\d+\.\d+\n", rollout("--version").out)  # type: ignore[operator]
    for args in (("-h",), ("run", "-h")):
        ran = rollout(*args)  # type: ignore[operator]
        assert (ran.code, ran.err) == (0, "")
        assert "Usage: rollout" in ran.out
    assert "Exit codes: 0 promoted" in rollout("--help").out  # type: ignore[operator]


LATE = ("asyncio", "boto3", "httpx", "jinja2", "numpy", "pulumi", "yaml", "rollout.plan", "rollout.policy")


@pytest.mark.parametrize("args", [("--help",), ("run", "--help"), ("status",)], ids=" ".join)
def test_commands_import_what_they_need(project: Path, args: tuple[str, ...]) -> None:
    script = f"""
import sys
from rollout import cli
sys.argv = ["rollout", *{args!r}]
try:
    cli.main()
except SystemExit as end:
    assert not end.code, end.code
print(*(name for name in {LATE!r} if name in sys.modules), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=True
    )
    assert ran.stderr.split() == (["asyncio"] if args == ("status",) else [])


# --- two terminals; those that only add a case run with the lab's tests, for starting programs takes time


def start(project: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(DRIVER), *args],
        cwd=project,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def command(project: Path, *args: str, **env: str) -> tuple[int, str]:
    process = start(project, *args, **env)
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


def weight(project: Path) -> float:
    file = project / "weight"
    return float(file.read_text() or 0) if file.exists() else 0


def wait_for_weight(project: Path, wanted: float) -> None:
    deadline = time.monotonic() + 40
    while weight(project) != wanted:
        assert time.monotonic() < deadline, f"the weight is {weight(project)}, not {wanted}"
        time.sleep(0.02)


RUN = ("run", "--yes", "--plan", "quick.yaml")
PATIENT = ("run", "--yes", "--plan", "patient.yaml")  # stays at its first stage


@pytest.mark.lab
def test_a_good_release_is_promoted_and_its_journal_replays(project: Path) -> None:
    code, out = command(project, *RUN)
    assert code == 0, out
    assert weight(project) == 100
    assert out.splitlines()[-1] == "promoted: the candidate is stable now"
    code, out = command(project, "status", "--json")
    assert code == 0
    assert (json.loads(out)["outcome"], json.loads(out)["controller"]) == ("promoted", None)
    code, out = command(project, "replay", str((project / ".rollout/prod/latest").resolve()))
    assert code == 0
    assert "the same" in out
    code, out = command(project, "resume")
    assert code == 2
    assert "has ended (promoted)" in out


@pytest.mark.lab
def test_a_bad_release_is_rolled_back(project: Path) -> None:
    code, out = command(project, *RUN, ERROR_RATE="5")
    assert code == 3, out
    assert weight(project) == 0
    assert "rolled back: all traffic is on stable, which is back to normal" in out


@pytest.mark.lab
def test_an_operator_in_another_terminal(project: Path) -> None:
    controller = start(project, *PATIENT)
    wait_for_weight(project, 5)
    code, out = command(project, *RUN)
    assert code == 2
    assert f"another controller is running: process {controller.pid}" in out
    code, out = command(project, "resume")
    assert (code, out.count("\n")) == (2, 1)
    assert "resume was refused: nothing to resume" in out
    assert command(project, "pause")[0] == 0
    code, out = command(project, "status")
    assert "paused" in out
    assert f"process {controller.pid}" in out
    assert command(project, "resume")[0] == 0
    assert command(project, "abort")[0] == 0
    assert controller.wait(30) == 3
    assert weight(project) == 0


def test_a_killed_controller_is_resumed_and_ends_in_the_same_place(project: Path) -> None:
    controller = start(project, *RUN)
    wait_for_weight(project, 5)
    controller.kill()
    controller.wait()
    code, out = command(project, "status")
    assert "No controller is running: `rollout resume` continues" in out
    code, out = command(project, "resume")
    assert code == 0, out
    assert "no controller is running: continuing the rollout in" in out
    assert weight(project) == 100


@pytest.mark.lab
def test_abort_works_without_a_controller(project: Path) -> None:
    controller = start(project, *PATIENT)
    wait_for_weight(project, 5)
    controller.kill()
    controller.wait()
    code, out = command(project, "abort")
    assert code == 3, out
    assert weight(project) == 0


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_without_a_terminal_leaves_traffic_as_it_is(project: Path, number: signal.Signals) -> None:
    controller = start(project, *PATIENT)
    wait_for_weight(project, 5)
    controller.send_signal(number)
    out, _ = controller.communicate(timeout=30)
    assert controller.returncode == 1
    assert "nobody watches the rollout" in out
    assert weight(project) == 5
    assert "traffic now: unknown: the journal does not name the load balancer" in out
    journal = read_journal((project / ".rollout/prod/latest").resolve())
    assert any(r.body.get("what") == "left" for r in journal)


def test_a_dry_run_that_is_ended_pages_nobody_and_takes_no_commands(project: Path) -> None:
    commands = project / ".rollout/prod/commands"
    commands.mkdir(parents=True)
    question = commands / "1.json"  # to a real rollout's controller
    question.write_text('{"command": "abort"}')
    controller = start(project, *PATIENT, "--dry-run")
    assert controller.stdout is not None
    shown = ""
    while "read back: the candidate has 5 %" not in shown:
        line = controller.stdout.readline()
        assert line, shown
        shown += line
    controller.send_signal(signal.SIGTERM)
    rest, _ = controller.communicate(timeout=30)
    assert controller.returncode == 1
    assert rest.splitlines()[-1] == "dry run: ended without a result; nothing was moved"
    assert "PAGE" not in shown + rest
    assert question.exists()
    assert weight(project) == 0


@pytest.mark.lab
def test_a_dry_run_moves_nothing_and_needs_no_lock(project: Path) -> None:
    controller = start(project, *PATIENT)
    wait_for_weight(project, 5)
    code, out = command(project, "run", "--dry-run", "--plan", "quick.yaml")
    assert code in (0, 3, 4), out
    assert out.splitlines()[-1].startswith("dry run: the release would have been ")
    assert weight(project) == 5
    assert command(project, "abort")[0] == 0
    assert controller.wait(30) == 3
    (dry,) = (project / ".rollout/prod").glob("dry-*.jsonl")
    records = read_journal(dry)
    assert records[0].body["dry_run"]
    assert all(r.body.get("dry_run") for r in records if r.kind == "result" and r.body["act"] == "set_weight")
    assert (project / ".rollout/prod/latest").resolve() != dry


def test_ctrl_c_at_a_terminal_asks(project: Path) -> None:
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    main, terminal = pty.openpty()
    controller = subprocess.Popen(
        [sys.executable, str(DRIVER), *PATIENT],
        cwd=project,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(terminal)
    shown = ""

    def read_until(text: str) -> None:
        nonlocal shown
        deadline = time.monotonic() + 30
        while text not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown):
            assert time.monotonic() < deadline, shown
            shown += os.read(main, 4096).decode(errors="replace")

    read_until("candidate: commanded 5 %, seen 5 %")
    controller.send_signal(signal.SIGINT)
    read_until("[a]bort")
    os.write(main, b"h\n")
    read_until("paused by the operator")
    controller.send_signal(signal.SIGINT)
    shown = ""
    read_until("[a]bort")
    controller.send_signal(signal.SIGINT)
    read_until("again: the rollout is aborted")
    while True:
        try:
            if not os.read(main, 4096):
                break
        except OSError:
            break
    assert controller.wait(30) == 3
    assert weight(project) == 0
    os.close(main)


def into_nothing(project: Path, *args: str) -> tuple[int, str]:
    """The command with a full disk behind its output: exit code and stderr."""
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, str(DRIVER), *args],
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    return ran.returncode, ran.stderr


def test_output_that_cannot_be_written_stops_no_abort(project: Path) -> None:
    (project / "weight").write_text("25")
    code, errors = into_nothing(project, "abort")
    assert (code, weight(project)) == (4, 0), errors
    assert "rollout: not all of the output could be written: [Errno 28] No space left on device" in errors


@pytest.mark.lab
def test_output_that_cannot_be_written_stops_no_rollout(project: Path) -> None:
    code, errors = into_nothing(project, *RUN)
    assert (code, weight(project)) == (0, 100), errors
    assert "Traceback" not in errors
