"""Tests of the simulator are marked `compiled`, as the first of them waits a minute for the compiler; the lab's are not."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and not item.path.is_relative_to(HERE / "lab"):
            item.add_marker("compiled")
