"""What a command writes: JSON, files, and text that fits the terminal."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill

from simulate.commands.errors import Failed

_WIDEST = 120  # longer lines are hard to read


def print_json(document: object) -> None:
    print(json.dumps(document, indent=2))


def width() -> int:
    """Columns to write in: the terminal's, 80 where there is none, and never more than are easy to read."""
    return min(get_terminal_size((80, 24)).columns, _WIDEST)


def wrapped(text: str, hanging: int = 0) -> str:
    """``text`` in lines of the terminal's width; those after the first are indented by ``hanging``."""
    return fill(
        text, width(), subsequent_indent=" " * hanging, break_on_hyphens=False, break_long_words=False
    )


def command_line() -> str:
    """The command as it was given, to be repeated."""
    return shlex.join(["simulate", *sys.argv[1:]])


@contextmanager
def writing(flag: str, path: Path) -> Iterator[None]:
    """Raises :class:`Failed` if what is written inside fails after all, on a full disk for example."""
    try:
        yield
    except OSError as error:
        raise Failed(f"{flag}: {path} cannot be written: {error.strerror}") from None
