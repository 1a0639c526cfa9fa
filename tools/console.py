"""What set-up shows and how it runs long commands: one line a step, with elapsed and expected time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_QUIET_INTERVAL = 60.0  # seconds between two lines where no terminal can be rewritten
_LOG_TAIL = 15  # lines of a failed command's log that are shown


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do. `exit_code` is 2 when the machine or a file must change first,
    1 when something failed on the way.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def report(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def duration(seconds: float) -> str:
    """`75.2` -> `1 min 15 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Progress:
    """The line of one step. Rewritten every second on a terminal, else printed at the start, each minute, at the end."""

    def __init__(self, title: str, expected: float | None = None) -> None:
        self._title = title
        self._expected = f" of about {duration(expected)}" if expected else ""
        self._started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._next_line = _QUIET_INTERVAL
        if not self._terminal:
            report(f"{title} ({f'takes{self._expected[3:]}' if expected else 'started'})")

    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def show(self) -> None:
        seconds = self.elapsed()
        if self._terminal:
            print(f"\r\033[Kset-up: {self._title}: {duration(seconds)}{self._expected}", end="", flush=True)
        elif seconds >= self._next_line:
            self._next_line = seconds + _QUIET_INTERVAL
            report(f"{self._title}: {duration(seconds)}{self._expected}")

    def end(self, outcome: str = "done") -> None:
        if self._terminal:
            print("\r\033[K", end="")
        report(f"{self._title}: {outcome} in {duration(self.elapsed())}")


def run(
    title: str,
    command: Sequence[str],
    log: Path,
    expected: float | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command with its output in `log`, showing progress.

    Raises:
        SetupError: it failed; names the log and shows its end.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    progress = Progress(title, expected)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=environment,
        )
        try:
            while process.poll() is None:
                progress.show()
                try:
                    process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            # Ctrl-C and any other way out: the command does not outlive set-up.
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode == 0:
        progress.end()
        return
    progress.end("FAILED")
    tail = log.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    raise SetupError(
        "\n".join([f"{title} failed (exit code {process.returncode}); all of its output is in {log}", *tail]),
        exit_code=1,
    )
