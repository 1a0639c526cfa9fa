"""The backend's database access: a small pool of connections to pgbouncer.

Failing to get a connection is distinguished from a query that fails, as the release procedure does: only the first
counts as a database connection error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, PoolTimeout

#: Connections of one process to pgbouncer, kept open.
_LEAST, _MOST = 1, 40
#: Seconds to wait for a connection. Longer than pgbouncer's ``query_wait_timeout``, so that its own refusal is seen.
_WAIT_S = 8.0


class NoConnection(Exception):
    """No connection to the database was available; the text gives the reason."""


class Database:
    """Connections to the database named by ``url``."""

    def __init__(self, url: str) -> None:
        self._url = url
        # pgbouncer 1.18 in transaction mode keeps no prepared statements.
        self._options: dict[str, Any] = {"autocommit": True, "prepare_threshold": None, "connect_timeout": 5}
        self._pool = AsyncConnectionPool(
            url,
            min_size=_LEAST,
            max_size=_MOST,
            timeout=_WAIT_S,
            kwargs=self._options,
            open=False,
            reconnect_timeout=5,
        )
        self._leaked: list[psycopg.AsyncConnection[Any]] = []

    async def open(self) -> None:
        """Begins to connect; does not wait, as readiness does not depend on the database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._leaked), return_exceptions=True)
        await self._pool.close(timeout=2)

    async def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of one statement in a transaction. Raises NoConnection or psycopg.Error."""
        async with self._transaction() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall()

    async def leak(self, number: int) -> None:
        """Opens transactions and never ends them: a backend that leaks its connections.

        Raises NoConnection when no further one is available.
        """
        for _ in range(number):
            try:
                async with asyncio.timeout(_WAIT_S):
                    connection = await psycopg.AsyncConnection.connect(self._url, **self._options)
                    self._leaked.append(connection)
                    await connection.execute("BEGIN")
                    await connection.execute("SELECT 1")
            except (psycopg.Error, TimeoutError) as error:
                raise NoConnection(str(error) or "timed out") from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with asyncio.timeout(_WAIT_S):
                connection = await self._pool.getconn()
        except (PoolTimeout, TimeoutError, psycopg.OperationalError) as error:
            raise NoConnection(f"no connection to pgbouncer: {error or 'timed out'}") from error
        began = False
        try:
            # BEGIN is when pgbouncer must find a connection to PostgreSQL; afterwards the transaction has one.
            async with asyncio.timeout(_WAIT_S):
                await connection.execute("BEGIN")
            began = True
            yield connection
            await connection.execute("COMMIT")
        except (psycopg.OperationalError, TimeoutError) as error:
            if began and not connection.closed:
                raise
            await connection.close()
            raise NoConnection(f"no connection to PostgreSQL: {error or 'timed out'}") from error
        finally:
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                await connection.close()
            # The pool replaces a closed connection.
            await self._pool.putconn(connection)
