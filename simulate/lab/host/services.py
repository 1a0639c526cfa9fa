"""The services of a lab: what runs, after what, and how its readiness is checked."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from simulate.lab.host import postgres
from simulate.lab.host.readiness import CommandSucceeds, Ended, FileExists, HttpAnswers, Readiness
from simulate.lab.kubernetes import control_plane as kubernetes
from simulate.lab.layout import AWS_ENDPOINT, ETCD_URL, LabPaths


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the lab.

    `after`: names of services that must be ready first. `timeout_s`: seconds from launch to readiness. `stop_first`:
    needs others even while it stops. Its log is `logs/<name>.log`.
    """

    name: str
    argv: tuple[str, ...]
    ready: Readiness
    after: tuple[str, ...] = ()
    timeout_s: float = 60.0
    stop_first: bool = False

    @property
    def step(self) -> bool:
        """Ends by itself and is then done."""
        return isinstance(self.ready, Ended)


def declared(paths: LabPaths, scratch: Path) -> tuple[Service, ...]:
    """All services, in an order in which each comes after what it needs. `scratch`: the lab's tmpfs."""
    token = json.loads(paths.kubeconfig.read_text())["users"][0]["user"]["token"]
    authority = paths.credentials / "ca.crt"
    database = scratch / "postgres"

    def module(name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", f"simulate.lab.{name}")

    return (
        Service("etcd", tuple(kubernetes.etcd_command(scratch / "etcd")), HttpAnswers(f"{ETCD_URL}/health")),
        Service(
            "kube-apiserver",
            tuple(kubernetes.api_server_command(paths)),
            HttpAnswers(f"{kubernetes.SERVER_URL}/readyz", authority, token),
            after=("etcd",),
        ),
        Service("initdb", tuple(postgres.initdb_command(database)), Ended()),
        Service(
            "postgres",
            tuple(postgres.server_command(database)),
            CommandSucceeds(tuple(postgres.ready_command())),
            after=("initdb",),
        ),
        Service("aws-server", module("aws_server"), HttpAnswers(f"{AWS_ENDPOINT}/moto-api/")),
        Service(
            "kube-controller-manager",
            tuple(kubernetes.controller_manager_command(paths)),
            HttpAnswers("https://127.0.0.1:10257/healthz", authority),
            after=("kube-apiserver",),
        ),
        Service(
            "kube-scheduler",
            tuple(kubernetes.scheduler_command(paths)),
            HttpAnswers("https://127.0.0.1:10259/healthz", authority),
            after=("kube-apiserver",),
        ),
        Service("kubernetes-objects", module("kubernetes.objects"), Ended(), after=("kube-apiserver",)),
        Service(
            "node-agent",
            module("node.agent"),
            FileExists(paths.node_agent_ready),
            after=("kube-apiserver",),
            stop_first=True,
        ),
        Service(
            "load-balancer",
            module("load_balancer"),
            FileExists(paths.load_balancer_ready),
            after=("aws-server", "kubernetes-objects"),
            stop_first=True,
        ),
    )
