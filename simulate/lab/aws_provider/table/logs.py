"""CloudWatch Logs: groups, metric filters, saved queries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..spec import (
    INTEGER,
    STRING,
    Api,
    Block,
    Call,
    Create,
    Failure,
    Field,
    ListOf,
    MapOf,
    Operation,
    Props,
    ResourceType,
    Update,
    output,
)
from .rules import at_most, known, matches, one_of, table

_DAYS = (
    0,
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
_GROUP_NAME = matches(r"[-._/#A-Za-z0-9]{1,512}", "1 to 512 letters, digits, and -._/#")
_GONE = ("ResourceNotFoundException",)


def _retain(operation: Operation) -> None:
    days = operation.inputs.get("retentionInDays", 0)
    if days:
        operation.aws.call("put_retention_policy", logGroupName=operation.id, retentionInDays=days)
    elif operation.olds.get("retentionInDays"):
        operation.aws.call("delete_retention_policy", logGroupName=operation.id)


def _read_group(operation: Operation) -> Api | None:
    """AWS finds groups by the beginning of their names."""
    found = operation.aws.call("describe_log_groups", logGroupNamePrefix=operation.id)["logGroups"]
    for group in found:
        if group["logGroupName"] == operation.id:
            return {**group, "arn": str(group["arn"]).removesuffix(":*")}
    return None


GROUP = ResourceType(
    token="aws:cloudwatch/logGroup:LogGroup",
    service="logs",
    fields=(
        Field("name", "logGroupName", required=True, replace=True, checks=(_GROUP_NAME,)),
        Field("retentionInDays", "retentionInDays", INTEGER, default=0, sent=False, checks=(one_of(*_DAYS),)),
        output("arn", "arn"),
    ),
    create=Create("create_log_group", id="{name}", then=_retain),
    read=_read_group,
    update=(_retain,),
    delete=Call("delete_log_group", {"logGroupName": "{id}"}),
    delete_gone=_GONE,
    unique=("name",),
)

_TRANSFORMATION = Block(
    (
        Field("name", "metricName", required=True, checks=(at_most(255),)),
        Field("namespace", "metricNamespace", required=True, checks=(at_most(255),)),
        Field("value", "metricValue", required=True, checks=(at_most(100),)),
        # A string in pulumi-aws, a number in the API.
        Field("defaultValue", "defaultValue", STRING, encode=float, decode=lambda value: f"{value:g}"),
        Field("unit", "unit", default="None"),
        Field("dimensions", "dimensions", MapOf()),
    )
)


def _read_filter(operation: Operation) -> Api | None:
    found = operation.aws.call(
        "describe_metric_filters",
        filterNamePrefix=operation.id,
        logGroupName=operation.inputs["logGroupName"],
    )["metricFilters"]
    for each in found:
        if each["filterName"] == operation.id:
            (transformation,) = each["metricTransformations"]
            return {**each, "metricTransformations": {"unit": "None", **transformation}}
    return None


def _put_filter(operation: Operation) -> str:
    inputs = operation.inputs
    transformation: dict[str, Any] = {
        "metricName": inputs["metricTransformation"]["name"],
        "metricNamespace": inputs["metricTransformation"]["namespace"],
        "metricValue": inputs["metricTransformation"]["value"],
    }
    if "defaultValue" in inputs["metricTransformation"]:
        transformation["defaultValue"] = float(inputs["metricTransformation"]["defaultValue"])
    operation.aws.call(
        "put_metric_filter",
        logGroupName=inputs["logGroupName"],
        filterName=inputs["name"],
        filterPattern=inputs["pattern"],
        metricTransformations=[transformation],
    )
    return str(inputs["name"])


def _replace_filter(operation: Operation) -> None:
    """AWS overwrites a filter of the same name, moto 5.2.5 keeps the old one."""
    operation.aws.call(
        "delete_metric_filter", logGroupName=operation.inputs["logGroupName"], filterName=operation.id
    )
    _put_filter(operation)


def _filter_rules(inputs: Props) -> Iterator[Failure]:
    transformation = inputs["metricTransformation"]
    if known(transformation) and "defaultValue" in transformation and transformation.get("dimensions"):
        yield Failure("metricTransformation.defaultValue", "does not go together with dimensions")


METRIC_FILTER = ResourceType(
    token="aws:cloudwatch/logMetricFilter:LogMetricFilter",
    service="logs",
    fields=(
        Field(
            "name",
            "filterName",
            required=True,
            replace=True,
            checks=(matches(r"[^:*]{1,512}", "without : and *"),),
        ),
        Field("logGroupName", "logGroupName", required=True, replace=True),
        Field("pattern", "filterPattern", required=True, checks=(at_most(1024),)),
        Field("metricTransformation", "metricTransformations", _TRANSFORMATION, required=True),
    ),
    create=_put_filter,
    read=_read_filter,
    update=(_replace_filter,),
    delete=lambda operation: operation.aws.call(
        "delete_metric_filter", logGroupName=operation.inputs["logGroupName"], filterName=operation.id
    ),
    delete_gone=_GONE,
    unique=("name", "logGroupName"),
    rules=_filter_rules,
)


def _read_query(operation: Operation) -> Api | None:
    found = operation.aws.call("describe_query_definitions")["queryDefinitions"]
    return next((each for each in found if each["queryDefinitionId"] == operation.id), None)


_QUERY_FIELDS = (
    Field("name", "name", required=True, checks=(at_most(255),)),
    Field("queryString", "queryString", required=True, checks=(at_most(10_000),)),
    Field("logGroupNames", "logGroupNames", ListOf(STRING)),
)

QUERY_DEFINITION = ResourceType(
    token="aws:cloudwatch/queryDefinition:QueryDefinition",
    service="logs",
    fields=(*_QUERY_FIELDS, output("queryDefinitionId", "queryDefinitionId")),
    create=Create("put_query_definition", id="queryDefinitionId"),
    read=_read_query,
    update=(
        Update(
            Call("put_query_definition", {"queryDefinitionId": "{id}"}),
            tuple(field.name for field in _QUERY_FIELDS),
            whole=True,
        ),
    ),
    delete=Call("delete_query_definition", {"queryDefinitionId": "{id}"}),
    delete_gone=_GONE,
)

TABLE = table(GROUP, METRIC_FILTER, QUERY_DEFINITION)
