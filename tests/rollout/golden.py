"""Texts and pages as a person approved them. `GOLDEN=write pytest ...` writes them anew: look at the difference before committing it."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def approved(name: str, text: str) -> bool:
    """Whether the text is the approved one."""
    file = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text)
    # As lines, of which pytest shows the ones that differ.
    assert text.splitlines() == file.read_text().splitlines(), (
        f"{file} is different; GOLDEN=write writes it anew"
    )
    return True
