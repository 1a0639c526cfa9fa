"""Watches the parts that a rehearsal depends on, so that one that dies is reported at once, with its log."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from simulate.lab.errors import LabError
from simulate.lab.lab import Lab
from simulate.lab.rehearsal.stacks import last_words

POLL_S = 0.2


@dataclass(slots=True)
class Watch:
    """``background``: processes that must live until they are forgotten, by name, with their logs."""

    lab: Lab
    background: dict[str, tuple[subprocess.Popen[str], Path]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises :class:`LabError` naming the first service of the lab or background process that has ended."""
        self.lab.require()
        for name, (process, log) in self.background.items():
            code = process.poll()
            if code is not None:
                raise LabError(f"{name} ended with exit code {code}:\n{last_words(log)}", f"see {log}")

    def wait(self, process: subprocess.Popen[str], what: str, log: Path) -> None:
        """Waits for a command to succeed. Raises :class:`LabError` when it or anything watched fails.

        The command does not outlive the wait, however that ends.
        """
        try:
            self.until(lambda: process.poll() is not None)
        finally:
            process.terminate()
            process.wait()
        if process.returncode:
            raise LabError(
                f"{what} failed (exit code {process.returncode}):\n{last_words(log)}", f"see {log}"
            )

    def until(self, done: Callable[[], bool], each: Callable[[], None] = lambda: None) -> None:
        """Waits for a condition; ``each`` is called at every look. Raises :class:`LabError`."""
        while not done():
            self.check()
            each()
            time.sleep(POLL_S)
