"""The part of the node agent that serves ClusterIPs and the names of Services."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from simulate.lab.host import hosts
from simulate.lab.kubernetes.api import Kind, KubeApi
from simulate.lab.layout import AWS_PORT, POD_GATEWAY
from simulate.lab.node.services import (
    Endpoints,
    Forwarder,
    Frontend,
    Port,
    endpoints,
    frontend,
    host_names,
    short_names,
)

Json = dict[str, Any]

#: Seconds between two checks of what no watch reports: names added by others, forwarders that died.
LOOK_PERIOD_S = 0.5
_log = logging.getLogger("node-agent")


class ServiceProxy:
    """Follows Services and EndpointSlices; keeps forwarders and hosts files in step with them."""

    def __init__(self, api: KubeApi, directory: Path, lab_hosts: Path, log: Path) -> None:
        self._api = api
        self._directory = directory
        self._lab_hosts = lab_hosts
        self._log = log
        self._services: dict[str, Json] = {}
        self._slices: dict[str, Json] = {}
        self._forwarders: dict[str, Forwarder] = {}
        self._pod_hosts: dict[str, Path] = {}
        self._dirty = asyncio.Event()
        self._synced = {"services": asyncio.Event(), "endpointslices": asyncio.Event()}
        directory.mkdir(exist_ok=True)

    @property
    def services(self) -> list[Json]:
        """The Services there are, as far as known."""
        return list(self._services.values())

    async def run(self) -> None:
        """For ever."""
        await self._forward_aws()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow("/api/v1/services", self._services, "services"))
            path = "/apis/discovery.k8s.io/v1/endpointslices"
            group.create_task(self._follow(path, self._slices, "endpointslices"))
            group.create_task(self._apply_changes())
            group.create_task(self._look_around())

    async def ready(self) -> None:
        """Wait until what existed at the start is known."""
        for event in self._synced.values():
            await event.wait()

    async def stop(self) -> None:
        forwarders = list(self._forwarders.values())
        self._forwarders.clear()  # so that nobody wonders why they end
        await asyncio.gather(*(forwarder.stop() for forwarder in forwarders))

    def pod_hosts(self, namespace: str) -> Path:
        """The hosts file of the pods of a namespace, which knows that namespace's short names as well."""
        path = self._pod_hosts.get(namespace)
        if path is None:
            path = self._pod_hosts[namespace] = self._directory / f"hosts.{namespace}"
            self._write_pod_hosts()
        return path

    async def _forward_aws(self) -> None:
        """The lab's AWS endpoint listens on the node's loopback, which pods do not see."""
        port = Port("", AWS_PORT)
        forwarder = Forwarder(Frontend(POD_GATEWAY, (port,)), "aws", self._directory, self._log)
        await forwarder.start()
        await forwarder.use({port: frozenset({f"127.0.0.1:{AWS_PORT}"})})
        self._forwarders["aws"] = forwarder

    async def _follow(self, path: str, known: dict[str, Json], name: str) -> None:
        async for change in self._api.watch(path):
            if change.kind is Kind.SYNCED:
                self._synced[name].set()
            elif change.kind is Kind.DELETED:
                known.pop(change.object["metadata"]["uid"], None)
            else:
                known[change.object["metadata"]["uid"]] = change.object
            self._dirty.set()

    async def _apply_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._apply()
            except (OSError, TimeoutError) as error:
                _log.error("ClusterIPs: %s", error)
                await asyncio.sleep(1)
                self._dirty.set()

    async def _apply(self) -> None:
        services = dict(self._services)  # they may change while we wait
        wanted = {uid: of for uid, service in services.items() if (of := frontend(service)) is not None}
        for uid in [uid for uid in self._forwarders if uid != "aws"]:
            if wanted.get(uid) != self._forwarders[uid].frontend:
                await self._forwarders.pop(uid).stop()
        for uid, of in wanted.items():
            if uid not in self._forwarders:
                forwarder = Forwarder(of, uid, self._directory, self._log)
                await forwarder.start()
                self._forwarders[uid] = forwarder
            await self._forwarders[uid].use(self._endpoints(services[uid], of))
        hosts.set_section(self._lab_hosts, "kubernetes", host_names(services.values()))
        self._write_pod_hosts()

    def _endpoints(self, service: Json, of: Frontend) -> Endpoints:
        metadata = service["metadata"]
        own = [
            part
            for part in self._slices.values()
            if part["metadata"]["namespace"] == metadata["namespace"]
            and part["metadata"].get("labels", {}).get("kubernetes.io/service-name") == metadata["name"]
        ]
        return endpoints(of, own)

    async def _look_around(self) -> None:
        """Names that others add to the lab's hosts file must reach the pods' files as well; forwarders must live.

        Raises OSError for a forwarder that died: a lab that lost a part must not keep running as if it were whole.
        """
        seen = 0
        while True:
            for forwarder in self._forwarders.values():
                forwarder.check()
            stamp = self._lab_hosts.stat().st_mtime_ns
            if stamp != seen:
                seen = stamp
                self._write_pod_hosts()
            await asyncio.sleep(LOOK_PERIOD_S)

    def _write_pod_hosts(self) -> None:
        for namespace, path in self._pod_hosts.items():
            own = short_names(self._services.values(), namespace)
            hosts.copy_with(self._lab_hosts, path, "namespace", own)
