"""The front door: what passes, what fails and why, whose requests are taken out of which counts; its certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rollout.aws.probes import COLOUR_HEADER, FrontDoor, HttpProbes, ProbeLog, probe_client
from rollout.control.ports import Round

ROLES = {"green": "candidate", "blue": "stable"}


def door(answer: Callable[[httpx.Request], Any], timeout: float = 2.0) -> FrontDoor:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return FrontDoor(client, "https://app.example", ROLES, timeout, ProbeLog(lambda: 0.0))


def round_of(one: FrontDoor) -> Round:
    return asyncio.run(one.round())


def by_path(health: httpx.Response, page: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: health if request.url.path == "/health" else page


def test_a_clean_round_is_taken_out_of_the_colour_that_answered_and_of_the_edge() -> None:
    one = door(by_path(httpx.Response(200, headers={COLOUR_HEADER: "green"}), httpx.Response(200)))
    assert round_of(one) == Round()
    assert one.log.counted("candidate", 0, 1)["target_2xx"] == 1
    assert not one.log.counted("stable", 0, 1)
    assert one.log.counted("edge", 0, 1) == {"allowed": 2}


@pytest.mark.parametrize(
    ("health", "page", "found"),
    [
        (403, 200, Round(("health",), why="/health: 403")),
        (200, 404, Round(("page",), why="/: 404")),
        (502, 502, Round(("health", "page"), why="/health: 502; /: 502")),
        (302, 302, Round(("health",), why="/health: 302")),
        (429, 429, Round()),
    ],
)
def test_what_passes(health: int, page: int, found: Round) -> None:
    headers = {"location": "https://app.example/login"}
    one = door(by_path(httpx.Response(health, headers=headers), httpx.Response(page, headers=headers)))
    assert round_of(one) == found


def test_what_the_rate_limit_stopped_is_counted_as_that() -> None:
    by_application = httpx.Response(429, headers={COLOUR_HEADER: "blue"})
    one = door(by_path(by_application, httpx.Response(429)))
    assert round_of(one) == Round()
    assert one.log.counted("edge", 0, 1) == {"allowed": 1, "blocked": 1}
    assert one.log.counted("stable", 0, 1)["target_4xx"] == 1


def test_nobody_answers_or_not_in_time() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/":
            await asyncio.Event().wait()
        raise httpx.ConnectError("refused")

    assert round_of(door(answer, timeout=0.05)) == Round(
        ("health", "page"), why="/health: refused; /: no answer within 0.05 s"
    )


def test_it_has_rounds_as_a_role_has() -> None:
    one = door(by_path(httpx.Response(403), httpx.Response(200)))
    probes = HttpProbes(one.client, None, "http://lb", "secret", {}, {}, 2, one.log, one)
    assert tuple(probes.roles) == ("candidate", "stable", "front_door")
    assert asyncio.run(probes.round("front_door")).failed == ("health",)
    assert "front_door" not in HttpProbes(one.client, None, "http://lb", "secret", {}, {}, 2, one.log).roles


# --- the certificate

NOW = datetime.now(UTC)


class Authority:
    """A certificate authority, and what it signs, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self.certificate = (
            self._builder(name, name, self.key, NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @staticmethod
    def _builder(subject: x509.Name, issuer: x509.Name, key: Any, until: datetime) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer, subject, key.public_key(), x509.random_serial_number(), NOW - timedelta(days=9), until
        )

    def serving(self, host: str, until: datetime) -> ssl.SSLContext:
        """What a server for ``host`` presents."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        made = self._builder(subject, self.certificate.subject, key, until).add_extension(
            names, critical=False
        )
        file = self.folder / "server.pem"
        form = serialization.PrivateFormat.PKCS8
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
            + made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def trusting(self) -> ssl.SSLContext:
        """What a client that trusts this authority verifies by."""
        pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=pem)


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def seen(context: ssl.SSLContext, trusted: ssl.SSLContext | None) -> Round:
    async def look() -> Round:
        async with server(context) as port, probe_client(5, trusted) as client:
            url = f"https://localhost:{port}"
            return await FrontDoor(client, url, ROLES, 5, ProbeLog(lambda: 0.0)).round()

    return asyncio.run(look())


def test_a_certificate_in_order_passes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    assert seen(authority.serving("localhost", NOW + timedelta(days=1)), authority.trusting()) == Round()


@pytest.mark.parametrize(
    ("host", "days", "trusts", "why"),
    [
        ("localhost", -1, True, "certificate has expired"),
        ("other.example", 1, True, "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("localhost", 1, False, "unable to get local issuer certificate"),
    ],
    ids=["expired", "wrong name", "unknown authority"],
)
def test_one_that_is_not_is_a_failed_round_that_says_why(
    tmp_path: Path, host: str, days: int, trusts: bool, why: str
) -> None:
    authority = Authority(tmp_path)
    context = authority.serving(host, NOW + timedelta(days=days))
    found = seen(context, authority.trusting() if trusts else None)
    assert found.failed == ("health", "page")
    assert f"/health: its certificate is not accepted: {why}" in found.why
