"""moto's CloudWatch with its store, its queries and its alarms replaced (moto 5.2.5 has no percentiles, scans all data
on every query, does not align periods and never evaluates an alarm).

moto keeps one backend object per account and region; its methods are replaced on the class, so that everything else
of moto's CloudWatch (alarms' definitions, dashboards, tags) stays as it is.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.cloudwatch.models import CloudWatchBackend, MetricDatumBase
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult

from simulate.lab.aws_server import metric_math
from simulate.lab.aws_server.metric_store import (
    MetricKey,
    MetricStore,
    Samples,
    StatisticSet,
    UnknownStatistic,
    check_statistic,
)
from simulate.lab.aws_server.switches import SWITCHES

_stores: weakref.WeakKeyDictionary[CloudWatchBackend, MetricStore] = weakref.WeakKeyDictionary()


class QueryFailed(ServiceException):
    """What AWS answers when it will not or cannot read metrics; raised by the lab's ``metrics-failing`` switch."""


def store_of(backend: CloudWatchBackend) -> MetricStore:
    return _stores.setdefault(backend, MetricStore())


def install() -> None:
    """Replaces moto's metric storage and queries in this process."""
    for name, method in (
        ("put_metric_data", _put_metric_data),
        ("get_metric_data", _get_metric_data),
        ("get_all_metrics", _get_all_metrics),
    ):
        setattr(CloudWatchBackend, name, method)
    setattr(CloudWatchResponse, "get_metric_statistics", _get_metric_statistics)  # noqa: B010


def _dimensions(items: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    return {item["Name"]: item["Value"] for item in items or ()}


def _seconds(moment: datetime) -> int:
    """Whole seconds of the epoch; moto hands naive times over, which are in UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)


def _samples(datum: Mapping[str, Any]) -> Samples:
    if datum.get("Values"):
        counts = datum.get("Counts") or [1.0] * len(datum["Values"])
        samples = Samples()
        for value, count in zip(datum["Values"], counts, strict=True):
            samples.add(Samples({float(value): float(count)}))
        return samples
    if statistics := datum.get("StatisticValues"):
        return Samples(
            sets=[
                StatisticSet(
                    float(statistics["SampleCount"]),
                    float(statistics["Sum"]),
                    float(statistics["Minimum"]),
                    float(statistics["Maximum"]),
                )
            ]
        )
    return Samples({float(datum.get("Value", 0.0)): 1.0})


def _put_metric_data(self: CloudWatchBackend, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    for index, datum in enumerate(metric_data, start=1):
        self._validate_parameters_put_metric_data(datum, index)
    if SWITCHES.active("metrics-missing") is not None:
        return
    for datum in metric_data:
        moment = datum.get("Timestamp")
        store_of(self).put(
            MetricKey.of(namespace, datum["MetricName"], _dimensions(datum.get("Dimensions"))),
            _seconds(moment if moment is not None else datetime.now(UTC)),
            _samples(datum),
            datum.get("Unit") or "None",
        )


def _fail_if_switched() -> None:
    if (failing := SWITCHES.active("metrics-failing")) is not None:
        code = str(failing.get("code", "Throttling"))
        raise QueryFailed(code, "Rate exceeded" if code == "Throttling" else "switched to fail in the lab")


def _get_metric_data(
    self: CloudWatchBackend,
    queries: list[dict[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampDescending",
) -> list[dict[str, Any]]:
    _fail_if_switched()
    start, end = _seconds(start_time), _seconds(end_time)
    if start >= end:
        raise ValidationError("The parameter EndTime must be greater than StartTime.")
    results = query_data(store_of(self), queries, start, end)
    newest_first = scan_by == "TimestampDescending"
    return [
        {
            "id": query["Id"],
            "label": query.get("Label") or _label(query),
            "timestamps": [_moment(t) for t in sorted(results[query["Id"]], reverse=newest_first)],
            "values": [results[query["Id"]][t] for t in sorted(results[query["Id"]], reverse=newest_first)],
            "status_code": "Complete",
        }
        for query in queries
        if query.get("ReturnData") is not False
    ]


def _label(query: Mapping[str, Any]) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"] if "MetricStat" in query else query["Id"])


def query_data(
    store: MetricStore, queries: list[dict[str, Any]], start: int, end: int, time_scale: float = 1.0
) -> dict[str, metric_math.Series]:
    """The datapoints of each query by its id. Periods are divided by ``time_scale`` (the alarms' way to be scaled)."""
    results: dict[str, metric_math.Series] = {}
    period = 60
    for query in queries:
        if (stat := query.get("MetricStat")) is None:
            continue
        metric, statistic = stat["Metric"], stat["Stat"]
        try:
            check_statistic(statistic)
        except UnknownStatistic as error:
            raise ValidationError(str(error)) from None
        period = scaled_period(int(stat["Period"]), time_scale)
        key = MetricKey.of(metric["Namespace"], metric["MetricName"], _dimensions(metric.get("Dimensions")))
        buckets = store.query(key, start=start, end=end, period=period, unit=stat.get("Unit"))
        results[query["Id"]] = {
            t: value for t, samples in buckets.items() if (value := samples.statistic(statistic)) is not None
        }
    pending = [query for query in queries if "MetricStat" not in query]
    for query in pending:
        own = scaled_period(int(query["Period"]), time_scale) if query.get("Period") else period
        periods = list(range(start - start % own, end, own))
        try:
            results[query["Id"]] = metric_math.evaluate(query["Expression"], results, periods)
        except metric_math.BadExpression as error:
            raise ValidationError(f"Error in expression '{query['Id']}': {error}") from None
    return results


def scaled_period(period: int, time_scale: float) -> int:
    return max(1, round(period / time_scale))


def _get_metric_statistics(self: CloudWatchResponse) -> ActionResult:
    _fail_if_switched()
    statistics: list[str] = self._get_param("Statistics", [])
    extended: list[str] = self._get_param("ExtendedStatistics", [])
    if not statistics and not extended:
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    start, end = _seconds(self._get_param("StartTime")), _seconds(self._get_param("EndTime"))
    if start >= end:
        raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
    name, unit = self._get_param("MetricName"), self._get_param("Unit")
    key = MetricKey.of(self._get_param("Namespace"), name, _dimensions(self._get_param("Dimensions", [])))
    try:
        for statistic in (*statistics, *extended):
            check_statistic(statistic)
    except UnknownStatistic as error:
        raise InvalidParameterValue(str(error)) from None
    datapoints: list[dict[str, Any]] = []
    buckets = store_of(self.cloudwatch_backend).query(
        key, start=start, end=end, period=int(self._get_param("Period")), unit=unit
    )
    for second, samples in buckets.items():
        point: dict[str, Any] = {"Timestamp": _moment(second), "Unit": unit or "None"}
        point |= {statistic: samples.statistic(statistic) for statistic in statistics}
        if extended:
            values = {statistic: samples.statistic(statistic) for statistic in extended}
            point["ExtendedStatistics"] = {k: v for k, v in values.items() if v is not None}
        datapoints.append(point)
    return ActionResult({"Label": name, "Datapoints": datapoints})


def _get_all_metrics(self: CloudWatchBackend) -> list[MetricDatumBase]:
    """Names and dimensions only: what ListMetrics needs."""
    return [
        MetricDatumBase(
            key.namespace, key.name, [{"Name": name, "Value": value} for name, value in key.dimensions], None
        )
        for key in store_of(self).metrics()
    ]
