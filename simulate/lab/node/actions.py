"""Probe and hook actions against a container: HTTP request, TCP connection, command inside, sleep."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

from simulate.lab.node.spec import SpecError, probe_port

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A running container: the pod's address, its first process, its spec."""

    address: str
    pid: int
    spec: Json


async def perform(action: Json, container: RunningContainer, timeout_s: float) -> tuple[bool, str]:
    """One try of a probe's action within `timeout_s` seconds: whether it succeeded, and why not."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _perform(action, container)
    except TimeoutError:
        return False, f"no answer within {timeout_s:g} s"
    except (OSError, aiohttp.ClientError, SpecError) as error:
        return False, str(error) or type(error).__name__


async def perform_hook(hook: Json, container: RunningContainer) -> None:
    """A preStop hook, to its end; a failing one changes nothing, as in Kubernetes."""
    if "sleep" in hook:
        await asyncio.sleep(hook["sleep"]["seconds"])
        return
    with contextlib.suppress(OSError, aiohttp.ClientError, SpecError):
        await _perform(hook, container)


async def _perform(action: Json, container: RunningContainer) -> tuple[bool, str]:
    if "httpGet" in action:
        return await _http_get(action["httpGet"], container)
    if "tcpSocket" in action:
        port = probe_port(action["tcpSocket"]["port"], container.spec)
        _, writer = await asyncio.open_connection(action["tcpSocket"].get("host", container.address), port)
        writer.close()
        return True, ""
    if "exec" in action:
        return await _exec(action["exec"]["command"], container)
    raise SpecError(f"the lab's node does not support the action {', '.join(action)}")


async def _http_get(get: Json, container: RunningContainer) -> tuple[bool, str]:
    """Success is any status from 200 to 399; redirects are not followed and certificates not verified."""
    port = probe_port(get["port"], container.spec)
    scheme = get.get("scheme", "HTTP").lower()
    url = f"{scheme}://{get.get('host', container.address)}:{port}{get.get('path', '/')}"
    headers = {header["name"]: header["value"] for header in get.get("httpHeaders", [])}
    headers.setdefault("User-Agent", "kube-probe/lab")
    connector = aiohttp.TCPConnector(force_close=True, ssl=False)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers=headers, allow_redirects=False) as response,
    ):
        return (
            HTTPStatus.OK <= response.status < HTTPStatus.BAD_REQUEST,
            f"HTTP probe failed with statuscode: {response.status}",
        )


async def _exec(command: list[str], container: RunningContainer) -> tuple[bool, str]:
    """Success is exit code 0 of a command in the container's file system and network."""
    process = await asyncio.create_subprocess_exec(
        *("nsenter", f"--container={container.pid}", "--mount", "--net", "--", *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    return process.returncode == 0, output.decode(errors="replace").strip()[-500:]
