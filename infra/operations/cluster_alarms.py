"""The alarms of the cluster's nodes and of the colours' pods, from CloudWatch Container Insights.

The dimensions are those of "Amazon EKS and Kubernetes Container Insights metrics" in the CloudWatch User Guide, PodName the
name of the Deployment.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.operations.alarms import Alarm, Metric, Missing
from infra.operations.topics import Tier

CPU_PERCENT = 80.0
# The 72-hour watch warns of 80 %; above Strategy 5's 85 % a pod is to be restarted (Risk 7).
MEMORY_WARNING_PERCENT = 80.0
MEMORY_PERCENT = 85.0
DISK_PERCENT = 80.0
# Points of its limit by which a pod's memory rises in an hour.
MEMORY_SLOPE = 2.0

_INSIGHTS = "ContainerInsights"


def namespace_of(colour: str) -> str:
    """The Kubernetes namespace of a colour (infra.layers.colour)."""
    return f"simple378-{colour}"


def cluster_alarms(cluster: str, colours: Iterable[str]) -> tuple[Alarm, ...]:
    """`cluster` is the EKS cluster's name."""
    return (*_nodes(cluster), *(alarm for colour in colours for alarm in _pods(cluster, colour)))


def _nodes(cluster: str) -> tuple[Alarm, ...]:
    def node(suffix: str, words: str, metric: str, percent: float, guide: str) -> Alarm:
        return Alarm(
            suffix=suffix,
            description=f"A node uses more than {percent:g} % of its {words}",
            guide=guide,
            tier=Tier.WARNING,
            threshold=percent,
            breaches=3,
            of=5,
            metrics={"used": Metric(_INSIGHTS, metric, {"ClusterName": cluster}, "Maximum")},
        )

    return (
        node(
            "node-cpu", "CPU", "node_cpu_utilization", CPU_PERCENT, "Strategy 5, 72 hours: CPU usage > 80 %"
        ),
        node(
            "node-memory",
            "memory",
            "node_memory_utilization",
            MEMORY_PERCENT,
            "Strategy 5: memory usage > 85 %",
        ),
        node(
            "node-disk",
            "disk",
            "node_filesystem_utilization",
            DISK_PERCENT,
            "72-hour dashboard: CPU, memory, disk usage",
        ),
        # The agent reports each minute; without it nothing in the cluster is watched.
        Alarm(
            suffix="unobserved",
            description="Container Insights reports no node of the cluster",
            guide="24 hours before: monitoring systems operational",
            tier=Tier.WARNING,
            threshold=1,
            breaches=5,
            of=5,
            below=True,
            missing=Missing.BAD,
            metrics={"nodes": Metric(_INSIGHTS, "cluster_node_count", {"ClusterName": cluster}, "Minimum")},
        ),
    )


def _pods(cluster: str, colour: str) -> tuple[Alarm, ...]:
    namespace = {"ClusterName": cluster, "Namespace": namespace_of(colour)}

    def of_pods(name: str, stat: str, workload: str = "backend") -> Metric:
        return Metric(_INSIGHTS, name, {**namespace, "PodName": workload}, stat)

    memory = of_pods("pod_memory_utilization_over_pod_limit", "Maximum")
    return (
        # Pods have no CPU limit, so use is measured against the request; both are percent of a node.
        Alarm(
            suffix=f"{colour}-cpu",
            description=f"The colour's pods use more than {CPU_PERCENT:g} % of the CPU that they request",
            guide="Strategy 5, 72 hours: CPU usage > 80 %",
            tier=Tier.WARNING,
            threshold=CPU_PERCENT,
            breaches=3,
            of=5,
            metrics={
                "used": of_pods("pod_cpu_utilization", "Average"),
                "requested": of_pods("pod_cpu_reserved_capacity", "Average"),
            },
            expressions={"share": "100 * used / requested"},
        ),
        Alarm(
            suffix=f"{colour}-memory-warning",
            description=f"A pod of the colour uses more than {MEMORY_WARNING_PERCENT:g} % of its memory limit",
            guide="72 hours: CPU/memory > 80 %",
            tier=Tier.WARNING,
            threshold=MEMORY_WARNING_PERCENT,
            breaches=3,
            of=5,
            metrics={"used": memory},
        ),
        Alarm(
            suffix=f"{colour}-memory",
            description=f"A pod of the colour uses more than {MEMORY_PERCENT:g} % of its memory limit",
            guide="Strategy 5: memory usage > 85 %; Risk 7: restart above 85 %",
            tier=Tier.WARNING,
            threshold=MEMORY_PERCENT,
            metrics={"used": memory},
        ),
        Alarm(
            suffix=f"{colour}-memory-trend",
            description=f"Memory of the colour's pods rises by more than {MEMORY_SLOPE:g} points an hour, for three hours",
            guide="Risk 7: memory usage increasing over time",
            tier=Tier.NOTICE,
            threshold=MEMORY_SLOPE,
            period=1800,
            breaches=5,
            of=6,
            metrics={"used": of_pods("pod_memory_utilization_over_pod_limit", "Average")},
            expressions={"slope": "3600 * RATE(used)"},
        ),
        Alarm(
            suffix=f"{colour}-restarts",
            description="A container of the colour's backend was started again",
            guide="Risk 7: service restart required, out-of-memory error",
            tier=Tier.WARNING,
            threshold=0,
            metrics={"restarts": of_pods("pod_number_of_container_restarts", "Maximum")},
            expressions={"more": "DIFF(restarts)"},
        ),
        Alarm(
            suffix=f"{colour}-pool-down",
            description="No pgbouncer of the colour runs",
            guide="72 hours: any service down",
            tier=Tier.IMMEDIATE,
            threshold=1,
            breaches=2,
            of=2,
            below=True,
            metrics={
                "running": Metric(
                    _INSIGHTS,
                    "service_number_of_running_pods",
                    {**namespace, "Service": "pgbouncer"},
                    "Minimum",
                )
            },
        ),
    )
