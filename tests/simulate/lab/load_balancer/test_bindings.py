"""TargetGroupBindings and EndpointSlices -> registered targets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from simulate.lab.kubernetes.api import Change, Kind
from simulate.lab.load_balancer.gates import gate_of
from simulate.lab.load_balancer.model import Target
from simulate.lab.load_balancer.targets import (
    BINDINGS,
    PODS,
    SERVICES,
    SLICES,
    Cluster,
    Controller,
    Waiting,
)
from tests.simulate.lab.cloud import until

ARN = "arn:targetgroup/lab-blue/1"


def binding(port: int | str = 8000, **metadata: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "blue", "name": "backend", **metadata},
        "spec": {"targetGroupARN": ARN, "serviceRef": {"name": "backend", "port": port}},
    }


def service(name: str = "backend") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "blue", "name": name},
        "spec": {"ports": [{"name": "http", "port": 8000}]},
    }


def piece(*addresses: str, name: str = "a", ready: bool | None = True, port: int = 8080) -> dict[str, Any]:
    conditions = {} if ready is None else {"ready": ready}
    return {
        "metadata": {"namespace": "blue", "name": name, "labels": {"kubernetes.io/service-name": "backend"}},
        "ports": [{"name": "http", "port": port}, {"name": "other", "port": 1}],
        "endpoints": [{"addresses": [address], "conditions": conditions} for address in addresses],
    }


GATE = gate_of(binding())


def pod(
    name: str = "a", *, containers: bool = True, gate: str | None = None, gates: bool = True, **metadata: str
) -> dict[str, Any]:
    """A pod with the binding's gate, which is ``gate`` ("True", "False") or was never set."""
    conditions = [{"type": "ContainersReady", "status": str(containers)}]
    if gate is not None:
        conditions.append({"type": GATE, "status": gate})
    return {
        "metadata": {"namespace": "blue", "name": name, **metadata},
        "spec": {"readinessGates": [{"conditionType": GATE}] if gates else []},
        "status": {"conditions": conditions},
    }


def gated(address: str, pod_name: str = "a") -> dict[str, Any]:
    """The endpoint of a pod whose gate is closed: not ready."""
    found = piece(address, ready=False)
    found["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": pod_name}
    return found


def cluster(*pieces: dict[str, Any], bound: dict[str, Any] | None = None) -> Cluster:
    made = Cluster(services={("blue", "backend"): service()})
    made.bindings["blue", "backend"] = bound or binding()
    made.slices.update({("blue", p["metadata"]["name"]): p for p in pieces})
    return made


def test_ready_addresses_are_wanted_at_the_container_s_port() -> None:
    made = cluster(
        piece("10.0.0.1", "10.0.0.2"), piece("10.0.0.3", name="b"), piece("10.0.0.9", name="c", ready=False)
    )
    assert made.wanted() == {ARN: {Target(f"10.0.0.{n}", 8080) for n in (1, 2, 3)}}
    assert cluster(piece("10.0.0.1"), bound=binding("http")).wanted() == {ARN: {Target("10.0.0.1", 8080)}}
    assert cluster(piece("10.0.0.1", ready=None)).wanted()[ARN], "unknown is ready, by the API's own rule"


def test_other_services_and_namespaces_do_not_count() -> None:
    foreign = piece("10.0.0.1")
    foreign["metadata"]["labels"]["kubernetes.io/service-name"] = "pgbouncer"
    elsewhere = piece("10.0.0.2", name="b")
    made = cluster(foreign)
    made.slices["green", "b"] = elsewhere
    assert made.wanted() == {ARN: frozenset()}


def test_a_binding_without_its_service_or_port_wants_nothing_yet() -> None:
    assert cluster(piece("10.0.0.1"), bound=binding(9999)).wanted() == {ARN: frozenset()}
    made = cluster(piece("10.0.0.1"))
    made.services.clear()
    assert made.wanted() == {ARN: frozenset()}


def test_a_binding_on_its_way_out_is_gone() -> None:
    assert cluster(piece("10.0.0.1"), bound=binding(deletionTimestamp="now")).wanted() == {}


def with_pod(one: dict[str, Any]) -> Cluster:
    made = cluster(gated("10.0.0.1"))
    made.pods["blue", "a"] = one
    return made


def test_a_pod_that_waits_for_its_gate_is_registered_when_its_containers_are_ready() -> None:
    assert with_pod(pod()).wanted() == {ARN: {Target("10.0.0.1", 8080)}}
    assert with_pod(pod(gate="False")).wanted() == {ARN: {Target("10.0.0.1", 8080)}}
    assert with_pod(pod(containers=False)).wanted() == {ARN: frozenset()}
    assert with_pod(pod(gates=False)).wanted() == {ARN: frozenset()}, "without a gate it is just not ready"
    assert with_pod(pod(deletionTimestamp="now")).wanted() == {ARN: frozenset()}, "it drains"
    assert cluster(gated("10.0.0.1")).wanted() == {ARN: frozenset()}, "its pod is not known yet"


def test_pods_whose_gates_are_to_be_opened() -> None:
    waiting = Waiting("/api/v1/namespaces/blue/pods/a", GATE, Target("10.0.0.1", 8080), None)
    assert with_pod(pod()).waiting() == {ARN: [waiting]}
    (told,) = with_pod(pod(gate="False")).waiting()[ARN]
    assert told.condition == {"type": GATE, "status": "False"}
    for one in (pod(gate="True"), pod(containers=False), pod(gates=False), pod(deletionTimestamp="now")):
        assert with_pod(one).waiting() == {}


class FakeRegistry:
    def __init__(self, state: str = "healthy") -> None:
        self.targets: dict[str, set[Target]] = {}
        self.calls = 0
        self.state = state
        self.looks = 0

    def states(self, arn: str) -> dict[Target, str]:
        self.looks += 1
        return dict.fromkeys(self.targets.get(arn, set()), self.state)

    def register(self, arn: str, targets: Iterable[Target]) -> None:
        self.calls += 1
        self.targets.setdefault(arn, set()).update(targets)

    def deregister(self, arn: str, targets: Iterable[Target]) -> None:
        self.calls += 1
        self.targets[arn].difference_update(targets)


class FakeApi:
    """A cluster whose changes are put by the test."""

    def __init__(self) -> None:
        self.queues: dict[str, asyncio.Queue[Change]] = {
            path: asyncio.Queue() for path in (BINDINGS, SERVICES, SLICES, PODS)
        }
        self.patched: list[tuple[str, dict[str, Any]]] = []

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        (condition,) = body["status"]["conditions"]
        self.patched.append((path, condition))
        changed = pod()
        changed["status"]["conditions"].append(condition)
        self.put(PODS, changed)
        return changed

    def put(self, path: str, item: dict[str, Any], kind: Kind = Kind.CHANGED) -> None:
        self.queues[path].put_nowait(Change(kind, item))

    async def watch(self, path: str, **_: str) -> AsyncIterator[Change]:
        while True:
            yield await self.queues[path].get()


async def test_the_controller_follows_the_cluster() -> None:
    api, registry = FakeApi(), FakeRegistry()
    registry.targets[ARN] = {Target("10.0.0.99", 8080)}
    task = asyncio.create_task(Controller(api, registry, 0.01).run())  # type: ignore[arg-type]

    async def becomes(*addresses: str) -> None:
        wanted = {Target(address, 8080) for address in addresses}

        async def reached() -> bool:
            return registry.targets[ARN] == wanted

        await until(reached, 5)

    api.put(BINDINGS, binding())
    api.put(SERVICES, service())
    api.put(SLICES, piece("10.0.0.1", "10.0.0.2"))
    for path in api.queues:
        api.put(path, {}, Kind.SYNCED)
    await becomes("10.0.0.1", "10.0.0.2")
    api.put(SLICES, piece("10.0.0.2"))
    await becomes("10.0.0.2")
    api.put(BINDINGS, binding(), Kind.DELETED)
    await becomes()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_gate_opens_when_the_target_is_healthy_and_not_before() -> None:
    api, registry = FakeApi(), FakeRegistry("unused")
    task = asyncio.create_task(Controller(api, registry, 0.01).run())  # type: ignore[arg-type]
    for path, item in (
        (BINDINGS, binding()),
        (SERVICES, service()),
        (SLICES, gated("10.0.0.1")),
        (PODS, pod()),
    ):
        api.put(path, item)
        api.put(path, {}, Kind.SYNCED)

    async def told(status: str) -> bool:
        return bool(api.patched) and api.patched[-1][1]["status"] == status

    await until(lambda: told("False"), 5)
    assert registry.targets == {ARN: {Target("10.0.0.1", 8080)}}
    path, condition = api.patched[-1]
    assert path == "/api/v1/namespaces/blue/pods/a/status"
    assert (condition["type"], condition["reason"]) == (GATE, "Target.unused")
    looks = registry.looks
    await until(lambda: looked_again(registry, looks), 5)
    assert len(api.patched) == 1, "what has not changed is not told again"
    registry.state = "healthy"
    await until(lambda: told("True"), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def looked_again(registry: FakeRegistry, looks: int) -> bool:
    return registry.looks > looks + 3
