"""What all alarms have in common. Each component declares the alarms that watch it.

Every period is 60 s, the finest that an Application Load Balancer publishes, and one period decides, since the
guide names no longer ones. A period without data is not a breach here: a colour without traffic publishes nothing. Missing data
during a release is handled by the rollout (its `blind` criterion), not by an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_aws as aws

from infra.operations.topics import Tier

# Seconds.
PERIOD = 60


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch. `stat` is a statistic ("Sum") or a percentile ("p95")."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    stat: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Fires when its value is above `threshold`.

    The value is the last of `expressions` (metric math over the ids of `metrics` and of expressions before it), or the
    one metric when there are none. `rollback` marks what is also a criterion of the guide's Strategy 2.
    """

    suffix: str
    description: str
    tier: Tier
    threshold: float
    metrics: Mapping[str, Metric]
    expressions: Mapping[str, str] = field(default_factory=dict)
    rollback: bool = False


def create_alarms(
    name: str,
    alarms: Sequence[Alarm],
    *,
    prefix: str,
    topics: Mapping[Tier, pulumi.Input[str]],
    parent: pulumi.Resource,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Register alarms as children of the component they watch; `prefix` begins their names in CloudWatch."""
    for alarm in alarms:
        criterion = {"criterion": "rollback"} if alarm.rollback else {}
        topic = topics[alarm.tier]
        aws.cloudwatch.MetricAlarm(
            f"{name}-{alarm.suffix}",
            name=f"{prefix}-{alarm.suffix}",
            alarm_description=alarm.description,
            comparison_operator="GreaterThanThreshold",
            threshold=alarm.threshold,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            treat_missing_data="notBreaching",
            metric_queries=_queries(alarm),
            alarm_actions=[topic],
            ok_actions=[topic],
            tags={"tier": alarm.tier.value, **criterion, **(tags or {})},
            opts=pulumi.ResourceOptions(parent=parent),
        )


def _queries(alarm: Alarm) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    value = list(alarm.expressions or alarm.metrics)[-1]
    measured = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=key,
            return_data=key == value,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=metric.dimensions,
                period=PERIOD,
                stat=metric.stat,
            ),
        )
        for key, metric in alarm.metrics.items()
    ]
    computed = [
        aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=key, expression=expression, label=key, return_data=key == value
        )
        for key, expression in alarm.expressions.items()
    ]
    return [*measured, *computed]
