"""lab.json: a lab that was killed, or whose pid belongs to somebody else by now, does not count as running."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from simulate.lab.host import state
from simulate.lab.host.state import Identity, LabState, Phase, ServiceState, ServiceStatus


def a_lab(first_process: Identity) -> LabState:
    return LabState(
        name="default",
        first_process=first_process,
        user_namespace=False,
        time_scale=10.0,
        started="2026-01-01T00:00:00+00:00",
        phase=Phase.RUNNING,
        services=(
            ServiceStatus("etcd", ServiceState.READY, took_s=1.5, log="logs/etcd.log"),
            ServiceStatus(
                "postgres", ServiceState.DEAD, exit_code=-9, log="logs/postgres.log", tail="killed"
            ),
        ),
    )


@pytest.fixture
def myself() -> Identity:
    identity = Identity.of(os.getpid())
    assert identity is not None
    return identity


def test_what_is_written_is_read(tmp_path: Path, myself: Identity) -> None:
    written = a_lab(myself)
    state.write(tmp_path / "lab.json", written)
    assert state.read(tmp_path / "lab.json") == written
    assert [service.name for service in written.dead_services()] == ["postgres"]


def test_no_file_is_no_lab(tmp_path: Path) -> None:
    assert state.read(tmp_path / "lab.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"name": "x", "first_process": {"pid": 1}}'])
def test_an_unreadable_file_is_no_lab(tmp_path: Path, text: str) -> None:
    (tmp_path / "lab.json").write_text(text)
    assert state.read(tmp_path / "lab.json") is None


def test_a_reused_pid_is_no_lab(tmp_path: Path, myself: Identity) -> None:
    state.write(tmp_path / "lab.json", a_lab(replace(myself, start_ticks=myself.start_ticks - 1)))
    assert state.read(tmp_path / "lab.json") is None


def test_another_boot_is_no_lab(tmp_path: Path, myself: Identity) -> None:
    state.write(tmp_path / "lab.json", a_lab(replace(myself, boot_id="another")))
    assert state.read(tmp_path / "lab.json") is None


def test_a_zombie_is_no_lab() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Identity.of(process.pid) is None
    process.wait()
    assert Identity.of(process.pid) is None
