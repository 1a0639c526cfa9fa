"""pgbouncer's files."""

from __future__ import annotations

import configparser
from dataclasses import replace

from infra.workload.pgbouncer_ini import Pool, connections_needed, render_ini, render_users

POOL = Pool("db.example", 5432, "simple378", size=60, clients=900, tls="require", query_timeout=30)


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
        "query_timeout": "30",
        "tcp_keepalive": "1",
        "tcp_keepidle": "10",
        "tcp_keepintvl": "5",
        "tcp_keepcnt": "3",
        "tcp_user_timeout": "15000",
        "server_tls_sslmode": "require",
        "ignore_startup_parameters": "extra_float_digits",
    }


def test_pgbouncer_1_18_knows_every_key() -> None:
    # Debian 12's; it refuses to start over an unknown one.
    assert "max_prepared_statements" not in render_ini(POOL)
    assert "max_prepared_statements = 200\n" in render_ini(replace(POOL, prepared_statements=200))


def test_the_databases_certificate_is_checked_against_the_file() -> None:
    assert "server_tls_ca_file" not in render_ini(POOL)
    checked = render_ini(replace(POOL, tls="verify-full", verified=True))
    assert "server_tls_sslmode = verify-full\n" in checked
    assert "server_tls_ca_file = /etc/pgbouncer/database-ca.pem\n" in checked


def test_users_are_quoted() -> None:
    assert render_users("app", 'p"w') == '"app" "p""w"\n'


def test_connections_of_both_colours_of_one_that_rolls_and_a_reserve() -> None:
    assert connections_needed(pool_size=50, replicas=2) == 270
