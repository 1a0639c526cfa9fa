"""What all alarms have in common. Each component declares the alarms that watch it, as data; `docs/alarms.md` lists them.

Most periods are 60 s, the finest that an Application Load Balancer publishes, and one period decides where the guide names
no longer time. A period without data is no breach where silence is normal (a colour without traffic publishes nothing), and
a breach where silence is the failure. Missing data during a release is handled by the rollout (its `blind` criterion).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import pulumi
import pulumi_aws as aws

from infra.operations.topics import Tier

# Seconds.
PERIOD = 60


class Missing(Enum):
    """What a period without data is."""

    GOOD = "notBreaching"
    BAD = "breaching"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch. `stat` is a statistic ("Sum") or a percentile ("p95")."""

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    stat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Fires when `breaches` of the newest `of` periods (of `period` seconds) are above `threshold`, or under it with `below`.

    The value is the last of `expressions` (metric math over the ids of `metrics` and of expressions before it), or the
    one metric when there are none. `guide` is the line of the guide that asks for it, or why it is here without one. `rollback`
    marks what is also a criterion of the guide's Strategy 2. A `quiet` alarm tells nobody: a composite alarm speaks for it.
    """

    suffix: str
    description: str
    guide: str
    tier: Tier
    threshold: float
    metrics: Mapping[str, Metric]
    expressions: Mapping[str, str] = field(default_factory=dict)
    period: int = PERIOD
    breaches: int = 1
    of: int = 1
    missing: Missing = Missing.GOOD
    below: bool = False
    rollback: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """Fires while every alarm of `all_of` does and none of `none_of`: names as in `Alarm.suffix`, of the same prefix."""

    suffix: str
    description: str
    guide: str
    tier: Tier
    all_of: tuple[str, ...]
    none_of: tuple[str, ...] = ()

    def rule(self, prefix: str) -> str:
        """As CloudWatch takes it, for alarms whose names begin with `prefix`."""
        terms = [f'ALARM("{prefix}-{name}")' for name in self.all_of]
        return " AND ".join(terms + [f'NOT ALARM("{prefix}-{name}")' for name in self.none_of])


def create_alarms(
    name: str,
    alarms: Sequence[Alarm | Composite],
    *,
    prefix: str,
    topics: Mapping[Tier, pulumi.Input[str]],
    parent: pulumi.Resource,
    tags: Mapping[str, str] | None = None,
    region: str | None = None,
    after: Sequence[pulumi.Resource] = (),
) -> dict[str, pulumi.Output[str]]:
    """Register alarms as children of the component they watch; `prefix` begins their names in CloudWatch. Returns their ARNs.

    `region` is where their metrics and topics are, if not in the stack's; `after` are resources that composite alarms
    refer to besides these.
    """
    made: list[pulumi.Resource] = []
    arns: dict[str, pulumi.Output[str]] = {}
    for alarm in alarms:
        topic = [topics[alarm.tier]]
        if isinstance(alarm, Composite):
            combined = aws.cloudwatch.CompositeAlarm(
                f"{name}-{alarm.suffix}",
                alarm_name=f"{prefix}-{alarm.suffix}",
                alarm_description=alarm.description,
                alarm_rule=alarm.rule(prefix),
                alarm_actions=topic,
                ok_actions=topic,
                tags={"tier": alarm.tier.value, **(tags or {})},
                region=region,
                # AWS wants them before it, and does not let them go before it.
                opts=pulumi.ResourceOptions(parent=parent, depends_on=[*made, *after]),
            )
            made.append(combined)
            arns[alarm.suffix] = combined.arn
            continue
        criterion = {"criterion": "rollback"} if alarm.rollback else {}
        single = aws.cloudwatch.MetricAlarm(
            f"{name}-{alarm.suffix}",
            name=f"{prefix}-{alarm.suffix}",
            alarm_description=alarm.description,
            comparison_operator="LessThanThreshold" if alarm.below else "GreaterThanThreshold",
            threshold=alarm.threshold,
            evaluation_periods=alarm.of,
            datapoints_to_alarm=alarm.breaches,
            treat_missing_data=alarm.missing.value,
            metric_queries=_queries(alarm),
            alarm_actions=None if alarm.quiet else topic,
            ok_actions=None if alarm.quiet else topic,
            tags={"tier": alarm.tier.value, **criterion, **(tags or {})},
            region=region,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        made.append(single)
        arns[alarm.suffix] = single.arn
    return arns


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
                period=alarm.period,
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
