"""Web ACLs with rate-based rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..aws import ProviderError
from ..convert import encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    Block,
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
    output,
)
from ..wire import UNKNOWN
from .rules import exactly_one, known, matches, one_of, table, within

_NAME = matches(r"[\w-]{1,128}", "1 to 128 letters, digits, hyphens and underscores")
_HEADERS = ListOf(
    Block((Field("name", "Name", required=True), Field("value", "Value", required=True))),
    unordered=True,
    key="name",
)
_CUSTOM_RESPONSE = Block(
    (
        Field("responseCode", "ResponseCode", INTEGER, required=True, checks=(within(200, 599),)),
        Field("customResponseBodyKey", "CustomResponseBodyKey"),
        Field("responseHeaders", "ResponseHeaders", _HEADERS),
    )
)
_ALLOW = Field("allow", "Allow", Block(()))
_BLOCK = Field("block", "Block", Block((Field("customResponse", "CustomResponse", _CUSTOM_RESPONSE),)))
_VISIBILITY = Field(
    "visibilityConfig",
    "VisibilityConfig",
    Block(
        (
            Field("cloudwatchMetricsEnabled", "CloudWatchMetricsEnabled", BOOLEAN, required=True),
            Field("metricName", "MetricName", required=True, checks=(_NAME,)),
            Field("sampledRequestsEnabled", "SampledRequestsEnabled", BOOLEAN, required=True),
        )
    ),
    required=True,
)
_RATE = Block(
    (
        Field("limit", "Limit", INTEGER, required=True, checks=(within(10, 2_000_000_000),)),
        Field(
            "evaluationWindowSec",
            "EvaluationWindowSec",
            INTEGER,
            default=300,
            checks=(one_of(60, 120, 300, 600),),
        ),
        Field("aggregateKeyType", "AggregateKeyType", default="IP", checks=(one_of("IP"),)),
    )
)
_MANAGED = Block(
    (
        Field("vendorName", "VendorName", required=True),
        Field("name", "Name", required=True),
        Field("version", "Version"),
    )
)
_RULE = Block(
    (
        Field("name", "Name", required=True, checks=(_NAME,)),
        Field("priority", "Priority", INTEGER, required=True),
        Field("action", "Action", Block((_ALLOW, _BLOCK, Field("count", "Count", Block(()))))),
        Field(
            "overrideAction",
            "OverrideAction",
            Block((Field("count", "Count", Block(())), Field("none", "None", Block(())))),
        ),
        Field(
            "statement",
            "Statement",
            Block(
                (
                    Field("rateBasedStatement", "RateBasedStatement", _RATE),
                    Field("managedRuleGroupStatement", "ManagedRuleGroupStatement", _MANAGED),
                )
            ),
            required=True,
        ),
        _VISIBILITY,
    )
)
_BODY = Block(
    (
        Field("key", required=True, checks=(_NAME,)),
        Field("content", "Content", required=True),
        Field(
            "contentType",
            "ContentType",
            required=True,
            checks=(one_of("TEXT_PLAIN", "TEXT_HTML", "APPLICATION_JSON"),),
        ),
    )
)


def _make_bodies(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    return {body["key"]: encode(_BODY, body) for body in bodies}


def _show_bodies(raw: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    return [
        {"key": key, "content": body["Content"], "contentType": body["ContentType"]}
        for key, body in sorted(raw.items())
    ]


def _locked(operation: Operation) -> dict[str, Any]:
    """What every further call needs; the token is fetched last of all, so that only a true race fails."""
    named = {"Name": operation.inputs["name"], "Scope": operation.inputs["scope"], "Id": operation.id}
    return named | {"LockToken": operation.aws.call("get_web_acl", **named)["LockToken"]}


_UPDATED = ("defaultAction", "description", "rules", "visibilityConfig", "customResponseBodies")


def _update(operation: Operation) -> None:
    if operation.changed(*_UPDATED):
        operation.aws.call(
            "update_web_acl", **_locked(operation), **encode(WEB_ACL.block, operation.inputs, _UPDATED)
        )


def _rules(inputs: Props) -> Iterator[Failure]:
    if inputs["scope"] == "CLOUDFRONT" and inputs["region"] != "us-east-1":
        yield Failure("scope", f"CLOUDFRONT is served in us-east-1 only, the region is {inputs['region']}")
    yield from _one_action(inputs["defaultAction"], ("allow", "block"), "defaultAction")
    bodies = inputs.get("customResponseBodies") or []
    keys = {body["key"] if known(body) else UNKNOWN for body in bodies} if known(bodies) else {UNKNOWN}
    rules = inputs.get("rules")
    seen: dict[str, set[Any]] = {"name": set(), "priority": set()}
    for index, rule in enumerate(rules if known(rules) else ()):
        if not known(rule):
            continue
        yield from _one_action(rule.get("action"), ("allow", "block", "count"), f"rules[{index}].action")
        yield from _one_action(
            rule.get("overrideAction"), ("count", "none"), f"rules[{index}].overrideAction"
        )
        yield from _fitting_action(rule, f"rules[{index}]")
        for name, values in seen.items():
            if known(rule[name]) and rule[name] in values:
                yield Failure(f"rules[{index}].{name}", f"{rule[name]} is another rule's, too")
            values.add(rule[name])
        key = _body_key(rule)
        if key is not None and key not in keys and UNKNOWN not in keys:
            path = f"rules[{index}].action.block.customResponse.customResponseBodyKey"
            yield Failure(path, f"{key} is not among customResponseBodies")


def _one_action(action: Any, names: tuple[str, ...], path: str) -> Iterator[Failure]:
    """An empty block is an action, too."""
    if known(action) and sum(name in action for name in names) != 1:
        yield Failure(path, f"exactly one of {', '.join(names)} is needed")


def _fitting_action(rule: dict[str, Any], path: str) -> Iterator[Failure]:
    """A rule has an action; a rule group's rules have theirs, which the rule may only override."""
    statement = rule["statement"]
    if not known(statement):
        return
    yield from exactly_one(
        statement, ("rateBasedStatement", "managedRuleGroupStatement"), f"{path}.statement."
    )
    needed, other = (
        ("overrideAction", "action")
        if "managedRuleGroupStatement" in statement
        else ("action", "overrideAction")
    )
    if needed not in rule or other in rule:
        yield Failure(f"{path}.{needed}", f"is needed here instead of {other}")


def _body_key(rule: dict[str, Any]) -> str | None:
    value: Any = rule
    for name in ("action", "block", "customResponse", "customResponseBodyKey"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


def _named(given: str) -> dict[str, str]:
    """An import id is id/name/scope, as in pulumi-aws."""
    names = ("id", "name", "scope")
    parts = given.split("/")
    if len(parts) != len(names):
        raise ProviderError(f"a web ACL is imported by id/name/scope, not by {given}")
    return dict(zip(names, parts, strict=True))


WEB_ACL = ResourceType(
    token="aws:wafv2/webAcl:WebAcl",
    service="wafv2",
    fields=(
        Field("name", "Name", required=True, replace=True, checks=(_NAME,)),
        Field("scope", "Scope", required=True, replace=True, checks=(one_of("CLOUDFRONT", "REGIONAL"),)),
        Field("description", "Description"),
        Field("defaultAction", "DefaultAction", Block((_ALLOW, _BLOCK)), required=True),
        Field("rules", "Rules", ListOf(_RULE, unordered=True, key="name")),
        _VISIBILITY,
        Field(
            "customResponseBodies",
            "CustomResponseBodies",
            ListOf(_BODY, unordered=True, key="key"),
            encode=_make_bodies,
            decode=_show_bodies,
        ),
        output("arn", "ARN"),
        output("capacity", "Capacity", INTEGER),
    ),
    create=Create("create_web_acl", id="Summary.Id"),
    read=Describe(
        Call("get_web_acl", {"Name": "{name}", "Scope": "{scope}", "Id": "{id}"}),
        "WebACL",
        gone=("WAFNonexistentItemException",),
        more=lambda operation, api: {"Scope": operation.inputs["scope"]},
    ),
    update=(_update,),
    delete=lambda operation: operation.aws.call("delete_web_acl", **_locked(operation)),
    tags=TagCalls(
        add=Call("tag_resource", {"ResourceARN": "{arn}"}),
        remove=Call("untag_resource", {"ResourceARN": "{arn}"}),
        list=Call("list_tags_for_resource", {"ResourceARN": "{arn}"}),
        path="TagInfoForResource.TagList",
    ),
    unique=("name", "scope"),
    rules=_rules,
    import_inputs=_named,
)

TABLE = table(WEB_ACL)
