"""pgbouncer, through which a colour's backend reaches the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.workload import pgbouncer_ini
from infra.workload.pgbouncer_ini import SURGE
from infra.workload.pods import (
    PROGRESS_DEADLINE,
    budget,
    container_security,
    drain,
    image_version,
    labels,
    pod_security,
    restarts,
    roll_out_limit,
    selector,
    spread,
)

NAME = "pgbouncer"
# pgbouncer is single-threaded; its use of CPU and memory hardly depends on the load.
_CPU = "250m"
_MEMORY = "128Mi"
# Its log only: the file system is read-only.
_STORAGE = "64Mi"
# Seconds after the drain in which it closes its connections.
_SHUTDOWN = 10


@dataclass(frozen=True, slots=True)
class ConnectionPoolArgs:
    """`pool_size` and `max_client_connections` are for each of the `replicas`; `database_ca` is PEM, which the database's
    certificate is checked against."""

    namespace: pulumi.Input[str]
    image: str
    replicas: int
    pool_size: int
    max_client_connections: int
    drain_seconds: int
    restarts: int
    priority_class: pulumi.Input[str]
    database_host: pulumi.Input[str]
    database_port: pulumi.Input[int]
    database_name: pulumi.Input[str]
    database_user: pulumi.Input[str]
    database_password: pulumi.Input[str]
    database_tls: str
    database_ca: str | None
    query_timeout: int
    prepared_statements: int


class ConnectionPool(pulumi.ComponentResource):
    """pgbouncer's Deployment and Service. A change of its configuration replaces its pods one by one."""

    port: int
    host: pulumi.Output[str]

    def __init__(
        self, name: str, args: ConnectionPoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("simple378:workload:ConnectionPool", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def metadata(
            object_name: str | None, annotations: Mapping[str, str] | None = None
        ) -> k8s.meta.v1.ObjectMetaArgs:
            return k8s.meta.v1.ObjectMetaArgs(
                name=object_name,
                namespace=args.namespace,
                labels=labels(NAME, image_version(args.image)),
                annotations=annotations,
            )

        ini = pulumi.Output.all(args.database_host, args.database_port, args.database_name).apply(
            lambda parts: pgbouncer_ini.render_ini(
                pgbouncer_ini.Pool(
                    database_host=str(parts[0]),
                    database_port=int(parts[1]),
                    database_name=str(parts[2]),
                    size=args.pool_size,
                    clients=args.max_client_connections,
                    tls=args.database_tls,
                    query_timeout=args.query_timeout,
                    prepared_statements=args.prepared_statements,
                    verified=args.database_ca is not None,
                )
            )
        )
        users = pulumi.Output.all(args.database_user, args.database_password).apply(
            lambda parts: pgbouncer_ini.render_users(str(parts[0]), str(parts[1]))
        )
        # pgbouncer reads its files when it starts. They are immutable and their names are generated: changed content
        # is a new object with a new name, so the pods that mount it are replaced one by one. Under a fixed name a change
        # would delete the pods first.
        config = k8s.core.v1.ConfigMap(
            f"{name}-config",
            metadata=metadata(None),
            immutable=True,
            data={
                pgbouncer_ini.CONFIG_FILE: ini,
                **({pgbouncer_ini.CA_FILE: args.database_ca} if args.database_ca else {}),
            },
            opts=child,
        )
        secret = k8s.core.v1.Secret(
            f"{name}-users",
            metadata=metadata(None),
            immutable=True,
            string_data={pgbouncer_ini.USERS_FILE: users},
            opts=child,
        )
        probe = k8s.core.v1.TCPSocketActionArgs(port=pgbouncer_ini.PORT)
        container = k8s.core.v1.ContainerArgs(
            name=NAME,
            image=args.image,
            command=["pgbouncer"],
            args=[f"{pgbouncer_ini.CONFIG_FOLDER}/{pgbouncer_ini.CONFIG_FILE}"],
            ports=[k8s.core.v1.ContainerPortArgs(name="postgres", container_port=pgbouncer_ini.PORT)],
            readiness_probe=k8s.core.v1.ProbeArgs(tcp_socket=probe, period_seconds=2, timeout_seconds=2),
            liveness_probe=k8s.core.v1.ProbeArgs(tcp_socket=probe, period_seconds=10, timeout_seconds=2),
            lifecycle=drain(args.drain_seconds),
            resources=k8s.core.v1.ResourceRequirementsArgs(
                requests={"cpu": _CPU, "memory": _MEMORY, "ephemeral-storage": _STORAGE},
                limits={"memory": _MEMORY, "ephemeral-storage": _STORAGE},
            ),
            security_context=container_security(),
            volume_mounts=[
                k8s.core.v1.VolumeMountArgs(
                    name="config", mount_path=pgbouncer_ini.CONFIG_FOLDER, read_only=True
                ),
                k8s.core.v1.VolumeMountArgs(
                    name="users", mount_path=pgbouncer_ini.USERS_FOLDER, read_only=True
                ),
            ],
        )
        deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata(NAME),
            spec=k8s.apps.v1.DeploymentSpecArgs(
                replicas=args.replicas,
                progress_deadline_seconds=PROGRESS_DEADLINE,
                selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector(NAME)),
                strategy=k8s.apps.v1.DeploymentStrategyArgs(
                    rolling_update=k8s.apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0, max_surge=SURGE)
                ),
                template=k8s.core.v1.PodTemplateSpecArgs(
                    metadata=k8s.meta.v1.ObjectMetaArgs(
                        labels=labels(NAME, image_version(args.image)), annotations=restarts(args.restarts)
                    ),
                    spec=k8s.core.v1.PodSpecArgs(
                        containers=[container],
                        automount_service_account_token=False,
                        priority_class_name=args.priority_class,
                        security_context=pod_security(),
                        termination_grace_period_seconds=args.drain_seconds + _SHUTDOWN,
                        topology_spread_constraints=spread(NAME),
                        volumes=[
                            k8s.core.v1.VolumeArgs(
                                name="config",
                                config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=config.metadata.name),
                            ),
                            k8s.core.v1.VolumeArgs(
                                name="users",
                                secret=k8s.core.v1.SecretVolumeSourceArgs(secret_name=secret.metadata.name),
                            ),
                        ],
                    ),
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=roll_out_limit(args.replicas)),
        )
        service = k8s.core.v1.Service(
            f"{name}-service",
            # Created after its pods, which were awaited; waiting for its endpoints would take another 10 s.
            metadata=metadata(NAME, {"pulumi.com/skipAwait": "true"}),
            spec=k8s.core.v1.ServiceSpecArgs(
                selector=selector(NAME),
                ports=[
                    k8s.core.v1.ServicePortArgs(
                        name="postgres", port=pgbouncer_ini.PORT, target_port="postgres"
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[deployment]),
        )
        k8s.policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=metadata(NAME),
            spec=budget(NAME),
            opts=child,
        )
        self.port = pgbouncer_ini.PORT
        # From the Service's own output, so that resources that use it depend on it.
        self.host = pulumi.Output.concat(service.metadata.name, ".", args.namespace, ".svc.cluster.local")
        self.register_outputs({"host": self.host, "port": self.port})
