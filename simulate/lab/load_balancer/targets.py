"""TargetGroupBindings of the cluster -> targets registered in their target groups, as the AWS Load Balancer Controller
does for ``targetType: ip``.

A pod's address is registered while its endpoint is ready and deregistered as soon as it is not, so also when the pod
begins to terminate. A pod that waits for a binding's readiness gate is registered as soon as its containers are ready, and
the gate opens once the target is healthy. Not emulated: the binding's finalizer, bindings of instances.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from simulate.lab.kubernetes.api import Json, Kind, KubeApi, KubeError
from simulate.lab.load_balancer.gates import gate_of
from simulate.lab.load_balancer.model import Target

_LOG = logging.getLogger(__name__)

BINDINGS = "/apis/elbv2.k8s.aws/v1beta1/targetgroupbindings"
SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
PODS = "/api/v1/pods"

#: Seconds after which a registration that failed is tried again.
_RETRY_S = 1.0


class Registry(Protocol):
    """Where targets are registered."""

    def states(self, arn: str) -> Mapping[Target, str]: ...
    def register(self, arn: str, targets: Iterable[Target]) -> None: ...
    def deregister(self, arn: str, targets: Iterable[Target]) -> None: ...


@dataclass(frozen=True, slots=True)
class ElbRegistry:
    """Target groups of AWS's API. ``elbv2`` is a client of boto3; its errors pass through."""

    elbv2: Any

    def states(self, arn: str) -> Mapping[Target, str]:
        """Target -> its health in AWS's words, of all that are registered and not draining."""
        answer = self.elbv2.describe_target_health(TargetGroupArn=arn)
        return {
            Target(item["Target"]["Id"], int(item["Target"]["Port"])): item["TargetHealth"]["State"]
            for item in answer["TargetHealthDescriptions"]
            if item["TargetHealth"]["State"] != "draining"
        }

    def register(self, arn: str, targets: Iterable[Target]) -> None:
        self.elbv2.register_targets(TargetGroupArn=arn, Targets=_descriptions(targets))

    def deregister(self, arn: str, targets: Iterable[Target]) -> None:
        self.elbv2.deregister_targets(TargetGroupArn=arn, Targets=_descriptions(targets))


def _descriptions(targets: Iterable[Target]) -> list[dict[str, Any]]:
    return [{"Id": target.ip, "Port": target.port} for target in targets]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pod (its path) that waits for a gate; ``condition`` is what it was told of it, ``None`` if nothing."""

    path: str
    gate: str
    target: Target
    condition: Json | None


@dataclass(slots=True)
class Cluster:
    """The objects of the cluster that decide which targets there are, by (namespace, name)."""

    bindings: dict[tuple[str, str], Json] = field(default_factory=dict)
    services: dict[tuple[str, str], Json] = field(default_factory=dict)
    slices: dict[tuple[str, str], Json] = field(default_factory=dict)
    pods: dict[tuple[str, str], Json] = field(default_factory=dict)

    def wanted(self) -> dict[str, frozenset[Target]]:
        """The targets that should be registered, by target group ARN."""
        result: dict[str, frozenset[Target]] = {}
        for arn, binding in self._bound():
            targets = frozenset(target for target, _ in self._endpoints(binding))
            result[arn] = result.get(arn, frozenset()) | targets
        return result

    def waiting(self) -> dict[str, list[Waiting]]:
        """The pods whose gates are not open, by target group ARN."""
        result: defaultdict[str, list[Waiting]] = defaultdict(list)
        for arn, binding in self._bound():
            gate = gate_of(binding)
            for target, pod in self._endpoints(binding):
                if pod is None or not _has_gate(pod, gate):
                    continue
                condition = _condition(pod, gate)
                if condition is None or condition["status"] != "True":
                    metadata = pod["metadata"]
                    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                    result[arn].append(Waiting(path, gate, target, condition))
        return dict(result)

    def _bound(self) -> Iterator[tuple[str, Json]]:
        for binding in self.bindings.values():
            arn = binding["spec"].get("targetGroupARN")
            if arn is not None and "deletionTimestamp" not in binding["metadata"]:
                yield arn, binding

    def _endpoints(self, binding: Json) -> Iterator[tuple[Target, Json | None]]:
        """The targets of a binding, each with its pod as far as it is known."""
        namespace, reference = binding["metadata"]["namespace"], binding["spec"]["serviceRef"]
        service = self.services.get((namespace, reference["name"]))
        ports = service["spec"]["ports"] if service else ()
        port = next((p for p in ports if reference["port"] in (p["port"], p.get("name"))), None)
        if service is None or port is None:
            return
        for (where, _), piece in self.slices.items():
            labels = piece["metadata"].get("labels", {})
            if where != namespace or labels.get("kubernetes.io/service-name") != service["metadata"]["name"]:
                continue
            for endpoint in piece.get("endpoints") or ():
                pod = self.pods.get((namespace, endpoint.get("targetRef", {}).get("name", "")))
                if endpoint.get("conditions", {}).get("ready", True) or _only_gated(pod, gate_of(binding)):
                    for number in _ports(piece, port.get("name") or ""):
                        for address in endpoint["addresses"]:
                            yield Target(address, number), pod


def _only_gated(pod: Json | None, gate: str) -> bool:
    """Whether a pod could serve, and has the gate to wait for."""
    if pod is None or "deletionTimestamp" in pod["metadata"] or not _has_gate(pod, gate):
        return False
    ready = _condition(pod, "ContainersReady")
    return ready is not None and ready["status"] == "True"


def _has_gate(pod: Json, gate: str) -> bool:
    return any(one["conditionType"] == gate for one in pod["spec"].get("readinessGates") or ())


def _condition(pod: Json, kind: str) -> Json | None:
    conditions: Iterable[Json] = pod.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), None)


def _ports(piece: Json, name: str) -> list[int]:
    """The target ports of a slice; a service's only port may be without a name."""
    return [port["port"] for port in piece.get("ports") or () if (port.get("name") or "") == name]


class Controller:
    """Follows the cluster, keeps the target groups' registrations equal to it, and opens the pods' gates.

    ``poll_s``: how often the health of a target is asked for whose pod waits.
    """

    def __init__(self, api: KubeApi, registry: Registry, poll_s: float) -> None:
        self._api = api
        self._poll_s = poll_s
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
                (PODS, self._cluster.pods),
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
                    self._again_in(_RETRY_S)
            await self._open_gates()

    def _again_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._changed.set)

    async def _open_gates(self) -> None:
        waiting = self._cluster.waiting()
        for arn, pods in waiting.items():
            try:
                states = await asyncio.to_thread(self._registry.states, arn)
            except (ClientError, BotoCoreError) as error:
                _LOG.warning("health of %s: %s; trying again", arn, error)
                continue
            for pod in pods:
                await self._tell(pod, states.get(pod.target, "not registered"))
        if waiting:
            self._again_in(self._poll_s)

    async def _tell(self, pod: Waiting, state: str) -> None:
        """Sets the pod's condition, if it is not what it was told last."""
        condition = {"type": pod.gate, "status": "True" if state == "healthy" else "False"}
        condition["reason"] = "" if state == "healthy" else f"Target.{state}"
        before = pod.condition or {}
        if all(before.get(key, "") == value for key, value in condition.items()):
            return
        try:
            await self._api.patch(f"{pod.path}/status", {"status": {"conditions": [condition]}})
        except (KubeError, aiohttp.ClientError, TimeoutError) as error:
            _LOG.info("gate %s of %s: %s", pod.gate, pod.path, error)  # it may be gone; else it is told again

    def _align(self, arn: str, wanted: frozenset[Target]) -> None:
        registered = frozenset(self._registry.states(arn))
        if new := sorted(wanted - registered, key=str):
            _LOG.info("%s: registering %s", arn.rpartition(":")[2], _listed(new))
            self._registry.register(arn, new)
        if old := sorted(registered - wanted, key=str):
            _LOG.info("%s: deregistering %s", arn.rpartition(":")[2], _listed(old))
            self._registry.deregister(arn, old)


def _listed(targets: Iterable[Target]) -> str:
    return ", ".join(f"{target.ip}:{target.port}" for target in targets)
