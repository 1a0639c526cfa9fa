"""``simulate lab bench``: how long a traffic update takes, beside a bare ModifyRule call in the same run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

LEAST = 10


def bench(updates: int, out: Path, console: Console) -> int:
    raise NotImplementedError
