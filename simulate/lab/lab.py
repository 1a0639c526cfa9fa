"""A lab as seen from outside: start it, run commands in it, stop it.

lab = Lab("default", time_scale=10)
lab.start(print)
lab.run(["pulumi", "up", "--yes", "--stack", "local"])
lab.stop()
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from simulate.lab.errors import LabError, bad_input
from simulate.lab.host import namespace, state
from simulate.lab.host.state import Identity, LabState
from simulate.lab.kubernetes import control_plane as kubernetes
from simulate.lab.layout import CHECKOUT, DEFAULT_LAB, LabPaths, lab_environment, labs_directory

#: Seconds that a lab has to end by itself before it is killed; above the supervisor's own patience.
STOP_LIMIT_S = 20.0

#: Above this a metric period would be shorter than a second.
MAX_TIME_SCALE = 60

Progress = Callable[[str], None]


class Lab:
    """The lab `name`. Making the object starts nothing."""

    def __init__(self, name: str = DEFAULT_LAB, *, time_scale: float = 10.0) -> None:
        """`time_scale`: how much faster than in production the release's clocks run; 1 to 60.

        Raises LabError (exit code 2) for a bad name or scale.
        """
        if not 1 <= time_scale <= MAX_TIME_SCALE:
            raise bad_input(
                f"--time-scale {time_scale:g}: not a time scale", f"give a number from 1 to {MAX_TIME_SCALE}"
            )
        self.name = name
        self.paths = LabPaths.of(name)
        self._time_scale = time_scale
        self._hold: socket.socket | None = None  # of an attached lab: it ends when this end is closed

    # -- starting -----------------------------------------------------------------------------------------------

    def start(self, progress: Progress = lambda _line: None, *, attached: bool = False) -> None:
        """Start the lab and return when all of it is ready. An `attached` one ends with this process, however it ends.

        Raises LabError: exit code 2 if it runs already or cannot be made here, 1 if a service fails. In that case, and
        if the caller is interrupted or killed meanwhile, nothing of the lab remains but its logs.
        """
        _refuse_inside_a_lab()
        namespace.check_programs()
        namespace.check_rights()
        with self._only_starter():
            running = self.state()
            if running is not None:
                raise bad_input(
                    f"a lab already running: {self.name!r} (process {running.first_process.pid})",
                    f"use it, or end it with `simulate lab stop --name {self.name}`, or start another --name",
                )
            self._prepare()
            self._launch(progress, attached)

    @contextlib.contextmanager
    def _only_starter(self) -> Iterator[None]:
        """Two starters of one name: the second is refused."""
        self.paths.root.parent.mkdir(parents=True, exist_ok=True)
        with self.paths.lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise bad_input(
                    f"a lab already running: {self.name!r} is being started by another process",
                    "wait for it, or start another --name",
                ) from None
            yield

    def _prepare(self) -> None:
        """An empty state directory with credentials and the Pulumi project. Nothing of an earlier lab survives."""
        paths = self.paths
        shutil.rmtree(paths.root, ignore_errors=True)
        for directory in (paths.root, paths.logs, paths.pod_logs, paths.project, paths.pulumi_state):
            directory.mkdir(parents=True)
        kubernetes.prepare(paths)
        for entry in ("Pulumi.yaml", "infra"):
            (paths.project / entry).symlink_to(CHECKOUT / entry)
        # Own copies: `pulumi config set` in the lab must not change the checkout.
        for settings in sorted((CHECKOUT / "simulate" / "lab" / "stacks").glob("Pulumi.*.yaml")):
            shutil.copy(settings, paths.project)

    def _launch(self, progress: Progress, attached: bool) -> None:
        ours, theirs = socket.socketpair()
        user_namespace = namespace.needs_user_namespace()
        supervisor = [sys.executable, "-m", "simulate.lab.host.supervisor", "--root", str(self.paths.root)]
        supervisor += ["--time-scale", f"{self._time_scale:g}", "--control", str(theirs.fileno())]
        supervisor += ["--user-namespace"] if user_namespace else []
        with contextlib.ExitStack() as opened, (self.paths.logs / "supervisor.log").open("ab") as log:
            opened.enter_context(ours)
            with theirs:
                unshare = subprocess.Popen(
                    namespace.unshare_command(supervisor),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=lab_environment(self.paths, self._time_scale),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            try:
                try:
                    ours.sendall(_identify(unshare).encode() + b"\n")
                    self._follow(ours, progress, attached)
                except ConnectionError:
                    raise self._stopped() from None
                if attached:
                    opened.pop_all()
                    self._hold = ours
            except BaseException:
                # Closing our end ends the lab; make sure that it has before reporting.
                ours.close()
                try:
                    unshare.wait(STOP_LIMIT_S)
                finally:
                    unshare.kill()
                    unshare.wait()
                    self.paths.state.unlink(missing_ok=True)
                raise

    def _follow(self, connection: socket.socket, progress: Progress, attached: bool) -> None:
        """Pass the lab's messages on until it is ready. Raises LabError if it fails."""
        for line in connection.makefile("rb"):
            message: dict[str, Any] = json.loads(line)
            if "stopped" in message or not self.paths.logs.exists():
                raise self._stopped()
            if "failed" in message:
                raise LabError(
                    f"the lab {self.name!r} could not be started: {message['failed']}",
                    f"see the logs in {self.paths.logs}",
                )
            if "ready" in message:
                if not attached:
                    connection.sendall(b"detach")
                return
            took = message.get("took_s")
            progress(
                message["progress"] if took is None else f"{message['progress']} ready after {took:.1f} s"
            )
        log = self.paths.logs / "supervisor.log"
        try:
            output = log.read_text(errors="replace").strip()
        except OSError:
            output = ""
        if not output:  # killed, perhaps by `make clean`, which removes the logs as well
            raise self._stopped()
        raise LabError(
            f"the lab {self.name!r} could not be started: its first process ended\n{output}", f"see {log}"
        )

    def _stopped(self) -> LabError:
        return LabError(f"the lab {self.name!r} was stopped while it started")

    # -- using --------------------------------------------------------------------------------------------------

    def state(self) -> LabState | None:
        """What is known of the running lab; None if none runs."""
        return state.read(self.paths.state)

    def require(self) -> LabState:
        """The state of a lab that runs with all its services. Raises LabError otherwise."""
        _refuse_inside_a_lab()
        current = self.state()
        if current is None:
            raise LabError(
                f"no lab {self.name!r} is running", f"start it with `simulate lab start --name {self.name}`"
            )
        if current.phase is not state.Phase.RUNNING:
            raise LabError(f"the lab {self.name!r} is {current.phase}", "try again when it is running")
        dead = current.dead_services()
        if dead:
            first = dead[0]
            raise LabError(
                f"the lab {self.name!r} is broken: {', '.join(service.name for service in dead)} ended"
                f" ({first.name} with {_exit(first.exit_code)}). The end of {first.log}:\n{first.tail}",
                f"simulate lab stop --name {self.name}, then start it again",
            )
        return current

    def environment(self) -> dict[str, str]:
        """The environment of commands in the lab."""
        current = self.state()
        return lab_environment(self.paths, self._time_scale if current is None else current.time_scale)

    def command(self, argv: Sequence[str], directory: Path | None = None) -> list[str]:
        """`argv` so that it runs in the lab, in the project's directory if none is given. Raises LabError."""
        current = self.require()
        return namespace.enter_command(
            current.first_process.pid, current.user_namespace, directory or self.paths.project, argv
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        directory: Path | None = None,
        environment: dict[str, str] | None = None,
        check: bool = True,
        timeout_s: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the lab to its end, with its output. `environment`: in addition to the lab's."""
        return subprocess.run(
            self.command(argv, directory),
            env=self.environment() | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout_s,
        )

    def popen(
        self,
        argv: Sequence[str],
        *,
        directory: Path | None = None,
        environment: dict[str, str] | None = None,
        output: int | IO[Any] | None = None,
        errors: int | IO[Any] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command in the lab; SIGTERM to it reaches the command."""
        return subprocess.Popen(
            self.command(argv, directory),
            env=self.environment() | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            text=True,
        )

    def become(self, argv: Sequence[str]) -> NoReturn:
        """Replace this process with a command in the lab, at the caller's terminal.

        A terminal sends Ctrl-C to nsenter as well as to the command that nsenter waits for. nsenter ignores it: were it to
        end, the command would get SIGTERM on top of SIGINT, and run on without the terminal. A command that SIGINT ends is
        therefore reported as exit code 1. Raises LabError, and OSError if nsenter cannot be started.
        """
        keys = [
            number
            for number in (signal.SIGINT, signal.SIGQUIT)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        restored = ",".join(number.name.removeprefix("SIG") for number in keys)
        if keys:
            argv = ["env", f"--default-signal={restored}", "--", *argv]
        command, environment = self.command(argv), self.environment()
        for number in keys:
            signal.signal(number, signal.SIG_IGN)
        os.execvpe(command[0], command, environment)  # noqa: S606

    # -- stopping -----------------------------------------------------------------------------------------------

    def stop(self) -> bool:
        """End the lab, orderly and then hard. False if there was none. Its directory with the logs stays."""
        _refuse_inside_a_lab()
        current = self.state()
        if current is None:
            self.paths.state.unlink(missing_ok=True)
            return False
        first = current.first_process
        _signal(first, signal.SIGTERM)
        if not _wait_for_end(first, STOP_LIMIT_S):
            _signal(first, signal.SIGKILL)
            _wait_for_end(first, STOP_LIMIT_S)
        if self._hold is not None:
            self._hold.close()
            self._hold = None
        self.paths.state.unlink(missing_ok=True)
        return True


def all_labs() -> list[Lab]:
    """The labs of this checkout that run."""
    files = sorted(labs_directory().glob("*/lab.json"))
    return [lab for lab in (Lab(file.parent.name) for file in files) if lab.state() is not None]


def _refuse_inside_a_lab() -> None:
    if "SIMPLE378_LAB" in os.environ:
        raise bad_input("this is the inside of a lab, from where labs cannot be controlled", "leave it first")


def _identify(unshare: subprocess.Popen[bytes]) -> str:
    """The identity of the lab's first process, for that process itself. Raises LabError if it never came."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and unshare.poll() is None:
        pid = namespace.first_process(unshare.pid)
        identity = None if pid is None else Identity.of(pid)
        if identity is not None:
            fields = {"pid": identity.pid, "start_ticks": identity.start_ticks, "boot_id": identity.boot_id}
            return json.dumps(fields)
        time.sleep(0.005)
    raise LabError("unshare made no process", "see logs/supervisor.log of the lab")


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def _signal(process: Identity, number: signal.Signals) -> None:
    """Signal exactly this process, even if its pid is reused this very moment."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive():
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _wait_for_end(process: Identity, limit_s: float) -> bool:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not process.alive():
            return True
        return bool(select.select([handle], [], [], limit_s)[0])
    finally:
        os.close(handle)
