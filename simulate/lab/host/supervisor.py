"""The first process of a lab: makes its network, starts its services, and ends everything.

It is process 1 of the lab's pid namespace, so the kernel hands it every orphan (it must reap them) and kills whatever
is left when it ends. `simulate lab start` talks to it over one socket: sends who it is (it cannot know its own pid as
seen from outside), receives progress, and sends `detach` when it has seen `ready`. If the socket closes before that,
the starter is dead, and so the lab ends: nothing stays behind.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulate.lab.host import hosts, postgres, state
from simulate.lab.host.services import Service, declared
from simulate.lab.host.state import Identity, LabState, Phase, ServiceState, ServiceStatus
from simulate.lab.layout import (
    ADDRESSES,
    CLUSTER_IPS,
    POD_BRIDGE,
    POD_GATEWAY,
    PODS,
    LabPaths,
    lab_environment,
    scratch_directory,
)

#: Seconds to end after SIGTERM, before SIGKILL: of the agents, who end what they started, and of the rest, who have
#: nothing to save (an API server would wait a minute for its watchers).
AGENT_GRACE_S = 5.0
STOP_GRACE_S = 1.0
_POLL_S = 0.05
_FILES = 65536
_TAIL_LINES = 8
_TAIL_COLUMNS = 300
_PR_SET_PDEATHSIG = 1


class ServiceFailed(Exception):
    """A service did not become ready."""


class StoppedWhileStarting(Exception):
    """The lab is to end although it is not ready."""


class Starter:
    """The other end of the socket: the `simulate lab start` that waits for us."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection: socket.socket | None = connection
        self._received = b""
        self._identity = connection.makefile("rb")

    def identity(self) -> Identity:
        """Who we are, as seen from outside. Raises EOFError if the starter is gone."""
        line = self._identity.readline()
        if not line:
            raise EOFError
        return Identity(**json.loads(line))

    def send(self, **message: Any) -> None:
        """Send a message to the starter; it is no error if it is gone."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.sendall(json.dumps(message).encode() + b"\n")

    def fileno(self) -> int | None:
        return None if self._connection is None else self._connection.fileno()

    def gone(self) -> bool:
        """Read what arrived: True if the starter died, False if it lives or has detached."""
        if self._connection is None:
            return False
        try:
            received = self._connection.recv(100)
        except OSError:
            received = b""
        self._received += received
        if b"detach" in self._received:
            self._connection.close()
            self._connection = None
            return False
        return not received


class Running:
    """A declared service with what happened to it."""

    def __init__(self, service: Service, log: Path) -> None:
        self.service = service
        self.log = log
        self.state = ServiceState.WAITING
        self.pid: int | None = None
        self.launched = 0.0
        self.took: float | None = None
        self.exit_code: int | None = None

    def launch(self, environment: dict[str, str], directory: Path) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.service.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )
        self.pid = process.pid
        # Reaped by the supervisor with every other child; Popen must not wait for it, nor complain.
        process.returncode = 0
        self.launched = time.monotonic()
        self.state = ServiceState.STARTING

    def ended(self, exit_code: int) -> None:
        self.pid = None
        self.exit_code = exit_code
        if self.service.step and exit_code == 0:
            self.took = time.monotonic() - self.launched
            self.state = ServiceState.DONE
        else:
            self.state = ServiceState.DEAD

    def tail(self) -> str:
        """The end of the log."""
        try:
            lines = self.log.read_text(errors="replace").strip().splitlines()[-_TAIL_LINES:]
            return "\n".join(line[:_TAIL_COLUMNS] for line in lines)
        except OSError:
            return ""

    def status(self) -> ServiceStatus:
        dead = self.state is ServiceState.DEAD
        return ServiceStatus(
            name=self.service.name,
            state=self.state,
            took_s=None if self.took is None else round(self.took, 2),
            exit_code=self.exit_code,
            log=str(self.log),
            tail=self.tail() if dead else "",
        )


class Supervisor:
    """The life of one lab."""

    def __init__(self, paths: LabPaths, time_scale: float, user_namespace: bool, starter: Starter) -> None:
        self._paths = paths
        self._time_scale = time_scale
        self._user_namespace = user_namespace
        self._starter = starter
        self._identity = starter.identity()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._phase = Phase.STARTING
        self._running: list[Running] = []
        self._announced: set[str] = set()
        self._environment = lab_environment(paths, time_scale)
        self._stop_requested = False
        self._wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(self._wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop)

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._stop_requested = True

    def run(self) -> int:
        """Start, watch, end. Returns the exit code."""
        try:
            self._starter.send(progress="network and file systems")
            scratch = scratch_directory()
            set_up_namespaces(self._paths, scratch)
            self._running = [
                Running(service, self._paths.logs / f"{service.name}.log")
                for service in declared(self._paths, scratch)
            ]
            self._start_services()
            self._phase = Phase.RUNNING
            self._write_state()
            self._starter.send(ready=True)
            self._watch()
        except StoppedWhileStarting:
            self._starter.send(stopped=True)
            return 1
        except ServiceFailed as failure:
            self._starter.send(failed=str(failure))
            return 1
        except (OSError, subprocess.CalledProcessError) as failure:
            detail = getattr(failure, "stderr", None) or str(failure)
            self._starter.send(failed=f"the lab's namespace could not be set up: {detail.strip()}")
            return 1
        finally:
            self._end_everything()
        return 0

    def _write_state(self) -> None:
        state.write(
            self._paths.state,
            LabState(
                name=self._paths.root.name,
                first_process=self._identity,
                user_namespace=self._user_namespace,
                time_scale=self._time_scale,
                started=self._started,
                phase=self._phase,
                services=tuple(entry.status() for entry in self._running),
            ),
        )

    def _start_services(self) -> None:
        """Launch each service once those it comes after are ready, side by side where they may be."""
        self._write_state()
        while any(entry.state in (ServiceState.WAITING, ServiceState.STARTING) for entry in self._running):
            ready = {
                entry.service.name
                for entry in self._running
                if entry.state in (ServiceState.READY, ServiceState.DONE)
            }
            for entry in self._running:
                if entry.state is ServiceState.WAITING and ready.issuperset(entry.service.after):
                    entry.launch(self._environment, self._paths.root)
            self._wait(_POLL_S)
            if self._stop_requested:
                raise StoppedWhileStarting
            for entry in self._running:
                self._look_at(entry)

    def _look_at(self, entry: Running) -> None:
        if entry.state is ServiceState.DEAD:
            raise ServiceFailed(f"{entry.service.name} ended with {_cause(entry.exit_code)}\n{entry.tail()}")
        if entry.state is ServiceState.STARTING:
            if entry.service.ready.check():
                entry.state = ServiceState.READY
                entry.took = time.monotonic() - entry.launched
            elif time.monotonic() - entry.launched > entry.service.timeout_s:
                raise ServiceFailed(
                    f"{entry.service.name} was not ready after {entry.service.timeout_s:g} s\n{entry.tail()}"
                )
        ready = entry.state in (ServiceState.READY, ServiceState.DONE)
        if ready and entry.service.name not in self._announced:
            self._announced.add(entry.service.name)
            self._starter.send(progress=entry.service.name, took_s=entry.took)
            self._write_state()

    def _watch(self) -> None:
        """Until a stop is requested: reap, and record the services that die."""
        while not self._stop_requested:
            if self._wait(None):
                self._write_state()

    def _wait(self, timeout: float | None) -> bool:
        """Sleep until something happens, then reap; True if a service ended."""
        starter = self._starter.fileno()
        sources = [self._wake_read] if starter is None else [self._wake_read, starter]
        readable, _, _ = select.select(sources, [], [], timeout)
        if self._wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        if starter in readable and self._starter.gone():
            self._stop_requested = True
        return self._reap()

    def _reap(self) -> bool:
        service_ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return service_ended
            if pid == 0:
                return service_ended
            for entry in self._running:
                if entry.pid == pid:
                    entry.ended(os.waitstatus_to_exitcode(status))
                    service_ended = True

    def _end_everything(self) -> None:
        """Agents first, as they lean on the others; then the rest; then whatever is left, hard."""
        if self._running:
            self._phase = Phase.STOPPING
            self._write_state()
        for first, grace_s in ((True, AGENT_GRACE_S), (False, STOP_GRACE_S)):
            group = [e for e in self._running if e.pid is not None and e.service.stop_first is first]
            for entry in group:
                if entry.pid is not None:
                    os.kill(entry.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_s
            while any(entry.pid is not None for entry in group) and time.monotonic() < deadline:
                self._wait(_POLL_S)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # everything in this pid namespace but ourselves
        self._paths.state.unlink(missing_ok=True)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def set_up_namespaces(paths: LabPaths, scratch: Path) -> None:
    """The lab's addresses, bridge, tmpfs and DNS, visible inside its namespaces only."""
    lines = ["link set lo up"]
    lines += [f"addr add {address}/32 dev lo" for address in ADDRESSES]
    # Every ClusterIP is local, whether a Service has it or not.
    lines += [f"route add local {CLUSTER_IPS} dev lo"]
    lines += [
        f"link add {POD_BRIDGE} type bridge",
        f"addr add {POD_GATEWAY}/{PODS.prefixlen} dev {POD_BRIDGE}",
        f"link set {POD_BRIDGE} up",
        # What lies beyond the lab is refused at once, to pods as well, instead of being waited for.
        "route add unreachable default",
    ]
    _run("ip", "-batch", "-", text="\n".join(lines) + "\n")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "lab", str(scratch))
    hosts.create(paths.hosts)
    _run("mount", "--bind", str(paths.hosts), "/etc/hosts")
    # Nobody listens there, so a name that the hosts file does not know fails at once.
    paths.resolver.write_text("nameserver 127.0.0.1\n")
    paths.resolver.chmod(0o644)
    _run("mount", "--bind", str(paths.resolver), os.path.realpath("/etc/resolv.conf"))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    (scratch / "pods").mkdir()
    postgres.prepare(scratch / "postgres")


def _run(*argv: str, text: str | None = None) -> None:
    subprocess.run(argv, input=text, check=True, capture_output=True, text=True)


def _raise_file_limit() -> None:
    """A lab opens many connections; the soft limit of a login session is 1,024 files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--time-scale", type=float, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--user-namespace", action="store_true")
    arguments = parser.parse_args()
    # unshare asks for this too, but the kernel forgets it when a program with other capabilities is executed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _raise_file_limit()
    starter = Starter(socket.socket(fileno=arguments.control))
    paths = LabPaths(arguments.root)
    try:
        supervisor = Supervisor(paths, arguments.time_scale, arguments.user_namespace, starter)
    except EOFError:
        return 1
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
