"""The memory guard with a real API server, its rights and its disruption budget: leaking pods are replaced one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulate.lab.lab import Lab
from tests.infra.engine import Registered, deploy
from tests.infra.examples import COLOUR, SECRET_OUTPUTS, STACKS
from tests.simulate.lab.cluster import APP, Cluster, until

pytestmark = pytest.mark.lab

Json = dict[str, Any]
NAMESPACE = "test-memory-guard"
REPLICAS = 3
#: Order of creation, and the collections below the groups.
COLLECTIONS = {
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "Role": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    cluster = Cluster(lab, NAMESPACE)
    try:
        yield cluster
    finally:
        cluster.close()


def create(cluster: Cluster, made: Registered, **environment: str) -> None:
    """What the colour's layer registered, in the test's namespace, with other values of the guard's variables."""
    text = json.dumps(made.inputs).replace("simple378-green", NAMESPACE)
    manifest: Json = json.loads(text)
    manifest["metadata"].setdefault("name", f"{made.name}-named")
    if manifest["kind"] == "Deployment":
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]:
            if variable["name"] in environment:
                variable["value"] = environment[variable["name"]]
    cluster.post("/" + COLLECTIONS[manifest["kind"]].format(NAMESPACE), manifest)


def backend_pods(cluster: Cluster) -> list[Json]:
    found: list[Json] = cluster.get(
        cluster.path("pods") + "?labelSelector=app.kubernetes.io%2Fname%3Dbackend"
    )["items"]
    return found


def ready(pod: Json) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or []}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def serve(cluster: Cluster) -> None:
    """Pods that serve as a backend does: labels, a limit, and a drain before they end."""
    labels = {"app": "backend", "app.kubernetes.io/name": "backend"}
    container = {
        "name": "main",
        "image": "python",
        "args": ["-c", APP],
        "resources": {"limits": {"memory": "200Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": REPLICAS, "selector": {"matchLabels": labels}, "template": template}
    cluster.create("deployments", "backend", spec=spec)
    port = {"port": 80, "targetPort": 8080}
    cluster.create("services", "backend", spec={"selector": labels, "ports": [port]})
    cluster.wait_available("backend", REPLICAS)


def test_leaking_pods_are_replaced_one_by_one_and_no_request_fails(cluster: Cluster) -> None:
    recording = deploy("prod-green", COLOUR, STACKS, SECRET_OUTPUTS)
    serve(cluster)
    create(cluster, recording.one("kubernetes:policy/v1:PodDisruptionBudget", "backend-budget"))
    leaking = sorted(pod["metadata"]["name"] for pod in backend_pods(cluster))[:2]
    for pod in backend_pods(cluster):
        if pod["metadata"]["name"] in leaking:
            url = f"http://{pod['status']['podIP']}:8080/eat/165"
            assert cluster.request("GET", url)["status"] == 200
    for kind in COLLECTIONS:
        for made in recording.cloud:
            if made.name.startswith("memory-guard-") and made.inputs["kind"] == kind:
                create(cluster, made, PERIOD_SECONDS="0.5", YOUNGEST_SECONDS="0")
    statuses: list[int] = []
    fewest = REPLICAS
    refused = 0

    def replaced() -> bool:
        nonlocal fewest, refused
        statuses.extend(
            cluster.request("GET", f"http://backend.{NAMESPACE}.svc/pid")["status"] for _ in range(5)
        )
        pods = backend_pods(cluster)
        fewest = min(fewest, sum(map(ready, pods)))
        names = {pod["metadata"]["name"] for pod in pods}
        left = [name for name in leaking if name in names]
        if len(left) == 1 and not refused:
            # While the first is being replaced nobody else evicts one either.
            other = next(pod["metadata"]["name"] for pod in pods if ready(pod))
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": other}}
            if sum(map(ready, pods)) < REPLICAS:
                path = f"{cluster.path('pods', other)}/eviction?dryRun=All"
                refused = cluster.request("POST", path, body)["status"]
        return not left and sum(map(ready, pods)) == REPLICAS

    until(replaced, 60)
    assert set(statuses) == {200}
    assert fewest == REPLICAS - 1
    assert refused in (0, 429)
    assert not [
        one
        for pod in backend_pods(cluster)
        for one in pod["status"]["containerStatuses"]
        if one["restartCount"]
    ]
    log = next(cluster.lab.paths.pod_logs.glob(f"{NAMESPACE}_memory-guard-*"))
    said = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line.get("MemoryEvictions", 0) for line in said) == 2
    assert {
        name for name in leaking if any(f"{name} uses" in line.get("message", "") for line in said)
    } == set(leaking)


def test_the_guards_account_may_do_nothing_else(cluster: Cluster) -> None:
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{NAMESPACE}:memory-guard"},
    }

    def may(verb: str, resource: str, namespace: str, subresource: str = "", group: str = "") -> bool:
        attributes = {
            "verb": verb,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
            "group": group,
        }
        body = {**asked, "spec": {**asked["spec"], "resourceAttributes": attributes}}  # type: ignore[dict-item]
        answer = cluster.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(answer["status"]["allowed"])

    assert may("list", "pods", NAMESPACE)
    assert may("list", "pods", NAMESPACE, group="metrics.k8s.io")
    assert may("create", "pods", NAMESPACE, "eviction")
    assert not may("delete", "pods", NAMESPACE)
    assert not may("list", "secrets", NAMESPACE)
    assert not may("list", "pods", "default")
