"""Listeners of application load balancers and their rules: where the traffic's weights are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..convert import decode, encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    STRING,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Mode,
    Operation,
    Props,
    ResourceType,
    Update,
    Value,
    output,
)
from .elb import TAGS
from .rules import exactly_one, known, matches, one_of, table, within

_FORWARD = Block(
    (
        Field(
            "targetGroups",
            "TargetGroups",
            ListOf(
                Block(
                    (
                        Field("arn", "TargetGroupArn", required=True),
                        Field("weight", "Weight", INTEGER, default=1, checks=(within(0, 999),)),
                    )
                ),
                unordered=True,
                key="arn",
                at_least=1,
                at_most=5,
            ),
            required=True,
        ),
        Field(
            "stickiness",
            "TargetGroupStickinessConfig",
            Block(
                (
                    Field("enabled", "Enabled", BOOLEAN, default=False),
                    Field("duration", "DurationSeconds", INTEGER, required=True, checks=(within(1, 604800),)),
                )
            ),
        ),
    )
)

_FIXED_RESPONSE = Block(
    (
        Field(
            "contentType",
            "ContentType",
            required=True,
            checks=(
                one_of("text/plain", "text/css", "text/html", "application/javascript", "application/json"),
            ),
        ),
        Field("messageBody", "MessageBody"),
        Field(
            "statusCode",
            "StatusCode",
            mode=Mode.EITHER,
            checks=(matches(r"[245]\d\d", "a 2XX, 4XX or 5XX code"),),
        ),
    )
)

_REDIRECT = Block(
    (
        Field("statusCode", "StatusCode", required=True),
        Field("protocol", "Protocol", default="#{protocol}"),
        Field("host", "Host", default="#{host}"),
        Field("port", "Port", default="#{port}"),
        Field("path", "Path", default="/#{path}"),
        Field("query", "Query", default="#{query}"),
    )
)


def _show_forward(raw: dict[str, Any]) -> Any:
    """AWS shows a forward to one target group in both forms, so that either can be compared with the program's."""
    groups = raw.get("ForwardConfig", {}).get("TargetGroups", [])
    if not groups and raw.get("TargetGroupArn"):
        return raw | {
            "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": raw["TargetGroupArn"], "Weight": 1}]}
        }
    if len(groups) == 1:
        return raw | {"TargetGroupArn": groups[0]["TargetGroupArn"]}
    return {key: value for key, value in raw.items() if key != "TargetGroupArn"}


_ACTION = Block(
    (
        Field("type", "Type", required=True, checks=(one_of("forward", "redirect", "fixed-response"),)),
        Field("order", "Order", INTEGER, mode=Mode.EITHER, checks=(within(1, 50000),)),
        Field("targetGroupArn", "TargetGroupArn", mode=Mode.EITHER),
        Field("forward", "ForwardConfig", _FORWARD, mode=Mode.EITHER),
        Field("redirect", "RedirectConfig", _REDIRECT),
        Field("fixedResponse", "FixedResponseConfig", _FIXED_RESPONSE),
    )
)
_ACTIONS = ListOf(_ACTION, at_least=1)


def _show_actions(raw: list[dict[str, Any]]) -> Value:
    return [decode(_ACTION, _show_forward(action)) for action in raw]


_NEEDS = {
    "forward": ("targetGroupArn", "forward"),
    "redirect": ("redirect",),
    "fixed-response": ("fixedResponse",),
}


def _action_rules(actions: Value, path: str) -> Iterator[Failure]:
    for index, action in enumerate(actions if known(actions) else ()):
        if not known(action) or not known(action.get("type")):
            continue
        here = f"{path}[{index}]"
        needed = _NEEDS[action["type"]]
        yield from exactly_one(action, needed, f"{here}.")
        for name in ("targetGroupArn", "forward", "redirect", "fixedResponse"):
            if name in action and name not in needed:
                yield Failure(f"{here}.{name}", f"does not belong to an action of type {action['type']}")
        groups = (action.get("forward") or {}).get("targetGroups") if known(action.get("forward")) else None
        if known(groups):
            weights = [group.get("weight") for group in groups if known(group)]
            if weights and all(weight == 0 for weight in weights):
                yield Failure(
                    f"{here}.forward.targetGroups", "AWS needs a weight above 0 in at least one target group"
                )
            arns = [group.get("arn") for group in groups if known(group) and known(group.get("arn"))]
            if len(set(arns)) < len(arns):
                yield Failure(f"{here}.forward.targetGroups", "names a target group twice")


# Which member of a condition makes which of AWS's condition fields.
_CONDITION_FIELDS = {
    "hostHeader": "host-header",
    "httpHeader": "http-header",
    "httpRequestMethod": "http-request-method",
    "pathPattern": "path-pattern",
    "queryStrings": "query-string",
    "sourceIp": "source-ip",
}
_VALUES = Field("values", "Values", ListOf(STRING, unordered=True, at_least=1), required=True)
_CONDITION = Block(
    (
        Field("hostHeader", "HostHeaderConfig", Block((_VALUES,))),
        Field(
            "httpHeader",
            "HttpHeaderConfig",
            Block(
                (
                    Field(
                        "httpHeaderName",
                        "HttpHeaderName",
                        required=True,
                        checks=(
                            matches(
                                r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}", "a header name of at most 40 characters"
                            ),
                        ),
                    ),
                    _VALUES,
                )
            ),
        ),
        Field("httpRequestMethod", "HttpRequestMethodConfig", Block((_VALUES,))),
        Field("pathPattern", "PathPatternConfig", Block((_VALUES,))),
        Field(
            "queryStrings",
            "QueryStringConfig.Values",
            ListOf(Block((Field("key", "Key"), Field("value", "Value", required=True))), unordered=True),
        ),
        Field("sourceIp", "SourceIpConfig", Block((_VALUES,))),
    )
)


def _make_conditions(conditions: Value) -> list[dict[str, Any]]:
    return [
        {"Field": next(_CONDITION_FIELDS[name] for name in condition)} | encode(_CONDITION, condition)
        for condition in conditions
    ]


def _rule_rules(inputs: Props) -> Iterator[Failure]:
    yield from _action_rules(inputs["actions"], "actions")
    conditions = inputs["conditions"]
    total = 0
    for index, condition in enumerate(conditions if known(conditions) else ()):
        if known(condition):
            yield from exactly_one(condition, _CONDITION_FIELDS, f"conditions[{index}].")
            for name, given in condition.items():
                values = given.get("values") if isinstance(given, dict) else given
                if known(values):
                    total += len(values)
                    for value in values:
                        if isinstance(value, str) and len(value) > 128:
                            yield Failure(
                                f"conditions[{index}].{name}.values",
                                "a value must have at most 128 characters",
                            )
    if total > 5:
        yield Failure("conditions", f"AWS allows 5 condition values per rule, there are {total}")


def _set_priority(operation: Operation) -> None:
    if operation.changed("priority"):
        operation.aws.call(
            "set_rule_priorities",
            RulePriorities=[{"RuleArn": operation.id, "Priority": operation.inputs["priority"]}],
        )


def listener_of(rule_arn: str) -> str:
    """A rule's ARN is its listener's with one more part; AWS does not show the listener beside the rule."""
    return rule_arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]


LISTENER_RULE = ResourceType(
    token="aws:lb/listenerRule:ListenerRule",
    service="elbv2",
    fields=(
        Field("listenerArn", "ListenerArn", required=True, replace=True),
        Field("priority", "Priority", INTEGER, required=True, checks=(within(1, 50000),)),
        Field("actions", "Actions", _ACTIONS, required=True, decode=_show_actions),
        Field(
            "conditions",
            "Conditions",
            ListOf(_CONDITION, unordered=True, at_least=1),
            required=True,
            encode=_make_conditions,
        ),
        output("arn", "RuleArn"),
    ),
    create=Create("create_rule", id="Rules.0.RuleArn"),
    read=Describe(
        Call("describe_rules", {"RuleArns": ["{id}"]}),
        "Rules.0",
        gone=("RuleNotFound", "ListenerNotFound"),
        more=lambda operation, api: {"ListenerArn": listener_of(operation.id)},
    ),
    update=(
        _set_priority,
        Update(Call("modify_rule", {"RuleArn": "{id}"}), ("actions", "conditions")),
    ),
    delete=Call("delete_rule", {"RuleArn": "{id}"}),
    tags=TAGS,
    unique=("listenerArn", "priority"),
    rules=_rule_rules,
)


def _listener_rules(inputs: Props) -> Iterator[Failure]:
    yield from _action_rules(inputs["defaultActions"], "defaultActions")
    protocol = inputs["protocol"]
    if protocol == "HTTPS" and "certificateArn" not in inputs:
        yield Failure("certificateArn", "is needed by an HTTPS listener")
    if protocol == "HTTP":
        for name in ("certificateArn", "sslPolicy"):
            if name in inputs:
                yield Failure(name, "does not belong to an HTTP listener")


LISTENER = ResourceType(
    token="aws:lb/listener:Listener",
    service="elbv2",
    fields=(
        Field("loadBalancerArn", "LoadBalancerArn", required=True, replace=True),
        Field("port", "Port", INTEGER, required=True, checks=(within(1, 65535),)),
        # Optional in the official provider only for gateway load balancers.
        Field("protocol", "Protocol", required=True, checks=(one_of("HTTP", "HTTPS"),)),
        Field(
            "certificateArn",
            "Certificates",
            encode=lambda arn: [{"CertificateArn": arn}],
            decode=lambda raw: raw[0]["CertificateArn"] if raw else None,
        ),
        Field("sslPolicy", "SslPolicy", mode=Mode.EITHER),
        Field("defaultActions", "DefaultActions", _ACTIONS, required=True, decode=_show_actions),
        output("arn", "ListenerArn"),
    ),
    create=Create("create_listener", id="Listeners.0.ListenerArn"),
    read=Describe(
        Call("describe_listeners", {"ListenerArns": ["{id}"]}),
        "Listeners.0",
        gone=("ListenerNotFound",),
    ),
    update=(
        Update(
            Call("modify_listener", {"ListenerArn": "{id}"}),
            ("port", "protocol", "certificateArn", "sslPolicy", "defaultActions"),
            whole=True,
        ),
    ),
    delete=Call("delete_listener", {"ListenerArn": "{id}"}),
    tags=TAGS,
    unique=("loadBalancerArn", "port"),
    rules=_listener_rules,
)

TABLE = table(LISTENER, LISTENER_RULE)
