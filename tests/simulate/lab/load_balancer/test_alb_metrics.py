"""HAProxy's log -> the metrics that an ALB and WAF publish."""

from __future__ import annotations

from typing import Any

import pytest

from simulate.lab.load_balancer import log, metrics

LB = {"LoadBalancer": "app/lab/1"}
GREEN = {**LB, "TargetGroup": "targetgroup/green/2"}
START = 1_000_000_020  # a multiple of 60 and of 6


def line(
    status: int = 200, *, termination: str = "--", ms: int = 12, server: str = "t1", group: str = "tg-green"
) -> str:
    return f"alb|{START * 1000 + 500}|r1|{group}|{server}|{status}|{termination}|{ms}"


def published(*lines: str, period_s: float = 60.0) -> dict[tuple[str, tuple[tuple[str, str], ...]], Any]:
    """Metric -> value, or values with counts, of the one period."""
    collector = metrics.Collector(period_s, 90)
    collector.names = metrics.Names("app/lab/1", {"tg-green": "targetgroup/green/2"}, "limits")
    for text in lines:
        match log.parse(text):
            case log.AlbRequest() as request:
                collector.alb(request)
            case log.EdgeRequest() as request:
                collector.edge(request)
    [(start, period)] = collector.due(START + 1000) or [(START, metrics.Period())]
    assert start == START
    result = {}
    for _, datum in metrics.data(period):
        key = (datum["MetricName"], tuple(sorted((d["Name"], d["Value"]) for d in datum["Dimensions"])))
        result[key] = (
            datum["Value"] if "Value" in datum else dict(zip(datum["Values"], datum["Counts"], strict=True))
        )
    return result


def of(
    dimensions: dict[str, str], found: dict[tuple[str, tuple[tuple[str, str], ...]], Any]
) -> dict[str, Any]:
    return {name: value for (name, where), value in found.items() if dict(where) == dimensions}


def test_an_answered_request() -> None:
    found = published(line(), line(ms=15), line(404), line(500))
    per_group = {
        "RequestCount": 4,
        "HTTPCode_Target_2XX_Count": 2,
        "HTTPCode_Target_4XX_Count": 1,
        "HTTPCode_Target_5XX_Count": 1,
        "TargetResponseTime": {0.012: 3, 0.015: 1},
    }
    assert of(GREEN, found) == per_group
    assert of(LB, found) == per_group, "no 5XX of the load balancer's own: the target made it"


@pytest.mark.parametrize(
    ("text", "own", "connection_error"),
    [
        (line(502, termination="SC", ms=-1), "502", True),  # refused
        (line(502, termination="SH", ms=-1), "502", False),  # closed without an answer
        (line(504, termination="sC", ms=-1), "504", True),  # connecting took too long
        (line(504, termination="sH", ms=-1), "504", False),  # answering took too long
    ],
)
def test_an_unanswered_request_is_known_per_load_balancer_only(
    text: str, own: str, *, connection_error: bool
) -> None:
    found = published(text)
    failed = {"TargetConnectionErrorCount": 1} if connection_error else {}
    assert of(GREEN, found) == {"RequestCount": 1, **failed}, (
        "counted, but neither answered nor an error of the group"
    )
    assert of(LB, found) == {
        "RequestCount": 1,
        "HTTPCode_ELB_5XX_Count": 1,
        f"HTTPCode_ELB_{own}_Count": 1,
        **failed,
    }


def test_without_a_usable_target_nothing_is_counted_for_the_group() -> None:
    found = published(line(503, termination="SC", ms=-1, server="<NOSRV>"))
    assert of(GREEN, found) == {}
    assert of(LB, found) == {"HTTPCode_ELB_5XX_Count": 1, "HTTPCode_ELB_503_Count": 1}


def test_a_503_of_the_target_itself_is_the_target_s() -> None:
    assert of(GREEN, published(line(503)))["HTTPCode_Target_5XX_Count"] == 1
    assert "HTTPCode_ELB_5XX_Count" not in of(LB, published(line(503)))


def test_a_fixed_response_chose_no_target() -> None:
    fixed = line(403, termination="LR", ms=-1, server="<NOSRV>", group="-")
    assert of(LB, published(fixed)) == {"HTTPCode_ELB_4XX_Count": 1}


def test_a_client_that_goes_away_is_no_error_of_anybody() -> None:
    found = published(line(-1, termination="CH", ms=-1))
    assert of(GREEN, found) == {"RequestCount": 1}
    assert of(LB, found) == {"RequestCount": 1, "HTTPCode_ELB_4XX_Count": 1}


def test_waf_counts_by_rule_and_altogether() -> None:
    found = published(*(f"edge|{START * 1000}|{rule}|200" for rule in ("ALLOW", "ALLOW", "rate", "-")))
    assert of({"WebACL": "limits", "Rule": "ALL"}, found) == {"AllowedRequests": 2, "BlockedRequests": 1}
    assert of({"WebACL": "limits", "Rule": "rate"}, found) == {"BlockedRequests": 1}


def test_nothing_happened_nothing_is_published() -> None:
    assert published() == {}


def test_a_period_is_published_once_after_its_delay() -> None:
    collector = metrics.Collector(6, 9)
    collector.names = metrics.Names("app/lab/1", {}, "")
    request = log.parse(line())
    assert isinstance(request, log.AlbRequest)
    collector.alb(request)
    assert collector.due(START + 14.9) == []
    assert [start for start, _ in collector.due(START + 15)] == [START]
    assert collector.due(START + 100) == []


def test_hosts_are_sampled_while_the_group_is_in_use() -> None:
    collector = metrics.Collector(60, 0)
    collector.names = metrics.Names("app/lab/1", {"tg-green": "targetgroup/green/2"}, "")
    for healthy in (2, 2, 1):
        collector.hosts(START, "tg-green", healthy, 2 - healthy)
    [(_, period)] = collector.due(START + 60)
    found = {datum["MetricName"]: datum for _, datum in metrics.data(period)}
    assert found["HealthyHostCount"]["Values"] == [1.0, 2.0]
    assert found["UnHealthyHostCount"]["Counts"] == [2.0, 1.0]


def test_many_values_are_split_as_the_api_wants() -> None:
    found = [line(ms=ms) for ms in range(400)]
    collector = metrics.Collector(60, 0)
    collector.names = metrics.Names("app/lab/1", {}, "")
    for text in found:
        request = log.parse(text)
        assert isinstance(request, log.AlbRequest)
        collector.alb(request)
    [(start, period)] = collector.due(START + 60)
    calls = list(metrics.requests(metrics.data(period), start))
    sizes = [
        len(d["Values"])
        for call in calls
        for d in call["MetricData"]
        if d["MetricName"] == "TargetResponseTime"
    ]
    assert sizes == [150, 150, 100]
    assert all(datum["Timestamp"] == START for call in calls for datum in call["MetricData"])


@pytest.mark.parametrize("text", ["", "Server tg/t1 is UP/READY", "alb|1|2"])
def test_haproxy_s_own_messages_are_no_requests(text: str) -> None:
    assert log.parse(text) is None
