"""How a command ends without a result: one line, and an exit code."""

from __future__ import annotations


class CommandError(Exception):
    """The message names what was given and what is accepted."""

    exit_code = 1


class BadInput(CommandError):
    exit_code = 2


class Failed(CommandError):
    """The work began and could not be completed."""


class Interrupted(CommandError):
    """Ctrl-C ended a study early; the message says how much of it was done."""

    exit_code = 130

    def __str__(self) -> str:
        return f"interrupted: {super().__str__()}"
