"""What the guide's dashboard of the 72-hour watch shows, as data: one list, in the guide's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from infra.operations.alarms import Metric
from infra.operations.cluster_alarms import namespace_of

_ELB = "AWS/ApplicationELB"
_APPLICATION = "Simple378"
_INSIGHTS = "ContainerInsights"


@dataclass(frozen=True, slots=True)
class Places:
    """The dimensions of an environment's metrics; what is None is not there. `target_groups` and `health_checks` as in the alarms."""

    load_balancer: pulumi.Input[str]
    target_groups: Mapping[str, pulumi.Input[str]]
    distribution: pulumi.Input[str]
    web_acl: pulumi.Input[str]
    health_checks: Mapping[str, pulumi.Input[str]]
    cluster: str | None
    database: pulumi.Input[str] | None


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture: lines of `metrics`, or of `expressions` over them, by label. `limits` are lines to stay below; `region` is where the
    metrics are, if not in the stack's."""

    title: str
    unit: str
    metrics: Mapping[str, Metric]
    expressions: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    region: str | None = None


def panels(places: Places, edge_region: str) -> tuple[Panel, ...]:
    """`edge_region` is where CloudFront, WAF and Route 53 have their metrics."""
    balancer = {"LoadBalancer": places.load_balancer}
    groups = {colour: {**balancer, "TargetGroup": suffix} for colour, suffix in places.target_groups.items()}
    cdn = {"DistributionId": places.distribution, "Region": "Global"}
    acl = {"WebACL": places.web_acl, "Rule": "ALL"}

    def of_application(name: str, stat: str = "Sum") -> dict[str, Metric]:
        return {colour: Metric(_APPLICATION, name, {"Colour": colour}, stat) for colour in groups}

    errors = {
        f"requests_{colour}": Metric(_ELB, "RequestCount", group, "Sum") for colour, group in groups.items()
    } | {
        f"errors_{colour}": Metric(_ELB, "HTTPCode_Target_5XX_Count", group, "Sum")
        for colour, group in groups.items()
    }
    latency = {
        f"{colour} {stat}": Metric(_ELB, "TargetResponseTime", group, stat)
        for colour, group in groups.items()
        for stat in ("p50", "p95", "p99")
    }
    return (
        Panel(
            "Error rate (target < 0.1 %)",
            "%",
            errors,
            {colour: f"100 * errors_{colour} / requests_{colour}" for colour in groups},
            {"page": 1.0, "target": 0.1},
        ),
        Panel("Latency P50, P95, P99", "s", latency, limits={"page": 2.0}),
        Panel(
            "Throughput",
            "requests/s",
            {name: metric for name, metric in errors.items() if name.startswith("requests")},
            {colour: f"requests_{colour} / 60" for colour in groups},
        ),
        Panel("Active users", "users", of_application("ActiveUsers")),
        *_database(places.database),
        *_cluster(places.cluster, list(groups)),
        Panel("Websockets open", "connections", of_application("WebSocketConnections")),
        Panel("Websockets dropped", "a minute", of_application("WebSocketDrops")),
        Panel("Database connection errors", "a minute", of_application("DatabaseConnectionErrors")),
        Panel("Clients' retries", "a minute", of_application("ClientRetries")),
        Panel(
            "Authentication failures",
            "a minute",
            of_application("AuthenticationFailures"),
            limits={"page": 10},
        ),
        Panel("Pool in use", "%", of_application("PoolUsedPercent", "Maximum"), limits={"warning": 80}),
        Panel(
            "Healthy targets",
            "pods",
            {colour: Metric(_ELB, "HealthyHostCount", group, "Minimum") for colour, group in groups.items()},
        ),
        Panel(
            "Ways in, tried from outside (1 is up)",
            "",
            {
                what: Metric("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": check}, "Minimum")
                for what, check in places.health_checks.items()
            },
            region=edge_region,
        ),
        Panel(
            "Errors at the edge",
            "%",
            {
                "4xx": Metric("AWS/CloudFront", "4xxErrorRate", cdn, "Average"),
                "5xx": Metric("AWS/CloudFront", "5xxErrorRate", cdn, "Average"),
            },
            region=edge_region,
        ),
        Panel(
            "Rate limit",
            "requests a minute",
            {
                "allowed": Metric("AWS/WAFV2", "AllowedRequests", acl, "Sum"),
                "limited": Metric("AWS/WAFV2", "BlockedRequests", acl, "Sum"),
            },
            region=edge_region,
        ),
    )


def _database(identifier: pulumi.Input[str] | None) -> tuple[Panel, ...]:
    if identifier is None:
        return ()

    def metric(name: str, stat: str = "Average") -> Metric:
        return Metric("AWS/RDS", name, {"DBInstanceIdentifier": identifier}, stat)

    return (
        Panel(
            "Database connections", "connections", {"connections": metric("DatabaseConnections", "Maximum")}
        ),
        Panel(
            "Database CPU and load",
            "%, sessions per CPU",
            {"cpu": metric("CPUUtilization"), "load": metric("DBLoadRelativeToNumVCPUs")},
            limits={"warning": 75},
        ),
        Panel(
            "Database storage",
            "s",
            {"read": metric("ReadLatency"), "write": metric("WriteLatency")},
        ),
        Panel(
            "Database memory and disk, free",
            "bytes",
            {"memory": metric("FreeableMemory"), "disk": metric("FreeStorageSpace", "Minimum")},
        ),
    )


def _cluster(cluster: str | None, colours: list[str]) -> tuple[Panel, ...]:
    if cluster is None:
        return ()
    name = {"ClusterName": cluster}

    def of_pods(metric: str, stat: str) -> dict[str, Metric]:
        return {
            colour: Metric(
                _INSIGHTS, metric, {**name, "Namespace": namespace_of(colour), "PodName": "backend"}, stat
            )
            for colour in colours
        }

    return (
        Panel(
            "Nodes: CPU, memory, disk",
            "%",
            {
                "cpu": Metric(_INSIGHTS, "node_cpu_utilization", name, "Maximum"),
                "memory": Metric(_INSIGHTS, "node_memory_utilization", name, "Maximum"),
                "disk": Metric(_INSIGHTS, "node_filesystem_utilization", name, "Maximum"),
            },
            limits={"warning": 80},
        ),
        Panel("Pods: CPU", "% of a node", of_pods("pod_cpu_utilization", "Average")),
        Panel(
            "Pods: memory",
            "% of the limit",
            of_pods("pod_memory_utilization_over_pod_limit", "Maximum"),
            limits={"restart": 85},
        ),
        Panel("Pods: restarts", "containers", of_pods("pod_number_of_container_restarts", "Maximum")),
    )
