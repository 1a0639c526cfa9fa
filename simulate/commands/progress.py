"""What a command is at, on stderr where a terminal watches."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console


def steps() -> Callable[[str], None]:
    """Tells each step as it begins."""
    console = Console(stderr=True)

    def told(what: str) -> None:
        if console.is_terminal:
            console.print(f"  {what}", highlight=False)

    return told
