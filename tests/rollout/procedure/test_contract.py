"""`rollout contract`: each promise of docs/application-contract.md, broken by a small server and named."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from rollout.cli import app
from rollout.procedure import contract
from rollout.procedure.contract import Backend, BadUrl, examine

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
IDLE = 0.1


class Server:
    """An application that keeps the contract, unless a test says otherwise."""

    def __init__(self) -> None:
        self.headers = {"X-Simple378-Version": "2.0.0", "X-Simple378-Colour": "green"}
        self.answers: dict[str, web.Response | None] = {}
        self.keep_alive = 60.0
        self.close_code: int | None = None  # of a websocket, at once
        self.pongs = True
        self.silent: set[str] = set()  # paths that do not say the version
        self.head = True

    def app(self) -> web.Application:
        made = web.Application()
        for path in ("/health", "/ready", "/deep"):
            made.router.add_get(path, self.probe, allow_head=self.head)
        made.router.add_get("/ws", self.websocket)
        made.router.add_get("/{rest:.*}", self.unknown)
        made.on_response_prepare.append(self.name)
        return made

    async def name(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.path not in self.silent:
            response.headers.update(self.headers)

    async def probe(self, request: web.Request) -> web.Response:
        return self.answers.get(request.path) or web.Response(text="ok")

    async def unknown(self, request: web.Request) -> web.Response:
        return self.answers.get("unknown") or web.Response(status=404)

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        if "/ws" in self.answers:
            return self.answers["/ws"] or web.Response(status=404)
        socket = web.WebSocketResponse(autoping=self.pongs)
        await socket.prepare(request)
        if self.close_code:
            await socket.close(code=self.close_code)
        async for _ in socket:
            pass
        return socket


@contextmanager
def served(server: Server) -> Iterator[str]:
    """Its address. In a thread of its own: the checks wait."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    address: list[str] = []
    stop = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(server.app(), keepalive_timeout=server.keep_alive, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = site._server.sockets[0].getsockname()[:2]  # type: ignore[union-attr]
        address.append(f"http://{host}:{port}")
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "MARGIN", 0.1)
    monkeypatch.setattr(contract, "ANSWER", 0.5)


def problems(server: Server, version: str = "") -> dict[str, str]:
    with served(server) as url:
        found = list(examine(Backend.at(url, idle=IDLE, version=version)))
    return {finding.name: finding.problem for finding in found if finding.problem}


def test_an_application_that_keeps_the_contract() -> None:
    with served(Server()) as url:
        found = list(examine(Backend.at(url, idle=IDLE, version="2.0.0")))
    assert [finding.name for finding in found] == [
        "port",
        "/health",
        "/ready",
        "/deep",
        "HEAD",
        "unknown path",
        "version",
        "colour",
        "no session state",
        "websocket",
        "keep-alive",
    ]
    assert [finding.in_words() for finding in found if finding.problem] == []


@pytest.mark.parametrize("path", ["/health", "/ready", "/deep"])
def test_a_probe_that_fails(path: str) -> None:
    server = Server()
    server.answers[path] = web.Response(status=503)
    assert problems(server)[path] == "answers 503, not 200"


def test_no_head() -> None:
    server = Server()
    server.head = False
    server.answers["unknown"] = web.Response(status=405)
    assert problems(server)["HEAD"] == "HEAD /health answers 405; as GET, without the body"


def test_a_mistaken_path_that_looks_like_success() -> None:
    server = Server()
    server.answers["unknown"] = web.Response(text="index")
    assert "answers 200, not 404" in problems(server)["unknown path"]


def test_an_answer_that_does_not_say_its_version() -> None:
    server = Server()
    server.silent = {contract.UNKNOWN}
    assert list(problems(server)) == ["version", "colour"]
    assert problems(server)["version"] == f"no X-Simple378-Version in the answer to GET {contract.UNKNOWN}"


def test_another_version_than_asked_for() -> None:
    assert problems(Server(), version="2.1.0") == {"version": "X-Simple378-Version is 2.0.0, not 2.1.0"}


def test_a_colour_that_is_none() -> None:
    server = Server()
    server.headers["X-Simple378-Colour"] = "red"
    assert list(problems(server)) == ["colour"]


def test_state_of_a_session() -> None:
    server = Server()
    server.headers["Set-Cookie"] = "session=1"
    assert problems(server)["no session state"].startswith("Set-Cookie in the answer to GET /health, ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers": {"/ws": None}}, "/ws answers 'HTTP/1.1 404 Not Found', not 101"),
        ({"close_code": 1011}, "it was closed with code 1011"),
        ({"pongs": False}, "no answer within 0.5 s"),
    ],
)
def test_no_websocket(change: dict[str, Any], words: str) -> None:
    server = Server()
    for name, value in change.items():
        setattr(server, name, value)
    found = problems(server)
    assert list(found) == ["websocket"]
    assert words in found["websocket"]


def test_a_connection_that_is_closed_before_the_load_balancer_would() -> None:
    server = Server()
    server.keep_alive = 0.05
    found = problems(server)
    assert list(found) == ["keep-alive"]
    assert "a request that crosses the closing is answered 502" in found["keep-alive"]


def test_a_connection_for_each_request() -> None:
    server = Server()
    server.headers["Connection"] = "close"
    assert problems(server)["keep-alive"].startswith("closes the connection after one answer (close)")


def test_nothing_answers() -> None:
    (found,) = examine(Backend.at("http://127.0.0.1:1"))
    assert found.problem.startswith("nothing answers at http://127.0.0.1:1: ")


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x", "http://", "http://x:port", "http://x/api", "http://a@x"]
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(BadUrl, match=r"^.*: "):
        Backend.at(url)
    done = CliRunner().invoke(app, ["contract", url])
    assert done.exit_code == 2
    assert url in done.output


def test_the_command() -> None:
    server = Server()
    with served(server) as url:
        good = CliRunner().invoke(app, ["contract", url, "--idle", "1s", "--json"])
        server.answers["/ready"] = web.Response(status=503)
        bad = CliRunner().invoke(app, ["contract", url, "--idle", "1s"])
    assert good.exit_code == 0, good.output
    assert {json.loads(line)["problem"] for line in good.output.splitlines()} == {""}
    assert bad.exit_code == 1
    assert "  PROBLEM /ready: answers 503, not 200" in bad.output
    assert bad.output.splitlines()[-1] == "1 problem found"
