"""The stand-in for Simple378's backend keeps the application's contract."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from aiohttp import ClientSession, WSCloseCode, WSMsgType, web
from aiohttp.test_utils import TestServer

from rollout.procedure import contract
from simulate.lab.backend.__main__ import main
from simulate.lab.backend.app import QUERY_SECONDS, REFUSED_LOGIN, RETRY, Backend
from simulate.lab.backend.database import NoConnection
from simulate.lab.backend.faults import BackendFaults
from simulate.lab.backend.metrics import Publisher
from tests.simulate.lab.cloud import free_port, until


class FakeDatabase:
    """Answers every query, or raises what the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.statements: list[str] = []
        self.parameters: list[tuple[object, ...]] = []
        self.leaked = 0

    async def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        self.statements.append(statement)
        self.parameters.append(parameters)
        if self.error is not None:
            raise self.error
        return [(200, "now")]

    async def leak(self, number: int) -> None:
        self.leaked += number


@asynccontextmanager
async def running(**faults: Any) -> AsyncIterator[tuple[Backend, FakeDatabase, ClientSession]]:
    database = FakeDatabase()
    publisher = Publisher("green", "http://127.0.0.1:1", 10)
    backend = Backend("green", "2.0.0", database, publisher, BackendFaults(**faults))  # type: ignore[arg-type]
    server = TestServer(backend.app())
    await server.start_server()
    misbehaving = asyncio.create_task(backend.misbehave())
    async with ClientSession(str(server.make_url("/"))) as session:
        yield backend, database, session
    misbehaving.cancel()
    await asyncio.gather(misbehaving, return_exceptions=True)
    await server.close()


async def status(session: ClientSession, path: str) -> int:
    async with session.get(path) as answer:
        assert answer.headers["X-Simple378-Colour"] == "green"
        assert answer.headers["X-Simple378-Version"] == "2.0.0"
        return answer.status


async def test_paths() -> None:
    async with running() as (_, database, session):
        assert [await status(session, path) for path in ("/health", "/ready")] == [200, 200]
        assert database.statements == [], "neither liveness nor readiness depends on the database"
        assert [await status(session, p) for p in ("/deep", "/api/cases", "/api/dashboard", "/x")] == [
            200,
            200,
            200,
            404,
        ]


async def test_no_connection_is_counted_a_failed_query_is_not() -> None:
    async with running() as (backend, database, session):
        database.error = NoConnection("query_wait_timeout")
        assert [await status(session, path) for path in ("/api/cases", "/deep", "/ready")] == [503, 503, 200]
        assert backend.publisher.counters.connection_errors == 2
        database.error = psycopg.errors.UndefinedTable("no such table")
        assert await status(session, "/api/cases") == 500
        assert backend.publisher.counters.connection_errors == 2


async def test_errors_begin_when_they_should() -> None:
    async with running(error_rate=1.0, after_requests=3) as (_, _database, session):
        assert [await status(session, "/api/cases") for _ in range(4)] == [200, 200, 500, 500]
        assert await status(session, "/deep") == 200


@pytest.mark.parametrize("probe", ["health", "ready", "deep"])
async def test_a_failing_probe(probe: str) -> None:
    async with running(probe=probe) as (_, _database, session):
        found = {path: await status(session, f"/{path}") for path in ("health", "ready", "deep")}
        assert found == {path: 503 if path == probe else 200 for path in found}


async def test_slow_queries_and_leaks() -> None:
    async with running(pg_sleep_s=2.5, leak_connections=4) as (_, database, session):
        assert await status(session, "/api/cases") == 200
        assert ["pg_sleep(%s)" in statement for statement in database.statements] == [True]
        assert database.leaked == 4


async def test_a_client_says_how_long_its_query_takes() -> None:
    async with running(pg_sleep_s=2.5) as (_, database, session):
        async with session.get("/api/cases", headers={QUERY_SECONDS: "0.25"}) as answer:
            assert answer.status == 200
            assert answer.headers["Server-Timing"].startswith("db;dur=")
        assert database.parameters == [(2.75,)], "one query, and the fault's time on top"
        for bad in ("-1", "601", "nan", "long"):
            async with session.get("/api/cases", headers={QUERY_SECONDS: bad}) as answer:
                assert answer.status == 400
                assert QUERY_SECONDS in await answer.text()
        assert len(database.parameters) == 1


async def test_retries_and_failed_logins_are_counted() -> None:
    async with running() as (backend, _, session):
        for headers, answered in (
            ({}, 200),
            ({RETRY: "0"}, 200),
            ({RETRY: "2"}, 200),
            ({"Authorization": REFUSED_LOGIN}, 401),
        ):
            async with session.get("/api/cases", headers=headers) as answer:
                assert answer.status == answered
        values = backend.publisher.values()
        assert (values["ClientRetries"], values["AuthenticationFailures"]) == (1, 1)


async def test_memory_is_kept() -> None:
    async with running(memory_leak_mb_per_s=10.0) as (backend, _, _session):

        async def leaked() -> bool:
            return sum(len(block) for block in backend.kept) >= 2_000_000

        await until(leaked)


async def test_a_websocket_echoes_and_is_told_when_the_process_ends() -> None:
    async with running() as (backend, _, session), session.ws_connect("/ws") as socket:
        assert (await socket.receive_json())["colour"] == "green"
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        assert backend.publisher.open_websockets == 1
        await backend._close_sockets(web.Application())
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == WSCloseCode.GOING_AWAY
    assert backend.publisher.counters.websocket_drops == 0
    assert backend.publisher.open_websockets == 0


async def test_dropped_websockets_are_counted() -> None:
    async with running(ws_drop_rate=1.0) as (backend, _, session), session.ws_connect("/ws") as socket:
        assert (await socket.receive_json())["colour"] == "green"
        while (await socket.receive()).type not in (WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR):
            pass

        async def counted() -> bool:
            return backend.publisher.counters.websocket_drops == 1

        await until(counted)


async def test_metrics_are_put_each_period_also_when_zero() -> None:
    received: list[dict[str, str]] = []

    async def take(request: web.Request) -> web.Response:
        received.append({key: str(value) for key, value in (await request.post()).items()})
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    server = TestServer(app)
    await server.start_server()
    publisher = Publisher("green", str(server.make_url("")), 60 / 0.2)
    publisher.seen("198.18.0.1")
    publisher.counters.connection_errors = 3
    task = asyncio.create_task(publisher.run())

    async def two() -> bool:
        return len(received) >= 2

    await until(two)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await server.close()
    values = [
        {form[f"MetricData.member.{n}.MetricName"]: form[f"MetricData.member.{n}.Value"] for n in range(1, 7)}
        for form in received
    ]
    assert values[0] == {
        "DatabaseConnectionErrors": "3",
        "WebSocketDrops": "0",
        "WebSocketConnections": "0",
        "ActiveUsers": "1",
        "ClientRetries": "0",
        "AuthenticationFailures": "0",
    }
    assert values[1]["DatabaseConnectionErrors"] == "0"
    assert received[0]["MetricData.member.1.Dimensions.member.1.Value"] == "green"


def environment(**extra: str) -> dict[str, str]:
    base = {k: v for k, v in os.environ.items() if not k.startswith(("FAULT_", "SIMPLE378_"))}
    return {
        **base,
        "COLOUR": "green",
        "VERSION": "2.0.0",
        "DATABASE_URL": "postgresql://127.0.0.1:1/x",
        **extra,
    }


@pytest.mark.parametrize("named", ["FAULT_ERROR_RATE", "FAULT_NO", "DATABASE_URL"])
def test_a_bad_environment_exits_2_and_is_named(
    named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    if named == "DATABASE_URL":
        monkeypatch.delenv(named)
    else:
        monkeypatch.setenv(named, "7")
    assert main() == 2
    assert named in capsys.readouterr().err


@pytest.mark.lab
async def test_it_ends_on_sigterm_and_finishes_what_it_began() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulate.lab.backend"),
        env=environment(PORT=str(port), SIMPLE378_TIME_SCALE="10", AWS_ENDPOINT_URL="http://127.0.0.1:1"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with ClientSession(f"http://127.0.0.1:{port}") as session:

        async def healthy() -> bool:
            return await status(session, "/health") == 200

        await until(healthy)
        async with session.ws_connect("/ws") as socket:
            await socket.receive_json()
            # No database: this one waits for a connection while the process is told to end.
            waiting = asyncio.create_task(session.get("/api/cases"))
            await asyncio.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == WSCloseCode.GOING_AWAY
            answer = await waiting
            assert answer.status == 503
            assert json.loads(await answer.text()) == {"error": "no database connection"}
    assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.lab
async def test_it_keeps_the_contract_that_it_stands_for() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulate.lab.backend"),
        env=environment(PORT=str(port), SIMPLE378_TIME_SCALE="10", AWS_ENDPOINT_URL="http://127.0.0.1:1"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    async with ClientSession(url) as session:

        async def healthy() -> bool:
            return await status(session, "/health") == 200

        await until(healthy)
    asked = contract.Backend.at(url, idle=1.0, version="2.0.0", pid=process.pid)
    found = await asyncio.to_thread(lambda: list(contract.examine(asked)))
    # It has no database here.
    assert {each.name for each in found if each.problem} == {"/deep"}
    (restarted,) = (each for each in found if each.name == "restart")
    assert restarted.detail.startswith("websocket closed with 1001")
    assert await asyncio.wait_for(process.wait(), 20) == 0
