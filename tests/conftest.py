"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulate.lab.lab import Lab
from simulate.lab.layout import labs_directory

_PREFIX = "test-"


def pytest_sessionstart() -> None:
    """Undo `nohup` and `&`, which start a program with SIGINT ignored: its children would ignore Ctrl-C, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _remove_left_overs() -> None:
    """Labs of earlier test runs that were killed before they could stop theirs."""
    for directory in labs_directory().glob(f"{_PREFIX}*"):
        runner = directory.name.removeprefix(_PREFIX).split("-")[0]
        if runner.isdigit() and not Path(f"/proc/{runner}").exists():
            Lab(directory.name).stop()
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab at time scale 10 for the whole test run. Tests share it: use names of your own in it."""
    _remove_left_overs()
    lab = Lab(f"{_PREFIX}{os.getpid()}", time_scale=10)
    lab.start(attached=True)
    try:
        yield lab
    finally:
        lab.stop()
        shutil.rmtree(lab.paths.root, ignore_errors=True)
        lab.paths.lock.unlink(missing_ok=True)
