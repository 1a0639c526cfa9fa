"""`rollout contract URL`: whether a running backend keeps docs/application-contract.md, as far as it shows over HTTP.

Over single connections of its own, because keeping one open is part of the contract.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from rollout.aws.probes import COLOUR_HEADER, PATHS, VERSION_HEADER, connection_problem
from rollout.plan.units import number
from rollout.procedure.preflight import Finding
from rollout.procedure.websocket import CLOSE, PING, PONG, NotAWebSocket, WebSocket, close_code

ANSWER = 2.0  # seconds: as long as the load balancer's and Kubernetes' health checks wait
IDLE = 25.0  # seconds: the load balancer keeps an idle connection so long, `loadBalancerIdleSeconds`
MARGIN = 1.0  # seconds by which the backend must outlast it
RESTART = 90.0  # seconds from SIGTERM until websockets must be closed
SOCKET_PATH = "/ws"
UNKNOWN = "/rollout-contract-no-such-path"
GOING_AWAY, RESTARTING = 1001, 1012  # close codes after which a client connects again


class BadUrl(Exception):
    """The address cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where it answers; ``idle`` in seconds; ``version`` is the one it must name, '' for any; ``pid`` gets SIGTERM, 0: none."""

    url: str
    host: str
    port: int
    tls: bool
    idle: float = IDLE
    version: str = ""
    pid: int = 0

    @classmethod
    def at(cls, url: str, *, idle: float = IDLE, version: str = "", pid: int = 0) -> Backend:
        """Raises :class:`BadUrl`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadUrl(f"{url}: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadUrl(f"{url}: it takes http://HOST:PORT or https://HOST:PORT")
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
            raise BadUrl(f"{url}: it takes the address alone, such as http://{parts.hostname}:8000")
        tls = parts.scheme == "https"
        return cls(url.rstrip("/"), parts.hostname, port or (443 if tls else 80), tls, idle, version, pid)

    def connection(self) -> HTTPConnection:
        made = HTTPSConnection if self.tls else HTTPConnection
        return made(self.host, self.port, timeout=ANSWER)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, str]  # with names in lower case
    body: bytes
    took: float


@dataclass(slots=True)
class _Seen:
    """Answers by what was asked, such as ``GET /health``: some checks look at all of them."""

    answers: dict[str, _Answer] = field(default_factory=dict)


class _Unmet(Exception):
    """What does not hold."""


def examine(backend: Backend) -> Iterator[Finding]:
    """Each check as soon as it is made. When nothing answers at all, only that is said."""
    seen = _Seen()
    checks: list[tuple[str, Callable[[], str]]] = [
        *((path, lambda path=path: _passes(backend, seen, path)) for path in PATHS.values()),
        ("HEAD", lambda: _head(backend, seen)),
        ("unknown path", lambda: _unknown(backend, seen)),
        ("version", lambda: _version(backend, seen)),
        ("colour", lambda: _colour(seen)),
        ("no session state", lambda: _stateless(seen)),
        ("websocket", lambda: _websocket(backend)),
        ("keep-alive", lambda: _keep_alive(backend)),
    ]
    if backend.pid:
        checks.append(("restart", lambda: _restart(backend)))
    try:
        backend.connection().connect()
    except OSError as error:
        yield Finding("port", f"nothing answers at {backend.url}: {connection_problem(error)}")
        return
    yield Finding("port", detail=backend.url)
    for name, check in checks:
        try:
            yield Finding(name, detail=check())
        except (_Unmet, NotAWebSocket) as error:
            yield Finding(name, str(error))
        except TimeoutError:
            yield Finding(name, f"no answer within {number(ANSWER)} s")
        except (OSError, HTTPException) as error:
            yield Finding(name, connection_problem(error))


def _ask(connection: HTTPConnection, method: str, path: str) -> _Answer:
    began = time.monotonic()
    connection.request(method, path)
    answer: HTTPResponse = connection.getresponse()
    body = answer.read()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return _Answer(answer.status, headers, body, time.monotonic() - began)


def _once(backend: Backend, seen: _Seen, method: str, path: str) -> _Answer:
    connection = backend.connection()
    try:
        answer = seen.answers[f"{method} {path}"] = _ask(connection, method, path)
    finally:
        connection.close()
    return answer


def _passes(backend: Backend, seen: _Seen, path: str) -> str:
    answer = _once(backend, seen, "GET", path)
    if answer.status != HTTPStatus.OK:
        raise _Unmet(f"answers {answer.status}, not 200")
    return f"200 in {answer.took * 1000:.0f} ms"


def _head(backend: Backend, seen: _Seen) -> str:
    answer = _once(backend, seen, "HEAD", PATHS["health"])
    if answer.status != HTTPStatus.OK:
        raise _Unmet(f"HEAD {PATHS['health']} answers {answer.status}; as GET, without the body")
    return ""


def _unknown(backend: Backend, seen: _Seen) -> str:
    answer = _once(backend, seen, "GET", UNKNOWN)
    if answer.status != HTTPStatus.NOT_FOUND:
        raise _Unmet(f"GET {UNKNOWN} answers {answer.status}, not 404: mistakes would look like success")
    return "404"


def _version(backend: Backend, seen: _Seen) -> str:
    """Every answer says it, errors too."""
    said = {what: answer.headers.get(VERSION_HEADER.lower(), "") for what, answer in seen.answers.items()}
    if silent := [what for what, version in said.items() if not version]:
        raise _Unmet(f"no {VERSION_HEADER} in the answer to {', '.join(silent)}")
    versions = sorted(set(said.values()))
    if len(versions) != 1:
        raise _Unmet(
            f"{VERSION_HEADER} is {' and '.join(versions) or 'missing'}: one process has one version"
        )
    if backend.version and versions != [backend.version]:
        raise _Unmet(f"{VERSION_HEADER} is {versions[0]}, not {backend.version}")
    return versions[0]


def _colour(seen: _Seen) -> str:
    found = {answer.headers.get(COLOUR_HEADER.lower(), "") for answer in seen.answers.values()}
    if len(found) != 1 or found - {"blue", "green"}:
        shown = ", ".join(sorted(found - {""})) or "missing"
        raise _Unmet(
            f"{COLOUR_HEADER} is {shown}: each answer says blue or green, as the variable COLOUR does"
        )
    return found.pop()


def _stateless(seen: _Seen) -> str:
    """A cookie that a probe gets is one that nobody asked for: state of a session in this process, which a moved weight loses."""
    if setting := [what for what, answer in seen.answers.items() if "set-cookie" in answer.headers]:
        raise _Unmet(
            f"Set-Cookie in the answer to {', '.join(setting)}: a client may meet the other colour next"
        )
    return ""


def _websocket(backend: Backend) -> str:
    socket_ = _open_socket(backend)
    try:
        websocket = WebSocket.open(socket_, backend.host, SOCKET_PATH)
        websocket.send(PING, b"contract")
        if websocket.await_kind(PONG) != b"contract":
            raise _Unmet("answers a ping with something else than its pong")
    finally:
        socket_.close()
    return f"{SOCKET_PATH} answers a ping"


def _open_socket(backend: Backend) -> socket.socket:
    plain = socket.create_connection((backend.host, backend.port), ANSWER)
    if not backend.tls:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=backend.host)


def _keep_alive(backend: Backend) -> str:
    """The load balancer sends its next request over a connection that was idle for as long as it keeps one."""
    wanted = backend.idle + MARGIN
    connection = backend.connection()
    try:
        answer = _ask(connection, "GET", PATHS["health"])
        if connection.sock is None:
            said = answer.headers.get("connection", "HTTP/1.0")
            raise _Unmet(
                f"closes the connection after one answer ({said}); the load balancer keeps it {number(backend.idle)} s"
            )
        began = time.monotonic()
        if select.select([connection.sock], [], [], wanted)[0]:
            raise _Unmet(
                f"closes an idle connection after {time.monotonic() - began:.1f} s; the load balancer keeps it "
                f"{number(backend.idle)} s, and a request that crosses the closing is answered 502"
            )
        connection.auto_open = 0
        _ask(connection, "GET", PATHS["health"])
    finally:
        connection.close()
    return f"a connection idle for {number(wanted)} s answers"


def _restart(backend: Backend) -> str:
    """SIGTERM closes websockets with a code after which clients connect again."""
    socket_ = _open_socket(backend)
    try:
        websocket = WebSocket.open(socket_, backend.host, SOCKET_PATH)
        socket_.settimeout(RESTART)
        os.kill(backend.pid, signal.SIGTERM)
        began = time.monotonic()
        try:
            code = close_code(websocket.await_kind(CLOSE))
        except TimeoutError:
            raise _Unmet(f"no close frame within {number(RESTART)} s of SIGTERM") from None
    finally:
        socket_.close()
    if code not in (GOING_AWAY, RESTARTING):
        raise _Unmet(f"closes websockets with {code} at SIGTERM, not with {GOING_AWAY} or {RESTARTING}")
    return f"websocket closed with {code} after {time.monotonic() - began:.1f} s"
