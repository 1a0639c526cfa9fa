"""What a command ends with instead of a result: one line, and an exit code."""

from __future__ import annotations


class CommandError(Exception):
    """The message names what was given and what it takes."""

    exit_code = 1


class BadInput(CommandError):
    exit_code = 2


class Failed(CommandError):
    """It was begun and could not be completed."""
