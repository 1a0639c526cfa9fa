"""Alarms: which state the datapoints make."""

from __future__ import annotations

import threading

import pytest
from moto.cloudwatch.models import (
    CloudWatchBackend,
    Dimension,
    Metric,
    MetricDataQuery,
    MetricStat,
    cloudwatch_backends,
)
from moto.sns.models import sns_backends

from simulate.lab.aws_server import alarms, cloudwatch
from simulate.lab.aws_server.metric_store import MetricKey, Samples

ACCOUNT, REGION = "123456789012", "us-east-1"
NOW = 1_000_000_020.0


def judged(datapoints: list[float | None], **settings: object) -> str:
    arguments: dict[str, object] = {
        "evaluate": 1,
        "to_alarm": 1,
        "missing": "notBreaching",
        "current": "OK",
        **settings,
    }
    return alarms.judge(datapoints, breaches=lambda value: value > 1, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("datapoints", "settings", "wanted"),
    [
        ([0.0, 0.5, 2.0], {}, "ALARM"),
        ([2.0, 2.0, 0.5], {}, "OK"),
        ([0.0, 2.0, None], {}, "ALARM"),  # the newest period's datapoint is late
        ([None, None, None], {}, "OK"),
        ([None, None, None], {"missing": "missing"}, "INSUFFICIENT_DATA"),
        ([None, None, None], {"missing": "breaching"}, "ALARM"),
        ([None, None, None], {"missing": "ignore", "current": "ALARM"}, "ALARM"),
        ([2.0, 0.5, 2.0, 0.5], {"evaluate": 3, "to_alarm": 2}, "OK"),
        ([2.0, 2.0, 0.5, 2.0], {"evaluate": 3, "to_alarm": 2}, "ALARM"),
        ([2.0, None, None, 2.0], {"evaluate": 3, "to_alarm": 2}, "ALARM"),
    ],
)
def test_states(datapoints: list[float | None], settings: dict[str, object], wanted: str) -> None:
    assert judged(datapoints, **settings) == wanted


@pytest.fixture
def backend() -> CloudWatchBackend:
    cloudwatch.install()
    backend: CloudWatchBackend = cloudwatch_backends[ACCOUNT][REGION]
    backend.alarms.clear()
    return backend


def test_an_alarm_fires_and_tells_its_topic(backend: CloudWatchBackend) -> None:
    topics = sns_backends[ACCOUNT][REGION]
    topic = topics.create_topic("immediate")
    metric = Metric("errors", "N", [Dimension("Colour", "green")])
    backend.put_metric_alarm(
        name="errors",
        namespace="",
        metric_name="",
        comparison_operator="GreaterThanThreshold",
        evaluation_periods=1,
        period=0,
        threshold=1.0,
        statistic="",
        description="",
        dimensions=[],
        alarm_actions=[topic.arn],
        treat_missing_data="notBreaching",
        metric_data_queries=[
            MetricDataQuery("e", "e", "", "false", None, MetricStat(metric, "60", "Sum", "")),
            MetricDataQuery("twice", "twice", "", "true", "IF(FILL(e, 0) > 0, 2 * e)"),
        ],
    )
    evaluator = alarms.Evaluator(ACCOUNT, REGION, time_scale=10, lock=threading.RLock())
    evaluator.evaluate(NOW)
    assert backend.alarms["errors"].state_value == "OK"
    key = MetricKey.of("N", "errors", {"Colour": "green"})
    cloudwatch.store_of(backend).put(key, int(NOW) - 12, Samples({1.0: 1.0}))
    evaluator.evaluate(NOW)
    assert backend.alarms["errors"].state_value == "ALARM"
    assert '"NewStateValue": "ALARM"' in topic.sent_notifications[-1][1]
    evaluator.evaluate(NOW + 3600)
    assert backend.alarms["errors"].state_value == "OK"
