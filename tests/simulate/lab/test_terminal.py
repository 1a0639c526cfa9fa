"""Commands in a lab at a terminal: Ctrl-C reaches the command once, and the command keeps the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from select import select
from typing import Self

import pytest

from simulate.lab.host import namespace, state
from simulate.lab.host.state import Identity, LabState, Phase
from simulate.lab.lab import Lab
from simulate.lab.layout import CHECKOUT
from tests.simulate.lab.cluster import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

#: Asks at Ctrl-C, as `rollout run` does, and exits with what was typed.
ASKS = """
import signal
signals = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: signals.append(signal.Signals(number).name))
print("ready", flush=True)
while not signals:
    signal.pause()
answer = input("abort? ")
print("signals:", *signals, flush=True)
raise SystemExit(int(answer))
"""


@pytest.fixture
def empty_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The namespaces of a lab without any service."""
    with tempfile.TemporaryDirectory(prefix="s378-") as directory:
        monkeypatch.setenv("SIMPLE378_LABS", directory)
        lab = Lab("empty")
        lab.paths.project.mkdir(parents=True)
        unshare = subprocess.Popen(namespace.unshare_command(["sleep", "1000"]))
        try:
            first = Identity.of(until(lambda: namespace.first_process(unshare.pid)))
            assert first is not None
            running = LabState(
                "empty", first, namespace.needs_user_namespace(), 10.0, "now", Phase.RUNNING, ()
            )
            state.write(lab.paths.state, running)
            yield lab
        finally:
            unshare.kill()
            unshare.wait()


class Terminal:
    """A terminal of its own with a command in it."""

    def __init__(self, *argv: str) -> None:
        self._ours, theirs = pty.openpty()
        self._shown = ""
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                cwd=CHECKOUT,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- one thread here
            )
        finally:
            os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def read_until(self, text: str) -> str:
        """Everything shown so far, once ``text`` is in it. Fails if it is not shown within 20 s."""
        deadline = time.monotonic() + 20
        while text not in self._shown:
            if not select([self._ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
                pytest.fail(f"{text!r} was not shown: {self._shown!r}")
            try:
                self._shown += os.read(self._ours, 4096).decode()
            except OSError:  # nobody has the terminal any more
                pytest.fail(f"ended before {text!r} was shown: {self._shown!r}")
        return self._shown


def test_ctrl_c_reaches_the_command_once_and_leaves_it_the_terminal(empty_lab: Lab) -> None:
    execute = ("-m", "simulate.cli", "lab", "exec", "--name", empty_lab.name)
    with Terminal(sys.executable, *execute, "--", sys.executable, "-c", ASKS) as terminal:
        terminal.read_until("ready")
        terminal.press("\x03")
        terminal.read_until("abort? ")
        terminal.press("7\n")
        assert "signals: SIGINT\r\n" in terminal.read_until("SIGINT\r\n"), "once"
        assert terminal.process.wait(20) == 7


def test_options_of_the_command_are_its_own(empty_lab: Lab) -> None:
    execute = [sys.executable, "-m", "simulate.cli", "lab", "exec", "--name", empty_lab.name]
    found = subprocess.run(
        [*execute, "echo", "--help", "--name", "x"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "--help --name x\n"


def test_an_ignored_ctrl_c_stays_ignored(empty_lab: Lab) -> None:
    """As in a script that starts it with `&`."""
    ignore = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    shows = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    execute = [sys.executable, "-m", "simulate.cli", "lab", "exec", "--name", empty_lab.name]
    found = subprocess.run(
        [sys.executable, "-c", ignore, *execute, "--", sys.executable, "-c", shows],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "True\n"
