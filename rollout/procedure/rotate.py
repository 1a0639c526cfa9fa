"""Exchanges a secret while it is in use: at every moment whatever is sent is accepted.

The steps are declared in the stack's configuration, one after the other, so that a rotation that was ended half-way is
continued by the same command.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from rollout.aws.probes import COLOUR_HEADER, TEST_HEADER, connection_problem
from rollout.control.ports import TrafficError
from rollout.stacks.environment import Environment
from rollout.stacks.project import EnvironmentProblem

ORIGIN_HEADER = "X-Origin-Verify"
ORIGIN, ORIGIN_NEXT, ORIGIN_PREVIOUS = "originSecret", "originSecretNext", "originSecretPrevious"
ACCEPTED = "originSecrets"  # output of the traffic stack: how many values its rule lets in
TEST, TEST_PREVIOUS = "testSecret", "testSecretPrevious"
_BYTES = 32
_IN_A_ROW = 10  # good answers that show that something works
_LIMIT = 60.0  # seconds for them
_GAP = 0.5
TIMEOUT = 5.0  # seconds for one answer
_MESSAGE = "rollout rotate"
_PATH = "/health"
_CONTINUED = "a rotation was begun before: it is continued"


class Configuration(Protocol):
    """:class:`rollout.stacks.configuration.StackConfiguration`."""

    def has(self, key: str) -> bool: ...
    async def value(self, key: str) -> str: ...
    async def put_secret(self, key: str, value: str) -> None: ...
    async def drop(self, key: str) -> None: ...
    async def update(self, message: str) -> None: ...
    async def outputs(self) -> Mapping[str, Any]: ...


# The status of one request, by URL and headers. Raises httpx.HTTPError.
Ask = Callable[[str, dict[str, str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Rotation:
    """``foundation`` and ``traffic`` are the stacks; ``drift`` says what is wrong with a stack, '' for nothing."""

    environment: Environment
    foundation: Configuration
    traffic: Configuration
    ask: Ask
    drift: Callable[[str], Awaitable[str]]
    say: Callable[[str], None]

    async def origin(self) -> None:
        """CloudFront's secret. Raises :class:`EnvironmentProblem` before anything is touched, then :class:`TrafficError`."""
        foundation = self.foundation
        if not (foundation.has(ORIGIN_NEXT) or foundation.has(ORIGIN_PREVIOUS)):
            if int((await self.traffic.outputs()).get(ACCEPTED, 1)) > 1:
                self.say(f"{_CONTINUED}: the previous value is no longer accepted")
                await self._update_both()
                await self._front_door()
                return
            await self._unchanged(self.environment.name, self.environment.traffic_stack)
            await foundation.put_secret(ORIGIN_NEXT, secrets.token_urlsafe(_BYTES))
        else:
            self.say(_CONTINUED)
        if foundation.has(ORIGIN_NEXT):
            self.say("1 of 3: the load balancer accepts the next value too")
            await self._update_both()
            wanted = await foundation.value(ORIGIN_NEXT)
            await self._accepted(self._listener({ORIGIN_HEADER: wanted}), "the next value")
            current = await foundation.value(ORIGIN)
            if current != wanted:
                await foundation.put_secret(ORIGIN_PREVIOUS, current)
                await foundation.put_secret(ORIGIN, wanted)
            await foundation.drop(ORIGIN_NEXT)
        self.say("2 of 3: CloudFront sends it; on AWS this takes minutes")
        await foundation.update(_MESSAGE)
        await self._front_door()
        self.say("3 of 3: the previous value is no longer accepted")
        previous = await foundation.value(ORIGIN_PREVIOUS)
        await foundation.drop(ORIGIN_PREVIOUS)
        await self._update_both()
        try:
            await self._front_door()
        except TrafficError:
            self.say("users are not let in: the previous value is accepted again")
            await foundation.put_secret(ORIGIN_PREVIOUS, previous)
            await self._update_both()
            raise
        await self._refused({ORIGIN_HEADER: previous})

    async def test(self) -> None:
        """The test route's secret. Raises as :meth:`origin`."""
        foundation = self.foundation
        if not foundation.has(TEST_PREVIOUS):
            if left := (await foundation.outputs()).get(TEST_PREVIOUS):
                self.say(_CONTINUED)
                await self._close_test(left)
                return
            await self._unchanged(self.environment.name)
            await foundation.put_secret(TEST_PREVIOUS, await foundation.value(TEST))
        else:
            self.say(_CONTINUED)
        previous = await foundation.value(TEST_PREVIOUS)
        if await foundation.value(TEST) == previous:
            await foundation.put_secret(TEST, secrets.token_urlsafe(_BYTES))
        self.say("1 of 2: the test route accepts the new value too, and probes use it")
        await foundation.update(_MESSAGE)
        await self._test_route()
        await foundation.drop(TEST_PREVIOUS)
        await self._close_test(previous)

    async def _close_test(self, previous: str) -> None:
        self.say("2 of 2: the previous value is no longer accepted")
        await self.foundation.update(_MESSAGE)
        await self._test_route()
        await self._refused({TEST_HEADER: previous, **self._colour})

    @property
    def _colour(self) -> dict[str, str]:
        return {COLOUR_HEADER: self.environment.colours["stable"]}

    async def _test_route(self) -> None:
        value = await self.foundation.value(TEST)
        await self._accepted(self._listener({TEST_HEADER: value, **self._colour}), "the new value")

    async def _unchanged(self, *stacks: str) -> None:
        for stack in stacks:
            if problem := await self.drift(stack):
                raise EnvironmentProblem(
                    f"nothing was touched: {problem}. A rotation deploys the stack, and with it whatever else is pending"
                )

    async def _update_both(self) -> None:
        """The rule of the traffic stack reads the foundation's outputs."""
        await self.foundation.update(_MESSAGE)
        await self.traffic.update(_MESSAGE)

    def _listener(self, headers: dict[str, str]) -> Callable[[], Awaitable[int]]:
        return lambda: self.ask(self.environment.probe_url + _PATH, headers)

    async def _front_door(self) -> None:
        await self._accepted(lambda: self.ask(self.environment.base_url + _PATH, {}), "what users send")

    async def _accepted(self, ask: Callable[[], Awaitable[int]], what: str) -> None:
        """Waits for good answers in a row. Raises :class:`TrafficError`."""
        good, problem = 0, ""
        try:
            async with asyncio.timeout(_LIMIT):
                while good < _IN_A_ROW:
                    problem = await _problem(ask)
                    good = 0 if problem else good + 1
                    if problem:
                        await asyncio.sleep(_GAP)
        except TimeoutError:
            raise TrafficError(
                f"{what} was not accepted {_IN_A_ROW} times in a row within {_LIMIT:g} s: {problem}"
            ) from None

    async def _refused(self, headers: dict[str, str]) -> None:
        """Raises :class:`TrafficError` while the listener still lets in what it should not."""
        try:
            async with asyncio.timeout(_LIMIT):
                while True:
                    if await _problem(self._listener(headers)) == str(httpx.codes.FORBIDDEN.value):
                        return
                    await asyncio.sleep(_GAP)
        except TimeoutError:
            raise TrafficError(f"the previous value is still accepted after {_LIMIT:g} s") from None


async def _problem(ask: Callable[[], Awaitable[int]]) -> str:
    try:
        status = await ask()
    except httpx.TimeoutException:
        return f"no answer within {TIMEOUT:g} s"
    except httpx.HTTPError as error:
        return connection_problem(error)
    return "" if status == httpx.codes.OK else str(status)


def asking(client: httpx.AsyncClient) -> Ask:
    """By a client of HTTP."""

    async def ask(url: str, headers: dict[str, str]) -> int:
        return (await client.get(url, headers=headers)).status_code

    return ask
