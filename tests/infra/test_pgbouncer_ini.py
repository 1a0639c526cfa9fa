"""pgbouncer's files."""

from __future__ import annotations

import configparser

from infra.workload.pgbouncer_ini import Pool, connections_needed, render_ini, render_users

POOL = Pool("db.example", 5432, "simple378", size=60, clients=900, tls="require")


def test_ini() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(render_ini(POOL))
    assert parser["databases"]["simple378"] == "host=db.example port=5432 dbname=simple378"
    assert dict(parser["pgbouncer"]) == {
        "listen_addr": "0.0.0.0",
        "listen_port": "6432",
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": "/etc/pgbouncer-auth/userlist.txt",
        "pool_mode": "transaction",
        "default_pool_size": "60",
        "max_db_connections": "60",
        "max_client_conn": "900",
        "query_wait_timeout": "5",
        "server_connect_timeout": "5",
        "server_login_retry": "1",
        "idle_transaction_timeout": "60",
        "server_idle_timeout": "300",
        "server_lifetime": "3600",
        "server_tls_sslmode": "require",
        "ignore_startup_parameters": "extra_float_digits",
    }


def test_pgbouncer_1_18_knows_every_key() -> None:
    # Debian 12's; it refuses to start over an unknown one.
    assert "max_prepared_statements" not in render_ini(POOL)


def test_users_are_quoted() -> None:
    assert render_users("app", 'p"w') == '"app" "p""w"\n'


def test_connections_of_both_colours_and_a_reserve() -> None:
    assert connections_needed(pool_size=50, replicas=2) == 220
