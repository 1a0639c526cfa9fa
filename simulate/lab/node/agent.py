"""The lab's node: runs the pods that the scheduler gives it as local processes. Stand-in for a kubelet.

`python -m simulate.lab.node.agent`, started by the lab. It registers the node, keeps its lease, follows the pods bound to
it (node_pod.py, node_container.py) and serves ClusterIPs (node_proxy.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from simulate.lab.kubernetes.api import Json, Kind, KubeApi, KubeError
from simulate.lab.layout import (
    API_SERVER,
    API_SERVER_PORT,
    AWS_ENDPOINT_OF_PODS,
    NODE_NAME,
    LabPaths,
    aws_environment,
    program_path,
    scratch_directory,
)
from simulate.lab.node.container import now
from simulate.lab.node.metrics import MetricsApi
from simulate.lab.node.network import AddressPool
from simulate.lab.node.pod import Pod
from simulate.lab.node.proxy import ServiceProxy

#: As the kubelet: the lease every 10 s, and the same complaint about a pod not more often than this.
LEASE_PERIOD_S = 10.0
EVENT_PERIOD_S = 30.0
#: Seconds that pods have to end when the lab does.
HALT_GRACE_S = 1.0

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_log = logging.getLogger("node-agent")


class NodeAgent:
    """The node, as its pods see it (node_pod.Node)."""

    def __init__(self, api: KubeApi, paths: LabPaths, scratch: Path) -> None:
        self.api = api
        self.addresses = AddressPool()
        self.scratch = scratch
        self.pod_logs = paths.pod_logs
        self._paths = paths
        self._proxy = ServiceProxy(api, scratch / "services", paths.hosts, paths.logs / "services.log")
        self._pods: dict[str, Pod] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_posted: dict[tuple[str, str, str], float] = {}
        self._stop = asyncio.Event()
        self._failed = False

    # -- what pods need ------------------------------------------------------------------------------------------

    def base_environment(self) -> Mapping[str, str]:
        """What every container gets on top of its spec; stands for the image's and the instance role's."""
        passed = ("LANG", "TZ", "PYTHONPATH", "SIMPLE378_TIME_SCALE")
        return {
            **{key: os.environ[key] for key in passed if key in os.environ},
            **aws_environment(AWS_ENDPOINT_OF_PODS),
            "PATH": program_path(),
            "HOME": "/",
            "PYTHONUNBUFFERED": "1",
            "KUBERNETES_SERVICE_HOST": API_SERVER,
            "KUBERNETES_SERVICE_PORT": str(API_SERVER_PORT),
        }

    def services(self, namespace: str) -> list[Json]:
        return [entry for entry in self._proxy.services if entry["metadata"]["namespace"] == namespace]

    def pod_hosts(self, namespace: str) -> Path:
        return self._proxy.pod_hosts(namespace)

    def event(self, pod: Json, kind: str, reason: str, message: str) -> None:
        """Post an event about a pod, unless the same was posted a moment ago."""
        metadata = pod["metadata"]
        key, time = (metadata["uid"], reason, message), asyncio.get_running_loop().time()
        if time - self._last_posted.get(key, -EVENT_PERIOD_S) < EVENT_PERIOD_S:
            return
        self._last_posted[key] = time
        body: Json = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:1000],
            "source": {"component": "lab-node-agent", "host": NODE_NAME},
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        self._spawn(self._post_event(metadata["namespace"], body))

    async def _post_event(self, namespace: str, body: Json) -> None:
        try:
            await self.api.post(f"/api/v1/namespaces/{namespace}/events", body)
        except (KubeError, aiohttp.ClientError, TimeoutError) as error:
            _log.info("event not posted: %s", error)  # its namespace may be on its way out

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # A broken agent must end: the lab reports a service that has ended.
            _log.error("failed", exc_info=task.exception())
            self._stop.set()
            self._failed = True

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Until SIGTERM. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self._register()
        self._spawn(self._keep_lease())
        self._spawn(self._proxy.run())
        self._spawn(self._follow_pods())
        metrics = MetricsApi(self.api, self._paths.credentials, lambda: list(self._pods.values()))
        await metrics.start()
        await self._stop.wait()
        await asyncio.gather(*(pod.halt(HALT_GRACE_S) for pod in self._pods.values()), return_exceptions=True)
        await metrics.stop()
        await self._proxy.stop()
        return 1 if self._failed else 0

    async def _register(self) -> None:
        """Make the Node object, ready from the start."""
        pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        room = {"cpu": str(os.cpu_count()), "memory": f"{pages * page // 1024}Ki", "pods": "200"}
        conditions = [
            {"type": kind, "status": "False", "reason": "Fine"}
            for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
        ]
        conditions.append({"type": "Ready", "status": "True", "reason": "LabNodeReady"})
        for condition in conditions:
            condition |= {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
        # A lab has two processors and requests written for production: the scheduler must see a node on which they fit,
        # and the machine shares its time among all that asks for it.
        generous = room | {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "256Gi"}
        status: Json = {
            "capacity": generous,
            "allocatable": generous,
            "conditions": conditions,
            "addresses": [
                {"type": "InternalIP", "address": API_SERVER},
                {"type": "Hostname", "address": NODE_NAME},
            ],
            "nodeInfo": {
                "kubeletVersion": "lab",
                "osImage": "lab",
                "kernelVersion": os.uname().release,
                "architecture": os.uname().machine,
                "operatingSystem": "linux",
                "containerRuntimeVersion": "lab://1",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
                "kubeProxyVersion": "",
            },
        }
        labels = {"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux"}
        labels["topology.kubernetes.io/zone"] = "us-east-1a"
        body: Json = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": NODE_NAME, "labels": labels},
            "status": status,
        }
        await self.api.post("/api/v1/nodes", body)

    async def _keep_lease(self) -> None:
        spec: Json = {"holderIdentity": NODE_NAME, "leaseDurationSeconds": 40}
        made = False
        while True:
            spec["renewTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            body: Json = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": NODE_NAME, "namespace": "kube-node-lease"},
                "spec": spec,
            }
            try:
                if made:
                    await self.api.merge_patch(f"{_LEASES}/{NODE_NAME}", body)
                else:
                    await self.api.post(_LEASES, body)
                    made = True
            except KubeError as error:
                made = made or error.status == HTTPStatus.CONFLICT
                if (
                    error.status == HTTPStatus.NOT_FOUND
                ):  # the namespace is made by the API server a moment after it is ready
                    await asyncio.sleep(0.2)
                    continue
            except (aiohttp.ClientError, TimeoutError) as error:
                _log.error("lease: %s", error)
            await asyncio.sleep(LEASE_PERIOD_S)

    async def _follow_pods(self) -> None:
        await self._proxy.ready()
        async for change in self.api.watch("/api/v1/pods", fieldSelector=f"spec.nodeName={NODE_NAME}"):
            if change.kind is Kind.SYNCED:
                self._paths.node_agent_ready.touch()
                continue
            uid = change.object["metadata"]["uid"]
            if change.kind is Kind.DELETED:
                if uid in self._pods:
                    self._pods[uid].vanish()
                continue
            if uid not in self._pods:
                if change.object.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                    continue
                self._pods[uid] = Pod(self, change.object)
                self._spawn(self._run_pod(uid))
            self._pods[uid].update(change.object)

    async def _run_pod(self, uid: str) -> None:
        try:
            await self._pods[uid].run()
        finally:
            del self._pods[uid]


async def main() -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    async with KubeApi.from_environment() as api:
        agent = NodeAgent(api, LabPaths(Path(os.environ["SIMPLE378_LAB"])), scratch_directory())
        return await agent.run()


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
