"""How many requests users send before a rollout: what rule 17 of docs/theory.md compares with."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.aws.cloudwatch import CloudWatchClient
from rollout.plan import Plan
from rollout.plan.units import MINUTE
from rollout.stacks.environment import Environment

PERIODS = 15


async def requests_per_minute(
    cloudwatch: CloudWatchClient, environment: Environment, plan: Plan
) -> list[float]:
    """Of both colours together, for each of the last periods with requests. Raises botocore's errors."""
    period, now = round(plan.metrics.period), datetime.now(UTC)

    def query(role: str) -> dict[str, Any]:
        dimensions = [
            {"Name": "LoadBalancer", "Value": environment.load_balancer_suffix},
            {"Name": "TargetGroup", "Value": environment.group_suffixes[role]},
        ]
        metric = {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount", "Dimensions": dimensions}
        return {"Id": role, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}

    answer = await asyncio.to_thread(
        cloudwatch.get_metric_data,
        StartTime=now - timedelta(seconds=PERIODS * period),
        EndTime=now,
        MetricDataQueries=[query(role) for role in environment.group_suffixes],
    )
    by_time: dict[datetime, float] = {}
    for result in answer["MetricDataResults"]:
        for at, value in zip(result["Timestamps"], result["Values"], strict=True):
            by_time[at] = by_time.get(at, 0.0) + value
    return [MINUTE * value / period for _, value in sorted(by_time.items())]


def median(found: Sequence[float]) -> int:
    """Of the last periods; one without a datapoint had no requests."""
    return round(statistics.median([*found, *[0.0] * (PERIODS - len(found))]))
