"""Runs `simulate` in this process."""

from __future__ import annotations

import pytest

from simulate import cli


def simulate(*args: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The command's exit code."""
    monkeypatch.setattr("sys.argv", ["simulate", *args])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
