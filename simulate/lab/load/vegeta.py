"""Requests at a constant rate from many clients, sent by vegeta."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from simulate.lab.errors import LabError, bad_input
from simulate.lab.layout import CLIENT_HEADER
from simulate.lab.load.records import Request, Tally, parse

#: Addresses that clients pretend to have: reserved for benchmarks (RFC 2544), so no real client has one.
_CLIENTS = ipaddress.ip_network("198.18.0.0/15")
#: The longest load, in seconds: it is for a rehearsal.
_LONGEST_S = 4 * 3600
_FASTEST = 5000

#: Paths and their shares of the requests.
_MIX = {"/api/cases": 50, "/api/dashboard": 30, "/api/cases/{n}": 15, "/api/alerts": 5}


class LoadError(LabError):
    """The load could not be sent, or ended before its time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """``rate`` requests a second for ``duration_s`` seconds from ``clients`` clients, who take turns.

    ``seed`` decides which client requests which path. An answer that takes longer than ``timeout_s`` counts as failed.
    """

    url: str
    rate: int
    duration_s: float
    clients: int = 200
    seed: int = 378
    timeout_s: float = 30.0

    def check(self) -> None:
        """Raises LabError for what cannot be sent or must not be."""
        if not 1 <= self.rate <= _FASTEST:
            raise bad_input(f"rate {self.rate}: not a rate", f"use 1 to {_FASTEST} requests a second")
        if not 0 < self.duration_s <= _LONGEST_S:
            raise bad_input(
                f"duration {self.duration_s:g} s: not a duration", f"use up to {_LONGEST_S} seconds"
            )
        if not 1 <= self.clients <= _CLIENTS.num_addresses:
            raise bad_input(
                f"clients {self.clients}: not a number of clients", f"use 1 to {_CLIENTS.num_addresses}"
            )
        require_own_address(self.url)

    def targets(self) -> str:
        """Targets for vegeta, a JSON object a line; it goes through them in turn, again and again."""
        chance = random.Random(self.seed)
        paths = [path for path, share in _MIX.items() for _ in range(share)]
        lines = []
        # Several rounds of all clients, each asking for something else.
        for _ in range(max(1, 2000 // self.clients)):
            for client in chance.sample(range(self.clients), self.clients):
                path = chance.choice(paths).replace("{n}", str(chance.randrange(1000)))
                header = {CLIENT_HEADER: [client_address(client)]}
                lines.append(
                    json.dumps({"method": "GET", "url": f"{self.url.rstrip('/')}{path}", "header": header})
                )
        return "\n".join(lines) + "\n"


def client_address(number: int) -> str:
    """The address that client ``number`` pretends to have."""
    return str(_CLIENTS[number])


def require_own_address(url: str) -> None:
    """Raises LabError unless the URL's host is an address of this machine, as seen from this network namespace.

    Inside a lab that is the lab; load must never leave the machine.
    """
    host = urlsplit(url).hostname
    if not host:
        raise bad_input(f"{url}: not a URL", "use the lab's edge, http://10.78.0.20")
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        raise bad_input(
            f"{url}: {host} has no address: {error}", "use the lab's edge, http://10.78.0.20"
        ) from None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            raise bad_input(
                f"{url}: {address} is not an address of this machine, and load is sent nowhere else",
                "run it inside the lab: simulate lab exec -- ...",
            ) from None


class Load:
    """One load. ``on_request`` is called for every result, within about a second of its answer."""

    def __init__(self, profile: Profile, on_request: Callable[[Request], None] | None = None) -> None:
        profile.check()
        self.profile = profile
        self.tally = Tally()
        self._on_request = on_request
        self._attack: asyncio.subprocess.Process | None = None
        self._encode: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to send. Raises LoadError without vegeta."""
        vegeta = _vegeta()
        read, write = os.pipe()
        try:
            self._attack = await asyncio.create_subprocess_exec(
                *(vegeta, "attack", "-format=json", "-targets=/dev/stdin", f"-rate={self.profile.rate}/1s"),
                *(f"-duration={self.profile.duration_s}s", f"-timeout={self.profile.timeout_s}s"),
                *("-http2=false", "-redirects=-1", "-max-body=0", "-max-workers=4000"),
                stdin=asyncio.subprocess.PIPE,
                stdout=write,
            )
            self._encode = await asyncio.create_subprocess_exec(
                *(vegeta, "encode", "-to=json"), stdin=read, stdout=asyncio.subprocess.PIPE, limit=1 << 20
            )
        finally:
            os.close(read)
            os.close(write)
        if self._attack.stdin is None or self._encode.stdout is None:
            raise LoadError("vegeta has no pipes")
        self._reading = asyncio.create_task(self._read(self._encode.stdout))
        with contextlib.suppress(ConnectionError):
            self._attack.stdin.write(self.profile.targets().encode())
            await self._attack.stdin.drain()
        self._attack.stdin.close()

    async def wait(self) -> Tally:
        """Waits for the end of the load and of its last answer. Raises LoadError if vegeta failed."""
        if self._attack is None or self._encode is None or self._reading is None:
            raise LoadError("the load was not started")
        await self._reading
        codes = await self._attack.wait(), await self._encode.wait()
        if any(codes):
            raise LoadError(f"vegeta ended with exit code {codes}")
        return self.tally

    async def stop(self) -> Tally:
        """Sends nothing more, waits for the answers on their way."""
        # The first interrupt ends the attack, a second one would lose the results.
        if self._attack is not None and self._attack.returncode is None:
            self._attack.send_signal(signal.SIGINT)
        return await self.wait()

    async def kill(self) -> None:
        """Ends at once; results on their way are lost."""
        for process in (self._attack, self._encode):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        if self._reading is not None:
            await self._reading

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            request = parse(line)
            self.tally.add(request)
            if self._on_request is not None:
                self._on_request(request)


def _vegeta() -> str:
    beside = Path(sys.prefix) / "bin" / "vegeta"
    found = str(beside) if beside.exists() else shutil.which("vegeta")
    if found is None:
        raise LoadError("vegeta is not installed", "run make setup")
    return found
