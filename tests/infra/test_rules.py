"""Everything that the program registers keeps the rules of production; each rule notices what breaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from rollout.procedure import drift
from rollout.procedure.rules import RULES, WAIVERS, Resource, broken, planned
from tests.infra import examples
from tests.infra.engine import Recording, deploy
from tests.infra.test_roles import ACCESS
from tests.rollout.procedure.test_drift import FakeEngine

EVERYTHING = {
    "prod": examples.FOUNDATION | {"simple378:access": json.dumps(ACCESS)},
    "prod-blue": examples.COLOUR,
    "prod-green": examples.COLOUR,
    "prod-traffic": examples.TRAFFIC,
    "prod-limits": examples.LIMITS,
    "prod-guardian": examples.GUARDIAN,
}
STACKS = {**examples.STACKS, "prod-traffic": examples.TRAFFIC_OUTPUTS}


def resources(recording: Recording) -> Iterator[Resource]:
    for each in recording.cloud:
        yield Resource(each.type, each.name, each.inputs, each.protect)


@pytest.fixture(scope="module")
def declared() -> dict[str, list[Resource]]:
    stacks = {
        stack: {
            name: outputs
            for name, outputs in STACKS.items()
            if stack == "prod-guardian" or name != "prod-traffic"
        }
        for stack in EVERYTHING
    }
    return {
        stack: list(resources(deploy(stack, config, stacks[stack], examples.SECRET_OUTPUTS)))
        for stack, config in EVERYTHING.items()
    }


@pytest.mark.parametrize("stack", EVERYTHING)
def test_every_stack_keeps_the_rules(stack: str, declared: dict[str, list[Resource]]) -> None:
    assert broken("prod", declared[stack]) == []


def test_every_rule_is_of_something_that_is_declared(declared: dict[str, list[Resource]]) -> None:
    types = {resource.type for stack in declared.values() for resource in stack}
    for rule in RULES:
        if rule.name != "log-retention":  # declared with the logs
            assert any(pattern.split("*")[0] in kind for pattern in rule.types for kind in types), rule.name


def _container(**changes: Any) -> dict[str, Any]:
    container = {
        "name": "backend",
        "image": "registry.example/backend:1.0.0",
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {"securityContext": {"runAsNonRoot": True}, "containers": [container | changes]}
    return {"spec": {"template": {"spec": spec}}}


def _policy(action: str) -> str:
    return json.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def _forward(weight: int, *, sticky: bool = False) -> list[dict[str, Any]]:
    groups = [{"arn": "a", "weight": 100 - weight}, {"arn": "b", "weight": 5}]
    return [{"type": "forward", "forward": {"targetGroups": groups, "stickiness": {"enabled": sticky}}}]


_PRIVATE = dict.fromkeys(
    ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
)
_DATABASE = {
    "publiclyAccessible": False,
    "storageEncrypted": True,
    "copyTagsToSnapshot": True,
    "backupRetentionPeriod": 14,
}
_HTTPS = {"protocol": "HTTPS", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"}
# Rule, inputs that keep it, inputs that break it, what is said.
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("database", _DATABASE, _DATABASE | {"publiclyAccessible": True}, "publiclyAccessible"),
    ("database", _DATABASE, _DATABASE | {"backupRetentionPeriod": 0}, "backupRetentionPeriod"),
    ("database", _DATABASE, {}, "storageEncrypted"),
    ("private-bucket", _PRIVATE, _PRIVATE | {"blockPublicPolicy": False}, "blockPublicPolicy"),
    ("ingress", {"cidrIpv4": "198.51.100.7/32"}, {"cidrIpv4": "0.0.0.0/0"}, "0.0.0.0/0"),
    ("ingress", {"cidrIpv6": "2001:db8::/32"}, {"cidrIpv6": "::/0"}, "::/0"),
    ("tls", _HTTPS, {"protocol": "HTTP"}, "HTTPS"),
    ("tls", _HTTPS, _HTTPS | {"sslPolicy": "ELBSecurityPolicy-2016-08"}, "ELBSecurityPolicy-2016-08"),
    (
        "closed",
        {"defaultActions": [{"type": "fixed-response"}]},
        {"defaultActions": [{"type": "forward"}]},
        "lets nobody in",
    ),
    (
        "https",
        {"defaultCacheBehavior": {"viewerProtocolPolicy": "redirect-to-https"}},
        {"orderedCacheBehaviors": [{"viewerProtocolPolicy": "allow-all"}]},
        "HTTPS alone",
    ),
    ("rate-limit", {"webAclId": "arn:acl"}, {}, "webAclId"),
    ("weights", {"actions": _forward(5)}, {"actions": _forward(5, sticky=True)}, "sticks"),
    ("weights", {"actions": _forward(5)}, {"actions": _forward(25)}, "add up to 100"),
    ("rights", {"policy": _policy("s3:GetObject")}, {"policy": _policy("s3:*")}, "s3:*"),
    ("rights", {"policy": _policy("s3:Get*")}, {"policy": _policy("*")}, "not *"),
    (
        "trust",
        {"assumeRolePolicy": json.dumps({"Statement": [{"Principal": {"Service": "lambda.amazonaws.com"}}]})},
        {"assumeRolePolicy": json.dumps({"Statement": [{"Principal": {"AWS": "*"}}]})},
        "not everybody",
    ),
    ("told", {"alarmActions": ["arn:topic"]}, {"alarmActions": []}, "tells somebody"),
    ("log-retention", {"retentionInDays": 30}, {}, "retentionInDays"),
    ("confined", _container(), _container(securityContext={}), "allowPrivilegeEscalation"),
    ("measured", _container(), _container(resources={"limits": {"memory": "1Gi"}}), "CPU"),
    ("image", _container(), _container(image="registry.example/backend"), "registry.example/backend"),
    ("image", _container(image="a@sha256:0"), _container(image="a:latest"), "a:latest"),
]
BY_NAME = {rule.name: rule for rule in RULES}


@pytest.mark.parametrize(("name", "good", "bad", "said"), CASES)
def test_a_rule_notices_what_breaks_it(
    name: str, good: dict[str, Any], bad: dict[str, Any], said: str
) -> None:
    rule = BY_NAME[name]
    assert rule.problem(Resource(rule.types[0], "one", good)) == ""
    assert said in rule.problem(Resource(rule.types[0], "one", bad))


def test_what_is_not_protected_is_noticed() -> None:
    bucket = Resource("aws:s3/bucket:Bucket", "site-bucket", {})
    assert broken("prod", [bucket]) == [
        "site-bucket: what holds data or serves users is protected from destruction (rule protected)"
    ]
    assert broken("local", [bucket]) == []


def test_every_rule_has_a_case() -> None:
    assert {name for name, *_ in CASES} | {"protected"} == set(BY_NAME)


def test_every_waiver_says_why_and_is_of_a_rule() -> None:
    for waiver in WAIVERS:
        assert waiver.rule in BY_NAME
        assert len(waiver.why) > 20


def test_pre_flight_holds_the_engines_preview_against_them() -> None:
    state = {
        "type": "aws:lb/listener:Listener",
        "urn": "urn:pulumi:prod::simple378::aws:lb/listener:Listener::edge-listener",
        "inputs": {"protocol": "HTTP", "defaultActions": []},
        "protect": True,
    }
    steps = [
        {"op": "refresh", "urn": state["urn"], "newState": state},
        {"op": "same", "urn": state["urn"], "newState": state},
        {"op": "read", "urn": "urn::another-stack", "newState": state},
        {"op": "same", "urn": "urn::gone"},
    ]
    assert [resource.name for resource in planned({"steps": steps})] == ["edge-listener"]
    engine: Any = FakeEngine({"steps": steps})
    assert asyncio.run(drift.problem(engine, "prod")) == (
        "prod breaks rules of production: edge-listener: a listener speaks HTTPS (rule tls)"
    )
    assert asyncio.run(drift.problem(engine, "local")) == ""
