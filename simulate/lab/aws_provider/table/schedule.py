"""EventBridge rules on a schedule, and what they start."""

from __future__ import annotations

import re

from ..aws import ApiError
from ..spec import (
    Api,
    Call,
    Create,
    Describe,
    Field,
    Operation,
    ResourceType,
    TagCalls,
    Update,
    Value,
    output,
)
from .rules import at_most, matches, one_of, table

_GONE = ("ResourceNotFoundException",)
_RATE = re.compile(r"rate\((?:1 (?:minute|hour|day)|(?!1 )[1-9]\d* (?:minutes|hours|days))\)|cron\(.+\)")
_NAME = matches(r"[.\-_A-Za-z0-9]{1,64}", "1 to 64 letters, digits, dots, hyphens and underscores")


def _schedule(value: Value) -> str | None:
    return None if _RATE.fullmatch(value) else f"must be such as `rate(1 minute)` or `cron(...)`, is {value}"


_FIELDS = (
    Field("name", "Name", required=True, replace=True, checks=(_NAME,)),
    Field("description", "Description", checks=(at_most(512),)),
    Field("scheduleExpression", "ScheduleExpression", required=True, checks=(_schedule,)),
    Field("state", "State", default="ENABLED", checks=(one_of("ENABLED", "DISABLED"),)),
)

RULE = ResourceType(
    token="aws:cloudwatch/eventRule:EventRule",
    service="events",
    fields=(*_FIELDS, output("arn", "Arn")),
    create=Create("put_rule", id="{name}"),
    read=Describe(Call("describe_rule", {"Name": "{id}"}), "", gone=_GONE),
    update=(Update(Call("put_rule"), tuple(field.name for field in _FIELDS), whole=True),),
    delete=Call("delete_rule", {"Name": "{id}"}),
    tags=TagCalls(
        add=Call("tag_resource", {"ResourceARN": "{arn}"}),
        remove=Call("untag_resource", {"ResourceARN": "{arn}"}),
        list=Call("list_tags_for_resource", {"ResourceARN": "{arn}"}),
        path="Tags",
    ),
    unique=("name",),
)


def _put_target(operation: Operation) -> str:
    rule, target = operation.inputs["rule"], operation.inputs["targetId"]
    operation.aws.call("put_targets", Rule=rule, Targets=[{"Id": target, "Arn": operation.inputs["arn"]}])
    return f"{rule}-{target}"


def _read_target(operation: Operation) -> Api | None:
    rule, target = (operation.inputs.get(name) or operation.state[name] for name in ("rule", "targetId"))
    try:
        targets: list[Api] = operation.aws.call("list_targets_by_rule", Rule=rule)["Targets"]
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise
    return next(({"Rule": rule, **each} for each in targets if each["Id"] == target), None)


def _remove_target(operation: Operation) -> None:
    operation.aws.call("remove_targets", Rule=operation.inputs["rule"], Ids=[operation.inputs["targetId"]])


TARGET = ResourceType(
    token="aws:cloudwatch/eventTarget:EventTarget",
    service="events",
    fields=(
        Field("rule", "Rule", required=True, replace=True),
        Field("targetId", "Id", required=True, replace=True),
        Field("arn", "Arn", required=True),
    ),
    create=_put_target,
    read=_read_target,
    update=(_put_target,),
    delete=_remove_target,
    delete_gone=_GONE,
    unique=("rule", "targetId"),
)

TABLE = table(RULE, TARGET)
