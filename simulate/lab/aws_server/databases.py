"""RDS instances of the API -> users and databases of the lab's PostgreSQL, as RDS makes them with an instance.

Every instance is the same PostgreSQL server; its master user, password and first database follow what was declared.
Lab only: without a lab there is no server to act on. A deleted instance leaves its data, snapshots hold none.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import psycopg
from moto.rds.models import rds_backends
from psycopg import sql

from simulate.lab.aws_server.switches import CHANGES
from simulate.lab.layout import POSTGRES_ADMIN_URL

_LOG = logging.getLogger(__name__)
_RETRY_S = 1.0

Login = tuple[str, str, str]


class Databases:
    """Follows the instances of one account and region in a thread of its own."""

    def __init__(self, account: str, region: str, lock: threading.RLock) -> None:
        self._backend: Any = rds_backends[account][region]
        self._lock = lock
        self._made: set[Login] = set()
        self._thread = threading.Thread(target=self._run, name="databases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wanted(self) -> set[Login]:
        """Master user, password (moto stores it, but no API call returns it) and first database of each instance."""
        with self._lock:
            instances = list(self._backend.databases.values())
        return {
            (
                str(i.master_username),
                str(getattr(i, "_master_user_password", None) or ""),
                str(i.db_name or "postgres"),
            )
            for i in instances
            if str(i.engine) == "postgres"
        }

    def _run(self) -> None:
        version, complete = 0, True
        while True:
            version, services = CHANGES.since(version, 20.0 if complete else _RETRY_S)
            if "rds" in services or not complete:
                complete = self._make()

    def _make(self) -> bool:
        try:
            for login in sorted(self.wanted() - self._made):
                make(*login)
                self._made.add(login)
                _LOG.info("PostgreSQL has user %s and database %s", login[0], login[2])
        except psycopg.Error as error:
            _LOG.warning("PostgreSQL is not as RDS declares it yet: %s", error)
            return False
        return True


def make(user: str, password: str, database: str, url: str = POSTGRES_ADMIN_URL) -> None:
    """Makes the user with the rights of RDS's master user (no superuser) and its database, or brings them up to date.

    Raises psycopg.Error.
    """
    role, base = sql.Identifier(user), sql.Identifier(database)
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                verb, role, sql.Literal(password)
            )
        )
        connection.execute(sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}").format(role))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(base, role))
