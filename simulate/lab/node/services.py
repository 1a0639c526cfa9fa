"""ClusterIPs: one HAProxy in TCP mode per Service; its runtime API sets which endpoints are in use.

It stands where kube-proxy does. A process a Service, so that a new Service disturbs no connection of another; endpoint
changes need no reload at all. As with kube-proxy, a connection stays with its endpoint until one of them ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

#: Endpoints that one port of a Service can have.
SLOTS = 32
_SOCKET_WAIT_S = 5.0
_log = logging.getLogger("node-agent")


@dataclass(frozen=True, slots=True)
class Port:
    """One port of a Service. `name` is empty for a Service's only port."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Frontend:
    """What HAProxy listens on for one Service; a change needs a new process."""

    address: str
    ports: tuple[Port, ...]


#: For each port, the endpoints to use, each `address:port`.
Endpoints = dict[Port, frozenset[str]]


def frontend(service: Json) -> Frontend | None:
    """Of a Service with a ClusterIP and TCP ports; None for any other."""
    spec = service["spec"]
    address = spec.get("clusterIP", "None")
    if address in ("None", "") or spec["type"] == "ExternalName":
        return None
    ports = [entry for entry in spec.get("ports", []) if entry.get("protocol", "TCP") == "TCP"]
    return Frontend(address, tuple(Port(entry.get("name", ""), entry["port"]) for entry in ports))


def endpoints(of: Frontend, slices: Iterable[Json]) -> Endpoints:
    """The endpoints to use by kube-proxy's rule: the ready ones; if there is none, those that serve while terminating."""
    slices = list(slices)
    chosen: Endpoints = {}
    for port in of.ports:
        ready, terminating = set(), set()
        for part in slices:
            for entry in part.get("ports") or []:
                if (entry.get("name") or "") != port.name:
                    continue
                for endpoint in part.get("endpoints") or []:
                    conditions = endpoint.get("conditions", {})
                    places = {f"{address}:{entry['port']}" for address in endpoint["addresses"]}
                    if conditions.get("ready", True):
                        ready |= places
                    elif conditions.get("serving") and conditions.get("terminating"):
                        terminating |= places
        chosen[port] = frozenset(ready or terminating)
    return chosen


def configuration(of: Frontend, socket: Path) -> str:
    """HAProxy's configuration: every endpoint slot present but disabled."""
    lines = [
        "global",
        f"    stats socket {socket} level admin",
        "    nbthread 1",
        "    maxconn 4000",
        "defaults",
        "    mode tcp",
        "    timeout connect 3s",
        "    timeout client 24h",
        "    timeout server 24h",
        "    timeout client-fin 30s",
        "    retries 0",
    ]
    for port in of.ports:
        lines += [
            f"listen port{port.number}",
            f"    bind {of.address}:{port.number}",
            f"    tcp-request connection reject if {{ nbsrv(port{port.number}) lt 1 }}",
            "    balance roundrobin",
            # Port 1 of nobody: a slot is given an address before it is used.
            f"    server-template s 1-{SLOTS} 0.0.0.0:1 disabled",
        ]
    return "\n".join(lines) + "\n"


def commands(before: dict[str, int], wanted: frozenset[str], port: Port) -> list[str]:
    """Runtime commands that take the slots `before` (endpoint -> slot, updated) to the `wanted` endpoints."""
    gone = sorted(before.keys() - wanted)
    lines = [f"set server port{port.number}/s{before.pop(place)} state maint" for place in gone]
    free = iter(sorted(set(range(1, SLOTS + 1)) - set(before.values())))
    for place in sorted(wanted - before.keys()):
        slot = next(free, None)
        if slot is None:
            _log.error("more than %d endpoints at port %d, %s is not used", SLOTS, port.number, place)
            break
        before[place] = slot
        address, _, number = place.rpartition(":")
        server = f"port{port.number}/s{slot}"
        lines += [f"set server {server} addr {address} port {number}", f"set server {server} state ready"]
    return lines


class Forwarder:
    """One Service's HAProxy."""

    def __init__(self, of: Frontend, name: str, directory: Path, log: Path) -> None:
        """`name` names the files in `directory`; it must be short, as a socket's path may have 107 bytes."""
        self.frontend = of
        self._socket = directory / f"{name}.sock"
        self._configuration = directory / f"{name}.cfg"
        self._log = log
        self._slots: dict[Port, dict[str, int]] = {port: {} for port in of.ports}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Listen. Raises OSError if HAProxy cannot."""
        self._socket.unlink(missing_ok=True)
        self._configuration.write_text(configuration(self.frontend, self._socket))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("haproxy", "-q", "-db", "-f", str(self._configuration)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(_SOCKET_WAIT_S):
            while not await self._answers():
                self.check()
                await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        """The socket's file is there a moment before HAProxy listens on it."""
        try:
            _, writer = await asyncio.open_unix_connection(self._socket)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        writer.close()
        return True

    async def use(self, wanted: Endpoints) -> None:
        """Send new connections to these endpoints only. Raises OSError."""
        slots = {port: dict(known) for port, known in self._slots.items()}
        lines = [
            line
            for port in self.frontend.ports
            for line in commands(slots[port], wanted.get(port, frozenset()), port)
        ]
        if not lines:
            return
        reader, writer = await asyncio.open_unix_connection(self._socket)
        writer.write((";".join(lines) + "\n").encode())
        answer = (await reader.read()).decode()
        writer.close()
        self._slots = slots  # only now: a command that failed is sent again
        for line in answer.splitlines():
            # The answer to a command that succeeded is empty or reports the change of address.
            if line and "changed" not in line and "no need to change" not in line:
                _log.error("haproxy for %s: %s", self.frontend.address, line)

    def check(self) -> None:
        """Raises OSError if HAProxy has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise OSError(f"haproxy for {self.frontend.address} ended, see {self._log}")

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._socket.unlink(missing_ok=True)


def host_names(services: Iterable[Json]) -> dict[str, str]:
    """Names of the Services with a ClusterIP that hold in every namespace."""
    names = {}
    for service in services:
        of = frontend(service)
        if of is not None:
            name = f"{service['metadata']['name']}.{service['metadata']['namespace']}"
            for suffix in ("", ".svc", ".svc.cluster.local"):
                names[name + suffix] = of.address
    return names


def short_names(services: Iterable[Json], namespace: str) -> Mapping[str, str]:
    """Names by which the pods of `namespace` know their own Services."""
    own = (
        (service, frontend(service)) for service in services if service["metadata"]["namespace"] == namespace
    )
    return {service["metadata"]["name"]: of.address for service, of in own if of is not None}
