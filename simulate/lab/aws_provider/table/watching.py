"""Composite alarms, dashboards, and Route 53's health checks."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..spec import (
    BOOLEAN,
    INTEGER,
    JSON,
    STRING,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Operation,
    Props,
    ResourceType,
    TagCalls,
    Update,
    output,
)
from .rules import at_most, known, matches, one_of, table, within

_ACTIONS = ListOf(STRING, unordered=True, at_most=5)
_COMPOSITE_FIELDS = (
    Field("alarmName", "AlarmName", required=True, replace=True, checks=(at_most(255),)),
    Field("alarmRule", "AlarmRule", required=True, checks=(at_most(10_240),)),
    Field("alarmDescription", "AlarmDescription", checks=(at_most(1024),)),
    Field("actionsEnabled", "ActionsEnabled", BOOLEAN, default=True, replace=True),
    Field("alarmActions", "AlarmActions", _ACTIONS),
    Field("okActions", "OKActions", _ACTIONS),
    Field("insufficientDataActions", "InsufficientDataActions", _ACTIONS),
)

COMPOSITE = ResourceType(
    token="aws:cloudwatch/compositeAlarm:CompositeAlarm",
    service="cloudwatch",
    fields=(*_COMPOSITE_FIELDS, output("arn", "AlarmArn")),
    create=Create("put_composite_alarm", id="{alarmName}"),
    read=Describe(
        Call("describe_alarms", {"AlarmNames": ["{id}"], "AlarmTypes": ["CompositeAlarm"]}),
        "CompositeAlarms.0",
    ),
    update=(
        Update(Call("put_composite_alarm"), tuple(field.name for field in _COMPOSITE_FIELDS), whole=True),
    ),
    delete=Call("delete_alarms", {"AlarmNames": ["{id}"]}),
    delete_gone=("ResourceNotFound",),
    tags=TagCalls(
        add=Call("tag_resource", {"ResourceARN": "{arn}"}),
        remove=Call("untag_resource", {"ResourceARN": "{arn}"}),
        list=Call("list_tags_for_resource", {"ResourceARN": "{arn}"}),
        path="Tags",
    ),
    unique=("alarmName",),
)


def _dashboard_rules(inputs: Props) -> Iterator[Failure]:
    """Widgets lie on 24 columns."""
    body = inputs["dashboardBody"]
    if not known(body):
        return
    for index, widget in enumerate(json.loads(body).get("widgets", ())):
        if not {"type", "properties"} <= set(widget):
            yield Failure("dashboardBody", f"widgets[{index}] needs type and properties")
        elif widget.get("x", 0) + widget.get("width", 6) > 24:
            yield Failure("dashboardBody", f"widgets[{index}] reaches beyond the 24th column")


DASHBOARD = ResourceType(
    token="aws:cloudwatch/dashboard:Dashboard",
    service="cloudwatch",
    fields=(
        Field(
            "dashboardName",
            "DashboardName",
            required=True,
            replace=True,
            checks=(matches(r"[A-Za-z0-9_-]{1,255}", "1 to 255 letters, digits, - and _"),),
        ),
        Field("dashboardBody", "DashboardBody", JSON, required=True),
        output("dashboardArn", "DashboardArn"),
    ),
    create=Create("put_dashboard", id="{dashboardName}"),
    read=Describe(
        Call("get_dashboard", {"DashboardName": "{id}"}),
        "",
        gone=("ResourceNotFound", "DashboardNotFoundError"),
        more=lambda operation, api: {"DashboardName": operation.id},
    ),
    update=(Update(Call("put_dashboard"), ("dashboardName", "dashboardBody"), whole=True),),
    delete=Call("delete_dashboards", {"DashboardNames": ["{id}"]}),
    delete_gone=("ResourceNotFound", "DashboardNotFoundError"),
    unique=("dashboardName",),
    rules=_dashboard_rules,
)


def _create_check(operation: Operation) -> str:
    config = {
        name: operation.inputs[key]
        for key, name in (
            ("type", "Type"),
            ("fqdn", "FullyQualifiedDomainName"),
            ("port", "Port"),
            ("resourcePath", "ResourcePath"),
            ("requestInterval", "RequestInterval"),
            ("failureThreshold", "FailureThreshold"),
            ("regions", "Regions"),
        )
        if key in operation.inputs
    }
    made = operation.aws.call(
        "create_health_check", CallerReference=operation.token, HealthCheckConfig=config
    )
    return str(made["HealthCheck"]["Id"])


_CHANGEABLE = ("fqdn", "port", "resourcePath", "failureThreshold", "regions")

HEALTH_CHECK = ResourceType(
    token="aws:route53/healthCheck:HealthCheck",
    service="route53",
    fields=(
        Field(
            "type",
            "HealthCheckConfig.Type",
            required=True,
            replace=True,
            checks=(one_of("HTTP", "HTTPS"),),
        ),
        Field("fqdn", "HealthCheckConfig.FullyQualifiedDomainName", checks=(at_most(255),)),
        Field("port", "HealthCheckConfig.Port", INTEGER, checks=(within(1, 65535),)),
        Field("resourcePath", "HealthCheckConfig.ResourcePath", checks=(at_most(255),)),
        Field(
            "requestInterval",
            "HealthCheckConfig.RequestInterval",
            INTEGER,
            replace=True,
            checks=(one_of(10, 30),),
        ),
        Field("failureThreshold", "HealthCheckConfig.FailureThreshold", INTEGER, checks=(within(1, 10),)),
        Field("regions", "HealthCheckConfig.Regions", ListOf(STRING, unordered=True, at_least=3)),
        output("arn", "Arn"),
    ),
    create=_create_check,
    read=Describe(
        Call("get_health_check", {"HealthCheckId": "{id}"}),
        "HealthCheck",
        gone=("NoSuchHealthCheck",),
        more=lambda operation, api: {"Arn": f"arn:aws:route53:::healthcheck/{operation.id}"},
    ),
    update=(
        lambda operation: (
            operation.aws.call(
                "update_health_check",
                HealthCheckId=operation.id,
                **{
                    name: operation.inputs[key]
                    for key, name in (
                        ("fqdn", "FullyQualifiedDomainName"),
                        ("port", "Port"),
                        ("resourcePath", "ResourcePath"),
                        ("failureThreshold", "FailureThreshold"),
                        ("regions", "Regions"),
                    )
                    if key in operation.inputs
                },
            )
            if operation.changed(*_CHANGEABLE)
            else None
        ),
    ),
    delete=Call("delete_health_check", {"HealthCheckId": "{id}"}),
    tags=TagCalls(
        add=Call("change_tags_for_resource", {"ResourceType": "healthcheck", "ResourceId": "{id}"}),
        remove=Call("change_tags_for_resource", {"ResourceType": "healthcheck", "ResourceId": "{id}"}),
        list=Call("list_tags_for_resource", {"ResourceType": "healthcheck", "ResourceId": "{id}"}),
        path="ResourceTagSet.Tags",
        member="AddTags",
        names="RemoveTagKeys",
        on_create="",
    ),
    global_service=True,
)

TABLE = table(COMPOSITE, DASHBOARD, HEALTH_CHECK)
