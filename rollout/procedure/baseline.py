"""What stable's metrics say before a rollout: how many requests users send (rule 17 of docs/theory.md compares with that), and
whether the application publishes what a release is judged by."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.aws.cloudwatch import APPLICATION, APPLICATION_METRICS, CloudWatchClient
from rollout.plan import Plan
from rollout.plan.units import MINUTE
from rollout.stacks.environment import Environment

PERIODS = 15


async def requests_per_minute(
    cloudwatch: CloudWatchClient, environment: Environment, plan: Plan
) -> list[float]:
    """Of both colours together, for each of the last periods with requests. Raises botocore's errors."""
    period = round(plan.metrics.period)

    def query(role: str) -> dict[str, Any]:
        dimensions = [
            {"Name": "LoadBalancer", "Value": environment.load_balancer_suffix},
            {"Name": "TargetGroup", "Value": environment.group_suffixes[role]},
        ]
        metric = {"Namespace": "AWS/ApplicationELB", "MetricName": "RequestCount", "Dimensions": dimensions}
        return {"Id": role, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}

    by_time: dict[datetime, float] = {}
    for result in await _ask(cloudwatch, plan, [query(role) for role in environment.group_suffixes]):
        for at, value in zip(result["Timestamps"], result["Values"], strict=True):
            by_time[at] = by_time.get(at, 0.0) + value
    return [MINUTE * value / period for _, value in sorted(by_time.items())]


async def unpublished(cloudwatch: CloudWatchClient, colour: str, plan: Plan) -> list[str]:
    """The application's metrics that the plan's criteria need and a colour has not published lately. Raises botocore's errors."""
    period = round(plan.metrics.period)
    queries = []
    for key, name in APPLICATION_METRICS.items():
        dimensions = [{"Name": "Colour", "Value": colour}]
        metric = {"Namespace": APPLICATION, "MetricName": name, "Dimensions": dimensions}
        queries.append({"Id": key, "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}})
    found = {result["Id"] for result in await _ask(cloudwatch, plan, queries) if result["Values"]}
    return [name for key, name in APPLICATION_METRICS.items() if key not in found]


async def _ask(
    cloudwatch: CloudWatchClient, plan: Plan, queries: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """The last periods."""
    now = datetime.now(UTC)
    answer = await asyncio.to_thread(
        cloudwatch.get_metric_data,
        StartTime=now - timedelta(seconds=PERIODS * round(plan.metrics.period)),
        EndTime=now,
        MetricDataQueries=queries,
    )
    results: Sequence[Mapping[str, Any]] = answer["MetricDataResults"]
    return results


def median(found: Sequence[float]) -> int:
    """Of the last periods; one without a datapoint had no requests."""
    return round(statistics.median([*found, *[0.0] * (PERIODS - len(found))]))
