"""HTTP probes of one role through the load balancer's secret test route, and the health of its targets; the front door's rounds."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from rollout.aws.attribution import SHARED, counted_in
from rollout.aws.elb import target_health
from rollout.control.ports import Round, TrafficError
from rollout.control.text import one_line
from rollout.policy.events import FRONT_DOOR, FRONT_DOOR_PROBES, PROBES, ROLES

FRONT_DOOR_PATHS = ("/health", "/")
PATHS = {"health": "/health", "ready": "/ready", "deep": "/deep"}
TEST_HEADER = "X-Simple378-Test"
COLOUR_HEADER = "X-Simple378-Colour"
EDGE = "edge"
VERSION_HEADER = "X-Simple378-Version"
DIGEST_HEADER = "X-Simple378-Digest"
_LONGEST = 100  # characters of what an application says of itself
_REMEMBERED = 10_000  # answers: an hour's of both roles and the front door in production


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

    def add_edge(self, *, allowed: bool) -> None:
        """Records a request of ours that the rate limit has just let through, or not."""
        self._answers.append((self._now(), EDGE, "allowed" if allowed else "blocked"))

    def counted(self, role: str, start: float, end: float) -> Counter[str]:
        """Our own requests from ``start`` until before ``end`` (epoch seconds), by field of ``attribution.Counts``."""
        return Counter(
            field
            for at, who, field in self._answers
            if (who == role or field in SHARED) and start <= at < end
        )


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """The address that users take, at ``url``: `/health` as the application answers it, and `/`, the page.

    Its requests are users' to everything they pass, so they are remembered to be taken out of the counts again.
    """

    client: httpx.AsyncClient
    url: str
    roles: Mapping[str, str]  # colour -> role
    timeout: float
    log: ProbeLog

    async def round(self) -> Round:
        """A 429 is no failure: somebody was let in up to the rate limit."""
        paths = dict(zip(FRONT_DOOR_PROBES, FRONT_DOOR_PATHS, strict=True))
        problems = await asyncio.gather(*(self._problem(path) for path in paths.values()))
        found = {name: problem for name, problem in zip(paths, problems, strict=True) if problem}
        return Round(
            tuple(found), why="; ".join(f"{paths[name]}: {problem}" for name, problem in found.items())
        )

    async def _problem(self, path: str) -> str:
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self.client.get(self.url + path)
        except (TimeoutError, httpx.TimeoutException):
            return f"no answer within {self.timeout:g} s"
        except httpx.HTTPError as error:
            return connection_problem(error)
        self._remember(answer)
        passes = answer.is_success or (path == "/" and answer.is_redirect)
        return (
            "" if passes or answer.status_code == httpx.codes.TOO_MANY_REQUESTS else str(answer.status_code)
        )

    def _remember(self, answer: httpx.Response) -> None:
        colour = answer.headers.get(COLOUR_HEADER)
        limited = answer.status_code == httpx.codes.TOO_MANY_REQUESTS and not colour
        self.log.add_edge(allowed=not limited)
        if role := self.roles.get(colour or ""):
            self.log.add_user(role, answer.status_code, by_target=True)


def connection_problem(error: BaseException) -> str:
    """Why there was no answer, in words; of a certificate what is wrong with it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {one_line(cause.verify_message)}"
        cause = cause.__cause__ or cause.__context__
    return one_line(str(error)) or type(error).__name__


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
    front_door: FrontDoor | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        return (*ROLES, *([FRONT_DOOR] if self.front_door else []))

    async def round(self, role: str) -> Round:
        if role == FRONT_DOOR and self.front_door:
            return await self.front_door.round()
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

    async def ask(self, role: str, path: str) -> str:
        """One request through the test route; what is wrong with its answer, '' for nothing."""
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self._get(role, path)
        except (TimeoutError, httpx.TimeoutException):
            return f"no answer within {self.timeout:g} s"
        except httpx.HTTPError as error:
            return connection_problem(error)
        if answer.headers.get(COLOUR_HEADER, self.colours[role]) != self.colours[role]:
            return "another colour answered"
        return str(answer.status_code) if answer.is_error else ""

    async def _get(self, role: str, path: str) -> httpx.Response:
        return await self.client.get(
            self.url + path, headers={TEST_HEADER: self.secret, COLOUR_HEADER: self.colours[role]}
        )

    async def _answers(self, role: str, path: str, versions: set[str]) -> bool:
        colour = self.colours[role]
        answer = await self._get(role, path)
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


def probe_client(timeout: float, trusted: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """A client that opens a new connection for each request: one kept open could hide that no new one is accepted.

    Certificates are verified always: by ``trusted``, else by the authorities that browsers trust.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    verify = True if trusted is None else trusted
    return httpx.AsyncClient(
        verify=verify, timeout=timeout, limits=limits, trust_env=False, follow_redirects=False
    )
