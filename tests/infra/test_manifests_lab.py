"""Every Kubernetes object of a colour's layer, as the real API server takes it: strictly decoded, Pod Security restricted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulate.lab.lab import Lab
from tests.infra.engine import deploy
from tests.infra.examples import COLOUR, FOUNDATION_OUTPUTS, SECRET_OUTPUTS, STACKS
from tests.simulate.lab.cluster import Cluster

pytestmark = pytest.mark.lab

Json = dict[str, Any]
NAMESPACE = "test-manifests"
#: Of the objects below a group: how the API names a kind's collection.
COLLECTIONS = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
DRY = "?dryRun=All&fieldValidation=Strict"


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    cluster = Cluster(lab, NAMESPACE)
    cluster.request(
        "PATCH",
        f"/api/v1/namespaces/{NAMESPACE}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        "application/merge-patch+json",
    )
    try:
        yield cluster
    finally:
        cluster.close()


def collection(manifest: Json) -> str:
    version, kind = manifest["apiVersion"], manifest["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    name = COLLECTIONS.get(kind, f"{kind.lower()}s")
    namespaced = "namespace" in manifest["metadata"]
    return f"{root}/namespaces/{NAMESPACE}/{name}" if namespaced else f"{root}/{name}"


def refused(cluster: Cluster, manifest: Json) -> str:
    """What the API server says against an object, '' for nothing."""
    metadata = {**manifest["metadata"]}
    if "namespace" in metadata:
        metadata["namespace"] = NAMESPACE
    if "name" not in metadata:
        metadata["generateName"] = "named-by-the-provider-"
    answer = cluster.request("POST", collection(manifest) + DRY, {**manifest, "metadata": metadata})
    return "" if answer["status"] in (200, 201) else f"{manifest['kind']}: {answer['text']}"


def pod_of(deployment: Json) -> Json:
    template: Json = deployment["spec"]["template"]
    metadata = {**template["metadata"], "name": "of-the-template", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_the_api_server_takes_every_object_strictly(cluster: Cluster) -> None:
    foundation = {**FOUNDATION_OUTPUTS, "vpcId": "vpc-0123456789abcdef0"}
    recording = deploy("prod-green", COLOUR, {**STACKS, "prod": foundation}, SECRET_OUTPUTS)
    manifests = [found.inputs for found in recording.cloud if found.type.startswith("kubernetes:")]
    # The priority class of the pods must exist when they are admitted.
    manifests.sort(key=lambda manifest: manifest["kind"] != "PriorityClass")
    priority = manifests[0]
    cluster.post(collection(priority), priority)
    try:
        pods = [pod_of(manifest) for manifest in manifests if manifest["kind"] == "Deployment"]
        assert len(pods) >= 3
        assert [
            problem for manifest in [*manifests[1:], *pods] if (problem := refused(cluster, manifest))
        ] == []
        wrong = {**pods[0], "spec": {**pods[0]["spec"], "hostNetwork": True, "nodeNamee": "x"}}
        assert "nodeNamee" in refused(cluster, wrong), "the server checks fields"
        del wrong["spec"]["nodeNamee"]
        assert "violates PodSecurity" in refused(cluster, wrong)
    finally:
        cluster.request("DELETE", f"{collection(priority)}/{priority['metadata']['name']}")
