"""A colour's layer (`<env>-blue`, `<env>-green`): its backend and connection pool, in Kubernetes.

Updated once a release, while it has no traffic: a colour that serves refuses another version. It is destroyed before the foundation: a TargetGroupBinding must go
before its target group.
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s

from infra.layers.colour.serving import GUARDED, check_serving
from infra.layers.colour.settings import ColourSettings
from infra.settings import require_context
from infra.stacks import OtherStack, StackError, StackName
from infra.workload.backend import Backend, BackendArgs
from infra.workload.connection_pool import ConnectionPool, ConnectionPoolArgs
from infra.workload.memory_guard import MemoryGuard, MemoryGuardArgs
from infra.workload.network_policies import NetworkPolicies, NetworkPoliciesArgs
from infra.workload.pgbouncer_ini import connections_needed
from infra.workload.pods import PART_OF

# Above the cluster's default of 0 and below what Kubernetes keeps for itself.
_PRIORITY = 1_000_000


async def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs.

    Nothing is exported before the guards: the engine records what a program exported even if it fails afterwards.
    """
    settings = ColourSettings.load()
    authority = settings.authority()
    require_context()
    if stack.colour is None:
        raise StackError(f"stack {stack.name!r} belongs to no colour")
    colour = stack.colour.value
    # This stack first and alone, while the engine writes nothing to the state that is read.
    before = await OtherStack.read(stack.name)
    foundation = await OtherStack.read(stack.environment)
    master = foundation.require("databaseUser")
    user = foundation.get("databaseAppUser") or master
    guarded = {
        "version": settings.version,
        "image": settings.recorded_image,
        "pool": f"{settings.pgbouncer_replicas} x {settings.pool_size} of {settings.pgbouncer_image}",
        "login": user,
    }
    check_serving(
        before,
        guarded,
        await OtherStack.read(f"{stack.environment}-traffic"),
        stack.colour,
        allowed_version=settings.allow_while_serving,
        replicas=settings.replicas,
        stack=stack.name,
        before_there_was={"login": master},
    )
    _check_pools_fit(foundation, settings, stack)
    _check_credentials(foundation, stack)
    name = stack.colour.namespace

    namespace = k8s.core.v1.Namespace(
        "namespace",
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=name,
            labels={
                # A pod counts as ready once the load balancer found it healthy, so a rolling update waits for that.
                "elbv2.k8s.aws/pod-readiness-gate-inject": "enabled",
                "pod-security.kubernetes.io/enforce": "restricted",
                **PART_OF,
            },
        ),
        opts=pulumi.ResourceOptions(protect=settings.protect),
    )
    priority = k8s.scheduling.v1.PriorityClass(
        "priority",
        # Of the whole cluster, so it has the colour's name.
        metadata=k8s.meta.v1.ObjectMetaArgs(name=name, labels=PART_OF),
        description="Pods that serve the users of Simple378: when nodes are short, others go first",
        value=_PRIORITY,
        global_default=False,
    )
    NetworkPolicies(
        "network",
        NetworkPoliciesArgs(
            namespace=namespace.metadata.name,
            database_port=int(foundation.require("databasePort")),
            backend_egress=settings.egress,
        ),
    )
    database_name = foundation.require("databaseName")
    password = foundation.require_secret(
        "databasePassword" if user == foundation.require("databaseUser") else "databaseAppPassword"
    )
    pool = ConnectionPool(
        "pool",
        ConnectionPoolArgs(
            namespace=namespace.metadata.name,
            image=settings.pgbouncer_image,
            replicas=settings.pgbouncer_replicas,
            pool_size=settings.pool_size,
            max_client_connections=settings.max_client_connections,
            drain_seconds=settings.drain_seconds,
            restarts=settings.pgbouncer_restarts,
            priority_class=priority.metadata.name,
            database_host=foundation.require("databaseHost"),
            database_port=int(foundation.require("databasePort")),
            database_name=database_name,
            database_user=user,
            database_password=password,
            database_tls=settings.database_tls,
            database_ca=authority,
            query_timeout=settings.query_timeout,
            prepared_statements=settings.max_prepared_statements,
        ),
    )
    Backend(
        "backend",
        BackendArgs(
            namespace=namespace.metadata.name,
            colour=colour,
            version=settings.version,
            image=settings.reference,
            replicas=settings.replicas,
            cpu=settings.resources.cpu,
            memory=settings.resources.memory,
            ephemeral_storage=settings.resources.ephemeral_storage,
            environment=settings.backend_env,
            region=foundation.require("region"),
            web_identity_role=foundation.require("podRoleArn")
            if foundation.get("podCredentials") == "web-identity"
            else None,
            drain_seconds=settings.drain_seconds,
            restarts=settings.backend_restarts,
            priority_class=priority.metadata.name,
            database_host=pool.host,
            database_port=pool.port,
            database_name=database_name,
            database_user=user,
            database_password=password,
            target_group_arn=foundation.require("targetGroups")[colour]["arn"],
            probe_target_group_arn=foundation.require("probeTargetGroups")[colour]["arn"],
            vpc_id=foundation.require("vpcId"),
        ),
    )

    MemoryGuard(
        "memory-guard",
        MemoryGuardArgs(
            namespace=namespace.metadata.name,
            colour=colour,
            image=settings.memory_guard_image,
            percent=settings.memory_guard_percent,
        ),
    )

    pulumi.export("colour", colour)
    pulumi.export("namespace", name)
    for output in GUARDED:
        pulumi.export(output, guarded[output])
    pulumi.export("replicas", settings.replicas)


def _check_credentials(foundation: OtherStack, stack: StackName) -> None:
    """Pods without credentials publish no metrics, and a release whose metrics do not come cannot pass.

    Raises:
        StackError: the foundation gives them none.
    """
    if foundation.get("podCredentials") is None:
        env = stack.environment
        raise StackError(
            f"stack {env} gives the pods no credentials for AWS, so they could not publish the metrics that a release is judged by: "
            f"`pulumi config set simple378:clusterName NAME --stack {env}` with the name of the EKS cluster (its add-on "
            "eks-pod-identity-agent is needed; without it simple378:clusterOidcProvider with the ARN of its OIDC provider), then "
            f"`pulumi up --stack {env}`"
        )


def _check_pools_fit(foundation: OtherStack, settings: ColourSettings, stack: StackName) -> None:
    """Both colours' pools together must not exceed the database's connection limit (Risk 6).

    Raises:
        StackError: they are.
    """
    needed = connections_needed(settings.pool_size, settings.pgbouncer_replicas)
    allowed = int(foundation.require("databaseMaxConnections"))
    if needed > allowed:
        raise StackError(
            f"configuration of stack {stack.name}:\n  - simple378:poolSize is {settings.pool_size} and "
            f"simple378:pgbouncerReplicas {settings.pgbouncer_replicas}: two colours need {needed} connections, one that rolls counted, the "
            f"database allows {allowed}; make them smaller, or raise it with `pulumi config set "
            f"simple378:databaseMaxConnections {needed} --stack {stack.environment}`. RDS takes a raised limit at its next reboot only "
            f"(`aws rds reboot-db-instance --db-instance-identifier {stack.resource_prefix}`, outside a release); an instance's memory "
            "bounds it too"
        )
