"""A colour's network policies: nothing but what is needed, in either direction."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from infra.settings import SettingsError
from tests.infra.engine import Recording, deploy
from tests.infra.examples import COLOUR, SECRET_OUTPUTS, STACKS

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
NAME = "app.kubernetes.io/name"


@cache
def example() -> Recording:
    return run()


def run(**changes: str) -> Recording:
    config = {**COLOUR, **{f"simple378:{key}": value for key, value in changes.items()}}
    return deploy("prod-green", config, STACKS, SECRET_OUTPUTS)


def spec(name: str, recording: Recording | None = None) -> dict[str, Any]:
    found: dict[str, Any] = (recording or example()).one(POLICY, f"network-{name}").inputs["spec"]
    return found


def reached(found: dict[str, Any]) -> set[tuple[str, int]]:
    """What a policy lets out to: an address range, or the name of pods or of a namespace, and the port."""
    return {
        (next(iter(_names(peer))), port["port"])
        for rule in found["egress"]
        for peer in rule["to"]
        for port in rule["ports"]
    }


def _names(peer: dict[str, Any]) -> list[str]:
    if "ipBlock" in peer:
        return [peer["ipBlock"]["cidr"]]
    return [*next(iter(peer.values()))["matchLabels"].values()]


def test_what_no_policy_allows_is_denied_in_both_directions() -> None:
    denied = spec("deny")
    assert denied["podSelector"] == {"matchLabels": {}} or denied["podSelector"] == {}
    assert denied["policyTypes"] == ["Ingress", "Egress"]
    assert not denied.get("ingress") and not denied.get("egress")


def test_users_reach_the_backend_and_the_backend_its_pool() -> None:
    backend, pool = spec("backend"), spec("pool")
    assert backend["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert backend["podSelector"] == {"matchLabels": {NAME: "backend"}}
    assert pool["ingress"] == [
        {
            "from": [{"podSelector": {"matchLabels": {NAME: "backend"}}}],
            "ports": [{"protocol": "TCP", "port": 6432}],
        }
    ]
    dns = {("kube-system", 53), ("169.254.20.10/32", 53)}
    assert reached(backend) == dns | {
        ("pgbouncer", 6432),
        ("0.0.0.0/0", 443),
        ("169.254.170.23/32", 80),
    }
    assert reached(pool) == dns | {("0.0.0.0/0", 5432)}


def test_the_memory_guard_reaches_the_api_server_and_nobody_reaches_it() -> None:
    guard = spec("memory-guard")
    assert not guard.get("ingress")
    assert reached(guard) == {("0.0.0.0/0", 443)}


def test_the_backend_may_be_let_out_to_more() -> None:
    recording = run(backendEgress='["10.0.3.0/24:6379"]')
    assert ("10.0.3.0/24", 6379) in reached(spec("backend", recording))
    assert ("10.0.3.0/24", 6379) not in reached(spec("pool", recording))


@pytest.mark.parametrize("text", ["10.0.3.0/24", "10.0.3.7/24:6379", "cache:6379", "10.0.3.0/24:0"])
def test_a_destination_is_a_range_and_a_port(text: str) -> None:
    with pytest.raises(SettingsError, match=r"simple378:backendEgress.*has '"):
        run(backendEgress=f'["{text}"]')
