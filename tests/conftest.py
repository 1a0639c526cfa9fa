"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from simulate.lab.lab import Lab
from simulate.lab.layout import labs_directory

_PREFIX = "test-"

# A busy machine is no failure of a test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The time limit of a test is its own: the first that needs the compiled simulator waits for it in a fixture."""
    for item in items:
        if item.get_closest_marker("compiled") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(120, func_only=True))


@pytest.fixture(scope="session")
def compiled_simulator() -> None:
    """The simulator, compiled on disk for this process and those that tests start."""
    from simulate.dataplane.compilation import compile_once  # noqa: PLC0415 -- numba takes a second, which most tests do without

    compile_once()


@pytest.fixture(autouse=True)
def _compiled(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("compiled"):
        request.getfixturevalue("compiled_simulator")


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
