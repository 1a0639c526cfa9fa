"""The backend of one colour: its pods and how the load balancer reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pulumi
import pulumi_kubernetes as k8s

from infra.stacks import BACKEND_PORT, SERVICE_ACCOUNT
from infra.workload.pgbouncer_ini import SURGE
from infra.workload.pods import (
    PROGRESS_DEADLINE,
    budget,
    container_security,
    drain,
    labels,
    pod_security,
    restarts,
    roll_out_limit,
    selector,
    spread,
)

NAME = "backend"
# Seconds after the drain in which the last requests are answered and the websockets are closed.
_SHUTDOWN = 30
# Seconds that a pod has to answer `/health` for the first time.
_STARTUP = 60
_DATABASE_URL = "DATABASE_URL"


@dataclass(frozen=True, slots=True)
class BackendArgs:
    """`image` with its tag; `memory` and `ephemeral_storage` are request and limit; `drain_seconds` as in the settings.

    `region` is where the application's metrics go. `web_identity_role` is the ARN of the role that its service account
    names, where the cluster does not give it one by EKS Pod Identity.
    """

    namespace: pulumi.Input[str]
    colour: str
    version: str
    image: str
    replicas: int
    cpu: str
    memory: str
    ephemeral_storage: str
    environment: Mapping[str, str]
    region: str
    web_identity_role: str | None
    drain_seconds: int
    restarts: int
    priority_class: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_port: pulumi.Input[int]
    database_name: pulumi.Input[str]
    database_user: pulumi.Input[str]
    database_password: pulumi.Input[str]
    target_group_arn: pulumi.Input[str]
    probe_target_group_arn: pulumi.Input[str]
    vpc_id: pulumi.Input[str]


class Backend(pulumi.ComponentResource):
    """Deployment, Service, service account, disruption budget, and TargetGroupBindings to the target groups of users and of probes.

    The order matters. The load balancer's controller injects readiness gates only into pods that are created while their
    Service is bound to target groups; so Service, bindings, pods. On deletion the reverse: the pods drain while bound.
    """

    def __init__(self, name: str, args: BackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:workload:Backend", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        service = k8s.core.v1.Service(
            f"{name}-service",
            metadata=_metadata(
                NAME,
                args,
                # Its pods are created after it, so nothing may wait for them here.
                {"pulumi.com/skipAwait": "true"},
            ),
            spec=k8s.core.v1.ServiceSpecArgs(
                selector=selector(NAME),
                ports=[k8s.core.v1.ServicePortArgs(name="http", port=BACKEND_PORT, target_port="http")],
            ),
            opts=child,
        )
        bindings = [
            k8s.apiextensions.CustomResource(
                resource,
                api_version="elbv2.k8s.aws/v1beta1",
                kind="TargetGroupBinding",
                metadata=_metadata(bound, args),
                spec={
                    "targetGroupARN": arn,
                    "targetType": "ip",
                    "vpcID": args.vpc_id,
                    "serviceRef": {"name": service.metadata.name, "port": BACKEND_PORT},
                },
                opts=child,
            )
            for resource, bound, arn in (
                (f"{name}-binding", NAME, args.target_group_arn),
                (f"{name}-probe-binding", f"{NAME}-probe", args.probe_target_group_arn),
            )
        ]
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=_metadata(SERVICE_ACCOUNT, args, _role_annotation(args)),
            # The pods ask nothing of Kubernetes. What shows them to AWS is another token, which EKS mounts by itself.
            automount_service_account_token=False,
            opts=child,
        )
        environment = k8s.core.v1.Secret(
            f"{name}-environment",
            # The provider generates the name: see connection_pool.
            metadata=_metadata(None, args),
            immutable=True,
            string_data={_DATABASE_URL: _database_url(args)},
            opts=child,
        )
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=_metadata(NAME, args),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=args.replicas,
                progress_deadline_seconds=PROGRESS_DEADLINE,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(NAME)),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=SURGE)
                ),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(
                        labels=labels(NAME, args.version), annotations=restarts(args.restarts)
                    ),
                    spec=k8s.core.v1.PodSpecArgs(
                        containers=[_container(args, environment.metadata.name)],
                        service_account_name=account.metadata.name,
                        automount_service_account_token=False,
                        priority_class_name=args.priority_class,
                        security_context=pod_security(),
                        termination_grace_period_seconds=args.drain_seconds + _SHUTDOWN,
                        topology_spread_constraints=spread(NAME),
                        volumes=[
                            k8s.core.v1.VolumeArgs(
                                name="tmp",
                                empty_dir=k8s.core.v1.EmptyDirVolumeSourceArgs(
                                    size_limit=args.ephemeral_storage
                                ),
                            )
                        ],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=bindings, custom_timeouts=roll_out_limit(args.replicas)
            ),
        )
        k8s.policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=_metadata(NAME, args),
            spec=budget(NAME),
            opts=child,
        )
        self.register_outputs({})


def _metadata(
    object_name: str | None, args: BackendArgs, annotations: Mapping[str, str] | None = None
) -> k8s.meta.v1.ObjectMetaArgs:
    return k8s.meta.v1.ObjectMetaArgs(
        name=object_name, namespace=args.namespace, labels=labels(NAME, args.version), annotations=annotations
    )


def _role_annotation(args: BackendArgs) -> dict[str, str] | None:
    role = args.web_identity_role
    return {"eks.amazonaws.com/role-arn": role} if role else None


def _database_url(args: BackendArgs) -> pulumi.Output[str]:
    return pulumi.Output.all(
        args.database_user, args.database_password, args.database_host, args.database_port, args.database_name
    ).apply(lambda parts: database_url(*(str(part) for part in parts)))


def database_url(user: str, password: str, host: str, port: str, database: str) -> str:
    """A libpq URL; user and password may contain any character."""
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{database}"


def _container(args: BackendArgs, environment_secret: pulumi.Input[str]) -> k8s.core.v1.ContainerArgs:
    plain = {
        "COLOUR": args.colour,
        "VERSION": args.version,
        "AWS_REGION": args.region,
        **args.environment,
    }
    secret = k8s.core.v1.EnvVarArgs(
        name=_DATABASE_URL,
        value_from=k8s.core.v1.EnvVarSourceArgs(
            secret_key_ref=k8s.core.v1.SecretKeySelectorArgs(name=environment_secret, key=_DATABASE_URL)
        ),
    )
    return k8s.core.v1.ContainerArgs(
        name=NAME,
        image=args.image,
        ports=[k8s.core.v1.ContainerPortArgs(name="http", container_port=BACKEND_PORT)],
        env=[
            *(k8s.core.v1.EnvVarArgs(name=key, value=value) for key, value in sorted(plain.items())),
            secret,
        ],
        startup_probe=_probe("/health", period=1, failures=_STARTUP),
        liveness_probe=_probe("/health", period=5, failures=3),
        # Two in a row take the pod out of its Service and its target group.
        readiness_probe=_probe("/ready", period=2, failures=2),
        lifecycle=drain(args.drain_seconds),
        resources=k8s.core.v1.ResourceRequirementsArgs(
            # No CPU limit: throttling would show as latency of the candidate. Exceeding the memory limit restarts the
            # pod (Risk 7).
            requests={
                "cpu": args.cpu,
                "memory": args.memory,
                "ephemeral-storage": args.ephemeral_storage,
            },
            # A pod that fills its disk is evicted alone, before it takes its node's.
            limits={"memory": args.memory, "ephemeral-storage": args.ephemeral_storage},
        ),
        security_context=container_security(),
        volume_mounts=[k8s.core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")],  # noqa: S108 - the pod's own
    )


def _probe(path: str, *, period: int, failures: int) -> k8s.core.v1.ProbeArgs:
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port="http"),
        period_seconds=period,
        timeout_seconds=2,
        failure_threshold=failures,
    )
