"""What a rehearsal waits for never outlives the wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulate.lab.errors import LabError
from simulate.lab.lab import Lab
from simulate.lab.rehearsal.watch import Watch


def command(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], text=True)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr(Lab, "require", lambda self: None)
    return Watch(Lab("none"))


def test_a_command_that_fails_is_named_with_the_end_of_its_log(watch: Watch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nlast\n")
    watch.wait(command("pass"), "nothing", log)
    with pytest.raises(LabError, match=r"the work failed \(exit code 3\):\nfirst\nlast"):
        watch.wait(command("raise SystemExit(3)"), "the work", log)


def test_a_command_ends_when_a_part_of_the_lab_dies(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(self: Lab) -> None:
        raise LabError("the lab is broken")

    process = command("import time; time.sleep(1000)")
    monkeypatch.setattr(Lab, "require", broken)
    with pytest.raises(LabError, match="the lab is broken"):
        watch.wait(process, "the work", tmp_path / "log")
    assert process.poll() is not None
