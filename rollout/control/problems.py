"""What went wrong, as one line of plain text for a page, the journal and a terminal."""

from __future__ import annotations

import re

from rollout.control.ports import PortError

_LONGEST = 1000  # characters
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # a terminal's sequences for colours and the cursor


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Text from an engine or from AWS as one line: no control characters or escape sequences, cut when it is long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in _ESCAPE.sub("", text)).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def problem_of(error: Exception, limit: float | None = None) -> str:
    """Why an attempt failed. ``limit``: how many seconds it was given, if it had a time-out."""
    if isinstance(error, TimeoutError) and limit is not None:
        return f"not done within {limit:g} s"
    # A port's own exceptions are sentences; of others the type is needed to understand the message.
    return one_line(str(error) if isinstance(error, PortError) else f"{type(error).__name__}: {error}")
