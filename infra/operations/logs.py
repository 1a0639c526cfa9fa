"""The logs in CloudWatch: how long they are kept, what is counted in them, and a saved query for each risk of the guide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.operations.alarms import create_alarms
from infra.operations.log_alarms import SIGNATURES, Source, log_alarms, namespace
from infra.operations.saved_queries import QUERIES
from infra.operations.topics import Tier


@dataclass(frozen=True, slots=True)
class LogsArgs:
    """`cluster` is the EKS cluster whose application log Container Insights writes, `database` the RDS instance's identifier; what is
    not there has no group. `days` is one of the retentions that CloudWatch offers."""

    prefix: str
    cluster: str | None
    database: str | None
    days: int
    topics: Mapping[Tier, pulumi.Input[str]]
    protect: bool


class Logs(pulumi.ComponentResource):
    """The log groups, made before what writes to them: a group that AWS makes by itself keeps its events for ever."""

    groups: list[pulumi.Resource]

    def __init__(self, name: str, args: LogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:Logs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        made = {
            source: {
                group: aws.cloudwatch.LogGroup(
                    f"{name}-{source.value}-{group.rpartition('/')[2]}",
                    name=group,
                    retention_in_days=args.days,
                    opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
                )
                for group in groups
            }
            for source, groups in group_names(args.cluster, args.database).items()
        }
        for signature in SIGNATURES:
            for group in list(made.get(signature.source, {}).values())[:1]:
                aws.cloudwatch.LogMetricFilter(
                    f"{name}-{signature.source.value}-{signature.name}",
                    name=f"{args.prefix}-{signature.name}",
                    log_group_name=group.name,
                    pattern=signature.pattern,
                    metric_transformation=aws.cloudwatch.LogMetricFilterMetricTransformationArgs(
                        namespace=namespace(args.prefix), name=signature.metric, value="1", default_value="0"
                    ),
                    opts=child,
                )
        for query in QUERIES:
            searched = [group for source in query.sources for group in made.get(source, {}).values()]
            if searched:
                aws.cloudwatch.QueryDefinition(
                    f"{name}-{query.name}",
                    name=f"{args.prefix}/{query.name}",
                    query_string=query.text,
                    log_group_names=[group.name for group in searched],
                    opts=child,
                )
        create_alarms(
            name,
            log_alarms(args.prefix, frozenset(made)),
            prefix=f"{args.prefix}-log",
            topics=args.topics,
            parent=self,
        )
        self.groups = [group for groups in made.values() for group in groups.values()]
        self.register_outputs({})


def group_names(cluster: str | None, database: str | None) -> dict[Source, tuple[str, ...]]:
    """The groups by their source, as AWS names them; the first of a source is the one whose lines are counted."""
    groups: dict[Source, tuple[str, ...]] = {}
    if cluster:
        groups[Source.APPLICATION] = (f"/aws/containerinsights/{cluster}/application",)
    if database:
        groups[Source.DATABASE] = (
            f"/aws/rds/instance/{database}/postgresql",
            f"/aws/rds/instance/{database}/upgrade",
        )
    return groups
