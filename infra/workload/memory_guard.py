"""The memory guard of a colour: evicts a backend pod above 85 % of its memory limit. The program is `in_pod/memory_guard.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from infra.workload import backend
from infra.workload.pods import NAME_LABEL, container_security, image_version, labels, pod_security, selector

NAME = "memory-guard"
# Seconds: metrics are taken every 15 s or more rarely, and a pod that is full soon after its start does not leak.
_PERIOD = 15
YOUNGEST = 300
_CPU = "20m"
_MEMORY = "64Mi"
_STORAGE = "64Mi"
_PROGRAM = "memory_guard.py"
_FOLDER = "/memory-guard"
_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_LIFE = 3600


@dataclass(frozen=True, slots=True)
class MemoryGuardArgs:
    """`image` has a `python3` of 3.9 or later; `percent` is the share of a memory limit above which a pod is evicted."""

    namespace: pulumi.Input[str]
    colour: str
    image: str
    percent: int


class MemoryGuard(pulumi.ComponentResource):
    """A Deployment of one pod, and a service account that may list the namespace's pods and their metrics, and evict them.

    Needs the metrics API, which metrics-server serves. One pod is enough: a guard that is away for a while leaves the memory
    limit, which restarts a container in any case.
    """

    def __init__(self, name: str, args: MemoryGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:workload:MemoryGuard", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def metadata(object_name: str | None) -> k8s.meta.v1.ObjectMetaArgs:
            return k8s.meta.v1.ObjectMetaArgs(
                name=object_name, namespace=args.namespace, labels=labels(NAME, image_version(args.image))
            )

        account = k8s.core.v1.ServiceAccount(
            f"{name}-account", metadata=metadata(NAME), automount_service_account_token=False, opts=child
        )
        role = k8s.rbac.v1.Role(f"{name}-role", metadata=metadata(NAME), rules=_rules(), opts=child)
        binding = k8s.rbac.v1.RoleBinding(
            f"{name}-binding",
            metadata=metadata(NAME),
            role_ref=k8s.rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata.name
            ),
            subjects=[
                k8s.rbac.v1.SubjectArgs(
                    kind="ServiceAccount", name=account.metadata.name, namespace=args.namespace
                )
            ],
            opts=child,
        )
        program = k8s.core.v1.ConfigMap(
            f"{name}-program",
            # The provider generates the name: see connection_pool.
            metadata=metadata(None),
            immutable=True,
            data={_PROGRAM: (Path(__file__).parent / "in_pod" / _PROGRAM).read_text()},
            opts=child,
        )
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata(NAME),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=1,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(NAME)),
                # Two would not harm, but there is no reason for it either.
                strategy=k8s.apps.v1.DeploymentStrategyArgs(type="Recreate"),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(labels=labels(NAME, image_version(args.image))),
                    spec=k8s.core.v1.PodSpecArgs(
                        service_account_name=account.metadata.name,
                        # Its token comes by the volume below, at the place where programs look for it.
                        automount_service_account_token=False,
                        containers=[_container(args)],
                        security_context=pod_security(),
                        termination_grace_period_seconds=5,
                        volumes=[
                            k8s.core.v1.VolumeArgs(
                                name="program",
                                config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=program.metadata.name),
                            ),
                            k8s.core.v1.VolumeArgs(name="account", projected=_account()),
                        ],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[binding]),
        )
        self.register_outputs({})


def _rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
    return [
        k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods"], verbs=["list"]),
        k8s.rbac.v1.PolicyRuleArgs(api_groups=["metrics.k8s.io"], resources=["pods"], verbs=["list"]),
        k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["pods/eviction"], verbs=["create"]),
    ]


def _container(args: MemoryGuardArgs) -> k8s.core.v1.ContainerArgs:
    variables: Mapping[str, str] = {
        "SELECTOR": f"{NAME_LABEL}={backend.NAME}",
        "COLOUR": args.colour,
        "PERCENT": str(args.percent),
        "PERIOD_SECONDS": str(_PERIOD),
        "YOUNGEST_SECONDS": str(YOUNGEST),
    }
    return k8s.core.v1.ContainerArgs(
        name=NAME,
        image=args.image,
        command=["python3", f"{_FOLDER}/{_PROGRAM}"],
        env=[
            k8s.core.v1.EnvVarArgs(
                name="NAMESPACE",
                value_from=k8s.core.v1.EnvVarSourceArgs(
                    field_ref=k8s.core.v1.ObjectFieldSelectorArgs(field_path="metadata.namespace")
                ),
            ),
            *(k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in variables.items()),
        ],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": _CPU, "memory": _MEMORY, "ephemeral-storage": _STORAGE},
            limits={"memory": _MEMORY, "ephemeral-storage": _STORAGE},
        ),
        security_context=container_security(),
        volume_mounts=[
            k8s.core.v1.VolumeMountArgs(name="program", mount_path=_FOLDER, read_only=True),
            k8s.core.v1.VolumeMountArgs(name="account", mount_path=_ACCOUNT_FOLDER, read_only=True),
        ],
    )


def _account() -> k8s.core.v1.ProjectedVolumeSourceArgs:
    """The service account's token, and the authority that the API server's certificate is checked by."""
    return k8s.core.v1.ProjectedVolumeSourceArgs(
        sources=[
            k8s.core.v1.VolumeProjectionArgs(
                service_account_token=k8s.core.v1.ServiceAccountTokenProjectionArgs(
                    path="token", expiration_seconds=_TOKEN_LIFE
                )
            ),
            k8s.core.v1.VolumeProjectionArgs(
                config_map=k8s.core.v1.ConfigMapProjectionArgs(
                    # In every namespace, by Kubernetes itself.
                    name="kube-root-ca.crt",
                    items=[k8s.core.v1.KeyToPathArgs(key="ca.crt", path="ca.crt")],
                )
            ),
        ]
    )
