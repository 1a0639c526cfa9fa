"""Pod networks: one network namespace a pod, joined to the lab's bridge, as a CNI plugin does it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from simulate.lab.layout import POD_BRIDGE, POD_GATEWAY, PODS


class NetworkError(Exception):
    """A command that sets up a pod's network failed."""


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """A pod's address and the file that holds its namespace."""

    address: str
    netns: Path

    @property
    def device(self) -> str:
        """The lab's end of the pod's cable; taking it down cuts the pod off."""
        third, fourth = self.address.split(".")[2:]
        return f"pod{third}.{fourth}"


class AddressPool:
    """Addresses of pods, each given out again only after all the others, so that a late packet finds nobody."""

    def __init__(self) -> None:
        self._free: Iterator[IPv4Address] = PODS.hosts()
        self._returned: list[str] = []

    def take(self) -> str:
        for address in self._free:
            if str(address) != POD_GATEWAY:
                return str(address)
        if not self._returned:
            raise NetworkError(f"no free pod address in {PODS}")
        return self._returned.pop(0)

    def give_back(self, address: str) -> None:
        self._returned.append(address)


async def create(address: str, netns: Path) -> PodNetwork:
    """Make the namespace `netns` (a file to be) with `address` in it. Raises NetworkError."""
    network = PodNetwork(address, netns)
    netns.touch()  # noqa: ASYNC240 - an empty file on a tmpfs
    await _run(["unshare", f"--net={netns}", "true"])
    await _run(
        ["ip", "-batch", "-"],
        f"link add {network.device} type veth peer name eth0 netns {netns}\n"
        f"link set {network.device} master {POD_BRIDGE} up\n",
    )
    await _run(
        # As container runtimes do: a program that is not root may listen on port 80 of its own network.
        [
            "nsenter",
            f"--net={netns}",
            "sh",
            "-c",
            "ip -batch - && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start",
        ],
        f"link set lo up\naddr add {address}/{PODS.prefixlen} dev eth0\nlink set eth0 up\n"
        f"route add default via {POD_GATEWAY}\n",
    )
    return network


async def destroy(network: PodNetwork) -> None:
    """Cut the cable and let go of the namespace; what still runs in it is on its own. No error if it is gone."""
    for argv in (["ip", "link", "delete", network.device], ["umount", str(network.netns)]):
        with contextlib.suppress(NetworkError):
            await _run(argv)
    network.netns.unlink(missing_ok=True)


async def _run(argv: list[str], text: str = "") -> None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    _, errors = await process.communicate(text.encode())
    if process.returncode != 0:
        raise NetworkError(f"{' '.join(argv)}: {errors.decode().strip()}")
