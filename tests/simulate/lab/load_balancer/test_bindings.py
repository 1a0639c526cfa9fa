"""TargetGroupBindings and EndpointSlices -> registered targets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from simulate.lab.kubernetes.api import Change, Kind
from simulate.lab.load_balancer.model import Target
from simulate.lab.load_balancer.targets import BINDINGS, SERVICES, SLICES, Cluster, Controller
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


class FakeRegistry:
    def __init__(self) -> None:
        self.targets: dict[str, set[Target]] = {}
        self.calls = 0

    def registered(self, arn: str) -> frozenset[Target]:
        return frozenset(self.targets.get(arn, set()))

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
            path: asyncio.Queue() for path in (BINDINGS, SERVICES, SLICES)
        }

    def put(self, path: str, item: dict[str, Any], kind: Kind = Kind.CHANGED) -> None:
        self.queues[path].put_nowait(Change(kind, item))

    async def watch(self, path: str, **_: str) -> AsyncIterator[Change]:
        while True:
            yield await self.queues[path].get()


async def test_the_controller_follows_the_cluster() -> None:
    api, registry = FakeApi(), FakeRegistry()
    registry.targets[ARN] = {Target("10.0.0.99", 8080)}
    task = asyncio.create_task(Controller(api, registry).run())  # type: ignore[arg-type]

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
