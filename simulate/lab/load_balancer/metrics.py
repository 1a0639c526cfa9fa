"""Requests -> CloudWatch metrics as an ALB and WAF publish them, no more: period, dimensions, delay, gaps.

Periods are aligned to the epoch. A count exists only where it is not zero, a response time only where a target
answered, and nothing at all while nothing happens. RequestCount of a target group counts the requests for which one of
its targets could be chosen; what the load balancer answered itself (502, 503, 504) is known per load balancer only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from simulate.lab.load_balancer.log import AlbRequest, EdgeRequest, Origin

#: PutMetricData takes at most this many values in a datum and data in a request.
_MAX_VALUES, _MAX_DATA = 150, 1000

#: A 101 opens a websocket and is in no class of statuses; what the load balancer answers itself is counted by class,
#: and these one by one as well.
_OK = 200
_OWN_METRIC = (500, 502, 503, 504)

Dimensions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Period:
    """What happened in one period: counts and response times by (dimensions, metric name)."""

    counts: Counter[tuple[Dimensions, str]] = field(default_factory=Counter)
    times: dict[Dimensions, Counter[float]] = field(default_factory=dict)
    hosts: dict[tuple[Dimensions, str], Counter[float]] = field(default_factory=dict)
    waf: Counter[tuple[Dimensions, str]] = field(default_factory=Counter)

    def time(self, dimensions: Dimensions, seconds: float) -> None:
        self.times.setdefault(dimensions, Counter())[seconds] += 1

    def host(self, dimensions: Dimensions, name: str, number: int) -> None:
        self.hosts.setdefault((dimensions, name), Counter())[float(number)] += 1


@dataclass(frozen=True, slots=True)
class Names:
    """The dimensions' values: of the load balancer, of each target group by its name in the log, of the WebACL."""

    load_balancer: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    web_acl: str = ""


class Collector:
    """Sorts requests into periods of ``period_s`` seconds and hands closed ones over ``delay_s`` after their end."""

    def __init__(self, period_s: float, delay_s: float) -> None:
        self.period_s = period_s
        self.delay_s = delay_s
        self.names = Names()
        self._periods: dict[int, Period] = {}

    def _at(self, moment: float) -> Period:
        return self._periods.setdefault(int(moment // self.period_s), Period())

    def alb(self, request: AlbRequest) -> None:
        names, period = self.names, self._at(request.at)
        whole = (("LoadBalancer", names.load_balancer),)
        group = names.groups.get(request.group)
        if not names.load_balancer or (request.origin is Origin.CLIENT and not request.target):
            return
        scopes: list[Dimensions] = [whole]
        if group is not None and request.target:
            scopes.append((("LoadBalancer", names.load_balancer), ("TargetGroup", group)))
            for scope in scopes:
                period.counts[scope, "RequestCount"] += 1
                period.counts[scope, "TargetConnectionErrorCount"] += request.connection_failed
        if request.response_s is not None:
            for scope in scopes:
                period.time(scope, request.response_s)
                if request.status >= _OK:
                    period.counts[scope, f"HTTPCode_Target_{request.status // 100}XX_Count"] += 1
        elif request.origin is Origin.CLIENT:
            period.counts[whole, "HTTPCode_ELB_4XX_Count"] += 1  # an ALB's 460: the client went away
        else:
            period.counts[whole, f"HTTPCode_ELB_{request.status // 100}XX_Count"] += 1
            if request.status in _OWN_METRIC:
                period.counts[whole, f"HTTPCode_ELB_{request.status}_Count"] += 1

    def edge(self, request: EdgeRequest) -> None:
        if not self.names.web_acl or not request.rule:
            return
        allowed = request.rule == "ALLOW"
        name = "AllowedRequests" if allowed else "BlockedRequests"
        # What no rule matched is also counted under the WebACL's own name, its default action.
        for rule in ("ALL", self.names.web_acl if allowed else request.rule):
            self._at(request.at).waf[(("Rule", rule), ("WebACL", self.names.web_acl)), name] += 1

    def hosts(self, now: float, group: str, healthy: int, unhealthy: int) -> None:
        """One observation of a target group in use."""
        names = self.names
        if names.load_balancer and group in names.groups:
            scope = (("LoadBalancer", names.load_balancer), ("TargetGroup", names.groups[group]))
            self._at(now).host(scope, "HealthyHostCount", healthy)
            self._at(now).host(scope, "UnHealthyHostCount", unhealthy)

    def due(self, now: float) -> list[tuple[int, Period]]:
        """The periods to publish by now, oldest first, each with its start in seconds of the epoch. Once each."""
        starts = sorted(n for n in self._periods if (n + 1) * self.period_s + self.delay_s <= now)
        return [(round(number * self.period_s), self._periods.pop(number)) for number in starts]


def data(period: Period) -> Iterator[tuple[str, dict[str, Any]]]:
    """The period as (namespace, datum of PutMetricData), without its timestamp."""
    for namespace, counts in (("AWS/ApplicationELB", period.counts), ("AWS/WAFV2", period.waf)):
        for (dimensions, name), count in counts.items():
            if count == 0:
                continue
            yield namespace, {**_metric(name, dimensions, "Count"), "Value": float(count)}
    for dimensions, times in period.times.items():
        yield from _distribution("TargetResponseTime", dimensions, times, "Seconds")
    for (dimensions, name), numbers in period.hosts.items():
        yield from _distribution(name, dimensions, numbers, "Count")


def requests(items: Iterable[tuple[str, dict[str, Any]]], start: int) -> Iterator[dict[str, Any]]:
    """The data as arguments of PutMetricData calls."""
    by_namespace: dict[str, list[dict[str, Any]]] = {}
    for namespace, datum in items:
        by_namespace.setdefault(namespace, []).append({**datum, "Timestamp": start})
    for namespace, metric_data in by_namespace.items():
        for first in range(0, len(metric_data), _MAX_DATA):
            yield {"Namespace": namespace, "MetricData": metric_data[first : first + _MAX_DATA]}


def _distribution(
    name: str, dimensions: Dimensions, values: Counter[float], unit: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    ordered = sorted(values.items())
    for first in range(0, len(ordered), _MAX_VALUES):
        part = ordered[first : first + _MAX_VALUES]
        yield (
            "AWS/ApplicationELB",
            {
                **_metric(name, dimensions, unit),
                "Values": [value for value, _ in part],
                "Counts": [float(count) for _, count in part],
            },
        )


def _metric(name: str, dimensions: Dimensions, unit: str) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions],
        "Unit": unit,
    }
