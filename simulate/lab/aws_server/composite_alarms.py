"""Composite alarms in moto's CloudWatch, which stores a rule but has no call that takes one (moto 5.2.5).

AWS's refusals: a rule that cannot be read or names an alarm that does not exist, and the deletion of an alarm that a
composite alarm refers to. DescribeAlarms tells of composite alarms only where AlarmTypes asks for them.
"""

from __future__ import annotations

from typing import Any

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from simulate.lab.aws_server.alarm_rules import AlarmRule, BadRule, parse

_describe_alarms = CloudWatchResponse.describe_alarms
_delete_alarms = CloudWatchBackend.delete_alarms


def install() -> None:
    """Adds the call to moto in this process."""
    setattr(CloudWatchResponse, "put_composite_alarm", _put_composite_alarm)  # noqa: B010
    setattr(CloudWatchResponse, "describe_alarms", _describe_by_type)  # noqa: B010
    setattr(CloudWatchBackend, "delete_alarms", _delete_unless_referred_to)  # noqa: B010


def rule_of(alarm: Alarm) -> AlarmRule:
    """The rule of a composite alarm. Raises BadRule."""
    return parse(str(alarm.rule))


def _put_composite_alarm(self: CloudWatchResponse) -> ActionResult:
    try:
        rule = parse(str(self._get_param("AlarmRule")))
    except BadRule as error:
        raise ValidationError(f"Invalid AlarmRule: {error}") from None
    unknown = sorted(rule.names - set(self.cloudwatch_backend.alarms))
    if unknown:
        raise ValidationError(
            f"Could not save the composite alarm as alarms {unknown} in the alarm rule do not exist"
        )
    self.cloudwatch_backend.put_metric_alarm(
        name=self._get_param("AlarmName"),
        namespace="",
        metric_name="",
        metric_data_queries=None,
        comparison_operator="",
        evaluation_periods=1,
        datapoints_to_alarm=None,
        period=60,
        threshold=0.0,
        statistic="",
        extended_statistic=None,
        description=self._get_param("AlarmDescription"),
        dimensions=[],
        alarm_actions=self._get_param("AlarmActions", []),
        ok_actions=self._get_param("OKActions", []),
        insufficient_data_actions=self._get_param("InsufficientDataActions", []),
        unit=None,
        actions_enabled=self._get_bool_param("ActionsEnabled"),
        treat_missing_data=None,
        evaluate_low_sample_count_percentile=None,
        threshold_metric_id=None,
        rule=self._get_param("AlarmRule"),
        tags=self._get_param("Tags", []),
    )
    return EmptyResult()


def _describe_by_type(self: CloudWatchResponse) -> ActionResult:
    wanted = self._get_param("AlarmTypes", []) or ["MetricAlarm"]
    found: Any = _describe_alarms(self).result
    return ActionResult(
        {
            "MetricAlarms": found["MetricAlarms"] if "MetricAlarm" in wanted else [],
            "CompositeAlarms": [_described(alarm) for alarm in found["CompositeAlarms"]]
            if "CompositeAlarm" in wanted
            else [],
        }
    )


def _described(alarm: Alarm) -> dict[str, Any]:
    return {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.alarm_arn,
        "AlarmDescription": alarm.description,
        "AlarmRule": alarm.rule,
        "ActionsEnabled": alarm.actions_enabled,
        "AlarmActions": alarm.alarm_actions,
        "OKActions": alarm.ok_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "StateValue": alarm.state_value,
        "StateReason": alarm.state_reason,
        "StateUpdatedTimestamp": alarm.state_updated_timestamp,
    }


def _delete_unless_referred_to(self: CloudWatchBackend, alarm_names: list[str]) -> None:
    for other in self.alarms.values():
        if other.rule is None or other.name in alarm_names:
            continue
        if used := rule_of(other).names.intersection(alarm_names):
            raise ValidationError(
                f"Cannot delete {', '.join(sorted(used))}: composite alarm {other.name} depends on it"
            )
    _delete_alarms(self, alarm_names)
