"""Metrics and alarms from CloudWatch, as events of the policy.

One batch of queries a poll asks for every closed period of the last ``LOOK_BACK`` ones, so late and revised datapoints
are found; a period is reported again only when its numbers changed. When a period of a role is first reported:

- as soon as it is accounted for (see :func:`rollout.aws.attribution.accounted_for`);
- or when two polls in a row found the same numbers: some answers are never counted;
- or at once, when it holds a database connection error, which needs no requests to be one;
- or ``metric_delay`` after its end, whatever was published: without RequestCount as 0 requests.

Database connection errors come from the application and may come later than the load balancer's numbers: until then,
and when they never come, they are unmeasured, which blocks advancing. Nothing is ever guessed to be good.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from rollout.aws.attribution import Counts, accounted_for, attribute, without_ours
from rollout.aws.failures import AWS_ERRORS, failure
from rollout.aws.probes import EDGE, ProbeLog
from rollout.control.ports import Reading
from rollout.journal.notes import Attributed
from rollout.plan import Plan
from rollout.policy.events import ALARM_STATES, UNKNOWN, Alarm, EdgeMetrics, Metrics, MetricsError

LOOK_BACK = 15  # periods: fewer than the policy remembers, so a revision is never taken for a new period
_MOST_NAMES = 100  # in one DescribeAlarms
_ELB = "AWS/ApplicationELB"
_WAF = "AWS/WAFV2"
APPLICATION = "Simple378"  # where the application publishes, with the colour as the one dimension
# criterion of a plan -> the application's metric that it is judged by
APPLICATION_METRICS = {"db_connection_errors": "DatabaseConnectionErrors"}
# field of Counts -> (metric, statistic), with the target group as a dimension
_PER_GROUP = {
    "request_count": ("RequestCount", "Sum"),
    "target_2xx": ("HTTPCode_Target_2XX_Count", "Sum"),
    "target_3xx": ("HTTPCode_Target_3XX_Count", "Sum"),
    "target_4xx": ("HTTPCode_Target_4XX_Count", "Sum"),
    "target_5xx": ("HTTPCode_Target_5XX_Count", "Sum"),
    "p95": ("TargetResponseTime", "p95"),
    "healthy_hosts": ("HealthyHostCount", "Minimum"),
}
_PER_BALANCER = {
    "elb_502": ("HTTPCode_ELB_502_Count", "Sum"),
    "elb_503": ("HTTPCode_ELB_503_Count", "Sum"),
    "elb_504": ("HTTPCode_ELB_504_Count", "Sum"),
}
_EDGE = {"allowed": ("AllowedRequests", "Sum"), "blocked": ("BlockedRequests", "Sum")}
RATE_RULE = (
    "rate-per-client"  # as infra names it: what the ACL's managed rules block says nothing about the limit
)
_Series = dict[str, dict[float, float]]  # query id -> period start (epoch seconds) -> value


class CloudWatchClient(Protocol):
    """What is used of boto3's client."""

    def get_metric_data(self, **request: Any) -> Mapping[str, Any]: ...
    def describe_alarms(self, **request: Any) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What to query. ``groups`` and ``colours`` are by role; suffixes are CloudWatch's dimensions."""

    load_balancer: str  # app/name/id
    groups: Mapping[str, str]  # role -> targetgroup/name/id
    colours: Mapping[str, str]  # role -> blue or green
    web_acl: str
    alarm_prefix: str
    topics: Mapping[str, str]  # tier -> topic ARN


@dataclass(slots=True)
class _Seen:
    """What is known of one period: the counts of the last poll, the event as it was reported last."""

    counts: Counts | None = None
    reported: Mapping[str, Any] | None = None  # all fields of the event but its time

    def is_news(self, event: partial[Metrics] | partial[EdgeMetrics]) -> bool:
        """Whether the event differs from what was reported last; if so, it is what was reported last."""
        before, self.reported = self.reported, event.keywords
        return before != event.keywords


@dataclass(slots=True)
class CloudWatchMetrics:
    """The metrics source of a rollout that began at ``start`` (epoch seconds)."""

    client: CloudWatchClient
    watched: Watched
    plan: Plan
    start: float
    probes: ProbeLog
    edge_client: CloudWatchClient | None = None  # where CloudFront's metrics are, when that is another region
    _seen: dict[tuple[str, float], _Seen] = field(default_factory=dict)
    _alarms: dict[str, str] = field(default_factory=dict)

    async def poll(self, t: float) -> Sequence[Reading]:
        """What is new at ``t``. A failed query, of the metrics or of the alarms, is a ``metrics_error``."""
        try:
            series = await asyncio.to_thread(self._query_all, t)
        except (*AWS_ERRORS, _QueryError) as error:
            return [_failed(error, "GetMetricData", f"the metrics of {self.watched.load_balancer}")]
        readings = [reading for start in self._periods(t) for reading in self._read(series, start, t)]
        try:
            alarms = await asyncio.to_thread(
                read_alarms, self.client, self.watched.alarm_prefix, self.plan.alarms
            )
        except AWS_ERRORS as error:
            failed = _failed(error, "DescribeAlarms", f"alarms {self.watched.alarm_prefix}*")
            return [*readings, failed, *self._alarm_changes(())]
        return readings + self._alarm_changes(alarms)

    # --- periods

    def _periods(self, t: float) -> list[float]:
        """Starts (epoch seconds) of the closed periods to look at, aligned as CloudWatch aligns them."""
        period = self.plan.metrics.period
        now = self.start + t
        last = math.floor(now / period)
        first = max(last - LOOK_BACK, math.floor(self.start / period))
        return [index * period for index in range(first, last)]

    def _read(self, series: _Series, start: float, t: float) -> list[Reading]:
        overdue = self.start + t >= start + self.plan.metrics.period + self.plan.metrics.delay
        found = [self._read_role(role, series, start, overdue) for role in self.watched.groups]
        found.append(self._read_edge(series, start, overdue))
        return [reading for reading in found if reading]

    def _read_role(self, role: str, series: _Series, start: float, overdue: bool) -> Reading | None:
        counts = Counts(
            **{name: _value(series, f"{role}_{name}", start) for name in (*_PER_GROUP, *APPLICATION_METRICS)},
            **{name: _value(series, name, start) for name in _PER_BALANCER},
        )
        if counts.healthy_hosts is None and not overdue:
            counts = replace(counts, healthy_hosts=1)  # perhaps it is only late: no 503 is attributed yet
        counts = without_ours(counts, self.probes.counted(role, start, start + self.plan.metrics.period))
        seen = self._seen.setdefault((role, start), _Seen())
        unchanged, seen.counts = seen.counts == counts, counts
        has_requests = counts.request_count is not None
        if not (
            overdue
            or (counts.db_connection_errors or 0) > 0
            or (has_requests and (unchanged or seen.reported or accounted_for(counts)))
        ):
            return None
        event, detail = self._metrics(role, counts, start, overdue)
        return Reading(event, detail) if seen.is_news(event) else None

    def _metrics(
        self, role: str, counts: Counts, start: float, overdue: bool
    ) -> tuple[partial[Metrics], Attributed | None]:
        """The event of a period, and how its numbers came about."""
        begin, end = self._times(start)
        database = None if counts.db_connection_errors is None else round(counts.db_connection_errors)
        event = partial(Metrics, role=role, start=begin, end=end, db_connection_errors=database)
        found = attribute(counts)
        if counts.request_count is None and not (overdue and found.unavailable):
            return partial(event, requests=0 if overdue else None), None
        event = partial(event, requests=found.requests, errors=found.errors, p95=counts.p95)
        return event, Attributed(
            role,
            begin,
            requests=found.requests,
            target_5xx=found.target_5xx,
            elb_502_504=found.gateway,
            elb_503=found.unavailable,
            unanswered=found.unanswered,
        )

    def _times(self, start: float) -> tuple[float, float]:
        """Start and end of a period in seconds from the start of the rollout."""
        return round(start - self.start, 3), round(start + self.plan.metrics.period - self.start, 3)

    def _read_edge(self, series: _Series, start: float, overdue: bool) -> Reading | None:
        ours = self.probes.counted(EDGE, start, start + self.plan.metrics.period)
        allowed, blocked = (_without(_value(series, name, start), ours[name]) for name in _EDGE)
        if allowed is None and not (overdue and blocked):
            return None  # blocked requests without the others would look like all of them
        begin, end = self._times(start)
        event = partial(
            EdgeMetrics, start=begin, end=end, requests=round(allowed or 0), rate_limited=round(blocked or 0)
        )
        seen = self._seen.setdefault(("edge", start), _Seen())
        return Reading(event) if seen.is_news(event) else None

    # --- queries

    def _query_all(self, t: float) -> _Series:
        periods = self._periods(t)
        if not periods:
            return {}
        if self.edge_client is None:
            return self._query(self.client, periods, [*self._queries(), *self._edge_queries()])
        return self._query(self.client, periods, self._queries()) | self._query(
            self.edge_client, periods, self._edge_queries()
        )

    def _query(
        self, client: CloudWatchClient, periods: Sequence[float], queries: Sequence[Mapping[str, Any]]
    ) -> _Series:
        request: dict[str, Any] = {
            "MetricDataQueries": queries,
            "StartTime": _utc(periods[0]),
            "EndTime": _utc(periods[-1] + self.plan.metrics.period),
            "ScanBy": "TimestampAscending",
        }
        series: _Series = {}
        while True:
            answer = client.get_metric_data(**request)
            for result in answer["MetricDataResults"]:
                if result.get("StatusCode") in ("InternalError", "Forbidden"):
                    raise _QueryError(f"{result['Id']}: {result['StatusCode']}")
                points = series.setdefault(result["Id"], {})
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    points[_period_of(at, self.plan.metrics.period)] = value
            if not answer.get("NextToken"):
                return series
            request["NextToken"] = answer["NextToken"]

    def _queries(self) -> list[dict[str, Any]]:
        watched = self.watched
        balancer = {"LoadBalancer": watched.load_balancer}
        queries = [self._stat(name, _ELB, *metric, balancer) for name, metric in _PER_BALANCER.items()]
        for role, group in watched.groups.items():
            target = {**balancer, "TargetGroup": group}
            queries += [
                self._stat(f"{role}_{name}", _ELB, *metric, target) for name, metric in _PER_GROUP.items()
            ]
            colour = {"Colour": watched.colours[role]}
            queries += [
                self._stat(f"{role}_{name}", APPLICATION, metric, "Sum", colour)
                for name, metric in APPLICATION_METRICS.items()
            ]
        return queries

    def _edge_queries(self) -> list[dict[str, Any]]:
        rules = {"allowed": "ALL", "blocked": RATE_RULE}
        return [
            self._stat(name, _WAF, *metric, {"WebACL": self.watched.web_acl, "Rule": rules[name]})
            for name, metric in _EDGE.items()
        ]

    def _stat(
        self, name: str, namespace: str, metric: str, stat: str, by: Mapping[str, str]
    ) -> dict[str, Any]:
        dimensions = [{"Name": key, "Value": value} for key, value in by.items()]
        return {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
                "Period": round(self.plan.metrics.period),
                "Stat": stat,
            },
        }

    def _alarm_changes(self, alarms: Sequence[Mapping[str, Any]]) -> list[Reading]:
        """Alarms whose state changed, and at the first poll those already in ALARM or missing though the plan names them."""
        states = {alarm["AlarmName"]: (alarm["StateValue"], self._tier(alarm)) for alarm in alarms}
        unread = {name: (UNKNOWN, "immediate") for name in self.plan.alarms if name not in states}
        readings = []
        for name, (state, tier) in {**states, **unread}.items():
            before = self._alarms.get(name, "OK" if state in ("ALARM", UNKNOWN) else state)
            self._alarms[name] = state
            if state in ALARM_STATES and state != before:
                readings.append(Reading(partial(Alarm, name=name, tier=tier, state=state)))
        return readings

    def _tier(self, alarm: Mapping[str, Any]) -> str:
        """The tier whose topic the alarm notifies; an alarm that notifies none is a notice."""
        actions = alarm.get("AlarmActions", ())
        return next((tier for tier, topic in self.watched.topics.items() if topic in actions), "notice")


def read_alarms(client: CloudWatchClient, prefix: str, names: Iterable[str]) -> list[Mapping[str, Any]]:
    """Metric and composite alarms whose name begins with ``prefix`` or is one of ``names``."""
    kinds = {"AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    requests: list[dict[str, Any]] = [{"AlarmNamePrefix": prefix, **kinds}]
    others = [name for name in names if not name.startswith(prefix)]
    requests += [{"AlarmNames": list(some), **kinds} for some in _batches(others)]
    found: list[Mapping[str, Any]] = []
    for request in requests:
        while True:
            answer = client.describe_alarms(**request)
            found += [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
            if not answer.get("NextToken"):
                break
            request["NextToken"] = answer["NextToken"]
    return found


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[first : first + _MOST_NAMES] for first in range(0, len(names), _MOST_NAMES))


class _QueryError(Exception):
    """CloudWatch answered, but not all of what was asked."""


def _failed(error: Exception, action: str, resource: str) -> Reading:
    return Reading(partial(MetricsError, reason=failure(error, f"cloudwatch:{action}", resource)))


def _value(series: _Series, name: str, start: float) -> float | None:
    return series.get(name, {}).get(start)


def _without(value: float | None, ours: int) -> float | None:
    return None if value is None else max(value - ours, 0)


def _utc(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def _period_of(at: datetime, period: float) -> float:
    return math.floor(at.timestamp() / period + 0.001) * period
