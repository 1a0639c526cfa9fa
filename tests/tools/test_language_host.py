"""The language host: what it runs and how, then as a process as the engine uses it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi import automation
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tools.language_host import HostError, _as_program, _run, check_virtualenv, program_path

BIN = Path(sys.executable).parent


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], grpc.Channel]]:
    """A language host of an engine that is not there, and a channel to it."""
    process = subprocess.Popen(
        [BIN / "pulumi-language-python", "--some-flag", "127.0.0.1:1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield process, channel
    process.kill()
    process.communicate()


@pytest.mark.parametrize("entry_point", [".", "", "__main__.py"])
def test_the_program_is_a_folder_or_a_file(tmp_path: Path, entry_point: str) -> None:
    (tmp_path / "__main__.py").touch()
    assert program_path(str(tmp_path), entry_point) == tmp_path / "__main__.py"


def test_no_program_points_at_main_of_the_project_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"__main__\.py: see `main` in Pulumi\.yaml"):
        program_path(str(tmp_path), ".")


def test_its_own_virtual_environment_or_none_is_fine(tmp_path: Path) -> None:
    check_virtualenv(str(tmp_path), {})
    check_virtualenv(str(tmp_path), {"virtualenv": ".venv"})
    (tmp_path / ".venv").symlink_to(sys.prefix)
    check_virtualenv(str(tmp_path), {"virtualenv": ".venv"})


def test_another_virtual_environment_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(HostError, match="first on PATH"):
        check_virtualenv(str(tmp_path), {"virtualenv": "other"})


def test_each_run_begins_with_fresh_modules_and_leaves_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "counter_of_runs.py").write_text("runs = 0\n")
    (tmp_path / "__main__.py").write_text(
        "import os, sys, counter_of_runs as c\nc.runs += 1\nprint(c.runs, os.getcwd(), sys.argv)\n"
    )
    program = tmp_path / "__main__.py"
    before = list(sys.path), list(sys.argv), Path.cwd()
    for _ in range(2):
        with _as_program(program, str(tmp_path)):
            _run(program)
    assert capsys.readouterr().out.splitlines() == [f"1 {tmp_path} {[str(program)]}"] * 2
    assert (list(sys.path), list(sys.argv), Path.cwd()) == before
    assert "counter_of_runs" not in sys.modules


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly(host: tuple[subprocess.Popen[str], grpc.Channel], number: signal.Signals) -> None:
    process, _ = host
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")


def test_it_answers_what_the_engine_asks_before_a_run(
    host: tuple[subprocess.Popen[str], grpc.Channel], tmp_path: Path
) -> None:
    stub = language_pb2_grpc.LanguageRuntimeStub(host[1])
    stub.Handshake(language_pb2.LanguageHandshakeRequest(engine_address="127.0.0.1:1"))
    assert stub.GetPluginInfo(empty_pb2.Empty()).version
    assert stub.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages == []
    dependencies = stub.GetProgramDependencies(language_pb2.GetProgramDependenciesRequest()).dependencies
    assert "pulumi" in {dependency.name for dependency in dependencies}
    answer = stub.Run(language_pb2.RunRequest(pwd=str(tmp_path), program="."))
    assert "no Python program at" in answer.error


def test_without_an_engine_it_says_who_starts_it() -> None:
    answer = subprocess.run(
        [BIN / "pulumi-language-python"], capture_output=True, text=True, check=False, timeout=30
    )
    assert answer.returncode == 1
    assert "started by the Pulumi engine" in answer.stderr


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> automation.Stack:
    """A stack of a small program in a folder named by `main`, with state in a folder."""
    (tmp_path / "state").mkdir()
    (tmp_path / "program").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: trial\nmain: program\nruntime:\n  name: python\n")
    (tmp_path / "program" / "words.py").write_text("GREETING = 'hello'\n")
    (tmp_path / "program" / "__main__.py").write_text(
        "import pulumi\n"
        "from words import GREETING\n"
        "config = pulumi.Config()\n"
        "if config.get_bool('broken'):\n"
        "    raise pulumi.RunError('trial:broken is set')\n"
        "pulumi.export('greeting', GREETING)\n"
        "pulumi.export('password', config.require_secret('password'))\n"
    )
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'state'}")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "trial")
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
    stack = automation.create_stack("dev", work_dir=str(tmp_path))
    stack.set_config("password", automation.ConfigValue("swordfish", secret=True))
    return stack


@pytest.mark.engine
def test_the_real_engine_runs_a_program(stack: automation.Stack) -> None:
    output: list[str] = []
    result = stack.up(show_secrets=False, on_output=output.append)
    assert result.summary.result == "succeeded"
    assert result.outputs["greeting"].value == "hello"
    assert result.outputs["password"].secret
    assert not [line for line in output if "warning" in line]
    assert "swordfish" not in "".join(output)


@pytest.mark.engine
def test_an_error_of_the_program_is_said_once(stack: automation.Stack) -> None:
    stack.set_config("broken", automation.ConfigValue("true"))
    with pytest.raises(automation.CommandError) as caught:
        stack.up(on_output=lambda _: None)
    text = str(caught.value)
    assert text.partition("Diagnostics:")[2].count("trial:broken is set") == 1
    assert "Traceback" not in text
