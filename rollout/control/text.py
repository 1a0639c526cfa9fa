"""Text from elsewhere as one line of plain text."""

from __future__ import annotations

import re

_LONGEST = 1000  # characters
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # a terminal's sequences for colours and the cursor


def one_line(text: str, longest: int = _LONGEST) -> str:
    """Text from an engine or from AWS as one line: no control characters or escape sequences, cut when it is long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in _ESCAPE.sub("", text)).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
