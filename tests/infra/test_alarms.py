"""Alarms: the guide's limits, what the engine gets of them, and what each makes of data that must and must not fire it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from infra.data.database_alarms import memory_of
from infra.layers.foundation.alarm_table import table
from infra.operations.alarms import Alarm, Composite, Missing
from infra.stacks import Colour
from simulate.lab.aws_server import metric_math
from simulate.lab.aws_server.alarm_rules import parse
from simulate.lab.aws_server.alarms import judge
from tests.infra.alarm_cases import CASES, NOTHING, Values
from tests.infra.engine import Recording, Registered, deploy
from tests.infra.examples import FOUNDATION, STACKS
from tools.alarms_page import PAGE, render

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE = "aws:cloudwatch/compositeAlarm:CompositeAlarm"


def run(**changes: str) -> Recording:
    settings = {
        "clusterName": "a-cluster",
        "sessionBaseline": "1000",
        "databaseCopyRegion": "eu-west-1",
        **changes,
    }
    return deploy("prod", {**FOUNDATION, **{f"simple378:{k}": v for k, v in settings.items()}}, STACKS)


@cache
def example() -> Recording:
    return run()


def topic(component: str, tier: str) -> str:
    return f"arn:aws:sns:eu-central-1:123456789012:{component}-{tier}"


def alarm(name: str) -> Registered:
    return example().one(ALARM, name)


def measured(found: Registered) -> list[tuple[str, str, str]]:
    metrics = [query["metric"] for query in found.inputs["metricQueries"] if "metric" in query]
    return [(metric["namespace"], metric["metricName"], metric["stat"]) for metric in metrics]


APPLICATION, ELB = "Simple378", "AWS/ApplicationELB"


@pytest.mark.parametrize("colour", ["blue", "green"])
@pytest.mark.parametrize(
    ("suffix", "threshold", "tier", "criterion", "metric"),
    [
        ("error-rate", 1, "immediate", "rollback", None),
        ("latency-p95", 2, "immediate", "rollback", (ELB, "TargetResponseTime", "p95")),
        ("server-errors", 10, "immediate", None, (ELB, "HTTPCode_Target_5XX_Count", "Sum")),
        (
            "database-connection-error",
            0,
            "warning",
            "rollback",
            (APPLICATION, "DatabaseConnectionErrors", "Sum"),
        ),
        (
            "database-connection-errors",
            5,
            "immediate",
            None,
            (APPLICATION, "DatabaseConnectionErrors", "Sum"),
        ),
        ("unhealthy-hosts", 0, "warning", "rollback", (ELB, "UnHealthyHostCount", "Maximum")),
        ("websocket-drops", 10, "immediate", None, None),
        ("slow-dashboard", 5, "warning", None, (APPLICATION, "PageSeconds", "p95")),
    ],
)
def test_alarms_of_a_colour_have_the_guides_limits(
    colour: str,
    suffix: str,
    threshold: float,
    tier: str,
    criterion: str | None,
    metric: tuple[str, str, str] | None,
) -> None:
    found = alarm(f"{colour}-{suffix}")
    assert found.parent == colour
    assert found.inputs["name"] == f"simple378-prod-{colour}-{suffix}"
    assert found.inputs["threshold"] == threshold
    assert found.inputs["comparisonOperator"] == "GreaterThanThreshold"
    assert found.inputs["alarmActions"] == [topic("topics", tier)]
    expected = {"tier": tier, "colour": colour} | ({"criterion": criterion} if criterion else {})
    assert found.inputs["tags"] == expected
    if metric:
        assert measured(found) == [metric]


@pytest.mark.parametrize(
    ("name", "threshold", "tier"),
    [
        ("edge-server-errors", 10, "immediate"),
        ("service-authentication-failures", 10, "immediate"),
        ("service-sessions", 2000, "notice"),
        ("database-cpu", 75, "warning"),
        ("database-disk-io", 70, "warning"),
        ("cluster-node-cpu", 80, "warning"),
        ("cluster-blue-cpu", 80, "warning"),
        ("cluster-blue-memory-warning", 80, "warning"),
        ("cluster-blue-memory", 85, "warning"),
        ("frontdoor-rate-limited", 5, "warning"),
    ],
)
def test_alarms_of_what_the_colours_share(name: str, threshold: float, tier: str) -> None:
    found = alarm(name)
    assert found.inputs["threshold"] == threshold
    assert found.inputs["tags"] == {"tier": tier}


@pytest.mark.parametrize(
    ("suffix", "limit", "page"), [("error-rate", 0.5, 1), ("latency-p95", 1, 2), ("websocket-drops", 5, 10)]
)
def test_the_72_hour_watch_warns_between_two_limits(suffix: str, limit: float, page: float) -> None:
    assert alarm(f"green-{suffix}").inputs["threshold"] == page
    elevated = alarm(f"green-{suffix}-elevated").inputs
    assert elevated["threshold"] == limit
    assert "alarmActions" not in elevated
    warning = example().one(COMPOSITE, f"green-{suffix}-warning")
    assert warning.inputs["alarmActions"] == [topic("topics", "warning")]
    rule = parse(warning.inputs["alarmRule"])
    names = f"simple378-prod-green-{suffix}-elevated", f"simple378-prod-green-{suffix}"
    assert rule.names == set(names)
    for states, wanted in ((("OK", "OK"), False), (("ALARM", "OK"), True), (("ALARM", "ALARM"), False)):
        assert rule.holds(dict(zip(names, states, strict=True))) is wanted


def test_burning_the_error_budget_tells_once() -> None:
    rule = parse(example().one(COMPOSITE, "service-burn-rate-fast").inputs["alarmRule"])
    prefix = "simple378-prod-"
    assert rule.names == {
        f"{prefix}{name}"
        for name in ("burn-fast-hour", "burn-fast-now", "blue-error-rate", "green-error-rate")
    }
    burning = {f"{prefix}burn-fast-hour": "ALARM", f"{prefix}burn-fast-now": "ALARM"}
    assert rule.holds(burning)
    # It was, and is over.
    assert not rule.holds(burning | {f"{prefix}burn-fast-now": "OK"})
    # Somebody was paged already.
    assert not rule.holds(burning | {f"{prefix}green-error-rate": "ALARM"})


def test_a_composite_alarm_is_made_of_alarms_that_are_made_before_it() -> None:
    registered = example().resources
    names = {r.inputs["name"]: i for i, r in enumerate(registered) if r.type == ALARM}
    names |= {r.inputs["alarmName"]: i for i, r in enumerate(registered) if r.type == COMPOSITE}
    for composite in example().of_type(COMPOSITE):
        assert parse(composite.inputs["alarmRule"]).names <= set(names), composite.name
        parts = {registered[names[name]].name for name in parse(composite.inputs["alarmRule"]).names}
        assert parts <= composite.depends_on, composite.name


def test_every_alarm_is_one_that_cloudwatch_takes() -> None:
    for found in example().of_type(ALARM):
        queries = found.inputs["metricQueries"]
        assert [query["id"] for query in queries if query["returnData"]] == [queries[-1]["id"]]
        (period,) = {query["metric"]["period"] for query in queries if "metric" in query}
        assert period % 60 == 0
        assert period * found.inputs["evaluationPeriods"] <= 86400
        # CloudWatch takes no more in an alarm.
        assert len(measured(found)) <= 10
        for query in queries:
            assert re.fullmatch(r"[a-z][A-Za-z0-9_]*", query["id"])
            assert len(query.get("expression", "")) <= 1024


def test_the_table_is_what_is_deployed() -> None:
    said = {
        f"{group.prefix}-{each.suffix}"
        for colour in Colour
        for group in table("prod", colour)
        for each in group.alarms
    }
    made = {found.inputs["name"] for found in example().of_type(ALARM)}
    made |= {found.inputs["alarmName"] for found in example().of_type(COMPOSITE)}
    assert said == made
    thresholds = {
        f"{group.prefix}-{each.suffix}": each.threshold
        for group in table("prod", Colour.GREEN)
        for each in group.alarms
        if isinstance(each, Alarm)
    }
    for found in example().of_type(ALARM):
        assert thresholds.get(found.inputs["name"], found.inputs["threshold"]) == found.inputs["threshold"]


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `make alarms`"


def test_what_is_not_there_has_no_alarms() -> None:
    left_out = ("simple378:databasePassword", "simple378:clusterName")
    config = {key: value for key, value in FOUNDATION.items() if key not in left_out}
    bare = deploy(
        "prod",
        {
            **config,
            "simple378:databasePassword": "a-password-of-it",
            "simple378:databaseEndpoint": "db.example:5432",
        },
        STACKS,
    )
    names = {found.inputs["name"] for found in bare.of_type(ALARM)}
    assert not [name for name in names if re.search(r"-(database|cluster|log)-(?!connection)", name)]
    assert "simple378-prod-sessions" not in names
    assert bare.of_type("aws:cloudwatch/logGroup:LogGroup") == []


def test_alarms_on_metrics_of_us_east_1_are_there_with_topics_of_their_own() -> None:
    for found in example().of_type(ALARM):
        elsewhere = any(
            namespace in ("AWS/CloudFront", "AWS/WAFV2", "AWS/Route53") for namespace, _, _ in measured(found)
        )
        assert found.inputs.get("region") == ("us-east-1" if elsewhere else None), found.name
        told = [*found.inputs.get("alarmActions", ()), *found.inputs.get("okActions", ())]
        assert all((":edgetopics-" in each) == elsewhere for each in told)
    at_home = deploy(
        "prod",
        {
            **FOUNDATION,
            "aws:region": "us-east-1",
            "simple378:certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/an-id",
        },
        STACKS,
    )
    assert len(at_home.of_type("aws:sns/topic:Topic")) == 3


def test_on_call_services_are_told_by_tier() -> None:
    urls = {"immediate": ["https://events.pagerduty.example/integration/KEY/enqueue"]}
    recording = run(alarmUrls=json.dumps(urls))
    made = recording.one("aws:sns/topicSubscription:TopicSubscription", "topics-immediate-url-1")
    assert (made.inputs["protocol"], made.inputs["endpoint"]) == ("https", urls["immediate"][0])
    assert "endpoint" in made.secrets
    assert made.inputs["topic"] == topic("topics", "immediate")


@pytest.mark.parametrize(
    ("instance_class", "memory"),
    [
        ("db.t4g.micro", 1),
        ("db.t4g.medium", 4),
        ("db.m6g.large", 8),
        ("db.r6g.2xlarge", 64),
        ("db.m7g.xlarge", 16),
    ],
)
def test_memory_of_an_instance(instance_class: str, memory: float) -> None:
    assert memory_of(instance_class) == memory


def rows() -> dict[str, Alarm]:
    return {
        f"{group.prefix}-{each.suffix}".removeprefix("simple378-prod-"): each
        for group in table("prod", Colour.GREEN)
        for each in group.alarms
        if isinstance(each, Alarm)
    }


def state(row: Alarm, values: Values) -> str:
    """What CloudWatch would make of a newest stretch of periods, oldest first."""
    assert set(values) <= set(row.metrics), sorted(values)
    length = max((len(series) for series in values.values()), default=row.of)
    assert length >= row.of
    periods = [i * row.period for i in range(length)]
    series: dict[str, metric_math.Series] = {
        key: {
            t: float(value)
            for t, value in zip(periods, values.get(key, [None] * length), strict=True)
            if value is not None
        }
        for key in row.metrics
    }
    for key, expression in row.expressions.items():
        series[key] = metric_math.evaluate(expression, series, periods)
    result = series[list(row.expressions or row.metrics)[-1]]
    return judge(
        [result.get(t) for t in periods],
        breaches=lambda value: value < row.threshold if row.below else value > row.threshold,
        evaluate=row.of,
        to_alarm=row.breaches,
        missing=row.missing.value,
        current="OK",
    )


@pytest.mark.parametrize("name", rows())
def test_each_alarm_fires_when_it_must_and_only_then(name: str) -> None:
    row = rows()[name]
    fires, quiet = CASES[name]
    assert fires, "no series that must fire it"
    assert quiet, "no series that must not"
    for values in fires:
        assert state(row, values) == "ALARM", values
    for values in quiet:
        assert state(row, values) == "OK", values


@pytest.mark.parametrize("name", rows())
def test_silence_fires_only_where_it_is_the_failure(name: str) -> None:
    row = rows()[name]
    assert state(row, NOTHING) == ("ALARM" if row.missing is Missing.BAD else "OK")


def test_every_case_belongs_to_an_alarm() -> None:
    assert set(CASES) == set(rows())


def test_every_alarm_names_the_line_of_the_guide() -> None:
    entries: Sequence[Alarm | Composite] = [
        each for group in table("prod", Colour.BLUE) for each in group.alarms
    ]
    for each in entries:
        assert re.match(
            r"Strategy \d|72 hours|72-hour dashboard|Risk \d|24 hours before|First 7 days", each.guide
        )


def test_a_retry_of_the_limit_does_not_end_the_alarm() -> None:
    """A changed limit counts anew: for a minute WAF limits nothing (Risk 4)."""
    row = rows()["edge-rate-limited"]
    busy: list[float | None] = [80, 90, 0, 85]
    assert state(row, {"limited": busy, "allowed": [900, 900, 1000, 900]}) == "ALARM"


def error_rate(values: dict[str, float | None]) -> float | None:
    row = rows()["green-error-rate"]
    series: dict[str, metric_math.Series] = {
        key: {0: float(value)} if (value := values.get(key)) is not None else {} for key in row.metrics
    }
    for key, expression in row.expressions.items():
        series[key] = metric_math.evaluate(expression, series, [0])
    return series["errorrate"].get(0)


@pytest.mark.parametrize(
    ("values", "rate"),
    [
        ({}, None),
        ({"routed": 100, "answered2xx": 100, "healthy": 2}, 0),
        ({"routed": 100, "answered2xx": 90, "answered4xx": 9, "answered5xx": 1, "healthy": 2}, 1),
        # Three unanswered, and the load balancer's five gateway errors are not all of this colour.
        ({"routed": 100, "answered2xx": 97, "balancer502": 4, "balancer504": 1, "healthy": 2}, 3),
        # Ten unanswered, but only one gateway error: the others are still under way.
        ({"routed": 100, "answered2xx": 90, "balancer502": 1, "healthy": 2}, 1),
        # Answers of the minute before.
        ({"routed": 100, "answered2xx": 110, "balancer502": 5, "healthy": 2}, 0),
        # 503 of the other colour.
        ({"routed": 100, "answered2xx": 100, "balancer503": 50, "healthy": 1}, 0),
        # No usable target: every 503 is this colour's, and there is nothing else.
        ({"balancer503": 50}, 100),
        ({"routed": 50, "answered2xx": 50, "balancer503": 50, "healthy": 0}, 50),
    ],
)
def test_error_rate_attributes_what_the_load_balancer_counts_for_all(
    values: dict[str, float | None], rate: float | None
) -> None:
    assert error_rate(values) == rate


def test_what_is_registered_is_what_was_evaluated() -> None:
    registered: dict[str, Any] = {
        found.inputs["name"].removeprefix("simple378-prod-"): found.inputs
        for found in example().of_type(ALARM)
    }
    for name, row in rows().items():
        inputs = registered[name]
        assert (inputs["evaluationPeriods"], inputs["datapointsToAlarm"]) == (row.of, row.breaches)
        assert inputs["treatMissingData"] == row.missing.value
        assert [query["expression"] for query in inputs["metricQueries"] if "expression" in query] == list(
            row.expressions.values()
        )
