"""The configuration of pgbouncer, as text. For pgbouncer 1.18 and later."""

from __future__ import annotations

from dataclasses import dataclass

# The guide's Risk 6: "adequate connection pool size (50-100)".
SMALLEST_POOL = 50
LARGEST_POOL = 100

PORT = 6432
CONFIG_FOLDER = "/etc/pgbouncer"
USERS_FOLDER = "/etc/pgbouncer-auth"
CONFIG_FILE = "pgbouncer.ini"
CA_FILE = "database-ca.pem"
USERS_FILE = "userlist.txt"

# Pods above the number of replicas while a Deployment rolls.
SURGE = 1
# Connections to the database that are reserved for others than the pools.
RESERVED_CONNECTIONS = 20

# Seconds. A client that waits longer for a server connection gets an error: before its own timeout, and visible to the
# rollout's criterion. Waiting longer would only pile up requests in the backend.
_QUERY_WAIT = 5
_SERVER_CONNECT = 5
# A failed server connection is retried soon: the default of 15 would prolong every short outage.
_SERVER_RETRY = 1
# Without it a transaction that a leaking client left open would hold its connection for ever.
_IDLE_TRANSACTION = 60
# Seconds after which the kernel probes a silent connection, how often, and how many may go unanswered; and milliseconds that sent
# data may stay unacknowledged. After a failover of the database its old address answers nothing: without these a
# connection to it is only noticed after a quarter of an hour.
_KEEP_IDLE, _KEEP_INTERVAL, _KEEP_COUNT = 10, 5, 3
_USER_TIMEOUT_MS = 15_000
_SERVER_IDLE = 300
_SERVER_LIFETIME = 3600


@dataclass(frozen=True, slots=True)
class Pool:
    """One pgbouncer: at most `size` connections to the database, at most `clients` from the backend.

    `query_timeout` in seconds, 0: none. `prepared_statements` of each connection are kept; 0 leaves the key out, which pgbouncer
    knows since 1.21. `verified`: the database's certificate is checked against `CA_FILE`.
    """

    database_host: str
    database_port: int
    database_name: str
    size: int
    clients: int
    tls: str
    query_timeout: int
    prepared_statements: int = 0
    verified: bool = False


def render_ini(pool: Pool) -> str:
    """The text of pgbouncer.ini.

    `transaction` mode: a connection belongs to a client for one transaction, so that many backend threads share few
    connections. `default_pool_size` is the limit of a database and user, `max_db_connections` that of the database;
    with one user both are the pool's size.
    """
    settings = {
        "listen_addr": "0.0.0.0",
        "listen_port": PORT,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": f"{USERS_FOLDER}/{USERS_FILE}",
        "pool_mode": "transaction",
        "default_pool_size": pool.size,
        "max_db_connections": pool.size,
        "max_client_conn": pool.clients,
        "query_wait_timeout": _QUERY_WAIT,
        "server_connect_timeout": _SERVER_CONNECT,
        "server_login_retry": _SERVER_RETRY,
        "idle_transaction_timeout": _IDLE_TRANSACTION,
        "server_idle_timeout": _SERVER_IDLE,
        "server_lifetime": _SERVER_LIFETIME,
        "query_timeout": pool.query_timeout,
        "tcp_keepalive": 1,
        "tcp_keepidle": _KEEP_IDLE,
        "tcp_keepintvl": _KEEP_INTERVAL,
        "tcp_keepcnt": _KEEP_COUNT,
        "tcp_user_timeout": _USER_TIMEOUT_MS,
        "server_tls_sslmode": pool.tls,
        "ignore_startup_parameters": "extra_float_digits",
    }
    if pool.verified:
        settings["server_tls_ca_file"] = f"{CONFIG_FOLDER}/{CA_FILE}"
    if pool.prepared_statements:
        settings["max_prepared_statements"] = pool.prepared_statements
    lines = [
        "[databases]",
        f"{pool.database_name} = host={pool.database_host} port={pool.database_port} dbname={pool.database_name}",
        "",
        "[pgbouncer]",
        *(f"{key} = {value}".rstrip() for key, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"


def render_users(user: str, password: str) -> str:
    """The text of userlist.txt. The password itself, because pgbouncer needs it to log in at the database."""
    quoted = ['"' + text.replace('"', '""') + '"' for text in (user, password)]
    return " ".join(quoted) + "\n"


def connections_needed(pool_size: int, replicas: int) -> int:
    """Connections that the database must allow: two colours of `replicas` pgbouncers each, one more while one of them rolls (its
    successor is up before it ends), and a reserve for people, migrations and monitoring."""
    return (2 * replicas + SURGE) * pool_size + RESERVED_CONNECTIONS
