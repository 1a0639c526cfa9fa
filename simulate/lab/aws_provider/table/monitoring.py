"""SNS topics and CloudWatch alarms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..aws import ApiError
from ..spec import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    MapOf,
    Mode,
    Operation,
    Props,
    ResourceType,
    TagCalls,
    Update,
    output,
)
from .rules import at_most, exactly_one, known, matches, one_of, table

_TOPIC_GONE = ("NotFound", "NotFoundException")


def _topic_attributes(operation: Operation) -> None:
    if operation.changed("displayName"):
        value = operation.inputs.get("displayName", "")
        operation.aws.call(
            "set_topic_attributes", TopicArn=operation.id, AttributeName="DisplayName", AttributeValue=value
        )


TOPIC = ResourceType(
    token="aws:sns/topic:Topic",
    service="sns",
    fields=(
        Field(
            "name",
            "Name",
            required=True,
            replace=True,
            checks=(matches(r"[A-Za-z0-9_-]{1,256}", "1 to 256 letters, digits, hyphens and underscores"),),
        ),
        Field("displayName", "Attributes.DisplayName", checks=(at_most(100),)),
        output("arn", "Attributes.TopicArn"),
        output("owner", "Attributes.Owner"),
    ),
    create=Create("create_topic", id="TopicArn"),
    read=Describe(
        Call("get_topic_attributes", {"TopicArn": "{id}"}),
        "",
        gone=_TOPIC_GONE,
        more=lambda operation, api: {"Name": operation.id.rpartition(":")[2]},
    ),
    update=(_topic_attributes,),
    delete=Call("delete_topic", {"TopicArn": "{id}"}),
    tags=TagCalls(
        add=Call("tag_resource", {"ResourceArn": "{id}"}),
        remove=Call("untag_resource", {"ResourceArn": "{id}"}),
        list=Call("list_tags_for_resource", {"ResourceArn": "{id}"}),
        path="Tags",
    ),
    unique=("name",),
)


def _unsubscribe(operation: Operation) -> None:
    try:
        operation.aws.call("unsubscribe", SubscriptionArn=operation.id)
    except ApiError as error:
        # AWS drops an e-mail subscription that nobody confirmed by itself and lets nobody else do it.
        if error.code != "InvalidParameter" or operation.state.get("pendingConfirmation") is not True:
            raise


def _subscription_rules(inputs: Props) -> Iterator[Failure]:
    endpoint = inputs["endpoint"]
    if inputs["protocol"] == "email" and known(endpoint) and "@" not in endpoint:
        yield Failure("endpoint", f"must be an e-mail address, is {endpoint}")
    if inputs["protocol"] in ("http", "https") and known(endpoint):
        # Not the endpoint itself, which may hold a key.
        scheme = f"{inputs['protocol']}://"
        if not endpoint.startswith(scheme):
            yield Failure("endpoint", f"must begin with {scheme}")


SUBSCRIPTION = ResourceType(
    token="aws:sns/topicSubscription:TopicSubscription",
    service="sns",
    fields=(
        Field("topic", "TopicArn", required=True, replace=True),
        Field(
            "protocol",
            "Protocol",
            required=True,
            replace=True,
            checks=(one_of("email", "email-json", "http", "https", "lambda", "sms", "sqs"),),
        ),
        Field("endpoint", "Endpoint", required=True, replace=True),
        # How the official plugin waits for the confirmation of an HTTPS endpoint; the lab sends no request to confirm.
        Field("endpointAutoConfirms", type=BOOLEAN, default=False, shown=False),
        output("arn", "SubscriptionArn"),
        output("ownerId", "Owner"),
        output("pendingConfirmation", "PendingConfirmation", BOOLEAN),
    ),
    create=Create("subscribe", id="SubscriptionArn", fixed={"ReturnSubscriptionArn": True}),
    read=Describe(
        Call("get_subscription_attributes", {"SubscriptionArn": "{id}"}), "Attributes", gone=_TOPIC_GONE
    ),
    delete=_unsubscribe,
    delete_gone=_TOPIC_GONE,
    rules=_subscription_rules,
)

# A period may also be 10 or 30 s, or 5 s in the lab's faster time; at its own pace AWS's rule applies.
_PERIOD = (
    lambda value: (
        None
        if value in (10, 20, 30) or (value >= 60 and value % 60 == 0)
        else f"must be 10, 20, 30 or a multiple of 60, is {value}"
    ),
)
_DIMENSIONS = MapOf(pairs=("Name", "Value"))
_ACTIONS = ListOf(STRING, unordered=True, at_most=5)

_QUERY = Block(
    (
        Field(
            "id",
            "Id",
            required=True,
            checks=(matches(r"[a-z][a-zA-Z0-9_]{0,254}", "a name from a lower-case letter"),),
        ),
        Field("expression", "Expression", checks=(at_most(1024),)),
        Field("label", "Label"),
        Field("returnData", "ReturnData", BOOLEAN, default=False),
        Field("period", "Period", INTEGER, checks=_PERIOD),
        Field(
            "metric",
            "MetricStat",
            Block(
                (
                    Field("namespace", "Metric.Namespace"),
                    Field("metricName", "Metric.MetricName", required=True),
                    Field("dimensions", "Metric.Dimensions", _DIMENSIONS),
                    Field("period", "Period", INTEGER, required=True, checks=_PERIOD),
                    Field("stat", "Stat", required=True),
                    Field("unit", "Unit"),
                )
            ),
        ),
    )
)

_ALARM_FIELDS = (
    Field("name", "AlarmName", required=True, replace=True),
    Field("alarmDescription", "AlarmDescription"),
    Field("actionsEnabled", "ActionsEnabled", BOOLEAN, default=True),
    Field("alarmActions", "AlarmActions", _ACTIONS),
    Field("okActions", "OKActions", _ACTIONS),
    Field("insufficientDataActions", "InsufficientDataActions", _ACTIONS),
    Field("comparisonOperator", "ComparisonOperator", required=True),
    Field("evaluationPeriods", "EvaluationPeriods", INTEGER, required=True),
    Field("datapointsToAlarm", "DatapointsToAlarm", INTEGER, mode=Mode.EITHER),
    Field("threshold", "Threshold", NUMBER, required=True),
    Field(
        "treatMissingData",
        "TreatMissingData",
        default="missing",
        checks=(one_of("missing", "ignore", "breaching", "notBreaching"),),
    ),
    Field(
        "evaluateLowSampleCountPercentiles",
        "EvaluateLowSampleCountPercentile",
        checks=(one_of("evaluate", "ignore"),),
    ),
    Field("namespace", "Namespace"),
    Field("metricName", "MetricName"),
    Field("dimensions", "Dimensions", _DIMENSIONS),
    Field("period", "Period", INTEGER, checks=_PERIOD),
    Field("statistic", "Statistic"),
    Field(
        "extendedStatistic",
        "ExtendedStatistic",
        checks=(
            matches(r"(p|tm|tc|ts|wm)(\d{1,2}(\.\d{1,10})?|100)|IQM|(PR|TC|TM|TS|WM)\(.+\)", "such as p95"),
        ),
    ),
    Field("unit", "Unit"),
    Field("metricQueries", "Metrics", ListOf(_QUERY, unordered=True, key="id", at_most=20)),
)


def _alarm_rules(inputs: Props) -> Iterator[Failure]:
    if "metricQueries" in inputs:
        for name in ("namespace", "metricName", "dimensions", "period", "statistic", "extendedStatistic"):
            if name in inputs:
                yield Failure(name, "does not belong to an alarm with metricQueries")
        queries = inputs["metricQueries"]
        if known(queries) and all(known(query) for query in queries):
            yield from _query_rules(queries)
    else:
        for name in ("namespace", "metricName", "period"):
            if name not in inputs:
                yield Failure(name, "is needed by an alarm without metricQueries")
        yield from exactly_one(inputs, ("statistic", "extendedStatistic"))
        periods, seconds = inputs["evaluationPeriods"], inputs.get("period")
        if known(periods) and known(seconds) and periods * seconds > 86400:
            yield Failure("evaluationPeriods", "evaluationPeriods times period must be at most a day")
    most, needed = inputs["evaluationPeriods"], inputs.get("datapointsToAlarm")
    if known(most) and known(needed) and needed > most:
        yield Failure("datapointsToAlarm", f"must be at most evaluationPeriods {most}, is {needed}")


def _query_rules(queries: list[dict[str, Any]]) -> Iterator[Failure]:
    for index, query in enumerate(queries):
        yield from exactly_one(query, ("expression", "metric"), f"metricQueries[{index}].")
    returning = [query for query in queries if query.get("returnData") is True]
    if len(returning) != 1:
        yield Failure("metricQueries", f"exactly one query must have returnData, {len(returning)} have")


ALARM = ResourceType(
    token="aws:cloudwatch/metricAlarm:MetricAlarm",
    service="cloudwatch",
    fields=(*_ALARM_FIELDS, output("arn", "AlarmArn")),
    create=Create("put_metric_alarm", id="{name}"),
    read=Describe(Call("describe_alarms", {"AlarmNames": ["{id}"]}), "MetricAlarms.0"),
    update=(Update(Call("put_metric_alarm"), tuple(field.name for field in _ALARM_FIELDS), whole=True),),
    delete=Call("delete_alarms", {"AlarmNames": ["{id}"]}),
    delete_gone=("ResourceNotFound",),
    tags=TagCalls(
        add=Call("tag_resource", {"ResourceARN": "{arn}"}),
        remove=Call("untag_resource", {"ResourceARN": "{arn}"}),
        list=Call("list_tags_for_resource", {"ResourceARN": "{arn}"}),
        path="Tags",
    ),
    unique=("name",),
    rules=_alarm_rules,
)

TABLE = table(TOPIC, SUBSCRIPTION, ALARM)
