"""Evaluates the alarms that the program declares, as CloudWatch does, and notifies their SNS topics.

Each alarm looks at its last ``EvaluationPeriods`` periods that have ended. Datapoints arrive late, so the range looked
at is longer: while it holds enough datapoints the newest ones count, and only otherwise are missing ones treated by
``TreatMissingData`` (CloudWatch's evaluation range). Periods are divided by the lab's time scale.

Composite alarms follow, by the states that the others have then, so one composite may be a look behind another.

Not emulated: suppressed actions, anomaly detection, ``EvaluateLowSampleCountPercentile: ignore``.
"""

from __future__ import annotations

import json
import logging
import operator
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm, CloudWatchBackend, cloudwatch_backends
from moto.core.exceptions import ServiceException
from moto.sns.models import sns_backends

from simulate.lab.aws_server.cloudwatch import query_data, scaled_period, store_of
from simulate.lab.aws_server.composite_alarms import rule_of

_LOG = logging.getLogger(__name__)

# How many periods beyond the evaluated ones CloudWatch looks back for late datapoints; AWS calls the sum the
# evaluation range and does not publish its length. An ALB's metrics come 90 s after a 60-s period's end.
_LATE_PERIODS = 3

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def judge(
    datapoints: list[float | None],
    *,
    breaches: Callable[[float], bool],
    evaluate: int,
    to_alarm: int,
    missing: str,
    current: str,
) -> str:
    """The state that the datapoints of an evaluation range (oldest first, ``None`` where missing) make.

    ``evaluate`` periods are looked at, ``to_alarm`` of them must breach. ``missing`` is TreatMissingData.
    """
    known = [value for value in datapoints if value is not None]
    if len(known) >= evaluate:
        looked_at: list[float | None] = list(known[-evaluate:])
    else:
        looked_at = datapoints[-evaluate:]
        # Late ones: leading datapoints of the range stand in for the newest periods that have none yet.
        spare = known[: len(known) - len([v for v in looked_at if v is not None])]
        for index in range(len(looked_at) - 1, -1, -1):
            if looked_at[index] is None and spare:
                looked_at[index] = spare.pop()
    if missing == "missing" and all(value is None for value in looked_at):
        return "INSUFFICIENT_DATA"
    if missing == "ignore" and any(value is None for value in looked_at):
        return current
    breaching = sum(missing == "breaching" if value is None else breaches(value) for value in looked_at)
    return "ALARM" if breaching >= to_alarm else "OK"


class Evaluator:
    """Evaluates every alarm of one account and region each (scaled) 10 seconds, in a thread of its own."""

    def __init__(self, account: str, region: str, time_scale: float, lock: threading.RLock) -> None:
        self.backend: CloudWatchBackend = cloudwatch_backends[account][region]
        self.topics: Any = sns_backends[account][region]
        self.time_scale = time_scale
        self.lock = lock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(max(0.5, 10 / self.time_scale)):
            with self.lock:
                self.evaluate(time.time())

    def evaluate(self, now: float) -> None:
        for alarm in list(self.backend.alarms.values()):
            if alarm.rule is not None:
                continue
            try:
                state, value = self.state_of(alarm, now)
            except (ServiceException, ValueError) as error:
                _LOG.warning("alarm %s cannot be evaluated: %s", alarm.name, error)
                continue
            if state != alarm.state_value:
                reason = (
                    f"Threshold Crossed: newest datapoint {value}, threshold {alarm.threshold}, now {state}"
                )
                self._change(alarm, state, reason)
        states = {alarm.name: alarm.state_value for alarm in self.backend.alarms.values()}
        for alarm in list(self.backend.alarms.values()):
            if alarm.rule is None:
                continue
            state = "ALARM" if rule_of(alarm).holds(states) else "OK"
            if state != alarm.state_value:
                self._change(alarm, state, f"{alarm.rule} is {'met' if state == 'ALARM' else 'not met'}")

    def state_of(self, alarm: Alarm, now: float) -> tuple[str, float | None]:
        queries, result = _queries(alarm)
        periods = [int(q["MetricStat"]["Period"]) for q in queries if "MetricStat" in q]
        period = scaled_period(periods[0] if periods else 60, self.time_scale)
        evaluate = int(alarm.evaluation_periods)
        end = int(now) - int(now) % period
        start = end - (evaluate + _LATE_PERIODS) * period
        series = query_data(store_of(self.backend), queries, start, end, self.time_scale)[result]
        breach = _BREACHES.get(alarm.comparison_operator)
        if breach is None:
            raise ValueError(f"comparison {alarm.comparison_operator} is not evaluated in the lab")
        threshold = float(alarm.threshold)
        state = judge(
            [series.get(t) for t in range(start, end, period)],
            breaches=lambda value: breach(value, threshold),
            evaluate=evaluate,
            to_alarm=int(alarm.datapoints_to_alarm or evaluate),
            missing=alarm.treat_missing_data or "missing",
            current=alarm.state_value,
        )
        return state, series[max(series)] if series else None

    def _change(self, alarm: Alarm, state: str, reason: str) -> None:
        was = alarm.state_value
        alarm.update_state(reason, "{}", state)
        if not alarm.actions_enabled:
            return
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }[state]
        message = json.dumps(
            {
                "AlarmName": alarm.name,
                "AlarmDescription": alarm.description,
                "NewStateValue": state,
                "OldStateValue": was,
                "NewStateReason": reason,
                "StateChangeTime": datetime.now(UTC).isoformat(),
            }
        )
        for action in actions or ():
            try:
                self.topics.publish(message, arn=action, subject=f"{state}: {alarm.name}"[:100])
            except ServiceException as error:
                _LOG.warning("alarm %s: %s was not notified: %s", alarm.name, action, error)


def _queries(alarm: Alarm) -> tuple[list[dict[str, Any]], str]:
    """The alarm as GetMetricData queries, and the id of the one that is compared."""
    if not alarm.metric_data_queries:
        metric = {
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric_name,
            "Dimensions": [{"Name": d.name, "Value": d.value} for d in alarm.dimensions],
        }
        statistic = alarm.extended_statistic or alarm.statistic
        return [{"Id": "m", "MetricStat": {"Metric": metric, "Period": alarm.period, "Stat": statistic}}], "m"
    queries: list[dict[str, Any]] = []
    for query in alarm.metric_data_queries:
        if query.metric_stat is None:
            queries.append({"Id": query.id, "Expression": query.expression, "Period": query.period})
            continue
        stat = query.metric_stat
        metric = {
            "Namespace": stat.metric.namespace,
            "MetricName": stat.metric.metric_name,
            "Dimensions": [{"Name": d.name, "Value": d.value} for d in stat.metric.dimensions],
        }
        queries.append(
            {"Id": query.id, "MetricStat": {"Metric": metric, "Period": stat.period, "Stat": stat.stat}}
        )
    returned = [q.id for q in alarm.metric_data_queries if str(q.return_data).lower() != "false"]
    return queries, returned[-1]
