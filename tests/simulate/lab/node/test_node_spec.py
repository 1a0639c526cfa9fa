"""What a pod's spec means: variables, files, memory, ports."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from simulate.lab.node import images as node_images
from simulate.lab.node.spec import (
    CONFIG_MAP,
    SECRET,
    TOKEN,
    Reference,
    SpecError,
    environment,
    expand,
    memory_limit,
    mounts,
    probe_port,
    quantity,
    references,
    service_links,
    volume_files,
)

POD: dict[str, Any] = {
    "metadata": {"name": "backend-1", "namespace": "blue", "uid": "u", "labels": {"app": "backend"}},
    "spec": {"nodeName": "lab-node", "containers": []},
}
SETTINGS, PASSWORDS = Reference(CONFIG_MAP, "settings"), Reference(SECRET, "passwords")
OBJECTS = {
    SETTINGS: {"data": {"MODE": "fast"}, "binaryData": {"raw": base64.b64encode(b"\x00\xff").decode()}},
    PASSWORDS: {"data": {"password": base64.b64encode(b"s3cret").decode()}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)/$(B)", "1/2"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$A ${A}", "$A ${A}"),
        ("$$$(A)", "$1"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_variables_see_those_before_them_and_the_base() -> None:
    container = {
        "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "APP_"}],
        "env": [
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "passwords", "key": "password"}}},
            {"name": "URL", "value": "postgresql://app:$(PASSWORD)@$(PGBOUNCER_SERVICE_HOST)/app"},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "MODE"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "EMPTY"},
        ],
    }
    objects = {SETTINGS: {"data": {"MODE": "fast"}}, PASSWORDS: OBJECTS[PASSWORDS]}
    base = {"PGBOUNCER_SERVICE_HOST": "10.78.32.7"}
    assert environment(container, POD, "10.78.16.2", objects, base) == {
        "PGBOUNCER_SERVICE_HOST": "10.78.32.7",
        "APP_MODE": "fast",
        "PASSWORD": "s3cret",
        "URL": "postgresql://app:s3cret@10.78.32.7/app",
        "MODE": "fast",
        "IP": "10.78.16.2",
        "APP": "backend",
        "EMPTY": "",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"secretKeyRef": {"name": "absent", "key": "x"}}, "secret 'absent' not found"),
        ({"secretKeyRef": {"name": "passwords", "key": "x"}}, "key 'x' not found in secret 'passwords'"),
        ({"fieldRef": {"fieldPath": "status.phase"}}, "fieldPath 'status.phase'"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "resourceFieldRef"),
    ],
)
def test_what_cannot_be_resolved_is_named(source: dict[str, Any], message: str) -> None:
    container = {"env": [{"name": "X", "valueFrom": source}]}
    with pytest.raises(SpecError, match=message):
        environment(container, POD, "10.78.16.2", OBJECTS, {})


def test_an_optional_reference_may_be_missing() -> None:
    source = {"configMapKeyRef": {"name": "absent", "key": "x", "optional": True}}
    assert environment({"env": [{"name": "X", "valueFrom": source}]}, POD, "", {}, {}) == {}


def test_references_are_found_wherever_they_stand() -> None:
    spec = {
        "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "bulk"}}]}],
        "containers": [
            {
                "name": "c",
                "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "k"}}}],
            }
        ],
        "volumes": [
            {"name": "v", "configMap": {"name": "two"}},
            {"name": "w", "secret": {"secretName": "three"}},
        ],
    }
    assert references(spec) == {
        Reference(SECRET, "bulk"),
        Reference(CONFIG_MAP, "one"),
        Reference(CONFIG_MAP, "two"),
        Reference(SECRET, "three"),
    }


def test_volume_files_have_content_path_and_mode() -> None:
    whole = list(volume_files({"name": "v", "configMap": {"name": "settings"}}, OBJECTS))
    assert [(file.path, file.content, file.mode) for file in whole] == [
        ("MODE", b"fast", 0o644),
        ("raw", b"\x00\xff", 0o644),
    ]
    picked = {
        "name": "v",
        "secret": {"secretName": "passwords", "items": [{"key": "password", "path": "a/p", "mode": 256}]},
    }
    assert [(file.path, file.content, file.mode) for file in volume_files(picked, OBJECTS)] == [
        ("a/p", b"s3cret", 0o400)
    ]
    assert list(volume_files({"name": "v", "emptyDir": {}}, {})) == []


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"name": "v", "hostPath": {"path": "/"}}, "does not know hostPath"),
        ({"name": "v", "configMap": {"name": "absent"}}, "configmap 'absent' not found"),
        (
            {"name": "v", "configMap": {"name": "settings", "items": [{"key": "x", "path": "x"}]}},
            "no key 'x'",
        ),
        (
            {"name": "v", "configMap": {"name": "settings", "items": [{"key": "MODE", "path": "../x"}]}},
            "leaves",
        ),
    ],
)
def test_volumes_that_cannot_be_made_are_named(volume: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        list(volume_files(volume, OBJECTS))


def test_outer_mounts_come_first() -> None:
    container = {
        "volumeMounts": [{"name": "b", "mountPath": "/etc/app/tls"}, {"name": "a", "mountPath": "/etc/app"}]
    }
    assert [mount.target for mount in mounts(container)] == ["/etc/app", "/etc/app/tls"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("512Mi", 512 * 2**20), ("1G", 1e9), ("250m", 0.25), (2, 2), ("1.5Gi", 1.5 * 2**30), ("1e3", 1e3)],
)
def test_quantities(text: str | int, value: float) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "12 Mi", "Mi", "1Xi"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError):
        quantity(text)


def test_memory_limit() -> None:
    assert memory_limit({"resources": {"limits": {"memory": "64Mi"}}}) == 64 * 2**20
    assert memory_limit({"resources": {"requests": {"memory": "64Mi"}}}) is None


def test_probe_ports_may_be_named() -> None:
    container = {"name": "c", "ports": [{"name": "http", "containerPort": 8000}]}
    assert probe_port("http", container) == 8000
    assert probe_port(81, container) == 81
    with pytest.raises(SpecError, match="no port named 'grpc'"):
        probe_port("grpc", container)


def test_service_links() -> None:
    services = [
        {
            "metadata": {"name": "pg-bouncer"},
            "spec": {"clusterIP": "10.78.32.7", "ports": [{"name": "pg", "port": 6432}]},
        },
        {"metadata": {"name": "headless"}, "spec": {"clusterIP": "None", "ports": [{"port": 1}]}},
    ]
    assert service_links(services) == {
        "PG_BOUNCER_SERVICE_HOST": "10.78.32.7",
        "PG_BOUNCER_SERVICE_PORT": "6432",
        "PG_BOUNCER_SERVICE_PORT_PG": "6432",
    }


@pytest.mark.parametrize(
    ("reference", "known"),
    [
        ("simple378/backend", True),
        ("registry:5000/simple378/backend:1.2.3", True),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/simple378/backend@sha256:" + "0" * 64, True),
        ("bitnami/pgbouncer:1.18", True),
        ("other/backend:1", False),
        ("nginx", False),
    ],
)
def test_images(reference: str, known: bool) -> None:
    assert (node_images.find(reference) is not None) is known


def test_commands_follow_kubernetes_rules() -> None:
    pgbouncer = node_images.IMAGES["pgbouncer"]
    assert pgbouncer.command([], []) == ["/usr/sbin/pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
    assert pgbouncer.command([], ["/a.ini"]) == ["/usr/sbin/pgbouncer", "/a.ini"]
    assert pgbouncer.command(["pgbouncer"], ["-v"]) == ["pgbouncer", "-v"]
    backend = node_images.IMAGES["simple378/backend"]
    assert backend.command(["uvicorn"], ["app:app"]) == list(backend.entrypoint)


PROJECTED: dict[str, Any] = {
    "name": "account",
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
            {"configMap": {"name": "settings", "items": [{"key": "MODE", "path": "mode"}]}},
        ]
    },
}


def test_a_projected_volume_holds_the_token_of_the_pods_service_account() -> None:
    spec = {"serviceAccountName": "guard", "containers": [], "volumes": [PROJECTED]}
    token = Reference(TOKEN, "guard")
    assert references(spec) == {token, SETTINGS}
    files = list(volume_files(PROJECTED, {**OBJECTS, token: {"status": {"token": "t0ken"}}}))
    assert [(file.path, file.content) for file in files] == [("token", b"t0ken"), ("mode", b"fast")]
    with pytest.raises(SpecError, match="the pod's service account does not exist"):
        list(volume_files(PROJECTED, {**OBJECTS, token: None}))
    other = {"name": "v", "projected": {"sources": [{"downwardAPI": {}}]}}
    with pytest.raises(SpecError, match="does not know projected downwardAPI"):
        list(volume_files(other, OBJECTS))
