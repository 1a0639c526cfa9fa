"""The foundation layer (`<env>`): what both colours depend on. Updated rarely, never during a release."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pydantic import SecretStr

from infra.data.backups import Backups, BackupsArgs
from infra.data.database import Database, DatabaseArgs
from infra.data.stored_secret import StoredSecret, StoredSecretArgs
from infra.data.upgrade import check_upgrade
from infra.edge.colour_target import ColourTarget, ColourTargetArgs
from infra.edge.distribution import Distribution, DistributionArgs
from infra.edge.edge_alarms import edge_alarms
from infra.edge.load_balancer import LoadBalancer, LoadBalancerArgs
from infra.edge.rules import ORIGIN_HEADER, TEST_HEADER
from infra.edge.site_bucket import SiteBucket, SiteBucketArgs
from infra.edge.tags import TRAFFIC_RULE, traffic_tags
from infra.layers.foundation.settings import FoundationSettings
from infra.network.existing import check_public_subnets
from infra.network.vpc import Vpc, VpcArgs
from infra.network.workload_access import WorkloadAccess, WorkloadAccessArgs
from infra.operations.cluster_alarms import cluster_alarms
from infra.operations.dashboard import Dashboard, DashboardArgs
from infra.operations.health_checks import HealthChecks, HealthChecksArgs
from infra.operations.logs import Logs, LogsArgs
from infra.operations.panels import Places, panels
from infra.operations.roles import Roles, RolesArgs
from infra.operations.service_alarms import service_alarms
from infra.operations.topics import Topics, TopicsArgs
from infra.operations.watch import Watch, WatchArgs
from infra.settings import CLOUDFRONT_REGION, region, secret
from infra.stacks import BACKEND_PORT, Colour, OtherStack, StackError, StackName
from infra.workload.pod_role import PodRole, PodRoleArgs

# What the next deployment compares its own database version with.
ENGINE_OUTPUT = "databaseEngineVersion"


@dataclass(frozen=True, slots=True)
class _Network:
    vpc_id: pulumi.Input[str]
    public_subnet_ids: list[pulumi.Input[str]]
    private_subnet_ids: list[pulumi.Input[str]]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    host: pulumi.Input[str]
    port: pulumi.Input[int]


async def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs."""
    settings = FoundationSettings.load()
    where = region()
    settings.check_region(where, stack.name)
    await check_public_subnets(settings.public_subnet_ids, stack.name)
    prefix = stack.resource_prefix
    # This stack first and alone, while the engine writes nothing to the state that is read.
    before = await OtherStack.read(stack.name)
    if not settings.database_endpoint:
        check_upgrade(
            before.get(ENGINE_OUTPUT),
            settings.database_engine_version,
            allowed=settings.database_allow_major_upgrade,
            stack=stack.name,
        )
    limits = await OtherStack.read(f"{stack.environment}-limits")
    web_acl_arn = limits.require("webAclArn")
    _check_advertised(settings, int(limits.require("rateLimit")), stack)
    origin_secret, test_secret = secret(settings.origin_secret), secret(settings.test_secret)
    beside = _secrets_beside(settings)

    network = _network(settings, prefix)
    workload_group = (
        settings.workload_security_group_id
        or WorkloadAccess(
            "workload", WorkloadAccessArgs(name=f"{prefix}-workload", vpc_id=network.vpc_id)
        ).security_group_id
    )
    topics, edge_topics = _topics(settings, prefix, where)

    balancer = LoadBalancer(
        "edge",
        LoadBalancerArgs(
            name=prefix,
            vpc_id=network.vpc_id,
            subnet_ids=network.public_subnet_ids,
            workload_security_group_id=workload_group,
            target_port=BACKEND_PORT,
            probe_cidrs=settings.probe_cidrs,
            certificate_arn=settings.certificate_arn,
            idle_timeout=settings.load_balancer_idle_seconds,
            topics=topics.arns,
            protect=settings.protect,
        ),
    )
    targets = {
        colour: ColourTarget(
            colour.value,
            ColourTargetArgs(
                prefix=prefix,
                environment=stack.environment,
                colour=colour,
                vpc_id=network.vpc_id,
                listener_arn=balancer.listener_arn,
                load_balancer_suffix=balancer.arn_suffix,
                target_port=BACKEND_PORT,
                deregistration_delay=settings.deregistration_delay,
                test_secrets=[test_secret, *(beside[key] for key in beside if key.startswith("test"))],
                topics=topics.arns,
                protect=settings.protect,
            ),
        )
        for colour in Colour
    }
    cluster = settings.observed_cluster or settings.cluster_name
    logs = Logs(
        "logs",
        LogsArgs(
            prefix=prefix,
            cluster=cluster,
            # The instance has the prefix as its name.
            database=None if settings.database_endpoint else prefix,
            days=int(settings.log_days),
            topics=topics.arns,
            protect=settings.protect,
        ),
    )
    database = _database(settings, prefix, network, workload_group, topics, logs)

    bucket = SiteBucket("site", SiteBucketArgs(prefix=prefix, protect=settings.protect))
    distribution = Distribution(
        "cdn",
        DistributionArgs(
            name=prefix,
            bucket_name=bucket.name,
            bucket_arn=bucket.arn,
            bucket_domain=bucket.domain_name,
            api_domain=settings.origin_domain or balancer.dns_name,
            api_over_https=settings.certificate_arn is not None,
            origin_secret=origin_secret,
            web_acl_arn=web_acl_arn,
            aliases=settings.domain_aliases,
            certificate_arn=settings.cdn_certificate_arn,
            viewer_protocol_policy=settings.viewer_protocol_policy,
            rate_limit=settings.advertised_rate_limit,
            protect=settings.protect,
        ),
    )
    _store_secrets(settings, stack.environment, database)
    roles = _roles(settings, stack, balancer.arn, topics)
    pod_role = _pod_role(settings, prefix)
    front_door = next(iter(settings.domain_aliases), distribution.domain_name)
    over_https = settings.viewer_protocol_policy != "allow-all"
    checks = HealthChecks("checks", HealthChecksArgs(prefix=prefix, host=front_door, https=over_https))
    outside = Watch(
        "frontdoor",
        WatchArgs(
            prefix=f"{prefix}-edge",
            alarms=edge_alarms(distribution.id, limits.require("webAclName"), checks.ids),
            topics=edge_topics.arns,
            region=None if where == CLOUDFRONT_REGION else CLOUDFRONT_REGION,
        ),
    )
    service = Watch(
        "service",
        WatchArgs(
            prefix=prefix,
            alarms=service_alarms(
                {colour.value: target.arn_suffix for colour, target in targets.items()},
                balancer.arn_suffix,
                settings.session_baseline,
            ),
            topics=topics.arns,
            after=list(targets.values()),
        ),
    )
    if cluster:
        Watch(
            "cluster",
            WatchArgs(
                prefix=f"{prefix}-cluster",
                alarms=cluster_alarms(cluster, [colour.value for colour in Colour]),
                topics=topics.arns,
            ),
        )

    Dashboard(
        "dashboard",
        DashboardArgs(
            name=prefix,
            region=where,
            panels=panels(
                Places(
                    load_balancer=balancer.arn_suffix,
                    target_groups={colour.value: target.arn_suffix for colour, target in targets.items()},
                    distribution=distribution.id,
                    web_acl=limits.require("webAclName"),
                    health_checks=checks.ids,
                    cluster=settings.cluster_name,
                    database=None if settings.database_endpoint else prefix,
                ),
                CLOUDFRONT_REGION,
            ),
            status=_status(service, outside, targets),
        ),
    )

    scheme = "https" if over_https else "http"
    exports: dict[str, object] = {
        "region": where,
        "vpcId": network.vpc_id,
        "podRoleArn": pod_role.arn if pod_role else None,
        "podCredentials": settings.pod_credentials,
        "privateSubnetIds": network.private_subnet_ids,
        "workloadSecurityGroupId": workload_group,
        "albArn": balancer.arn,
        "albArnSuffix": balancer.arn_suffix,
        "albDnsName": balancer.dns_name,
        "listenerArn": balancer.listener_arn,
        "targetGroups": {
            colour.value: {"arn": target.arn, "arnSuffix": target.arn_suffix, "name": target.group_name}
            for colour, target in targets.items()
        },
        "probeTargetGroups": {
            colour.value: {"arn": target.probe_arn, "name": target.probe_group_name}
            for colour, target in targets.items()
        },
        "databaseHost": database.host,
        "databasePort": database.port,
        **({} if settings.database_endpoint else {ENGINE_OUTPUT: settings.database_engine_version}),
        "databaseName": settings.database_name,
        "databaseUser": settings.database_user,
        "databasePassword": secret(settings.database_password),
        "databaseAppUser": settings.database_app_user,
        "databaseAppPassword": secret(settings.database_app_password)
        if settings.database_app_password
        else None,
        "databaseMaxConnections": settings.database_max_connections,
        "originSecret": origin_secret,
        "testSecret": test_secret,
        **beside,
        "distributionId": distribution.id,
        "distributionDomain": distribution.domain_name,
        "bucketName": bucket.name,
        "webAclName": limits.require("webAclName"),
        "notifyUrls": {tier: [secret(url) for url in urls] for tier, urls in settings.notify_urls.items()},
        "topics": {tier.value: arn for tier, arn in topics.arns.items()},
        "baseUrl": pulumi.Output.concat(scheme, "://", front_door),
        "probeUrl": _probe_url(settings, balancer.dns_name),
    }
    if roles:
        exports["roleArns"] = roles.arns
    for name, value in exports.items():
        pulumi.export(name, value)


def _check_advertised(settings: FoundationSettings, limit: int, stack: StackName) -> None:
    """Clients must not be told that they may send more than they may.

    Raises:
        StackError: they would be.
    """
    if settings.advertised_rate_limit > limit:
        raise StackError(
            f"configuration of stack {stack.name}:\n  - simple378:advertisedRateLimit is {settings.advertised_rate_limit}, above the "
            f"limit of {limit} that stack {stack.environment}-limits has; set it with `pulumi config set "
            f"simple378:advertisedRateLimit {limit} --stack {stack.name}`"
        )


def _pod_role(settings: FoundationSettings, prefix: str) -> PodRole | None:
    """None until the cluster is there."""
    if settings.pod_credentials is None:
        return None
    return PodRole(
        "pods", PodRoleArgs(f"{prefix}-backend", settings.cluster_name, settings.cluster_oidc_provider)
    )


def _secrets_beside(settings: FoundationSettings) -> dict[str, pulumi.Output[str]]:
    """The values that are accepted beside the current ones while a secret is rotated, by the names of their outputs."""
    values = {
        "originSecretNext": settings.origin_secret_next,
        "originSecretPrevious": settings.origin_secret_previous,
        "testSecretPrevious": settings.test_secret_previous,
    }
    return {name: secret(value) for name, value in values.items() if value is not None}


def _probe_url(settings: FoundationSettings, balancer_name: pulumi.Output[str]) -> pulumi.Output[str]:
    """The URL of the test route for the rollout's probes: the load balancer itself, not CloudFront."""
    if settings.certificate_arn is None:
        return pulumi.Output.concat("http://", balancer_name)
    # The certificate is for the origin's domain, which the settings require together with it.
    return pulumi.Output.concat("https://", settings.origin_domain or balancer_name)


def _status(
    service: Watch, outside: Watch, targets: Mapping[Colour, ColourTarget]
) -> dict[str, list[pulumi.Input[str]]]:
    """What makes the service's status on the dashboard: red and yellow."""
    pages = ("error-rate", "latency-p95", "down")
    warnings = ("error-rate-warning", "latency-p95-warning", "websocket-drops-warning")

    def of_colours(names: tuple[str, ...]) -> list[pulumi.Input[str]]:
        return [target.alarm_arns[name] for target in targets.values() for name in names]

    return {
        "Red: somebody was paged": [
            service.arns["service-down"],
            service.arns["burn-rate-fast"],
            outside.arns["api-down"],
            outside.arns["frontend-down"],
            *of_colours(pages),
        ],
        "Yellow: the team was told": [service.arns["burn-rate-slow"], *of_colours(warnings)],
    }


def _topics(settings: FoundationSettings, prefix: str, where: str) -> tuple[Topics, Topics]:
    """The environment's topics, and those beside the metrics of CloudFront, WAF and Route 53: an alarm notifies a topic of its own
    region only."""
    urls = {str(tier): [secret(url) for url in urls] for tier, urls in settings.alarm_urls.items()}
    topics = Topics("topics", TopicsArgs(prefix=prefix, email=settings.alert_email, urls=urls))
    if where == CLOUDFRONT_REGION:
        return topics, topics
    beside = TopicsArgs(
        prefix=f"{prefix}-edge", email=settings.alert_email, urls=urls, region=CLOUDFRONT_REGION
    )
    return topics, Topics("edgetopics", beside)


def _network(settings: FoundationSettings, prefix: str) -> _Network:
    if settings.vpc_cidr is None:
        # The settings have one or the other.
        return _Network(str(settings.vpc_id), [*settings.public_subnet_ids], [*settings.private_subnet_ids])
    vpc = Vpc("network", VpcArgs(prefix, settings.vpc_cidr, settings.azs, settings.protect))
    return _Network(vpc.id, [*vpc.public_subnet_ids], [*vpc.private_subnet_ids])


def _database(
    settings: FoundationSettings,
    prefix: str,
    network: _Network,
    client_group: pulumi.Input[str],
    topics: Topics,
    logs: Logs,
) -> _Endpoint:
    if settings.database_endpoint:
        host, _, port = settings.database_endpoint.rpartition(":")
        return _Endpoint(host, int(port))
    database = Database(
        "database",
        DatabaseArgs(
            name=prefix,
            vpc_id=network.vpc_id,
            subnet_ids=network.private_subnet_ids,
            client_security_group_id=client_group,
            engine_version=settings.database_engine_version,
            instance_class=settings.database_instance_class,
            storage=settings.database_storage,
            storage_limit=settings.database_storage_limit,
            iops=settings.database_iops,
            multi_az=settings.database_multi_az,
            backup_days=settings.database_backup_days,
            major_upgrade=settings.database_allow_major_upgrade,
            insights=settings.database_insights,
            final_snapshot=settings.database_final_snapshot,
            max_connections=settings.database_max_connections,
            database_name=settings.database_name,
            user=settings.database_user,
            password=secret(settings.database_password),
            topics=topics.arns,
            protect=settings.protect,
        ),
        pulumi.ResourceOptions(depends_on=logs.groups),
    )
    if settings.database_copy_region:
        Backups(
            "backups",
            BackupsArgs(
                name=prefix,
                database_arn=database.arn,
                subnet_group=database.subnet_group,
                copy_region=settings.database_copy_region,
                days=settings.database_copy_days,
                topics=topics.arns,
                protect=settings.protect,
            ),
        )
    return _Endpoint(database.host, database.port)


def _roles(
    settings: FoundationSettings, stack: StackName, balancer_arn: pulumi.Output[str], topics: Topics
) -> Roles | None:
    access = settings.access
    if access is None:
        return None
    return Roles(
        "roles",
        RolesArgs(
            environment=stack.environment,
            prefix=stack.resource_prefix,
            people=access.people,
            pipeline=access.oidc,
            balancer_arn=balancer_arn,
            rule_tags=traffic_tags(stack.environment, TRAFFIC_RULE),
            topics=list(topics.arns.values()),
            store=access.store,
            state=access.state,
            state_key=access.state_key,
        ),
    )


def _store_secrets(settings: FoundationSettings, environment: str, database: _Endpoint) -> None:
    def login(user: str, password: SecretStr) -> pulumi.Output[str]:
        return pulumi.Output.all(database.host, database.port, secret(password)).apply(
            lambda parts: json.dumps(
                {
                    "host": parts[0],
                    "port": parts[1],
                    "dbname": settings.database_name,
                    "username": user,
                    "password": parts[2],
                }
            )
        )

    owner = login(settings.database_user, settings.database_password)
    backend, owners = owner, []
    if settings.database_app_user and settings.database_app_password:
        backend = login(settings.database_app_user, settings.database_app_password)
        owners = [("database-owner", "For migrations: the user that owns the database", owner)]
    for name, description, value in (
        ("database", "How the backend reaches its database", backend),
        *owners,
        (
            "origin",
            f"Header {ORIGIN_HEADER}: opens the load balancer's listener",
            secret(settings.origin_secret),
        ),
        ("test", f"Header {TEST_HEADER}: opens the test route to a colour", secret(settings.test_secret)),
    ):
        StoredSecret(
            f"secret-{name}",
            StoredSecretArgs(name=f"simple378/{environment}/{name}", description=description, value=value),
        )
