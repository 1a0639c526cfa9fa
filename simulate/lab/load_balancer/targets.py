"""TargetGroupBindings of the cluster -> targets registered in their target groups, as the AWS Load Balancer Controller
does for ``targetType: ip``.

A pod's address is registered while its endpoint is ready and deregistered as soon as it is not, so also when the pod
begins to terminate. Not emulated: pod readiness gates (a rolling update does not wait for the ALB's health), the
binding's finalizer, bindings of instances.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from simulate.lab.kubernetes.api import Json, Kind, KubeApi
from simulate.lab.load_balancer.model import Target

_LOG = logging.getLogger(__name__)

BINDINGS = "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings"
SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"

#: Seconds after which a registration that failed is tried again.
_RETRY_S = 1.0


class Registry(Protocol):
    """Where targets are registered."""

    def registered(self, arn: str) -> frozenset[Target]: ...
    def register(self, arn: str, targets: Iterable[Target]) -> None: ...
    def deregister(self, arn: str, targets: Iterable[Target]) -> None: ...


@dataclass(frozen=True, slots=True)
class ElbRegistry:
    """Target groups of AWS's API. ``elbv2`` is a client of boto3; its errors pass through."""

    elbv2: Any

    def registered(self, arn: str) -> frozenset[Target]:
        answer = self.elbv2.describe_target_health(TargetGroupArn=arn)
        return frozenset(
            Target(item["Target"]["Id"], int(item["Target"]["Port"]))
            for item in answer["TargetHealthDescriptions"]
            if item["TargetHealth"]["State"] != "draining"
        )

    def register(self, arn: str, targets: Iterable[Target]) -> None:
        self.elbv2.register_targets(TargetGroupArn=arn, Targets=_descriptions(targets))

    def deregister(self, arn: str, targets: Iterable[Target]) -> None:
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=_descriptions(targets))


def _descriptions(targets: Iterable[Target]) -> list[dict[str, Any]]:
    return [{"Id": target.ip, "Port": target.port} for target in targets]


@dataclass(slots=True)
class Cluster:
    """The objects of the cluster that decide which targets there are, by (namespace, name)."""

    bindings: dict[tuple[str, str], Json] = field(default_factory=dict)
    services: dict[tuple[str, str], Json] = field(default_factory=dict)
    slices: dict[tuple[str, str], Json] = field(default_factory=dict)

    def wanted(self) -> dict[str, frozenset[Target]]:
        """The targets that should be registered, by target group ARN."""
        result: dict[str, frozenset[Target]] = {}
        for (namespace, _), binding in self.bindings.items():
            spec = binding["spec"]
            arn, reference = spec.get("targetGroupARN"), spec["serviceRef"]
            service = self.services.get((namespace, reference["name"]))
            if arn is None or "deletionTimestamp" in binding["metadata"]:
                continue
            targets = (
                frozenset[Target]() if service is None else self._endpoints(namespace, service, reference)
            )
            result[arn] = result.get(arn, frozenset()) | targets
        return result

    def _endpoints(self, namespace: str, service: Json, reference: Json) -> frozenset[Target]:
        port = next(
            (p for p in service["spec"]["ports"] if reference["port"] in (p["port"], p.get("name"))), None
        )
        if port is None:
            return frozenset()
        return frozenset(
            Target(address, number)
            for (where, _), piece in self.slices.items()
            if where == namespace
            and piece["metadata"].get("labels", {}).get("kubernetes.io/service-name")
            == service["metadata"]["name"]
            for number in _ports(piece, port.get("name") or "")
            for endpoint in piece.get("endpoints") or ()
            if endpoint.get("conditions", {}).get("ready", True)
            for address in endpoint["addresses"]
        )


def _ports(piece: Json, name: str) -> list[int]:
    """The target ports of a slice; a service's only port may be without a name."""
    return [port["port"] for port in piece.get("ports") or () if (port.get("name") or "") == name]


class Controller:
    """Follows the cluster and keeps the target groups' registrations equal to it."""

    def __init__(self, api: KubeApi, registry: Registry) -> None:
        self._api = api
        self._registry = registry
        self._cluster = Cluster()
        self._changed = asyncio.Event()
        self._managed: set[str] = set()

    async def run(self) -> None:
        """Runs for ever; an API that does not answer is asked again."""
        async with asyncio.TaskGroup() as group:
            for path, store in (
                (BINDINGS, self._cluster.bindings),
                (SERVICES, self._cluster.services),
                (SLICES, self._cluster.slices),
            ):
                group.create_task(self._follow(path, store))
            group.create_task(self._reconcile())

    async def _follow(self, path: str, store: dict[tuple[str, str], Json]) -> None:
        synced = False
        async for change in self._api.watch(path):
            if change.kind is Kind.SYNCED:
                synced = True
            else:
                metadata: Mapping[str, str] = change.object["metadata"]
                key = (metadata["namespace"], metadata["name"])
                if change.kind is Kind.DELETED:
                    store.pop(key, None)
                else:
                    store[key] = change.object
            # Not before all is known: half of the endpoints would look like the rest had gone.
            if synced:
                self._changed.set()

    async def _reconcile(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            # Endpoints of one rollout step come in a burst.
            await asyncio.sleep(0.02)
            wanted = self._cluster.wanted()
            gone = {arn: frozenset[Target]() for arn in self._managed - wanted.keys()}
            for arn, targets in {**gone, **wanted}.items():
                try:
                    await asyncio.to_thread(self._align, arn, targets)
                    self._managed = (self._managed | {arn}) if arn in wanted else self._managed - {arn}
                except (ClientError, BotoCoreError) as error:
                    if arn in gone and "TargetGroupNotFound" in str(error):
                        self._managed.discard(arn)
                        continue
                    _LOG.warning("targets of %s: %s; trying again", arn, error)
                    asyncio.get_running_loop().call_later(_RETRY_S, self._changed.set)

    def _align(self, arn: str, wanted: frozenset[Target]) -> None:
        registered = self._registry.registered(arn)
        if new := sorted(wanted - registered, key=str):
            _LOG.info("%s: registering %s", arn.rpartition(":")[2], _listed(new))
            self._registry.register(arn, new)
        if old := sorted(registered - wanted, key=str):
            _LOG.info("%s: deregistering %s", arn.rpartition(":")[2], _listed(old))
            self._registry.deregister(arn, old)


def _listed(targets: Iterable[Target]) -> str:
    return ", ".join(f"{target.ip}:{target.port}" for target in targets)
