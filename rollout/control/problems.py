"""What went wrong, as one line of plain text for a page, the journal and a terminal."""

from __future__ import annotations

from rollout.control.ports import PortError
from rollout.control.text import one_line


def problem_of(error: Exception, limit: float | None = None) -> str:
    """Why an attempt failed. ``limit``: how many seconds it was given, if it had a time-out."""
    if isinstance(error, TimeoutError) and limit is not None:
        return f"not done within {limit:g} s"
    # A port's own exceptions are sentences; of others the type is needed to understand the message.
    return one_line(str(error) if isinstance(error, PortError) else f"{type(error).__name__}: {error}")
