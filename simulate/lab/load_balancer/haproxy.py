"""HAProxy as a child process: started, reloaded when its structure changes, changed in place otherwise."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from simulate.lab.errors import LabError
from simulate.lab.load_balancer.config import Dynamic, Server, with_servers

# Linux's F_SETPIPE_SZ. HAProxy drops log lines when nobody reads them fast enough, and a dropped line is a request
# that the metrics miss; the default pipe of 64 KiB holds about a thousand.
_PIPE_SIZE = (1031, 1 << 20)


class HaproxyError(LabError):
    """HAProxy refused a configuration or a command, or ended."""


GLOBAL = """\
global
  nbthread 1
  maxconn 8000
  hard-stop-after 10m
  log stdout len 1024 format raw local0
  stats socket {socket} mode 600 level admin expose-fd listeners
defaults
  mode http
  log global
  # A line when the response's headers are there, as an ALB counts; a websocket's would come at its end otherwise.
  option logasap
  # An ALB does not send a request a second time.
  retries 0
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 3600s
  timeout http-request 60s
  timeout tunnel 60s
"""


class Haproxy:
    """One HAProxy (master and worker). ``directory`` holds its configuration, maps and sockets."""

    def __init__(self, directory: Path, on_line: Callable[[str], None]) -> None:
        self.directory = directory
        self.maps = directory / "maps"
        self.socket = directory / "haproxy.sock"
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._log: asyncio.ReadTransport | None = None
        self._structure = ""
        self._applied = Dynamic()
        self.reloads = 0
        directory.mkdir(parents=True, exist_ok=True)
        self.maps.mkdir(exist_ok=True)

    async def apply(self, structure: str, dynamic: Dynamic) -> None:
        """Makes HAProxy do what is described. Raises HaproxyError; the old configuration then goes on serving."""
        if structure != self._structure or self._process is None:
            await self._load(structure, dynamic)
            return
        commands = [*self._map_commands(dynamic), *_server_commands(self._applied.servers, dynamic.servers)]
        if commands:
            await self.command(*commands)
        self._applied = dynamic

    async def command(self, *commands: str) -> str:
        """Sends commands to the running worker and returns what it answered. Raises HaproxyError when refused."""
        answers = []
        # HAProxy takes several commands at once, but answers more clearly one by one; they cost microseconds.
        for command in commands:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
            except OSError as error:
                raise HaproxyError(f"HAProxy's socket does not answer: {error}") from None
            writer.write(f"{command}\n".encode())
            answer = (await reader.read()).decode().strip()
            writer.close()
            if (
                answer
                and not command.startswith("show")
                and not answer.startswith(("IP changed", "no need to change"))
            ):
                raise HaproxyError(f"HAProxy refused {command!r}: {answer}")
            answers.append(answer)
        return "\n".join(answers)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        if self._reader is not None and self._log is not None:
            await self._reader
            self._log.close()

    async def wait(self) -> int:
        """Waits until HAProxy ends, which it should not, and returns its exit code."""
        return await self._running.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise HaproxyError("HAProxy was not started")
        return self._process

    async def _load(self, structure: str, dynamic: Dynamic) -> None:
        for name, entries in dynamic.maps.items():
            text = "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))
            (self.maps / name).write_text(text)
        new = self.directory / "haproxy.cfg.new"
        new.write_text(GLOBAL.format(socket=self.socket) + with_servers(structure, dynamic.servers))
        await self._check(new)
        new.replace(self.directory / "haproxy.cfg")
        if self._process is None:
            await self._start()
        else:
            before = await self._worker()
            # The master starts a new worker, the old one takes no more connections and finishes its work.
            self._process.send_signal(signal.SIGUSR2)
            await self._until(lambda worker: worker not in ("", before))
            self.reloads += 1
        self._structure = structure
        # The file holds the servers in use; draining ones can be set only on a running worker.
        loaded = {
            slot: server if server.state == "ready" else replace(server, state="maint")
            for slot, server in dynamic.servers.items()
        }
        await self.command(*_server_commands(loaded, dynamic.servers))
        self._applied = dynamic

    async def _check(self, path: Path) -> None:
        check = await asyncio.create_subprocess_exec(
            _program("haproxy"), "-c", "-q", "-f", str(path), stderr=asyncio.subprocess.PIPE
        )
        _, errors = await check.communicate()
        if check.returncode:
            raise HaproxyError(f"HAProxy refuses {path}: {errors.decode().strip()}")

    async def _start(self) -> None:
        read, write = os.pipe()
        try:
            fcntl.fcntl(write, *_PIPE_SIZE)
            # The kernel ends HAProxy when this process dies, however it dies, so its address is free for the next.
            self._process = await asyncio.create_subprocess_exec(
                *(_program("setpriv"), "--pdeathsig", "TERM", "--", _program("haproxy"), "-W", "-db"),
                *("-f", str(self.directory / "haproxy.cfg")),
                stdout=write,
            )
        finally:
            os.close(write)
        stream = asyncio.StreamReader()
        self._log, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read, "rb", buffering=0)
        )
        self._reader = asyncio.create_task(self._read(stream))
        await self._until(bool)

    async def _until(self, ready: Callable[[str], object]) -> None:
        async with asyncio.timeout(20):
            while not ready(await self._worker()):
                if self._running.returncode is not None:
                    raise HaproxyError(f"HAProxy ended with {self._running.returncode}; see its log")
                await asyncio.sleep(0.01)

    async def _worker(self) -> str:
        """The process id of the worker that owns the socket, empty while there is none."""
        try:
            info = await self.command("show info")
        except HaproxyError:
            return ""
        return next(
            (line.removeprefix("Pid: ") for line in info.splitlines() if line.startswith("Pid: ")), ""
        )

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._on_line(line.decode(errors="replace").rstrip("\n"))

    def _map_commands(self, dynamic: Dynamic) -> list[str]:
        commands = []
        for name, entries in dynamic.maps.items():
            path, applied = self.maps / name, self._applied.maps.get(name, {})
            commands += [f"del map {path} {key}" for key in applied if key not in entries]
            commands += [
                f"{'set' if key in applied else 'add'} map {path} {key} {value}"
                for key, value in entries.items()
                if applied.get(key) != value
            ]
        return commands


def _server_commands(
    applied: Mapping[tuple[str, str], Server], wanted: Mapping[tuple[str, str], Server]
) -> list[str]:
    commands = []
    for (backend, slot), server in wanted.items():
        now, name = applied[backend, slot], f"{backend}/{slot}"
        moved = (server.ip, server.port) != (now.ip, now.port)
        state = now.state
        if state != "maint" and (moved or server.state == "maint"):
            # The deregistration delay is over: what is still open is closed, as an ALB does.
            commands += [f"set server {name} state maint", f"shutdown sessions server {name}"]
            state = "maint"
        if moved:
            commands.append(f"set server {name} addr {server.ip} port {server.port}")
        if server.state != state:
            commands.append(f"set server {name} state {server.state}")
    return commands


def _program(name: str) -> str:
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") or shutil.which(name)
    if path is None:
        raise HaproxyError(f"{name} is not installed", f"apt-get install {name}")
    return path
