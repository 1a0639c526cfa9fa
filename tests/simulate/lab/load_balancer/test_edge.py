"""The edge as a real HAProxy in front of a small origin: what it keeps of errors, and how long it waits for an answer."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from simulate.lab.load_balancer import edge_config
from simulate.lab.load_balancer.config import Dynamic
from simulate.lab.load_balancer.edge_model import KEPT_ERRORS, Behaviour, Distribution, Origin
from simulate.lab.load_balancer.haproxy import Haproxy
from tests.infra.test_frontend import PATHS

pytestmark = pytest.mark.skipif(
    shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="haproxy is not installed"
)
KEPT_S = 10
BODY = b"body { margin: 0 } " * 100
NOTHING_KEPT = dict.fromkeys(KEPT_ERRORS, 0)


@dataclasses.dataclass(slots=True)
class Edge:
    """A running edge. ``status`` is what the origin answers, ``asked`` how often it was asked, by path."""

    url: str
    session: aiohttp.ClientSession
    status: int = 200
    asked: Counter[str] = dataclasses.field(default_factory=Counter)
    over: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    invalidate: Callable[[], Awaitable[None]] | None = None

    async def get(self, path: str, method: str = "GET") -> int:
        async with self.session.request(method, f"{self.url}{path}") as response:
            return response.status

    async def answer(self, request: web.Request) -> web.Response:
        self.asked[request.path_qs] += 1
        if request.path == "/hang":
            await self.over.wait()
        return web.Response(status=self.status, body=BODY, content_type="text/css", headers=self.headers)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def edge(
    directory: Path,
    error_ttls: Mapping[int, int],
    *behaviours: Behaviour,
    read_timeout_s: int = 30,
    time_scale: float = 10,
) -> AsyncIterator[Edge]:
    """``error_ttls`` in seconds by status, divided by ``time_scale`` as in the lab. The origins are ``api`` and ``site``, a bucket."""
    async with aiohttp.ClientSession() as session:
        port = _free_port()
        made = Edge(f"http://127.0.0.1:{port}", session)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", made.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        listening = web.TCPSite(runner, "127.0.0.1", _free_port())
        await listening.start()
        origin_port = int(str(listening.name).rpartition(":")[2])
        origin = Origin("api", "origin.test", "", (), "", origin_port, read_timeout_s)
        site = Origin("site", "site.s3.amazonaws.com", "", (), "site", origin_port)
        tried = behaviours or (Behaviour("*", "api"),)
        distribution = Distribution("E1", "d1.test", (), "", (origin, site), tried, None, error_ttls)
        addresses = edge_config.Addresses("127.0.0.1", port, "127.0.0.1", f"127.0.0.1:{origin_port}")
        haproxy = Haproxy(directory, lambda line: None)

        async def apply(invalidations: int) -> None:
            now = dataclasses.replace(distribution, invalidations=invalidations)
            lines = edge_config.structure(now, addresses, haproxy.maps, time_scale)
            await haproxy.apply("\n".join(lines) + "\n", Dynamic({"limits.map": {}}, {}))

        try:
            await apply(0)
            made.invalidate = lambda: apply(1)
            yield made
        finally:
            made.over.set()
            await haproxy.stop()
            await runner.cleanup()


@pytest.mark.parametrize("status", [403, 404, 500, 502, 503, 504])
async def test_cloudfronts_default_keeps_an_error_after_the_origin_is_well_again(
    tmp_path: Path, status: int
) -> None:
    async with edge(tmp_path, dict.fromkeys(KEPT_ERRORS, KEPT_S)) as made:
        made.status = status
        assert await made.get("/page?n=1") == status
        failed = time.monotonic()
        made.status = 200
        assert await made.get("/page?n=1") == status, "kept"
        assert await made.get("/page?n=2") == 200, "another query is another page"
        assert await made.get("/page?n=1", "POST") == 200, "what changes something is never kept"
        assert made.asked["/page?n=1"] == 2
        while await made.get("/page?n=1") == status:
            assert time.monotonic() - failed < 3 * KEPT_S / 10
            await asyncio.sleep(0.05)
        assert time.monotonic() - failed > 0.8 * KEPT_S / 10, "kept for its time, scaled"


async def test_with_a_time_of_zero_no_error_is_kept(tmp_path: Path) -> None:
    async with edge(tmp_path, NOTHING_KEPT) as made:
        for status in (500, 200, 504, 200):
            made.status = status
            assert await made.get("/page") == status
        assert made.asked["/page"] == 4


async def test_an_origin_that_does_not_answer_in_time_is_a_504(tmp_path: Path) -> None:
    async with edge(tmp_path, NOTHING_KEPT, read_timeout_s=1) as made:
        began = time.monotonic()
        assert await made.get("/hang") == 504
        assert 0.9 < time.monotonic() - began < 10


SITE = (
    Behaviour("/api/*", "api"),
    Behaviour("/releases/*", "site", caches=True, compresses=True),
    Behaviour(
        "*", "site", deep_links=True, caches=True, compresses=True, headers=(("RateLimit-Policy", "10%"),)
    ),
)


async def test_deep_links_are_what_the_function_makes_of_them(tmp_path: Path) -> None:
    async with edge(tmp_path, NOTHING_KEPT, *SITE) as made:
        made.headers = {"Cache-Control": "no-cache"}
        for path, served in PATHS.items():
            made.asked.clear()
            await made.get(f"{path}?from=mail")
            assert made.asked == {f"/site{served}": 1}, path
        made.asked.clear()
        await made.get("/releases/1.0.0/licence")
        await made.get("/api/cases?page=2")
        assert made.asked == {"/site/releases/1.0.0/licence": 1, "/api/cases?page=2": 1}


async def test_what_may_be_kept_is_kept_until_it_is_invalidated(tmp_path: Path) -> None:
    async with edge(tmp_path, NOTHING_KEPT, *SITE) as made:
        made.headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": '"1"'}
        for _ in range(3):
            assert await made.get("/releases/1.0.0/app.js") == 200
        assert made.asked["/site/releases/1.0.0/app.js"] == 1
        assert made.invalidate is not None
        await made.invalidate()
        assert await made.get("/releases/1.0.0/app.js") == 200
        assert made.asked["/site/releases/1.0.0/app.js"] == 2

        made.headers = {"Cache-Control": "no-cache", "ETag": '"2"'}
        made.status = 404
        assert await made.get("/releases/2.0.0/app.js") == 404
        made.status = 200
        for _ in range(2):
            assert await made.get("/releases/2.0.0/app.js") == 200, "what was missing is not kept"
            assert await made.get("/cases/1") == 200
        assert made.asked["/site/index.html"] == 2, "the page is asked for again each time"


async def test_answers_are_compressed_and_told_the_policys_headers(tmp_path: Path) -> None:
    async with edge(tmp_path, NOTHING_KEPT, *SITE) as made:
        for path, coding, policy in (
            ("/releases/1.0.0/app.css", "gzip", None),
            ("/cases", "gzip", "10%"),
            ("/api/cases", None, None),
        ):
            headers = {"Accept-Encoding": "gzip, br"}
            async with made.session.get(f"{made.url}{path}", headers=headers) as response:
                assert await response.read() == BODY
                assert response.headers.get("Content-Encoding") == coding, path
                assert response.headers.get("RateLimit-Policy") == policy, path
