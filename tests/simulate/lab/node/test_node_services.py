"""ClusterIPs: which endpoints a Service sends to, and what HAProxy is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from simulate.lab.node.services import (
    SLOTS,
    Forwarder,
    Frontend,
    Port,
    commands,
    configuration,
    endpoints,
    frontend,
    host_names,
    short_names,
)

SERVICE: dict[str, Any] = {
    "metadata": {"name": "backend", "namespace": "blue"},
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "10.78.32.9",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
        ],
    },
}
HTTP = Port("http", 80)


def part(*given: tuple[str, bool, bool]) -> dict[str, Any]:
    """A slice with endpoints (address, ready, terminating)."""
    return {
        "ports": [{"name": "http", "port": 8000}],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": ready, "serving": True, "terminating": terminating},
            }
            for address, ready, terminating in given
        ],
    }


def test_only_tcp_ports_of_services_with_a_cluster_ip() -> None:
    assert frontend(SERVICE) == Frontend("10.78.32.9", (HTTP,))
    headless = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}
    external = {**SERVICE, "spec": {"type": "ExternalName", "externalName": "example.com"}}
    assert frontend(headless) is None
    assert frontend(external) is None


def test_ready_endpoints_of_all_slices() -> None:
    of = frontend(SERVICE)
    assert of is not None
    slices = [
        part(("10.78.16.2", True, False), ("10.78.16.3", False, False)),
        part(("10.78.16.4", True, False)),
    ]
    assert endpoints(of, slices) == {HTTP: frozenset({"10.78.16.2:8000", "10.78.16.4:8000"})}


def test_terminating_ones_serve_only_while_no_other_is_ready() -> None:
    of = frontend(SERVICE)
    assert of is not None
    leaving = ("10.78.16.2", False, True)
    assert endpoints(of, [part(leaving)]) == {HTTP: frozenset({"10.78.16.2:8000"})}
    assert endpoints(of, [part(leaving, ("10.78.16.3", True, False))]) == {
        HTTP: frozenset({"10.78.16.3:8000"})
    }


def test_a_service_without_endpoints_has_none() -> None:
    of = frontend(SERVICE)
    assert of is not None
    assert endpoints(of, [{"ports": None, "endpoints": None}]) == {HTTP: frozenset()}


def test_configuration_listens_where_the_service_says() -> None:
    text = configuration(Frontend("10.78.32.9", (HTTP,)), Path("/mnt/x.sock"))
    assert "    bind 10.78.32.9:80\n" in text
    assert f"server-template s 1-{SLOTS} 0.0.0.0:1 disabled" in text


def test_slots_are_kept_reused_and_never_overrun() -> None:
    slots: dict[str, int] = {}
    assert commands(slots, frozenset({"10.78.16.2:8000"}), HTTP) == [
        "set server port80/s1 addr 10.78.16.2 port 8000",
        "set server port80/s1 state ready",
    ]
    assert commands(slots, frozenset({"10.78.16.2:8000"}), HTTP) == []
    assert commands(slots, frozenset({"10.78.16.3:8000"}), HTTP) == [
        "set server port80/s1 state maint",
        "set server port80/s1 addr 10.78.16.3 port 8000",
        "set server port80/s1 state ready",
    ]
    many = frozenset(f"10.78.17.{n}:8000" for n in range(SLOTS + 3))
    commands(slots, many, HTTP)
    assert sorted(slots.values()) == list(range(1, SLOTS + 1))


def test_names() -> None:
    assert host_names([SERVICE]) == {
        "backend.blue": "10.78.32.9",
        "backend.blue.svc": "10.78.32.9",
        "backend.blue.svc.cluster.local": "10.78.32.9",
    }
    assert short_names([SERVICE], "blue") == {"backend": "10.78.32.9"}
    assert short_names([SERVICE], "green") == {}


async def test_endpoints_that_haproxy_could_not_be_told_are_told_again(tmp_path: Path) -> None:
    port = Port("", 80)
    forwarder = Forwarder(Frontend("127.0.0.1", (port,)), "s", tmp_path, tmp_path / "log")
    wanted = {port: frozenset({"10.78.16.2:8000"})}
    with pytest.raises(OSError, match="No such file"):
        await forwarder.use(wanted)
    told: list[str] = []

    async def haproxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append((await reader.readline()).decode())
        writer.close()

    async with await asyncio.start_unix_server(haproxy, tmp_path / "s.sock"):
        await forwarder.use(wanted)
        await forwarder.use(wanted)  # known by now
    assert told == ["set server port80/s1 addr 10.78.16.2 port 8000;set server port80/s1 state ready\n"]
