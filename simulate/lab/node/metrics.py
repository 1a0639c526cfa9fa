"""The metrics API (metrics.k8s.io) of the lab's pods, as metrics-server serves it behind the API server."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from aiohttp import web

from simulate.lab.kubernetes.api import Json, KubeApi, KubeError
from simulate.lab.kubernetes.control_plane import METRICS_NAMESPACE, METRICS_SERVICE
from simulate.lab.layout import API_SERVER, METRICS_PORT

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_PORT = 443


class Measured(Protocol):
    """A pod of the node."""

    def usage(self) -> Json | None: ...


class MetricsApi:
    """Lists what each pod uses now, by namespace and equality of labels; nothing of nodes."""

    def __init__(self, api: KubeApi, credentials: Path, pods: Callable[[], Iterable[Measured]]) -> None:
        self._api = api
        self._credentials = credentials
        self._pods = pods
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Serve, and tell the API server where."""
        app = web.Application()
        root = f"/apis/{GROUP}/{VERSION}"
        app.router.add_get(root, self._resources)
        app.router.add_get(f"{root}/pods", self._list)
        app.router.add_get(f"{root}/namespaces/{{namespace}}/pods", self._list)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._credentials / "server.crt", self._credentials / "server.key")
        await web.TCPSite(self._runner, API_SERVER, METRICS_PORT, ssl_context=context).start()
        for path, body in _objects((self._credentials / "ca.crt").read_bytes()):
            try:
                await self._api.post(path, body)
            except KubeError as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _resources(self, _request: web.Request) -> web.Response:
        pods = {
            "name": "pods",
            "singularName": "",
            "namespaced": True,
            "kind": "PodMetrics",
            "verbs": ["list"],
        }
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": [pods],
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace")
        labels = dict(
            part.split("=", 1) for part in request.query.get("labelSelector", "").split(",") if "=" in part
        )
        found = [usage for pod in self._pods() if (usage := pod.usage()) is not None]
        items = [
            usage
            for usage in found
            if namespace in (None, usage["metadata"]["namespace"])
            and labels.items() <= usage["metadata"].get("labels", {}).items()
        ]
        body = {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}
        return web.json_response(body)


def _objects(authority: bytes) -> Iterable[tuple[str, Json]]:
    """A Service without pods, the node agent as its endpoint, and the registration of the API, each with its collection."""
    name, namespace = METRICS_SERVICE, METRICS_NAMESPACE
    port = {"name": "https", "port": _PORT, "targetPort": METRICS_PORT}
    yield (
        f"/api/v1/namespaces/{namespace}/services",
        {"metadata": {"name": name}, "spec": {"clusterIP": "None", "ports": [port]}},
    )
    yield (
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
        {
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [API_SERVER], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": METRICS_PORT, "protocol": "TCP"}],
        },
    )
    yield (
        "/apis/apiregistration.k8s.io/v1/apiservices",
        {
            "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "version": VERSION,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(authority).decode(),
                "service": {"name": name, "namespace": namespace, "port": _PORT},
            },
        },
    )
