"""`simulate lab`: bad input ends with exit code 2 and a message that names it, before anything is touched."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulate import cli
from simulate.lab.errors import LabError
from simulate.lab.host import namespace, state
from simulate.lab.host.state import Identity, LabState, Phase, ServiceState, ServiceStatus
from simulate.lab.lab import Lab


@pytest.fixture(autouse=True)
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIMPLE378_LABS", str(tmp_path / "labs"))
    monkeypatch.delenv("SIMPLE378_LAB", raising=False)
    return tmp_path / "labs"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `simulate ...`."""
    monkeypatch.setattr("sys.argv", ["simulate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    assert isinstance(code, int)
    return code


def pretend(name: str, *services: ServiceStatus, phase: Phase = Phase.RUNNING) -> Lab:
    """A lab whose first process is this test."""
    lab = Lab(name)
    identity = Identity.of(os.getpid())
    assert identity is not None
    lab.paths.root.mkdir(parents=True)
    state.write(lab.paths.state, LabState(name, identity, False, 10.0, "now", phase, services))
    return lab


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lab", "start", "--name", "Not A Name"], "--name 'Not A Name'"),
        (["lab", "start", "--name", "../up"], "--name '../up'"),
        (["lab", "start", "--time-scale", "0"], "--time-scale 0"),
        (["lab", "start", "--time-scale", "1000"], "--time-scale 1000"),
        (["lab", "start", "--time-scale", "fast"], "--time-scale"),
        (["lab", "frobnicate"], "frobnicate"),
        (
            ["lab", "rehearse", "--fault", "eror-5pct"],
            "fix: did you mean errors-5pct? It is one of errors-5pct, ",
        ),
        (["lab", "deploy", "--name", "../up"], "--name '../up'"),
    ],
)
def test_bad_input(
    arguments: list[str],
    message: str,
    labs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not labs.exists()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["lab", "exec", "--", "true"], "default"),
        (["lab", "shell", "--name", "other"], "other"),
        (["lab", "deploy"], "default"),
    ],
)
def test_no_lab_to_enter_is_a_failure_at_run_time(
    arguments: list[str],
    name: str,
    labs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 1
    errors = capsys.readouterr().err
    assert f"no lab '{name}' is running\n  fix: start it with `simulate lab start --name {name}`" in errors
    assert not labs.exists()


def test_a_missing_program_is_named_with_the_fix(
    labs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(namespace, "PROGRAMS", ("sh", "no-such-program"))
    assert run(monkeypatch, "lab", "start") == 2
    errors = capsys.readouterr().err
    assert "missing program: no-such-program" in errors
    assert "make setup" in errors
    assert not labs.exists()


def test_no_right_to_make_a_namespace(
    labs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = ["sh", "-c", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1"]
    monkeypatch.setattr(namespace, "check_programs", lambda: None)
    monkeypatch.setattr(namespace, "unshare_command", lambda _argv: refused)
    assert run(monkeypatch, "lab", "start") == 2
    errors = capsys.readouterr().err
    assert "no right to make a namespace: unshare: unshare failed: Operation not permitted" in errors
    assert "fix: run as root, or allow user namespaces" in errors
    assert not labs.exists()


def test_a_lab_already_running(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(namespace, "check_programs", lambda: None)
    monkeypatch.setattr(namespace, "check_rights", lambda: None)
    lab = pretend("default")
    assert run(monkeypatch, "lab", "start") == 2
    assert "a lab already running: 'default'" in capsys.readouterr().err
    assert lab.state() is not None


def test_a_second_starter_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "check_programs", lambda: None)
    monkeypatch.setattr(namespace, "check_rights", lambda: None)
    with Lab("default")._only_starter(), pytest.raises(LabError, match="is being started") as error:
        Lab("default").start()
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    "said",
    [b"", b'{"stopped": true}\n', b'{"progress": "etcd"}\n', b'{"failed": "No such file: lab.json.new"}\n'],
    ids=["killed", "stopped", "killed later", "directory removed"],
)
def test_a_lab_that_is_stopped_while_it_starts_is_one_message(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(said)
        # As after `make clean`: neither state nor logs are there.
        with pytest.raises(LabError, match=r"^the lab 'default' was stopped while it started$") as error:
            Lab("default")._follow(ours, lambda _line: None, attached=False)
    assert error.value.exit_code == 1


def test_what_the_first_process_said_before_it_ended_is_shown() -> None:
    lab = Lab("default")
    lab.paths.logs.mkdir(parents=True)
    (lab.paths.logs / "supervisor.log").write_text("no memory left\n")
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(LabError, match="its first process ended\nno memory left"):
        lab._follow(ours, lambda _line: None, attached=False)


def test_labs_are_not_controlled_from_inside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIMPLE378_LAB", "/somewhere")
    assert run(monkeypatch, "lab", "start") == 2
    assert "inside of a lab" in capsys.readouterr().err


def test_a_dead_service_breaks_the_lab_with_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(
        "default",
        ServiceStatus("etcd", ServiceState.DEAD, exit_code=-9, log="logs/etcd.log", tail="out of everything"),
    )
    assert run(monkeypatch, "lab", "exec", "--", "true") == 1
    errors = capsys.readouterr().err
    assert "etcd ended (etcd with SIGKILL)" in errors
    assert "out of everything" in errors
    assert "simulate lab stop" in errors
    assert run(monkeypatch, "lab", "status") == 1
    assert "exit code -9" in capsys.readouterr().out


def test_status_and_stop_of_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lab", "status") == 1
    assert run(monkeypatch, "lab", "status", "--json") == 1
    assert run(monkeypatch, "lab", "stop") == 0
    assert run(monkeypatch, "lab", "stop", "--all") == 0
    assert capsys.readouterr().out.splitlines() == [
        "lab 'default' is not running",
        "null",
        "lab 'default' was not running",
        "no lab was running",
    ]


def test_a_stale_file_is_no_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = pretend("default")
    text = lab.paths.state.read_text().replace('"start_ticks": ', '"start_ticks": 1')
    lab.paths.state.write_text(text)
    assert lab.state() is None
    assert not lab.stop()
    assert not lab.paths.state.exists()


def test_a_command_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "lab", "exec", "--") == 2


def test_the_names_of_faults_and_of_running_labs_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend("other")

    def completions(words: str) -> list[str]:
        monkeypatch.setenv("_SIMULATE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        outcome = CliRunner().invoke(cli.app, [], prog_name="simulate")
        return outcome.output.split()

    assert "slow-queries" in completions("simulate lab rehearse --fault ")
    assert completions("simulate lab stop --name ") == ["other"]
