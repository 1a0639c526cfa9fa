"""The CloudWatch adapter: attribution, and datapoints that are missing, late, revised, partial or cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import ANY, Stubber

from rollout.aws.attribution import Counts, accounted_for, attribute, counted_in, without_ours
from rollout.aws.cloudwatch import CloudWatchMetrics, Watched, read_alarms
from rollout.aws.probes import ProbeLog
from rollout.journal.notes import Attributed
from rollout.plan import Rollback, load_plan
from rollout.policy.events import Alarm, EdgeMetrics, Event, Metrics, MetricsError

PLAN = load_plan("phase-c")
START = 1_766_196_010.0  # ten seconds into a metric period
PERIOD = 1_766_196_000.0
WATCHED = Watched(
    load_balancer="app/simple378-prod/1",
    groups={"candidate": "targetgroup/green/2", "stable": "targetgroup/blue/1"},
    colours={"candidate": "green", "stable": "blue"},
    web_acl="simple378-prod-limits",
    alarm_prefix="simple378-prod-",
    topics={"immediate": "arn:immediate", "warning": "arn:warning", "notice": "arn:notice"},
)


@dataclass
class FakeCloudWatch:
    """Stand-in for boto3's client. ``points``: (query id, period start) -> value."""

    points: dict[tuple[str, float], float] = field(default_factory=dict)
    alarms: list[dict[str, Any]] = field(default_factory=list)
    denied: bool = False
    failure: Exception | None = None
    page_size: int = 100
    requests: list[dict[str, Any]] = field(default_factory=list)

    def get_metric_data(self, **request: Any) -> Mapping[str, Any]:
        self.requests.append(request)
        if self.failure:
            raise self.failure
        names = [query["Id"] for query in request["MetricDataQueries"]]
        page = int(request.get("NextToken", 0))
        results = []
        for name in names[page : page + self.page_size]:
            found = {at: value for (of, at), value in self.points.items() if of == name}
            times = [datetime.fromtimestamp(at, UTC) for at in found]
            results.append(
                {"Id": name, "Timestamps": times, "Values": list(found.values()), "StatusCode": "Complete"}
            )
        more = page + self.page_size
        return {"MetricDataResults": results} | ({"NextToken": str(more)} if more < len(names) else {})

    def describe_alarms(self, **request: Any) -> Mapping[str, Any]:
        if self.denied:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeAlarms")
        assert request["AlarmTypes"] == ["MetricAlarm", "CompositeAlarm"]
        if names := request.get("AlarmNames"):
            return {"CompositeAlarms": [found for found in self.alarms if found["AlarmName"] in names]}
        assert request["AlarmNamePrefix"] == "simple378-prod-"
        return {"MetricAlarms": [found for found in self.alarms if found["AlarmName"] != "checkout"]}

    def publish(self, role: str, period: float = PERIOD, **values: float) -> None:
        for name, value in values.items():
            shared = name.startswith("elb_") or name in ("allowed", "blocked")
            self.points[name if shared else f"{role}_{name}", period] = value


@dataclass
class Source:
    cloud: FakeCloudWatch
    metrics: CloudWatchMetrics

    def poll(self, t: float, kind: type = Metrics) -> list[Any]:
        events = [reading.event(t) for reading in asyncio.run(self.metrics.poll(t))]
        return [event for event in events if isinstance(event, kind)]

    def candidate(self, t: float) -> list[Metrics]:
        return [event for event in self.poll(t) if event.role == "candidate"]

    def details(self, t: float) -> list[Attributed]:
        return [r.detail for r in asyncio.run(self.metrics.poll(t)) if r.detail]


@pytest.fixture
def source() -> Source:
    cloud = FakeCloudWatch()
    return Source(cloud, CloudWatchMetrics(cloud, WATCHED, PLAN, START, ProbeLog(lambda: START)))


GOOD = {"request_count": 60.0, "target_2xx": 60.0, "p95": 0.2, "healthy_hosts": 2.0}


def test_a_closed_period_is_reported_once(source: Source) -> None:
    source.cloud.publish("candidate", **GOOD, db_connection_errors=0)
    assert source.candidate(49) == []  # it closes at 50 s
    assert source.candidate(50) == [Metrics(50, "candidate", -10, 50, 60, 0, 0.2, 0)]
    assert source.candidate(60) == []


# --- attribution


@pytest.mark.parametrize(
    ("published", "requests", "errors"),
    [
        ({**GOOD, "target_2xx": 57, "target_5xx": 3}, 60, 3),
        ({**GOOD, "target_2xx": 50, "target_4xx": 10}, 60, 0),  # a 429 is a 4XX
        (
            {**GOOD, "target_2xx": 58, "elb_502": 5, "elb_504": 5},
            60,
            2,
        ),  # at most the unanswered ones are ours
        ({**GOOD, "target_2xx": 50, "elb_502": 1, "elb_504": 2}, 60, 3),
        ({**GOOD, "target_2xx": 60, "elb_502": 4}, 60, 0),  # all answered: those are the other side's
        ({**GOOD, "elb_503": 5}, 60, 0),  # it has usable targets: those are the other side's
        ({**GOOD, "elb_503": 5, "healthy_hosts": 0}, 65, 5),
        ({**GOOD, "target_2xx": 58, "target_3xx": 2}, 60, 0),
        (
            {**GOOD, "request_count": 2, "target_2xx": 0, "target_5xx": 3},
            3,
            3,
        ),  # answers of the period before
    ],
)
def test_attribution(source: Source, published: dict[str, float], requests: int, errors: int) -> None:
    source.cloud.publish("candidate", **published)
    (told,) = source.candidate(50) or source.candidate(51)  # those not accounted for wait for a second look
    assert (told.requests, told.errors) == (requests, errors)


def test_attribution_is_reported_beside_the_event(source: Source) -> None:
    source.cloud.publish("candidate", **{**GOOD, "target_2xx": 56, "target_5xx": 1}, elb_504=9)
    (detail,) = source.details(50)
    assert detail == Attributed(
        "candidate", -10, requests=60, target_5xx=1, elb_502_504=3, elb_503=0, unanswered=3
    )


def test_503s_without_any_target_count_when_nothing_else_came(source: Source) -> None:
    source.cloud.publish("candidate", elb_503=12)
    assert source.candidate(229) == []
    assert source.candidate(230) == [Metrics(230, "candidate", -10, 50, 12, 12, None, None)]


def test_a_late_host_count_is_no_missing_host(source: Source) -> None:
    source.cloud.publish("candidate", request_count=60, target_2xx=60, p95=0.2, elb_503=4)
    assert source.candidate(50)[0].errors == 0
    source.cloud.publish("candidate", healthy_hosts=2)
    assert source.candidate(230) == []


# --- missing, late, revised, partial


def test_no_datapoint_is_no_requests_after_the_delay(source: Source) -> None:
    assert source.candidate(229) == []
    assert source.candidate(230) == [Metrics(230, "candidate", -10, 50, requests=0)]


def test_missing_database_errors_are_unmeasured_not_zero(source: Source) -> None:
    source.cloud.publish("candidate", **GOOD)
    assert source.candidate(50)[0].db_connection_errors is None
    source.cloud.publish("candidate", db_connection_errors=0)
    (revised,) = source.candidate(60)
    assert (revised.t, revised.requests, revised.db_connection_errors) == (60, 60, 0)


def test_a_database_error_waits_for_nothing(source: Source) -> None:
    source.cloud.publish("candidate", db_connection_errors=2)
    assert source.candidate(50) == [Metrics(50, "candidate", -10, 50, db_connection_errors=2)]


def test_a_half_published_period_waits_for_a_second_look(source: Source) -> None:
    source.cloud.publish("candidate", request_count=60, target_2xx=20)
    assert source.candidate(50) == []
    source.cloud.publish("candidate", target_2xx=60, p95=0.2)
    assert source.candidate(60)[0].errors == 0


def test_requests_that_are_never_answered_are_reported_at_the_second_look(source: Source) -> None:
    source.cloud.publish("candidate", request_count=60, target_2xx=58, p95=0.2)  # two websockets
    assert source.candidate(50) == []
    assert source.candidate(60) == [Metrics(60, "candidate", -10, 50, 60, 0, 0.2, None)]


def test_nobody_answered_is_unmeasured_latency(source: Source) -> None:
    source.cloud.publish("candidate", request_count=60, elb_504=60)
    assert source.candidate(50) == []
    assert source.candidate(60) == [Metrics(60, "candidate", -10, 50, 60, 60, None, None)]


def test_a_revised_period_is_reported_again(source: Source) -> None:
    source.cloud.publish("candidate", **GOOD, db_connection_errors=0)
    source.candidate(50)
    source.cloud.publish("candidate", request_count=70, target_2xx=64, target_5xx=6)
    assert source.candidate(200) == [Metrics(200, "candidate", -10, 50, 70, 6, 0.2, 0)]


def test_a_late_period_is_reported_when_it_comes(source: Source) -> None:
    source.candidate(230)
    source.cloud.publish("candidate", **GOOD, target_5xx=0)
    assert source.candidate(400)[0].requests == 60


def test_stable_is_reported_too(source: Source) -> None:
    source.cloud.publish("stable", **{**GOOD, "request_count": 940, "target_2xx": 940})
    (event,) = source.poll(50)
    assert (event.role, event.requests) == ("stable", 940)


def test_the_edge(source: Source) -> None:
    source.cloud.publish("", blocked=80)
    assert (
        source.poll(50, EdgeMetrics) == []
    )  # blocked requests without the others would look like all of them
    source.cloud.publish("", allowed=920)
    assert source.poll(60, EdgeMetrics) == [EdgeMetrics(60, -10, 50, 920, 80)]
    source.cloud.publish("", period=PERIOD + 60, allowed=1000)
    assert source.poll(110, EdgeMetrics) == [EdgeMetrics(110, 50, 110, 1000, 0)]


def test_the_edge_is_asked_where_cloudfront_is(source: Source) -> None:
    elsewhere = source.metrics.edge_client = FakeCloudWatch()
    elsewhere.publish("", allowed=1000)
    source.cloud.publish("candidate", **GOOD)
    assert source.poll(50, EdgeMetrics) == [EdgeMetrics(50, -10, 50, 1000, 0)]
    assert "allowed" not in {query["Id"] for query in source.cloud.requests[0]["MetricDataQueries"]}


# --- our own requests


def logged(source: Source) -> ProbeLog:
    """The log of the source, in which every request is answered in the first period."""
    log = source.metrics.probes = ProbeLog(lambda: PERIOD + 30)
    return log


def test_probes_have_a_target_group_of_their_own_and_are_in_no_count_of_the_users(source: Source) -> None:
    log = logged(source)
    for _ in range(36):
        log.add("candidate", 200, by_target=True)
    source.cloud.publish("candidate", request_count=50, target_2xx=47, target_5xx=3, p95=0.2, healthy_hosts=2)
    (told,) = source.candidate(50)
    assert (told.requests, told.errors) == (50, 3)


def test_our_requests_at_the_front_door_are_in_no_count_of_the_edge(source: Source) -> None:
    log = logged(source)
    for _ in range(24):
        log.add_edge(allowed=True)
    log.add_edge(allowed=False)
    source.cloud.publish("", allowed=124, blocked=11)
    assert source.poll(50, EdgeMetrics) == [EdgeMetrics(50, -10, 50, 100, 10)]


def test_a_single_user_of_a_candidate_counts(source: Source) -> None:
    source.cloud.publish("candidate", request_count=1, target_2xx=1, p95=0.2, healthy_hosts=2)
    (told,) = source.candidate(50)
    assert (told.requests, told.p95) == (1, 0.2)


@pytest.mark.parametrize("role", ["candidate", "stable"])
def test_a_probe_that_the_load_balancer_answered_is_nobodys_error(source: Source, role: str) -> None:
    """Its 502 is in the count that all target groups share, so whose probe it was does not matter."""
    log = logged(source)
    for _ in range(30):
        log.add(role, 502, by_target=False)
    # Open websockets: requests that never get an answer that is counted.
    source.cloud.publish("candidate", request_count=60, target_2xx=20, p95=0.2, elb_502=32, healthy_hosts=2)
    (told,) = source.candidate(50 + PLAN.metrics.delay)
    assert (told.requests, told.errors) == (60, 2)


def test_a_probe_is_no_refused_user_of_a_candidate_without_targets(source: Source) -> None:
    log = logged(source)
    for _ in range(36):
        log.add("candidate", 503, by_target=False)
    source.cloud.publish("candidate", elb_503=36)
    (told,) = source.candidate(50 + PLAN.metrics.delay)
    assert (told.requests, told.errors) == (0, None)


def test_requests_of_ours_that_went_the_users_way_are_taken_out() -> None:
    counts = Counts(request_count=86, target_2xx=83, target_5xx=3, p95=0.2)
    users = without_ours(counts, {"request_count": 36, "target_2xx": 35, "target_5xx": 1})
    assert (users.request_count, users.target_2xx, users.target_5xx) == (50, 48, 2)
    assert attribute(users).errors == 2
    assert without_ours(counts, {}) == counts


@pytest.mark.parametrize("left_behind", [0, 1, 2])
def test_a_candidate_that_only_we_reach_has_no_requests(left_behind: int) -> None:
    counts = Counts(request_count=6 + left_behind, target_2xx=6 + left_behind, p95=0.01, healthy_hosts=2)
    users = without_ours(counts, {"request_count": 6, "target_2xx": 6})
    assert attribute(users).requests == 0
    assert users.p95 is None
    assert not accounted_for(users)


@pytest.mark.parametrize(
    ("status", "by_target", "probe", "user"),
    [
        (200, True, (), ("request_count", "target_2xx")),
        (503, True, (), ("request_count", "target_5xx")),
        (502, False, ("elb_502",), ("request_count", "elb_502")),
        (503, False, ("elb_503",), ("elb_503",)),
        (403, False, (), ()),
    ],
)
def test_where_a_request_of_ours_is_counted(
    status: int, by_target: bool, probe: tuple[str, ...], user: tuple[str, ...]
) -> None:
    assert counted_in(status, by_target=by_target, as_user=False) == probe
    assert counted_in(status, by_target=by_target, as_user=True) == user


def test_the_log_counts_by_period_and_role_but_what_all_share_for_everybody() -> None:
    now = [START]
    log = ProbeLog(lambda: now[0])
    for at in (START, PERIOD + 59.9, PERIOD + 60):
        now[0] = at
        log.add_user("candidate", 200, by_target=True)
        log.add_user("stable", 500, by_target=True)
        log.add("stable", 504, by_target=False)
    assert log.counted("candidate", PERIOD, PERIOD + 60) == {
        "request_count": 2,
        "target_2xx": 2,
        "elb_504": 2,
    }
    assert log.counted("stable", PERIOD + 60, PERIOD + 120) == {
        "request_count": 1,
        "target_5xx": 1,
        "elb_504": 1,
    }


# --- failures


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (
            ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "GetMetricData"),
            "cloudwatch:GetMetricData of the metrics of app/simple378-prod/1 failed: throttled (Throttling: Rate",
        ),
        (
            EndpointConnectionError(endpoint_url="https://monitoring"),
            "cloudwatch:GetMetricData of the metrics of",
        ),
    ],
)
def test_a_failed_query_is_an_event(source: Source, failure: Exception, reason: str) -> None:
    source.cloud.failure = failure
    (event,) = source.poll(50, MetricsError)
    assert event.reason.startswith(reason)
    source.cloud.failure = None
    source.cloud.publish("candidate", **GOOD)
    assert source.candidate(60)[0].requests == 60


def test_a_result_that_could_not_be_computed_is_a_failed_query(source: Source) -> None:
    class Broken(FakeCloudWatch):
        def get_metric_data(self, **request: Any) -> Mapping[str, Any]:
            return {
                "MetricDataResults": [
                    {"Id": "a", "Timestamps": [], "Values": [], "StatusCode": "InternalError"}
                ]
            }

    source.metrics.client = Broken()
    assert source.poll(50, MetricsError)[0].reason.endswith(" failed: a: InternalError")


def test_all_pages_are_read(source: Source) -> None:
    source.cloud.page_size = 4
    source.cloud.publish("candidate", **GOOD, db_connection_errors=0)
    source.cloud.publish("stable", **GOOD)
    assert {event.role for event in source.poll(50)} == {"candidate", "stable"}


def test_one_batch_looks_back_far_enough_and_no_further(source: Source) -> None:
    source.poll(3000)
    (request,) = source.cloud.requests
    assert request["EndTime"].timestamp() == PERIOD + 3000
    assert request["StartTime"].timestamp() == PERIOD + 3000 - 15 * 60
    p95 = next(q["MetricStat"] for q in request["MetricDataQueries"] if q["Id"] == "candidate_p95")
    assert (p95["Stat"], p95["Period"], p95["Metric"]["MetricName"]) == ("p95", 60, "TargetResponseTime")


def test_the_request_is_one_that_aws_accepts() -> None:
    client = boto3.client(
        "cloudwatch", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        wanted = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY, "ScanBy": "TimestampAscending"}
        stub.add_response("get_metric_data", {"MetricDataResults": []}, wanted)
        stub.add_client_error("describe_alarms", "ThrottlingException", "slow down")
        metrics = CloudWatchMetrics(client, WATCHED, PLAN, START, ProbeLog(lambda: START))
        (reading,) = asyncio.run(metrics.poll(50))
    event = reading.event(50)
    assert isinstance(event, MetricsError)
    assert event.reason.startswith("cloudwatch:DescribeAlarms of alarms simple378-prod-* failed: throttled")


# --- alarms


def alarm(name: str, state: str, *actions: str) -> dict[str, Any]:
    return {"AlarmName": name, "StateValue": state, "AlarmActions": list(actions)}


def test_alarms_are_reported_when_they_change_and_when_they_stand(source: Source) -> None:
    def told(*alarms: dict[str, Any]) -> list[Event]:
        source.cloud.alarms = list(alarms)
        return source.poll(10, Alarm)

    quiet = [alarm("cpu", "OK", "arn:warning"), alarm("new", "INSUFFICIENT_DATA", "arn:immediate")]
    assert told(alarm("down", "ALARM", "arn:immediate"), *quiet) == [Alarm(10, "down", "immediate", "ALARM")]
    assert told(alarm("down", "ALARM", "arn:immediate"), *quiet) == []
    assert told(alarm("down", "OK", "arn:immediate"), alarm("cpu", "ALARM", "arn:warning")) == [
        Alarm(10, "down", "immediate", "OK"),
        Alarm(10, "cpu", "warning", "ALARM"),
    ]
    assert told(alarm("mine", "ALARM")) == [Alarm(10, "mine", "notice", "ALARM")]


WITH_ALARMS = replace(PLAN, alarms={"simple378-prod-cpu": Rollback.PREVIOUS, "checkout": Rollback.ABORT})


@pytest.fixture
def alarmed(source: Source) -> Source:
    source.metrics.plan = WITH_ALARMS
    return source


def test_the_plans_alarms_are_read_whatever_their_prefix_and_kind(alarmed: Source) -> None:
    alarmed.cloud.alarms = [alarm("simple378-prod-cpu", "OK"), alarm("checkout", "ALARM", "arn:immediate")]
    assert alarmed.poll(10, Alarm) == [Alarm(10, "checkout", "immediate", "ALARM")]


def test_an_alarm_of_the_plan_that_is_not_there_is_unknown(alarmed: Source) -> None:
    alarmed.cloud.alarms = [alarm("simple378-prod-cpu", "OK")]
    assert alarmed.poll(10, Alarm) == [Alarm(10, "checkout", "immediate", "UNKNOWN")]
    assert alarmed.poll(20, Alarm) == []
    alarmed.cloud.alarms.append(alarm("checkout", "OK"))
    assert alarmed.poll(30, Alarm) == [Alarm(30, "checkout", "notice", "OK")]


def test_while_alarms_may_not_be_read_those_of_the_plan_are_unknown(alarmed: Source) -> None:
    alarmed.cloud.denied = True
    assert [event.name for event in alarmed.poll(10, Alarm)] == list(WITH_ALARMS.alarms)
    (error,) = alarmed.poll(20, MetricsError)
    assert "access denied" in error.reason
    alarmed.cloud.denied = False
    alarmed.cloud.alarms = [alarm(name, "OK") for name in WITH_ALARMS.alarms]
    assert [event.state for event in alarmed.poll(30, Alarm)] == ["OK", "OK"]


def test_more_alarms_than_one_call_takes_are_asked_for_in_several(alarmed: Source) -> None:
    names = [f"other-{n}" for n in range(201)]
    asked: list[int] = []

    class Client(FakeCloudWatch):
        def describe_alarms(self, **request: Any) -> Mapping[str, Any]:
            asked.append(len(request.get("AlarmNames", ())))
            return {}

    read_alarms(Client(), "simple378-prod-", names)
    assert asked == [0, 100, 100, 1]
