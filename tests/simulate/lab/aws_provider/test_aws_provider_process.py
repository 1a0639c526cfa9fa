"""The provider as the engine starts it: a process that says its port and goes when it should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2_grpc

from simulate.lab.layout import PLUGINS, LabPaths, lab_environment

PROGRAM = PLUGINS / "pulumi-resource-aws"


@pytest.fixture(autouse=True)
def path_of_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly(ending: signal.Signals) -> None:
    with subprocess.Popen(
        [PROGRAM, "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _port(process)
            process.send_signal(ending)
            assert process.communicate(timeout=60) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


def test_it_says_the_version_of_the_sdk_that_it_stands_in_for() -> None:
    with subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        try:
            with grpc.insecure_channel(f"127.0.0.1:{_port(process)}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                assert stub.GetPluginInfo(empty_pb2.Empty()).version == version("pulumi-aws")
        finally:
            process.kill()


def test_it_does_not_outlive_an_engine_that_was_killed() -> None:
    start = "import os, subprocess, sys; subprocess.Popen([sys.argv[1]]).wait()"
    with subprocess.Popen(
        [sys.executable, "-c", start, PROGRAM], stdout=subprocess.PIPE, text=True
    ) as engine:
        port = _port(engine)
        engine.kill()
        engine.wait(timeout=60)
    deadline = time.monotonic() + 10
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        while time.monotonic() < deadline:
            try:
                stub.GetPluginInfo(empty_pb2.Empty(), timeout=1)
            except grpc.RpcError:
                return
            time.sleep(0.1)
    pytest.fail("the provider still answers")


def test_it_starts_without_the_sdk_around_the_messages() -> None:
    """Importing all of it would double the time of a stack update."""
    code = (
        "import sys, simulate.lab.aws_provider as p; p._skip_the_sdk(); import simulate.lab.aws_provider.server\n"
        "print(sorted(name for name in sys.modules if name.startswith(('pulumi.', 'boto3', 'pulumi_'))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert "pulumi.runtime.proto.provider_pb2" in said
    for heavy in ("pulumi.output", "pulumi.resource", "boto3", "pulumi_aws"):
        assert f"'{heavy}'" not in said


def test_another_python_that_comes_first_on_path_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a lab's shell whose start-up files activate pyenv or conda."""
    for name in ("python", "python3"):
        other = tmp_path / name
        other.write_text("#!/bin/sh\necho \"No module named 'simulate'\" >&2\nexit 1\n")
        other.chmod(0o755)
    environment = lab_environment(LabPaths(tmp_path / "lab"), 10.0)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    monkeypatch.setenv("PATH", environment["PATH"])
    with subprocess.Popen(
        [PROGRAM.name, "127.0.0.1:1"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert _port(process) > 0
        finally:
            process.kill()
