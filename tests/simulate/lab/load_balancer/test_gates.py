"""Which readiness gates a new pod gets, and the answer that the API server is given."""

from __future__ import annotations

import base64
import json
from typing import Any

from simulate.lab.load_balancer.gates import gate_of, gates_for, patch_of, review_of

USERS, PROBES = "target-health.elbv2.k8s.aws/backend", "target-health.elbv2.k8s.aws/backend-probe"


def binding(name: str, service: str = "backend", kind: str = "ip") -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"targetType": kind, "serviceRef": {"name": service, "port": 8000}},
    }


def service(name: str, selector: dict[str, str] | None) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"selector": selector, "ports": []}}


def pod(gates: list[str] | None = None, **labels: str) -> dict[str, Any]:
    spec = {} if gates is None else {"readinessGates": [{"conditionType": gate} for gate in gates]}
    return {"metadata": {"labels": labels}, "spec": spec}


BINDINGS = [binding("backend"), binding("backend-probe")]
SERVICES = [service("backend", {"app": "backend"}), service("pgbouncer", {"app": "pgbouncer"})]


def test_a_pod_gets_a_gate_for_each_binding_of_its_service() -> None:
    assert gate_of(BINDINGS[0]) == USERS
    assert gates_for(pod(app="backend", tier="api"), BINDINGS, SERVICES) == [USERS, PROBES]


def test_pods_of_no_bound_service_get_none() -> None:
    assert gates_for(pod(app="pgbouncer"), BINDINGS, SERVICES) == []
    assert gates_for(pod(), BINDINGS, SERVICES) == []
    assert gates_for(pod(app="backend"), BINDINGS, [service("backend", None)]) == []
    assert gates_for(pod(app="backend"), BINDINGS, []) == []
    assert gates_for(pod(app="backend"), [binding("backend", kind="instance")], SERVICES) == []


def test_gates_are_added_to_those_that_are_there() -> None:
    added = [{"conditionType": PROBES}]
    assert patch_of(pod(), [PROBES]) == [{"op": "add", "path": "/spec/readinessGates", "value": added}]
    (one,) = patch_of(pod([USERS]), [USERS, PROBES])
    assert one == {
        "op": "replace",
        "path": "/spec/readinessGates",
        "value": [{"conditionType": USERS}, {"conditionType": PROBES}],
    }
    assert patch_of(pod([USERS, PROBES]), [USERS, PROBES]) == []


def test_every_pod_is_admitted() -> None:
    plain = review_of({"uid": "7"}, [])
    assert plain["response"] == {"uid": "7", "allowed": True}
    patched = review_of({"uid": "7"}, patch_of(pod(), [USERS]))["response"]
    assert patched["allowed"] and patched["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(patched["patch"]))[0]["value"] == [{"conditionType": USERS}]
