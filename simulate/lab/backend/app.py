"""The backend's HTTP application."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psycopg
from aiohttp import WSCloseCode, WSMsgType, web

from simulate.lab.backend.database import Database, NoConnection
from simulate.lab.backend.faults import BackendFaults
from simulate.lab.backend.metrics import Publisher

_LOG = logging.getLogger(__name__)

#: Seconds between pings of a websocket: more often than the load balancer's idle timeout closes one (8 s in the lab).
_PING_S = 5.0

#: A request's header: how many seconds longer its query is to take.
QUERY_SECONDS = "X-Lab-Query-Seconds"
#: A request's header: how often it was tried before.
RETRY = "X-Simple378-Retry"
#: A request that shows this is refused. The stand-in has no other users to tell apart.
REFUSED_LOGIN = "Bearer invalid"
_LONGEST_QUERY_S = 600.0
_QUERY = "SELECT count(*), now()::text FROM generate_series(1, 200)"
_SLOW_QUERY = "SELECT count(*), now()::text FROM pg_sleep(%s), generate_series(1, 200)"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Backend:
    """One process of the application. ``colour`` and ``version`` are sent with every answer."""

    colour: str
    version: str
    database: Database
    publisher: Publisher
    faults: BackendFaults
    sockets: dict[web.WebSocketResponse, web.Request] = field(default_factory=dict)
    served: int = 0
    kept: list[bytearray] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/health", self.health)
        app.router.add_get("/ready", self.ready)
        app.router.add_get("/deep", self.deep)
        app.router.add_get("/ws", self.websocket)
        app.router.add_route("*", "/api/{path:.*}", self.business)
        app.on_response_prepare.append(self._name)
        app.on_shutdown.append(self._close_sockets)
        return app

    @property
    def faulty(self) -> bool:
        """Whether the faults have begun."""
        return self.served >= self.faults.after_requests

    async def _name(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Simple378-Colour"] = self.colour
        response.headers["X-Simple378-Version"] = self.version

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns database errors into an answer."""
        try:
            return await handler(request)
        except NoConnection as error:
            self.publisher.counters.connection_errors += 1
            _LOG.warning("%s: %s", request.path, error)
            return _json({"error": "no database connection"}, status=503)
        except psycopg.Error as error:
            _LOG.warning("%s: %s", request.path, error)
            return _json({"error": "query failed"}, status=500)

    # Probes

    async def health(self, request: web.Request) -> web.Response:
        return self._probe("health")

    async def ready(self, request: web.Request) -> web.Response:
        return self._probe("ready")

    async def deep(self, request: web.Request) -> web.Response:
        """Everything that a business request needs, the database included."""
        await self.database.query("SELECT 1")
        return self._probe("deep")

    def _probe(self, name: str) -> web.Response:
        if self.faults.probe == name and self.faulty:
            return _json({"status": "failing"}, status=503)
        return _json({"status": "ok"})

    # Business

    async def business(self, request: web.Request) -> web.Response:
        """Any request of the API: one transaction of one query, shaped like the dashboard's or a case's.

        The query sleeps for the fault's time plus the client's ``X-Lab-Query-Seconds``, so that a measurement controls
        how long each query takes. ``Server-Timing`` reports how long it took.
        """
        self.publisher.seen(request.headers.get("X-Forwarded-For", request.remote or ""))
        self.served += 1
        self.publisher.counters.retries += request.headers.get(RETRY, "0") != "0"
        if request.headers.get("Authorization") == REFUSED_LOGIN:
            self.publisher.counters.authentication_failures += 1
            return _json({"error": "not logged in"}, status=401)
        faulty = self.faulty
        try:
            sleep_s = float(request.headers.get(QUERY_SECONDS, "0"))
        except ValueError:
            sleep_s = math.nan
        if not 0 <= sleep_s <= _LONGEST_QUERY_S:
            limits = f"from 0 to {_LONGEST_QUERY_S:g}"
            return _json({"error": f"{QUERY_SECONDS} takes seconds {limits}"}, status=400)
        if faulty:
            await self.database.leak(self.faults.leak_connections)
            sleep_s += self.faults.pg_sleep_s
            if random.random() < self.faults.hang_rate:
                await asyncio.Event().wait()  # until the load balancer closes the connection
        began = time.perf_counter()
        rows = await (self.database.query(_SLOW_QUERY, sleep_s) if sleep_s else self.database.query(_QUERY))
        took = time.perf_counter() - began
        if faulty and random.random() < self.faults.error_rate:
            return _json({"error": "injected by the rehearsal"}, status=500)
        answer = _json({"path": request.path, "items": rows[0][0], "at": rows[0][1]})
        answer.headers["Server-Timing"] = f"db;dur={1000 * took:.2f}"
        return answer

    # Websockets

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Echoes text and sends the colour; closed with 1001 when the process ends."""
        socket = web.WebSocketResponse(heartbeat=_PING_S)
        await socket.prepare(request)
        self.sockets[socket] = request
        self.publisher.open_websockets = len(self.sockets)
        try:
            await socket.send_json({"colour": self.colour, "version": self.version})
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(message.data)
        except ConnectionError:
            pass  # lost while something was sent: the close code marks it as a drop
        finally:
            if socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE):
                self.publisher.counters.websocket_drops += 1
            self.sockets.pop(socket, None)
            self.publisher.open_websockets = len(self.sockets)
        return socket

    async def _close_sockets(self, app: web.Application) -> None:
        await asyncio.gather(
            *(
                socket.close(code=WSCloseCode.GOING_AWAY, message=b"restarting")
                for socket in list(self.sockets)
            ),
            return_exceptions=True,
        )

    # Faults that act by themselves

    async def misbehave(self) -> None:
        """Leaks memory and drops websockets ten times a second, at the faults' rates."""
        while self.faults.memory_leak_mb_per_s or self.faults.ws_drop_rate:
            await asyncio.sleep(0.1)
            if not self.faulty:
                continue
            if self.faults.memory_leak_mb_per_s:
                # Written to, so that the pages are really allocated.
                self.kept.append(bytearray(b"x" * round(self.faults.memory_leak_mb_per_s * 100_000)))
            for request in list(self.sockets.values()):
                if request.transport is not None and random.random() < self.faults.ws_drop_rate / 10:
                    request.transport.abort()


def _json(body: object, *, status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")
