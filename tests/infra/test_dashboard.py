"""The dashboard: what the guide lists is on it, and every metric on it, or in an alarm, is one that somebody publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.operations.log_alarms import SIGNATURES, Source
from tests.infra.engine import Recording, deploy
from tests.infra.examples import FOUNDATION, STACKS

CONTRACT = Path(__file__).parents[2] / "docs" / "application-contract.md"
# As AWS's documentation lists them: "CloudWatch metrics for your Application Load Balancer", "Amazon CloudWatch metrics for
# Amazon RDS", "Performance Insights metrics", "Viewing CloudFront metrics", "AWS WAF metrics and dimensions", "Monitoring
# health checks using CloudWatch", "Container Insights metrics".
AWS_PUBLISHES = {
    "AWS/ApplicationELB": {
        "HTTPCode_ELB_502_Count",
        "HTTPCode_ELB_503_Count",
        "HTTPCode_ELB_504_Count",
        "HTTPCode_ELB_5XX_Count",
        "HTTPCode_Target_2XX_Count",
        "HTTPCode_Target_3XX_Count",
        "HTTPCode_Target_4XX_Count",
        "HTTPCode_Target_5XX_Count",
        "HealthyHostCount",
        "RequestCount",
        "TargetResponseTime",
        "UnHealthyHostCount",
    },
    "AWS/RDS": {
        "CPUUtilization",
        "DBLoadRelativeToNumVCPUs",
        "DatabaseConnections",
        "FreeStorageSpace",
        "FreeableMemory",
        "ReadIOPS",
        "ReadLatency",
        "WriteIOPS",
        "WriteLatency",
    },
    "AWS/Backup": {"NumberOfBackupJobsFailed", "NumberOfCopyJobsFailed", "NumberOfRestoreJobsFailed"},
    "AWS/CloudFront": {"4xxErrorRate", "5xxErrorRate"},
    "AWS/WAFV2": {"AllowedRequests", "BlockedRequests"},
    "AWS/Route53": {"HealthCheckStatus"},
    "ContainerInsights": {
        "cluster_node_count",
        "node_cpu_utilization",
        "node_filesystem_utilization",
        "node_memory_utilization",
        "pod_cpu_reserved_capacity",
        "pod_cpu_utilization",
        "pod_memory_utilization_over_pod_limit",
        "pod_number_of_container_restarts",
        "service_number_of_running_pods",
    },
}


@cache
def example() -> Recording:
    settings = {"simple378:clusterName": "a-cluster", "simple378:sessionBaseline": "1000"}
    return deploy("prod", {**FOUNDATION, **settings}, STACKS)


def widgets(recording: Recording, kind: str) -> list[dict[str, Any]]:
    body = json.loads(recording.one("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    return [widget for widget in body["widgets"] if widget["type"] == kind]


def titles(recording: Recording) -> str:
    return "\n".join(widget["properties"]["title"] for widget in widgets(recording, "metric"))


@pytest.mark.parametrize(
    "words",
    [
        "Error rate (target < 0.1 %)",
        "P50, P95, P99",
        "Throughput",
        "Active users",
        "Database connections",
        "CPU, memory, disk",
        "Websockets open",
        "tried from outside",
    ],
)
def test_what_the_guide_lists_is_there(words: str) -> None:
    assert words in titles(example())


def test_the_status_is_made_of_alarms_that_there_are() -> None:
    red, yellow = widgets(example(), "alarm")
    assert red["properties"]["title"].startswith("Red")
    assert yellow["properties"]["title"].startswith("Yellow")
    kinds = ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm")
    known = {f"arn:{found.name}" for kind in kinds for found in example().of_type(kind)}
    for widget in (red, yellow):
        assert widget["properties"]["alarms"]
        assert set(widget["properties"]["alarms"]) <= known


def test_it_is_of_minutes_and_lies_within_its_24_columns() -> None:
    taken: set[tuple[int, int]] = set()
    for widget in widgets(example(), "metric") + widgets(example(), "alarm"):
        cells = {
            (widget["x"] + x, widget["y"] + y)
            for x in range(widget["width"])
            for y in range(widget["height"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, widget["properties"]["title"]
        taken |= cells
    assert {widget["properties"]["period"] for widget in widgets(example(), "metric")} == {60}


def test_expressions_name_what_is_beside_them() -> None:
    for widget in widgets(example(), "metric"):
        lines = widget["properties"]["metrics"]
        ids = [line[-1]["id"] for line in lines if "id" in line[-1]]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[a-z][A-Za-z0-9_]*", each) for each in ids)
        for line in lines:
            if "expression" in line[0]:
                assert set(re.findall(r"[a-z]\w*", line[0]["expression"])) <= set(ids)
        assert any(line[-1].get("visible", True) for line in lines)


def test_what_is_not_there_is_not_shown() -> None:
    config = {key: value for key, value in FOUNDATION.items() if key != "simple378:clusterName"}
    bare = deploy("prod", {**config, "simple378:databaseEndpoint": "db.example:5432"}, STACKS)
    assert "Nodes" not in titles(bare)
    assert "Database CPU" not in titles(bare)


def of_alarms() -> Iterator[tuple[str, str]]:
    for found in example().of_type("aws:cloudwatch/metricAlarm:MetricAlarm"):
        for query in found.inputs["metricQueries"]:
            if "metric" in query:
                yield query["metric"]["namespace"], query["metric"]["metricName"]


def of_dashboard() -> Iterator[tuple[str, str]]:
    for widget in widgets(example(), "metric"):
        for line in widget["properties"]["metrics"]:
            if isinstance(line[0], str):
                yield line[0], line[1]


def test_every_metric_is_one_that_somebody_publishes() -> None:
    application = set(re.findall(r"^\| `(\w+)` \|", CONTRACT.read_text(), re.MULTILINE))
    assert "DatabaseConnectionErrors" in application
    filters = {
        found.inputs["metricTransformation"]["name"]
        for found in example().of_type("aws:cloudwatch/logMetricFilter:LogMetricFilter")
    }
    published = AWS_PUBLISHES | {"Simple378": application, "simple378-prod/logs": filters}
    used = {*of_alarms(), *of_dashboard()}
    assert {each for each in used if each[1] not in published[each[0]]} == set()
    # And what is asked of the application is looked at.
    assert application <= {name for namespace, name in used if namespace == "Simple378"}


def test_logs_are_kept_for_as_long_as_is_said_and_made_before_the_database() -> None:
    groups = {
        found.inputs["name"]: found.inputs for found in example().of_type("aws:cloudwatch/logGroup:LogGroup")
    }
    assert set(groups) == {
        "/aws/containerinsights/a-cluster/application",
        "/aws/rds/instance/simple378-prod/postgresql",
        "/aws/rds/instance/simple378-prod/upgrade",
    }
    assert {group["retentionInDays"] for group in groups.values()} == {30}
    names = [resource.name for resource in example().resources]
    database = example().one("aws:rds/instance:Instance")
    for group in ("logs-database-postgresql", "logs-database-upgrade"):
        assert names.index(group) < names.index(database.name)
    assert database.inputs["identifier"] == "simple378-prod"


def test_each_risk_has_a_saved_query() -> None:
    names = {
        found.inputs["name"] for found in example().of_type("aws:cloudwatch/queryDefinition:QueryDefinition")
    }
    assert {int(match[1]) for name in names if (match := re.search(r"/risk-(\d)-", name))} == set(
        range(1, 10)
    )


def test_patterns_are_of_the_sources_form() -> None:
    for signature in SIGNATURES:
        if signature.source is Source.APPLICATION:
            assert signature.pattern.startswith("{ ($.kubernetes.namespace_name = ")
        else:
            assert re.fullmatch(r'"[^"]+"|(\?"[^"]+" ?)+', signature.pattern)
        assert len(signature.pattern) <= 1024
