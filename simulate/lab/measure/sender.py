"""Sends one point's requests through the lab's edge and reports the answers; runs inside the lab.

Vegeta sends at even intervals, and queues of even arrivals are not those of users. So this is a sender of its own, at times
drawn beforehand; a latency counts from the time at which its request was due, and how late requests left is reported as well.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from simulate.lab.backend.app import QUERY_SECONDS
from simulate.lab.errors import LabError
from simulate.lab.layout import CLIENT_HEADER, EDGE
from simulate.lab.load.vegeta import client_address
from simulate.lab.measure.points import Point

_CLIENTS = 1000
_TABLE = 65  # quantiles that are kept of each time
_CLEAN, _TRIES = 100, 600
TIMED_OUT = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0: the client gave up. ``database_s``: the transaction, as the backend timed it; 0 if it did not."""

    due: float
    late_s: float
    latency_s: float
    status: int
    sleep_s: float
    database_s: float


async def measure(point: Point) -> dict[str, Any]:
    """What the point's clients saw. Raises :class:`LabError` if the backend does not get well before."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(f"http://{EDGE}", connector=connector) as session:
        await _until_clean(session)
        due = point.arrivals()
        sleeps = point.sleeps(len(due))
        loop = asyncio.get_running_loop()
        start = loop.time() + point.warm_up_s + 0.2
        answers: list[Answer] = []
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(_processors(start, point.window_s))
            if point.hang:
                tasks.create_task(_hang(start, point.hang))
            for number, (at, sleep_s) in enumerate(zip(due, sleeps, strict=True)):
                if (wait := start + at - loop.time()) > 0:
                    await asyncio.sleep(wait)
                tasks.create_task(_one(session, point, start + at, sleep_s, number, answers))
    counted = [answer for answer in answers if answer.due >= start]
    return summarize(counted, point) | await watching


async def _until_clean(session: aiohttp.ClientSession) -> None:
    """The backends' connections to a pgbouncer that is gone fail once each: here, not in the measurement."""
    clean = 0
    for number in range(_TRIES):
        async with session.get("/api/cases", headers=_client(number)) as answer:
            clean = clean + 1 if answer.status == HTTPStatus.OK else 0
        if clean == _CLEAN:
            return
    raise LabError("the backend keeps failing without load", "see its log")


def _client(number: int) -> dict[str, str]:
    """The header that names one of many clients, so that the rate limit meets none."""
    return {CLIENT_HEADER: client_address(number % _CLIENTS)}


async def _one(
    session: aiohttp.ClientSession, point: Point, due: float, sleep_s: float, number: int, into: list[Answer]
) -> None:
    loop = asyncio.get_running_loop()
    late, status, database_s = loop.time() - due, TIMED_OUT, 0.0
    headers = _client(number) | {QUERY_SECONDS: f"{sleep_s:.6f}"}
    timeout = aiohttp.ClientTimeout(total=point.timeout_s)
    try:
        async with session.get("/api/cases", headers=headers, timeout=timeout) as answer:
            await answer.read()
            status = answer.status
            timing = answer.headers.get("Server-Timing", "").partition("db;dur=")[2]
            database_s = float(timing or 0) / 1000
    except (TimeoutError, aiohttp.ClientError):
        pass
    into.append(Answer(due, late, loop.time() - due, status, sleep_s, database_s))


async def _processors(start: float, seconds: float) -> dict[str, float]:
    """The share of all processors' time that the lab used during the window, and that anything used."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(start - loop.time())
    before, ours_before = _ticks(), _ticks_of_lab()
    await asyncio.sleep(start + seconds - loop.time())
    busy, idle = (now - then for now, then in zip(_ticks(), before, strict=True))
    ours = sum(ticks - ours_before.get(process, 0) for process, ticks in _ticks_of_lab().items())
    return {
        "processors_busy": round(ours / (busy + idle), 4),
        "machine_busy": round(busy / (busy + idle), 4),
    }


def _ticks_of_lab() -> dict[str, int]:
    """What each of the lab's processes used so far; the lab sees no others."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[stat.parent.name] = int(fields[11]) + int(fields[12])
    return found


def _ticks() -> tuple[int, int]:
    """Busy and idle so far, of all processors together: Linux's /proc/stat."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    return user + nice + system + irq + softirq + steal, idle + iowait


async def _hang(start: float, hang: tuple[float, float]) -> None:
    """PostgreSQL with all its processes stands still; the lab has a process namespace of its own, so only its one."""
    loop = asyncio.get_running_loop()
    try:
        await asyncio.sleep(start + hang[0] - loop.time())
        _signal_postgres(signal.SIGSTOP)
        await asyncio.sleep(start + hang[1] - loop.time())
    finally:
        _signal_postgres(signal.SIGCONT)


def _signal_postgres(number: signal.Signals) -> None:
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == "postgres":
                os.kill(int(comm.parent.name), number)
        except (OSError, ProcessLookupError):
            continue


def summarize(answers: Sequence[Answer], point: Point) -> dict[str, Any]:
    """Counts, and quantile tables of: latency of what was answered 200; beyond the sleep, in the database; the rest."""
    good = [answer for answer in answers if answer.status == HTTPStatus.OK]
    if not good:
        raise LabError(f"point '{point.name}': nothing was answered 200", "see the backend's log")
    return {
        "sent": len(answers),
        "answered": len(good),
        "gave_up": sum(answer.status == TIMED_OUT for answer in answers),
        "statuses": dict(sorted(Counter(str(answer.status) for answer in answers).items())),
        "latency_s": quantiles([answer.latency_s for answer in good]),
        "database_beyond_sleep_s": quantiles([answer.database_s - answer.sleep_s for answer in good]),
        "rest_s": quantiles([answer.latency_s - answer.database_s for answer in good]),
        "p50_s": round(quantile([answer.latency_s for answer in good], 0.5), 5),
        "p95_s": round(quantile([answer.latency_s for answer in good], 0.95), 5),
        "late_p95_s": round(quantile([answer.late_s for answer in answers], 0.95), 5),
        "load_average": round(os.getloadavg()[0], 2),
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """Between neighbours in proportion, as numpy does."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    k = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    above = ordered[min(k + 1, len(ordered) - 1)]
    return ordered[k] + (place - k) * (above - ordered[k])


def quantiles(values: Sequence[float]) -> list[float]:
    """``_TABLE`` of them, of equal probability apart, from the least to the greatest (seconds)."""
    ordered = sorted(values)
    return [round(quantile(ordered, k / (_TABLE - 1)), 6) for k in range(_TABLE)]
