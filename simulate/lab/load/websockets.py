"""Clients that each hold one websocket open, count its loss and reconnect."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from simulate.lab.layout import CLIENT_HEADER
from simulate.lab.load.vegeta import client_address, require_own_address

_GOING_AWAY = 1001
#: Seconds until a client that lost its connection reconnects, at least and at most.
_BACK_AFTER_S = (0.2, 1.0)
#: Seconds between the messages of a client.
_EVERY_S = 5.0


@dataclass(slots=True)
class WebSocketCounts:
    """``dropped`` were lost without a closing handshake, ``closed`` were asked to reconnect (1001), ``refused`` could
    not be opened. ``by_colour`` counts the connections that were opened."""

    opened: int = 0
    dropped: int = 0
    closed: int = 0
    refused: int = 0
    by_colour: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """For a person or a file."""
        numbers = {name: getattr(self, name) for name in ("opened", "dropped", "closed", "refused")}
        return {**numbers, "by_colour": dict(sorted(self.by_colour.items()))}


class WebSocketClients:
    """``number`` clients at ``url`` (``ws://host/ws``), as an asynchronous context."""

    def __init__(self, url: str, number: int, *, seed: int = 378) -> None:
        require_own_address(url)
        self.counts = WebSocketCounts()
        self.open: dict[int, str] = {}
        self._url = url
        self._number = number
        self._chance = random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self._number)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, number: int) -> None:
        while True:
            try:
                # No compression: it would cost more than all the rest.
                async with connect(
                    self._url,
                    additional_headers={CLIENT_HEADER: client_address(number)},
                    compression=None,
                    open_timeout=10,
                    close_timeout=2,
                ) as connection:
                    await self._talk(number, connection)
            except ConnectionClosed as error:
                received = error.rcvd.code if error.rcvd is not None else None
                if received == _GOING_AWAY:
                    self.counts.closed += 1
                else:
                    self.counts.dropped += 1
            except (WebSocketException, OSError, TimeoutError):
                self.counts.refused += 1
            finally:
                self.open.pop(number, None)
            await asyncio.sleep(self._chance.uniform(*_BACK_AFTER_S))

    async def _talk(self, number: int, connection: ClientConnection) -> None:
        """Sends a message now and then until the connection is lost. Raises ConnectionClosed."""
        colour = str(json.loads(await connection.recv())["colour"])
        self.counts.opened += 1
        self.counts.by_colour[colour] += 1
        self.open[number] = colour
        while True:
            await connection.send("still here?")
            await connection.recv()
            # Waits for the next message's time, or for the loss of the connection if that comes first.
            try:
                async with asyncio.timeout(_EVERY_S):
                    await connection.wait_closed()
            except TimeoutError:
                continue
