"""What went wrong, as one line of plain text for a page, the journal and a terminal."""

from __future__ import annotations

import re

from rollout.control.ports import PortError

_LONGEST = 1000  # characters
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # a terminal's sequences for colours and the cursor


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Text of others (an engine, AWS) on one line: no control characters, no escape sequences, cut when it is long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in _ESCAPE.sub("", text)).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def problem_of(error: Exception, limit: float | None = None) -> str:
    """What came of an attempt. ``limit``: the seconds it had, if it was ended after a time."""
    if isinstance(error, TimeoutError) and limit is not None:
        return f"not done within {limit:g} s"
    # A port's own exceptions say what is wrong; of others the kind says more.
    return one_line(str(error) if isinstance(error, PortError) else f"{type(error).__name__}: {error}")
