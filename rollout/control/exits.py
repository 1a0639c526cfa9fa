"""Exit codes of `rollout`; a module of its own, which a command that fails early can afford to import."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0  # the release was promoted, or the command was carried out
    FAILED = 1  # at run time, or nothing was there to act on
    BAD_INPUT = 2  # before anything was touched
    ROLLED_BACK = 3  # and stable was verified
    ROLLED_BACK_RED = 4  # but stable is not verified to be back to normal
