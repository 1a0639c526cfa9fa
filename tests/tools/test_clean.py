"""`make clean` on checkouts with labs in every state."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.clean import first_process, main


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Stand-in for a lab's first process."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def record(checkout: Path, pid: int, start_ticks: int) -> Path:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    file = checkout / "build" / "labs" / "default" / "lab.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"first_process": {"pid": pid, "start_ticks": start_ticks, "boot_id": boot}}))
    return file


def start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_running_lab_is_ended(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    record(tmp_path, process.pid, start_ticks(process.pid))
    (tmp_path / ".mypy_cache").mkdir()
    (tmp_path / ".venv").mkdir()
    assert main(tmp_path) == 0
    assert process.wait(timeout=5) == -9
    assert [entry.name for entry in tmp_path.iterdir()] == [".venv"]


def test_a_process_that_took_over_the_id_is_left_alone(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    assert first_process(record(tmp_path, process.pid, start_ticks(process.pid) - 1)) is None
    assert main(tmp_path) == 0
    assert process.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_a_lab_that_never_came_up(tmp_path: Path, text: str) -> None:
    file = record(tmp_path, 1, 1)
    file.write_text(text)
    assert main(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_clean(tmp_path: Path) -> None:
    assert main(tmp_path) == 0


def test_of_compiled_code_the_newest_stays(tmp_path: Path) -> None:
    cache = tmp_path / "simulate" / "dataplane" / "__pycache__"
    for age, name in enumerate(("numba-c", "numba-a", "numba-b")):
        (cache / name).mkdir(parents=True)
        (cache / name / "kernel.nbi").write_text("")
        os.utime(cache / name, (1_000_000 - age, 1_000_000 - age))
    (cache / "plane.cpython-311.pyc").write_text("")
    assert main(tmp_path) == 0
    assert sorted(entry.name for entry in cache.iterdir()) == ["numba-c", "plane.cpython-311.pyc"]
