"""Who may talk to whom in a colour's namespace: nothing that is not allowed here, in either direction.

Kubernetes stores the policies; a network plugin enforces them (on EKS the VPC CNI, with its network policy agent switched
on). Security groups apply besides: they say which addresses reach the pods and the database at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_kubernetes as k8s

from infra.stacks import BACKEND_PORT
from infra.workload import backend, connection_pool, memory_guard, pgbouncer_ini
from infra.workload.pods import PART_OF, selector

_ANYWHERE = "0.0.0.0/0"
_DNS = 53
_HTTPS = 443
# EKS's node-local services: the DNS cache, and the agent that gives pods their AWS credentials (Pod Identity).
_NODE_LOCAL_DNS = "169.254.20.10/32"
_POD_IDENTITY = "169.254.170.23/32"
_POD_IDENTITY_PORT = 80
_DNS_NAMESPACE = {"kubernetes.io/metadata.name": "kube-system"}


@dataclass(frozen=True, slots=True)
class Destination:
    """An address range and a TCP port, beyond those that every backend needs."""

    cidr: IPv4Network
    port: int


@dataclass(frozen=True, slots=True)
class NetworkPoliciesArgs:
    """`backend_egress`: what the backend may reach besides its pool, HTTPS and DNS. `database_port` is the server's."""

    namespace: pulumi.Input[str]
    database_port: int
    backend_egress: Sequence[Destination]


class NetworkPolicies(pulumi.ComponentResource):
    """Denies everything, then allows: users to the backend, the backend to its pool and to HTTPS, the pool to the database."""

    def __init__(
        self, name: str, args: NetworkPoliciesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("simple378:workload:NetworkPolicies", name, None, opts)
        self._args = args
        self._policy(f"{name}-deny", "deny-all", {}, ingress=[], egress=[])
        self._policy(
            f"{name}-backend",
            backend.NAME,
            selector(backend.NAME),
            # The load balancer's addresses change; its security group is the only one that the pods' group admits here.
            ingress=[_from([], BACKEND_PORT)],
            egress=[
                *_name_service(),
                _to([_pods(connection_pool.NAME)], pgbouncer_ini.PORT),
                _to([_block(_ANYWHERE)], _HTTPS),
                _to([_block(_POD_IDENTITY)], _POD_IDENTITY_PORT),
                *(_to([_block(str(more.cidr))], more.port) for more in args.backend_egress),
            ],
        )
        self._policy(
            f"{name}-pool",
            connection_pool.NAME,
            selector(connection_pool.NAME),
            ingress=[_from([_pods(backend.NAME)], pgbouncer_ini.PORT)],
            # The database's address changes with a failover; its security group admits the pods only.
            egress=[*_name_service(), _to([_block(_ANYWHERE)], args.database_port)],
        )
        self._policy(
            f"{name}-memory-guard",
            memory_guard.NAME,
            selector(memory_guard.NAME),
            ingress=[],
            # The API server: its addresses are the cluster's.
            egress=[_to([_block(_ANYWHERE)], _HTTPS)],
        )
        self.register_outputs({})

    def _policy(
        self,
        resource: str,
        object_name: str,
        pods: dict[str, str],
        *,
        ingress: list[k8s.networking.v1.NetworkPolicyIngressRuleArgs],
        egress: list[k8s.networking.v1.NetworkPolicyEgressRuleArgs],
    ) -> None:
        k8s.networking.v1.NetworkPolicy(
            resource,
            metadata=k8s.meta.v1.ObjectMetaArgs(
                name=object_name, namespace=self._args.namespace, labels=PART_OF
            ),
            spec=k8s.networking.v1.NetworkPolicySpecArgs(
                pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=pods),
                policy_types=["Ingress", "Egress"],
                ingress=ingress,
                egress=egress,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _name_service() -> list[k8s.networking.v1.NetworkPolicyEgressRuleArgs]:
    cluster = k8s.networking.v1.NetworkPolicyPeerArgs(
        namespace_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=_DNS_NAMESPACE)
    )
    ports = [
        k8s.networking.v1.NetworkPolicyPortArgs(protocol=protocol, port=_DNS) for protocol in ("UDP", "TCP")
    ]
    return [k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=[cluster, _block(_NODE_LOCAL_DNS)], ports=ports)]


def _to(
    peers: list[k8s.networking.v1.NetworkPolicyPeerArgs], port: int
) -> k8s.networking.v1.NetworkPolicyEgressRuleArgs:
    return k8s.networking.v1.NetworkPolicyEgressRuleArgs(to=peers, ports=[_tcp(port)])


def _from(
    peers: list[k8s.networking.v1.NetworkPolicyPeerArgs], port: int
) -> k8s.networking.v1.NetworkPolicyIngressRuleArgs:
    return k8s.networking.v1.NetworkPolicyIngressRuleArgs(from_=peers or None, ports=[_tcp(port)])


def _tcp(port: int) -> k8s.networking.v1.NetworkPolicyPortArgs:
    return k8s.networking.v1.NetworkPolicyPortArgs(protocol="TCP", port=port)


def _pods(name: str) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    return k8s.networking.v1.NetworkPolicyPeerArgs(
        pod_selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(name))
    )


def _block(cidr: str) -> k8s.networking.v1.NetworkPolicyPeerArgs:
    return k8s.networking.v1.NetworkPolicyPeerArgs(ip_block=k8s.networking.v1.IPBlockArgs(cidr=cidr))
