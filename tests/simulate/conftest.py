"""The simulator compiles for a minute before its first test, so its tests are marked `compiled`; the lab's are not."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and not item.path.is_relative_to(HERE / "lab"):
            item.add_marker("compiled")
