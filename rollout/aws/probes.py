"""HTTP probes of one role through the load balancer's secret test route, and the health of its targets."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rollout.aws.attribution import SHARED, counted_in
from rollout.aws.elb import target_health
from rollout.control.ports import Round, TrafficError
from rollout.policy.events import PROBES

PATHS = {"health": "/health", "ready": "/ready", "deep": "/deep"}
TEST_HEADER = "X-Simple378-Test"
COLOUR_HEADER = "X-Simple378-Colour"
VERSION_HEADER = "X-Simple378-Version"
DIGEST_HEADER = "X-Simple378-Digest"
_LONGEST = 100  # characters of what an application says of itself
_REMEMBERED = 5000  # answers: an hour's of both roles in production


class ProbeLog:
    """Remembers the answers to our own requests that the load balancer counts among those of the users."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._answers: deque[tuple[float, str, str]] = deque(maxlen=_REMEMBERED)  # epoch seconds, role, field

    def add(self, role: str, status: int, by_target: bool) -> None:
        """Records an answer to a probe that has just come by the test route."""
        self._add(role, counted_in(status, by_target=by_target, as_user=False))

    def add_user(self, role: str, status: int, by_target: bool) -> None:
        """Records an answer that has just come the users' way, from the colour of ``role``."""
        self._add(role, counted_in(status, by_target=by_target, as_user=True))

    def _add(self, role: str, fields: tuple[str, ...]) -> None:
        self._answers.extend((self._now(), role, field) for field in fields)

    def counted(self, role: str, start: float, end: float) -> Counter[str]:
        """Our own requests from ``start`` until before ``end`` (epoch seconds), by field of ``attribution.Counts``."""
        return Counter(
            field
            for at, who, field in self._answers
            if (who == role or field in SHARED) and start <= at < end
        )


@dataclass(frozen=True, slots=True)
class HttpProbes:
    """One round makes all probes at once; each has ``timeout`` seconds. ``url`` is the load balancer's, without a path.

    An answer from the other colour is a failure: it shows nothing of the colour that was asked for.
    """

    client: httpx.AsyncClient
    elbv2: Any
    url: str
    secret: str
    colours: Mapping[str, str]  # role -> blue or green
    groups: Mapping[str, tuple[str, ...]]  # role -> ARNs of the target groups of its users and of its probes
    timeout: float
    log: ProbeLog

    async def round(self, role: str) -> Round:
        versions: set[str] = set()
        passed = await asyncio.gather(*(self._passes(role, name, versions) for name in PROBES))
        failed = tuple(name for name, ok in zip(PROBES, passed, strict=True) if not ok)
        return Round(failed, tuple(sorted(versions)))

    async def _passes(self, role: str, name: str, versions: set[str]) -> bool:
        try:
            async with asyncio.timeout(self.timeout):
                if name == "targets":
                    asked = (target_health(self.elbv2, group) for group in self.groups[role])
                    return all(health.serving for health in await asyncio.gather(*asked))
                return await self._answers(role, PATHS[name], versions)
        except (TimeoutError, httpx.HTTPError, TrafficError):
            return False

    async def _answers(self, role: str, path: str, versions: set[str]) -> bool:
        colour = self.colours[role]
        answer = await self.client.get(
            self.url + path, headers={TEST_HEADER: self.secret, COLOUR_HEADER: colour}
        )
        by_target = COLOUR_HEADER in answer.headers
        self.log.add(role, answer.status_code, by_target)
        asked = answer.headers.get(COLOUR_HEADER, colour) == colour
        if asked and (version := version_of(answer)):
            versions.add(version)
        return answer.status_code == httpx.codes.OK and asked


def version_of(answer: httpx.Response) -> str:
    """What the application says it is: ``VERSION``, or ``VERSION@DIGEST``; '' when it does not say."""
    version = answer.headers.get(VERSION_HEADER, "").strip()[:_LONGEST]
    digest = answer.headers.get(DIGEST_HEADER, "").strip()[:_LONGEST]
    return f"{version}@{digest}" if version and digest else version


def probe_client(timeout: float) -> httpx.AsyncClient:
    """A client that opens a new connection for each request: one kept open could hide that no new one is accepted."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False, follow_redirects=False)
