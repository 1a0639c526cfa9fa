"""However a rehearsal ends, nothing of it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulate.lab.layout import CHECKOUT
from simulate.lab.rehearsal.run import LAB
from tests.simulate.lab.cluster import until
from tests.simulate.lab.test_lab import processes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def labs() -> Iterator[Path]:
    # Not pytest's own directory: the path of a lab's sockets must stay short.
    with tempfile.TemporaryDirectory(prefix="s378-") as directory:
        yield Path(directory)
        until(lambda: not processes(Path(directory) / LAB), 10)


def rehearsing(labs: Path, out: Path, until_line: str) -> subprocess.Popen[str]:
    """`simulate lab rehearse` as a person types it, at the moment when it has said `until_line`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulate.cli", "lab", "rehearse", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "SIMPLE378_LABS": str(labs)},
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if until_line in line:
            return process
    _, errors = process.communicate()
    pytest.fail(f"never said {until_line!r}: {errors}")


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (signal.SIGINT, "etcd ready"),
        (signal.SIGINT, "stack local-limits deployed"),  # while pulumi is at work on the next one
        (signal.SIGTERM, "load-balancer ready"),
    ],
)
def test_ctrl_c_stops_everything(labs: Path, tmp_path: Path, number: signal.Signals, line: str) -> None:
    process = rehearsing(labs, tmp_path / "out", line)
    os.killpg(process.pid, number)  # as a terminal does: the whole group hears it
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors and "Traceback" not in errors
    assert not (tmp_path / "out" / "summary.json").exists()
    until(lambda: not processes(labs / LAB), 10)


def test_nothing_outlives_a_rehearsal_that_is_killed(labs: Path, tmp_path: Path) -> None:
    process = rehearsing(labs, tmp_path / "out", "stack local-limits deployed")
    process.kill()
    process.communicate()
    until(lambda: not processes(labs / LAB), 20)


def test_a_part_that_dies_is_named_with_its_log(labs: Path, tmp_path: Path) -> None:
    process = rehearsing(labs, tmp_path / "out", "load-balancer ready")
    for pid in processes(labs / LAB):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "etcd":
            os.kill(pid, signal.SIGKILL)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "etcd with SIGKILL" in errors
    assert "logs: " in said and str(labs / LAB / "logs") in said


def test_a_second_rehearsal_is_refused_and_leaves_the_first_alone(labs: Path, tmp_path: Path) -> None:
    first = rehearsing(labs, tmp_path / "out", "load-balancer ready")
    second = subprocess.run(
        [sys.executable, "-m", "simulate.cli", "lab", "rehearse", "--out", str(tmp_path / "other")],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "SIMPLE378_LABS": str(labs)},
    )
    assert second.returncode == 2
    assert "already running" in second.stderr
    assert first.poll() is None
    os.killpg(first.pid, signal.SIGINT)
    first.communicate(timeout=60)
