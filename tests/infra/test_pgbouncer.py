"""The real pgbouncer, by the program's configuration, between a client and a real PostgreSQL with a certificate."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.workload import pgbouncer_ini
from infra.workload.pgbouncer_ini import Pool
from simulate.lab.layout import POSTGRES_BIN
from tests.simulate.lab.cloud import free_port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

CHECKOUT = Path(__file__).resolve().parents[2]
OWNER, PASSWORD, APP, APP_PASSWORD = "owner", "owner's", "simple378_app", "a\"pp's p@ss"
PGBOUNCER = "/usr/sbin/pgbouncer"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of its own."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, _sign(key, key, "authority", "authority", authority=True))

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def _sign(
    subject: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    name: str,
    issuer: str,
    *,
    authority: bool = False,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(subject.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(signer, hashes.SHA256())


def _as_server_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]


@dataclass(frozen=True, slots=True)
class Database:
    folder: Path
    port: int
    authority: Authority

    def url(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/simple378"

    def as_owner(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(OWNER, PASSWORD), autocommit=True)

    def make_role(self, password: str = APP_PASSWORD) -> None:
        """By the file that production uses, with the rights of RDS's master user."""
        subprocess.run(
            [
                POSTGRES_BIN / "psql",
                self.url(OWNER, PASSWORD),
                "-X",
                "-f",
                CHECKOUT / "docs/database-role.sql",
            ],
            env=os.environ | {"APP_USER": APP, "APP_PASSWORD": password},
            check=True,
            capture_output=True,
        )


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    # Below /tmp itself: the server's user may not enter pytest's directories.
    folder = Path(subprocess.check_output(["mktemp", "-d", "/tmp/pgbouncer-test-XXXXXX"], text=True).strip())  # noqa: S108
    authority, port = Authority.make(), free_port()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "server.pem").write_bytes(
        _sign(key, authority.key, "localhost", "authority").public_bytes(serialization.Encoding.PEM)
    )
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (folder / "server.key").chmod(0o600)
    (folder / "password").write_text("superuser")
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres", "postgres")
    data = str(folder / "data")
    subprocess.run(
        [
            *_as_server_user(),
            POSTGRES_BIN / "initdb",
            f"--pgdata={data}",
            "--username=postgres",
            f"--pwfile={folder / 'password'}",
            "--auth=scram-sha-256",
            "--no-sync",
        ],
        check=True,
        capture_output=True,
    )
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": str(folder / "server.pem"),
        "ssl_key_file": str(folder / "server.key"),
    }
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [*_as_server_user(), POSTGRES_BIN / "postgres", "-D", data, *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        made = Database(folder, port, authority)
        superuser = f"postgresql://postgres:superuser@127.0.0.1:{port}/postgres"
        with _connected(superuser) as connection:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD 'owner''s'")
            connection.execute(f"CREATE DATABASE simple378 OWNER {OWNER}")
        with made.as_owner() as owner:
            owner.execute("CREATE TABLE cases (id serial PRIMARY KEY, name text)")
        yield made
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def _connected(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """As soon as somebody listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=2)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def pgbouncer(
    database: Database, *, host: str = "localhost", authority: str | None = None, tls: str = "verify-full"
) -> Iterator[str]:
    """Its URL, as the backend gets one. Its files are where they are in a pod but for the folder."""
    folder, port = database.folder / f"pgbouncer-{time.monotonic_ns()}", free_port()
    folder.mkdir()
    pool = Pool(
        host, database.port, "simple378", 50, 100, tls, query_timeout=30, verified=tls == "verify-full"
    )
    ini = pgbouncer_ini.render_ini(pool)
    for place in (pgbouncer_ini.USERS_FOLDER, pgbouncer_ini.CONFIG_FOLDER):
        ini = ini.replace(place, str(folder))
    ini = ini.replace(f"listen_port = {pgbouncer_ini.PORT}", f"listen_port = {port}")
    (folder / pgbouncer_ini.CONFIG_FILE).write_text(ini)
    (folder / pgbouncer_ini.USERS_FILE).write_text(pgbouncer_ini.render_users(APP, APP_PASSWORD))
    (folder / pgbouncer_ini.CA_FILE).write_text(authority or database.authority.pem)
    log = (folder / "log").open("w")
    process = subprocess.Popen(
        [*_as_server_user(), PGBOUNCER, str(folder / pgbouncer_ini.CONFIG_FILE)], stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 10
        while "process up" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"postgresql://{APP}:{quote(APP_PASSWORD, safe='')}@127.0.0.1:{port}/simple378"
    finally:
        process.terminate()
        process.wait()
        log.close()


def ask(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True, connect_timeout=10, prepare_threshold=None) as connection:
        row = connection.execute(statement).fetchone()
        return row[0] if row else None


def test_the_application_reaches_its_database_by_a_certificate_that_is_checked(database: Database) -> None:
    database.make_role()
    with pgbouncer(database) as url:
        assert ask(url, "SELECT current_user::text") == APP
        assert ask(url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is True
        assert ask(url, "INSERT INTO cases (name) VALUES ('a') RETURNING name") == "a"


@pytest.mark.parametrize("wrong", ["authority", "host"])
def test_a_database_that_is_another_is_refused(database: Database, wrong: str) -> None:
    database.make_role()
    other = Authority.make().pem if wrong == "authority" else None
    host = "127.0.0.1" if wrong == "host" else "localhost"
    with (
        pgbouncer(database, host=host, authority=other) as url,
        pytest.raises(psycopg.OperationalError),
    ):
        ask(url, "SELECT 1")
    with pgbouncer(database, host=host, tls="require") as url:  # which looks at neither
        assert ask(url, "SELECT 1") == 1


def test_the_applications_role_owns_and_alters_nothing(database: Database) -> None:
    database.make_role("another")
    database.make_role()  # again, with the password that counts
    with database.as_owner() as owner:
        owner.execute("DROP TABLE IF EXISTS later")
        owner.execute("CREATE TABLE later (id serial PRIMARY KEY, name text)")
    url = database.url(APP, APP_PASSWORD)
    assert ask(url, "INSERT INTO later (name) VALUES ('b') RETURNING id") == 1
    for forbidden in (
        "CREATE TABLE mine (id int)",
        "DROP TABLE cases",
        "ALTER TABLE cases ADD x int",
        "TRUNCATE cases",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(url, forbidden)
    with suppress(psycopg.Error), psycopg.connect(database.url(APP, "another"), connect_timeout=5):
        pytest.fail("the password of before still opens")
