"""One pod on the lab's node: from being scheduled here to being gone from the API server."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import aiohttp

from simulate.lab.kubernetes.api import KubeApi, KubeError
from simulate.lab.layout import API_SERVER, PROGRAM_DIRECTORIES
from simulate.lab.node import images as node_images
from simulate.lab.node import network as node_network
from simulate.lab.node.container import Container, Launch, now
from simulate.lab.node.network import AddressPool, NetworkError, PodNetwork
from simulate.lab.node.spec import (
    TOKEN,
    Json,
    Objects,
    Reference,
    SpecError,
    environment,
    mounts,
    references,
    service_links,
    volume_files,
)

#: The user that runs what refuses to run as root: nobody.
UNPRIVILEGED = 65534
#: Seconds that a service account's token is valid; longer than any lab.
TOKEN_LIFE_S = 7 * 24 * 3600
#: Where programs leave files under fixed names, so that two containers must not share them.
PRIVATE_DIRECTORIES = ["/tmp", "/var/tmp", "/run"]  # noqa: S108
_RETRY_S = 0.5
_log = logging.getLogger("node-agent")


class Node(Protocol):
    """What a pod needs from its node."""

    api: KubeApi
    addresses: AddressPool
    scratch: Path
    pod_logs: Path

    def base_environment(self) -> Mapping[str, str]: ...
    def services(self, namespace: str) -> list[Json]: ...
    def pod_hosts(self, namespace: str) -> Path: ...
    def event(self, pod: Json, kind: str, reason: str, message: str) -> None: ...


class Pod:
    """Runs a pod. `update` receives the watch's changes; `run` returns when the pod is gone."""

    def __init__(self, node: Node, pod: Json) -> None:
        self._node = node
        self._pod = pod
        self._spec: Json = pod["spec"]
        metadata = pod["metadata"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._directory = node.scratch / "pods" / metadata["uid"]
        self._address = ""
        self._dirty = asyncio.Event()
        self._deleted = asyncio.Event()
        self._volumes_written = False
        self._transitions: dict[str, Json] = {}
        self._sent: Json = {}
        self._started_at = now()
        self._inits = [self._container(entry) for entry in self._spec.get("initContainers", [])]
        self._mains = [self._container(entry) for entry in self._spec["containers"]]

    def _container(self, spec: Json) -> Container:
        policy: str = self._spec.get("restartPolicy", "Always")
        if spec in self._spec.get("initContainers", []) and policy == "Always":
            policy = "OnFailure"
        return Container(spec, policy, self._prepare, self._dirty.set, self._event)

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._node.event(self._pod, kind, reason, message)

    def update(self, pod: Json) -> None:
        """The pod's current object: a deletion, or a readiness gate that was opened."""
        self._pod = pod
        if "deletionTimestamp" in pod["metadata"]:
            self._deleted.set()
        self._dirty.set()

    def vanish(self) -> None:
        """The object was deleted with force, so there is no status left to report."""
        self._pod["metadata"]["deletionGracePeriodSeconds"] = 0
        self._deleted.set()

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start everything, report to the API server, and end when the pod is deleted."""
        network: PodNetwork | None = None
        reporting = asyncio.create_task(self._report_changes())
        working: asyncio.Task[None] | None = None
        try:
            self._directory.mkdir(parents=True)
            (self._directory / "root").mkdir()
            self._address = self._node.addresses.take()
            network = await node_network.create(self._address, self._directory / "netns")
            for container in (*self._inits, *self._mains):
                container.address = self._address
            working = asyncio.create_task(self._work())
            self._dirty.set()
            await self._deleted.wait()
            await self._end(working, self._pod["metadata"].get("deletionGracePeriodSeconds", 30))
            await self._report_end()
        except NetworkError as error:
            self._event("Warning", "FailedCreatePodSandBox", str(error))
            _log.error("pod %s: %s", self._path, error)
            await self._deleted.wait()
            await self._report_end()
        finally:
            for task in (reporting, working):
                if task is not None:
                    task.cancel()
            if network is not None:
                await node_network.destroy(network)
            if self._address:
                self._node.addresses.give_back(self._address)
            shutil.rmtree(self._directory, ignore_errors=True)

    def usage(self) -> Json | None:
        """PodMetrics of the metrics API; None while nothing of the pod runs."""
        resident = {
            container.name: used for container in self._mains if (used := container.resident()) is not None
        }
        if not resident:
            return None
        metadata = self._pod["metadata"]
        kept = {key: metadata[key] for key in ("name", "namespace", "labels") if key in metadata}
        return {
            "metadata": kept,
            "timestamp": now(),
            "window": "1s",
            "containers": [
                # The lab measures no processor time of pods.
                {"name": name, "usage": {"cpu": "0", "memory": str(used)}}
                for name, used in resident.items()
            ],
        }

    async def halt(self, grace_s: float) -> None:
        """End the processes because the node ends; nothing is reported to the API server."""
        await asyncio.gather(*(container.halt(grace_s) for container in (*self._inits, *self._mains)))

    async def _work(self) -> None:
        """Init containers one after the other, then the others side by side."""
        for container in self._inits:
            await container.run()
            if container.exit_code != 0:
                return
        await asyncio.gather(*(container.run() for container in self._mains))

    async def _end(self, working: asyncio.Task[None], grace_s: float) -> None:
        await asyncio.gather(*(container.stop(grace_s) for container in (*self._inits, *self._mains)))
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def _report_end(self) -> None:
        """Report the last status, then let the API server delete the pod."""
        uid = self._pod["metadata"]["uid"]
        while True:
            try:
                await self._report()
                body: Json = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
                await self._node.api.delete(self._path, body)
                return
            except KubeError as error:
                if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_RETRY_S)

    # -- starting a container -----------------------------------------------------------------------------------

    async def _prepare(self, container: Json) -> Launch:
        image = node_images.find(container["image"])
        if image is None:
            raise SpecError(
                f"image {container['image']!r} is not in the lab's table (simulate/lab/node/images.py)",
                "ErrImagePull",
            )
        objects = await self._objects()
        user = UNPRIVILEGED if image.unprivileged and os.geteuid() == 0 else None
        self._write_volumes(objects)
        metadata = self._pod["metadata"]
        base = {
            **self._node.base_environment(),
            "HOSTNAME": metadata["name"],
            "POD_IP": self._address,
            "LAB_IMAGE": container["image"],
        }
        if self._spec.get("enableServiceLinks", True):
            base |= service_links(self._node.services(metadata["namespace"]))
        variables = environment(container, self._pod, self._address, objects, base)
        hosts = self._node.pod_hosts(metadata["namespace"])
        resolver = os.path.realpath("/etc/resolv.conf")  # noqa: ASYNC240 - the lab's; /run may hold it
        bindings: list[Json] = [
            {"source": str(hosts), "target": "/etc/hosts", "read_only": True},
            {"source": resolver, "target": "/etc/resolv.conf", "read_only": True},
        ]
        for mount in mounts(container):
            volume = self._directory / "volumes" / mount.volume
            if user is not None:
                _give(volume, user)
            source = volume / mount.sub_path if mount.sub_path else volume
            if not source.resolve().is_relative_to(volume):
                raise SpecError(f"subPath {mount.sub_path!r} leaves the volume", "FailedMount")
            if not source.exists():
                source.mkdir(parents=True)
            bindings.append({"source": str(source), "target": mount.target, "read_only": mount.read_only})
        document = {
            "netns": str(self._directory / "netns"),
            "root": str(self._directory / "root"),
            "hide": str(self._node.scratch),
            "private": PRIVATE_DIRECTORIES,
            "keep": [str(path) for path in PROGRAM_DIRECTORIES],
            "mounts": bindings,
            "argv": image.command(container.get("command", []), container.get("args", [])),
            "environment": variables,
            "directory": container.get("workingDir", "/"),
            "user": None if user is None else {"uid": user, "gid": user},
        }
        return Launch(document, self._log_of(container))

    def _log_of(self, container: Json) -> Path:
        metadata = self._pod["metadata"]
        return self._node.pod_logs / f"{metadata['namespace']}_{metadata['name']}_{container['name']}.log"

    async def _objects(self) -> Objects:
        """The ConfigMaps and Secrets that the spec names, and the service account's token, read anew."""
        found: dict[Reference, Json | None] = {}
        namespace = self._pod["metadata"]["namespace"]
        for reference in references(self._spec):
            path = f"/api/v1/namespaces/{namespace}/{reference.collection}/{reference.name}"
            try:
                if reference.collection == TOKEN:
                    found[reference] = await self._node.api.post(f"{path}/token", self._token_request())
                else:
                    found[reference] = await self._node.api.get(path)
            except KubeError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise SpecError(f"cannot read {path}: {error}") from None
                found[reference] = None
            except (aiohttp.ClientError, TimeoutError) as error:
                raise SpecError(f"cannot read {path}: {error}") from None
        return found

    def _token_request(self) -> Json:
        """For a token that ends with the pod; the lab's node does not renew it."""
        metadata = self._pod["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        return {"spec": {"expirationSeconds": TOKEN_LIFE_S, "boundObjectRef": bound}}

    def _write_volumes(self, objects: Objects) -> None:
        """Each volume as a directory, once a pod. Raises SpecError before anything is written."""
        if self._volumes_written:
            return
        contents = {
            entry["name"]: list(volume_files(entry, objects)) for entry in self._spec.get("volumes", [])
        }
        for name, files in contents.items():
            volume = self._directory / "volumes" / name
            volume.mkdir(parents=True, exist_ok=True)
            if not files:
                volume.chmod(0o777)  # an emptyDir belongs to whoever runs in the pod
            for file in files:
                path = volume / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.content)
                path.chmod(file.mode)
        self._volumes_written = True

    # -- reporting to the API server ---------------------------------------------------------------------------------

    async def _report_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._report()
            except KubeError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    _log.error("status of %s: %s", self._path, error)
                    await asyncio.sleep(_RETRY_S)
                    self._dirty.set()
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_RETRY_S)
                self._dirty.set()

    async def _report(self) -> None:
        status = self._status()
        if status != self._sent:
            uid = self._pod["metadata"]["uid"]
            await self._node.api.patch(self._path + "/status", {"metadata": {"uid": uid}, "status": status})
            self._sent = status

    def _status(self) -> Json:
        initialised = all(container.exit_code == 0 for container in self._inits)
        containers_ready = initialised and all(container.ready for container in self._mains)
        ready = containers_ready and self._gates_open() and not self._deleted.is_set()
        conditions = [
            self._condition("Initialized", initialised, "ContainersNotInitialized"),
            self._condition("ContainersReady", containers_ready, "ContainersNotReady"),
            self._condition(
                "Ready", ready, "ContainersNotReady" if not containers_ready else "ReadinessGatesNotReady"
            ),
        ]
        status: Json = {
            "phase": self._phase(initialised),
            "startTime": self._started_at,
            "hostIP": API_SERVER,
            "hostIPs": [{"ip": API_SERVER}],
            "conditions": conditions,
            "containerStatuses": [container.status() for container in self._mains],
        }
        if self._inits:
            status["initContainerStatuses"] = [container.status() for container in self._inits]
        if self._address:
            status |= {"podIP": self._address, "podIPs": [{"ip": self._address}]}
        return status

    def _phase(self, initialised: bool) -> str:
        if any(container.finished and container.exit_code != 0 for container in self._inits):
            return "Failed"
        if all(container.finished for container in self._mains):
            return "Succeeded" if all(container.exit_code == 0 for container in self._mains) else "Failed"
        begun = all(container.begun for container in self._mains)
        return "Running" if initialised and begun else "Pending"

    def _gates_open(self) -> bool:
        """Conditions that the pod waits for and others set, such as the load balancer's target health."""
        conditions = {c["type"]: c["status"] for c in self._pod.get("status", {}).get("conditions") or []}
        gates = self._spec.get("readinessGates", [])
        return all(conditions.get(gate["conditionType"]) == "True" for gate in gates)

    def _condition(self, kind: str, holds: bool, reason: str) -> Json:
        """The condition with the time of its last change."""
        value: Json = {"type": kind, "status": "True" if holds else "False"}
        if not holds:
            value |= {"reason": reason}
        last = self._transitions.get(kind)
        if last is None or last["status"] != value["status"]:
            last = value | {"lastTransitionTime": now()}
        # A null takes the old reason out of the merged condition.
        self._transitions[kind] = (
            {"reason": None} | value | {"lastTransitionTime": last["lastTransitionTime"]}
        )
        return self._transitions[kind]


def _give(directory: Path, user: int) -> None:
    """Let `user` own the directory and all in it."""
    for path in (directory, *directory.rglob("*")):
        shutil.chown(path, user, user)
