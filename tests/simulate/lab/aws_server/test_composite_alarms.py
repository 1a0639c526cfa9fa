"""Composite alarms: the grammar of their rules, AWS's refusals, and their evaluation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import botocore.session
import pytest
import requests

from simulate.lab.aws_server import alarms, cloudwatch, composite_alarms
from simulate.lab.aws_server.alarm_rules import BadRule, parse
from tests.simulate.lab.aws_provider.aws_provider_harness import REGION, aws_server

STATES = {"a": "ALARM", "b": "OK", "c-1": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("ALARM(a)", True),
        ('ALARM("b")', False),
        ("OK(b) AND INSUFFICIENT_DATA(c-1)", True),
        ("NOT ALARM(a)", False),
        ("ALARM(a) AND NOT ALARM(b)", True),
        ("ALARM(b) AND ALARM(b) OR ALARM(a)", True),
        ("ALARM(b) AND (ALARM(b) OR ALARM(a))", False),
        ("FALSE OR TRUE", True),
        ("ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)", True),
        ("ALARM(unknown)", False),
    ],
)
def test_rules(rule: str, wanted: bool) -> None:
    assert parse(rule).holds(STATES) is wanted


@pytest.mark.parametrize(
    "rule", ["", "ALARM(a) ALARM(b)", "ALARM(a) AND", "(ALARM(a)", "WARNING(a)", "alarm(a)"]
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(BadRule):
        parse(rule)


@pytest.fixture
def client() -> Iterator[Any]:
    cloudwatch.install()
    composite_alarms.install()
    with aws_server() as endpoint:
        requests.post(f"{endpoint}/moto-api/reset", timeout=60).raise_for_status()
        session = botocore.session.get_session()
        made = session.create_client(
            "cloudwatch",
            REGION,
            endpoint_url=endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        for name in ("slow", "fast"):
            made.put_metric_alarm(
                AlarmName=name,
                ComparisonOperator="GreaterThanThreshold",
                EvaluationPeriods=1,
                Threshold=1.0,
                Namespace="N",
                MetricName=name,
                Period=60,
                Statistic="Sum",
                TreatMissingData="notBreaching",
            )
        yield made


def test_a_composite_alarm_follows_the_others(client: Any) -> None:
    client.put_composite_alarm(AlarmName="both", AlarmRule="ALARM(slow) AND ALARM(fast)")
    # Only who asks for them is told of composite alarms.
    assert client.describe_alarms()["CompositeAlarms"] == []
    (both,) = client.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert both["AlarmRule"] == "ALARM(slow) AND ALARM(fast)"
    evaluator = alarms.Evaluator("123456789012", REGION, time_scale=1, lock=threading.RLock())
    now = 1_000_000_020.0
    for names, wanted in ((("slow",), "OK"), (("fast",), "ALARM")):
        for name in names:
            client.put_metric_data(
                Namespace="N", MetricData=[{"MetricName": name, "Value": 2.0, "Timestamp": now - 60}]
            )
        evaluator.evaluate(now)
        (both,) = client.describe_alarms(AlarmNames=["both"], AlarmTypes=["CompositeAlarm"])[
            "CompositeAlarms"
        ]
        assert both["StateValue"] == wanted


def test_aws_refuses_unknown_alarms_and_the_deletion_of_a_part(client: Any) -> None:
    for rule in ("ALARM(slow) AND ALARM(gone)", "ALARM(slow"):
        with pytest.raises(botocore.exceptions.ClientError, match="ValidationError"):
            client.put_composite_alarm(AlarmName="both", AlarmRule=rule)
    client.put_composite_alarm(AlarmName="both", AlarmRule="ALARM(slow)")
    with pytest.raises(botocore.exceptions.ClientError, match="composite alarm both depends on it"):
        client.delete_alarms(AlarmNames=["slow"])
    client.delete_alarms(AlarmNames=["both"])
    client.delete_alarms(AlarmNames=["slow", "fast"])
    assert client.describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])["MetricAlarms"] == []
