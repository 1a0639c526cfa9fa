"""The lab's errors: one sentence names the problem, another the fix."""

from __future__ import annotations


class LabError(Exception):
    """A problem that is shown to the user in two lines, without a traceback.

    `exit_code` is 2 for bad input (nothing was touched) and 1 for a failure while running.
    """

    def __init__(self, message: str, fix: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message


def bad_input(message: str, fix: str) -> LabError:
    """An error in the user's input or in the machine's set-up, found before anything was touched."""
    return LabError(message, fix, exit_code=2)
