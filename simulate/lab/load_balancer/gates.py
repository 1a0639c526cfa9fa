"""Readiness gates of pods, as the AWS Load Balancer Controller injects them.

A pod that is created in a namespace with the label, while its Service is bound to target groups, gets a gate for each
binding: a mutating webhook of the API server, as in a real cluster. ``targets`` opens a gate once the pod is healthy there.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from simulate.lab.kubernetes.api import Json, KubeApi, KubeError
from simulate.lab.layout import API_SERVER

#: Of a namespace: whether its pods get gates.
LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
PORT = 9443
_PATH = "/mutate-v1-pod"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def gate_of(binding: Json) -> str:
    """The condition that a pod waits for because of a binding."""
    return f"target-health.elbv2.k8s.aws/{binding['metadata']['name']}"


def gates_for(pod: Json, bindings: Iterable[Json], services: Iterable[Json]) -> list[str]:
    """The gates that a new pod gets; ``bindings`` and ``services`` are those of its namespace."""
    labels = pod["metadata"].get("labels") or {}
    selecting = {
        service["metadata"]["name"]
        for service in services
        if (selector := service["spec"].get("selector")) and selector.items() <= labels.items()
    }
    return [
        gate_of(binding)
        for binding in bindings
        if binding["spec"].get("targetType") == "ip" and binding["spec"]["serviceRef"]["name"] in selecting
    ]


def patch_of(pod: Json, gates: Iterable[str]) -> list[dict[str, Any]]:
    """The JSON patch that adds the gates which the pod does not have yet."""
    present = pod["spec"].get("readinessGates") or []
    known = {gate["conditionType"] for gate in present}
    new = [{"conditionType": gate} for gate in gates if gate not in known]
    if not new:
        return []
    operation = "replace" if "readinessGates" in pod["spec"] else "add"
    return [{"op": operation, "path": "/spec/readinessGates", "value": [*present, *new]}]


def review_of(request: Mapping[str, Any], patch: list[dict[str, Any]]) -> Json:
    """The answer to an AdmissionReview: always admitted, perhaps patched."""
    response: Json = {"uid": request["uid"], "allowed": True}
    if patch:
        response |= {
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


@asynccontextmanager
async def webhook(api: KubeApi, credentials: Path) -> AsyncIterator[None]:
    """Serves the webhook and has the API server ask it. ``credentials``: where the lab's certificates are."""

    async def mutate(request: web.Request) -> web.Response:
        asked = (await request.json())["request"]
        namespace, pod = asked["namespace"], asked["object"]
        bindings = await api.get(f"/apis/elbv2.k8s.aws/v1beta1/namespaces/{namespace}/targetgroupbindings")
        services = await api.get(f"/api/v1/namespaces/{namespace}/services")
        gates = gates_for(pod, bindings["items"], services["items"])
        return web.json_response(review_of(asked, patch_of(pod, gates)))

    app = web.Application()
    app.router.add_post(_PATH, mutate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(credentials / "server.crt", credentials / "server.key")
        await web.TCPSite(runner, API_SERVER, PORT, ssl_context=context).start()
        await _register(api, (credentials / "ca.crt").read_bytes())
        yield
    finally:
        await runner.cleanup()


async def _register(api: KubeApi, authority: bytes) -> None:
    hook: Json = {
        "name": "mpod.elbv2.k8s.aws",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchExpressions": [{"key": LABEL, "operator": "In", "values": ["enabled"]}]},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
        "clientConfig": {
            "url": f"https://{API_SERVER}:{PORT}{_PATH}",
            "caBundle": base64.b64encode(authority).decode(),
        },
    }
    body: Json = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "aws-load-balancer-webhook"},
        "webhooks": [hook],
    }
    try:
        await api.post(_CONFIGURATIONS, body)
    except KubeError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
