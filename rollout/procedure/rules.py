"""Rules of production: what no stack may declare, checked over planned resources before a rollout touches anything.

Plain functions over the inputs of resources, by their types. `make check` holds everything that the program registers against them,
pre-flight the engine's own preview. What breaks a rule on purpose has a waiver, which says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

Inputs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """As it is planned; `protect`: the engine refuses to destroy it."""

    type: str
    name: str
    inputs: Inputs
    protect: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """`types` are patterns of resource types; `problem` says what is wrong with one, '' when nothing is."""

    name: str
    types: tuple[str, ...]
    problem: Callable[[Resource], str]


@dataclass(frozen=True, slots=True)
class Waiver:
    """What may break a rule; `environment` and `resource` are patterns."""

    rule: str
    environment: str
    resource: str
    why: str


def _database(resource: Resource) -> str:
    wanted = {"publiclyAccessible": False, "storageEncrypted": True, "copyTagsToSnapshot": True}
    wrong = [key for key, value in wanted.items() if resource.inputs.get(key, not value) is not value]
    if not resource.inputs.get("backupRetentionPeriod"):
        wrong.append("backupRetentionPeriod")
    return f"a database is private, encrypted and backed up: {', '.join(wrong)}" if wrong else ""


def _protected(resource: Resource) -> str:
    return "" if resource.protect else "what holds data or serves users is protected from destruction"


def _private_bucket(resource: Resource) -> str:
    keys = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    open_ = [key for key in keys if resource.inputs.get(key) is not True]
    return f"a bucket is closed to the public: {', '.join(open_)}" if open_ else ""


def _ingress(resource: Resource) -> str:
    everybody = {"0.0.0.0/0", "::/0"} & {str(resource.inputs.get(key)) for key in ("cidrIpv4", "cidrIpv6")}
    return f"no group admits everybody, this one {everybody.pop()}" if everybody else ""


def _listener(resource: Resource) -> str:
    if resource.inputs.get("protocol") != "HTTPS":
        return "a listener speaks HTTPS"
    policy = str(resource.inputs.get("sslPolicy", ""))
    return (
        ""
        if policy.startswith("ELBSecurityPolicy-TLS13")
        else f"TLS 1.2 or later, not {policy or 'the default'}"
    )


def _closed_by_default(resource: Resource) -> str:
    kinds = {action.get("type") for action in resource.inputs.get("defaultActions", ())}
    return "" if kinds <= {"fixed-response"} else "a listener lets nobody in by default: rules do"


def _distribution(resource: Resource) -> str:
    behaviours = [
        resource.inputs.get("defaultCacheBehavior") or {},
        *resource.inputs.get("orderedCacheBehaviors", ()),
    ]
    if any(each.get("viewerProtocolPolicy") == "allow-all" for each in behaviours):
        return "users are served by HTTPS alone"
    return ""


def _limited(resource: Resource) -> str:
    return (
        "" if resource.inputs.get("webAclId") else "the rate limit stands before the distribution: webAclId"
    )


def _weights(resource: Resource) -> str:
    for action in resource.inputs.get("actions", ()):
        forward = action.get("forward") or {}
        groups = forward.get("targetGroups", ())
        if (forward.get("stickiness") or {}).get("enabled"):
            return "no client sticks to a colour: weights would not move it"
        if len(groups) > 1 and sum(each.get("weight", 0) for each in groups) != 100:  # noqa: PLR2004
            return "weights are percent, and add up to 100"
    return ""


def _statements(document: Any) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(document).get("Statement", [])
    except (TypeError, ValueError, AttributeError):
        return []
    return found if isinstance(found, list) else [found]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _rights(resource: Resource) -> str:
    for statement in _statements(resource.inputs.get("policy")):
        if statement.get("Effect") != "Allow":
            continue
        wide = [one for one in _listed(statement.get("Action", [])) if one == "*" or str(one).endswith(":*")]
        if wide or "NotAction" in statement:
            return f"a role names its actions, not {', '.join(wide) or 'what they are not'}"
    return ""


def _trust(resource: Resource) -> str:
    for statement in _statements(resource.inputs.get("assumeRolePolicy")):
        principal = statement.get("Principal")
        if "*" in (
            principal,
            *_listed((principal or {}).get("AWS", []) if isinstance(principal, Mapping) else []),
        ):
            return "not everybody may become a role"
    return ""


def _told(resource: Resource) -> str:
    return "" if resource.inputs.get("alarmActions") else "an alarm tells somebody: alarmActions"


def _kept(resource: Resource) -> str:
    return "" if resource.inputs.get("retentionInDays") else "a log ends some day: retentionInDays"


def _containers(resource: Resource) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    spec = resource.inputs.get("spec", {}).get("template", {}).get("spec", {})
    for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        yield spec, container


def _confined(resource: Resource) -> str:
    for spec, container in _containers(resource):
        pod, own = spec.get("securityContext") or {}, container.get("securityContext") or {}
        wrong = [
            what
            for what, good in (
                ("runAsNonRoot", pod.get("runAsNonRoot") or own.get("runAsNonRoot")),
                ("allowPrivilegeEscalation", own.get("allowPrivilegeEscalation") is False),
                ("readOnlyRootFilesystem", own.get("readOnlyRootFilesystem")),
                ("capabilities", "ALL" in (own.get("capabilities") or {}).get("drop", ())),
            )
            if not good
        ]
        if wrong:
            return f"container {container.get('name')} has no more rights than it needs: {', '.join(wrong)}"
    return ""


def _measured(resource: Resource) -> str:
    for _, container in _containers(resource):
        resources = container.get("resources") or {}
        if not (resources.get("requests") or {}).get("cpu") or not (resources.get("limits") or {}).get(
            "memory"
        ):
            return f"container {container.get('name')} says what CPU it needs and what memory it may have"
    return ""


def _named_image(resource: Resource) -> str:
    for _, container in _containers(resource):
        image = str(container.get("image", ""))
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in {"", "latest"}:
            return f"container {container.get('name')} names its image by version or digest, not {image}"
    return ""


RULES = (
    Rule("database", ("aws:rds/instance:Instance",), _database),
    Rule(
        "protected",
        (
            "aws:rds/instance:Instance",
            "aws:s3/bucket:Bucket",
            "aws:lb/loadBalancer:LoadBalancer",
            "aws:lb/listenerRule:ListenerRule",
            "aws:lb/targetGroup:TargetGroup",
            "aws:cloudfront/distribution:Distribution",
            "aws:wafv2/webAcl:WebAcl",
        ),
        _protected,
    ),
    Rule("private-bucket", ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",), _private_bucket),
    Rule("ingress", ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",), _ingress),
    Rule("tls", ("aws:lb/listener:Listener",), _listener),
    Rule("closed", ("aws:lb/listener:Listener",), _closed_by_default),
    Rule("https", ("aws:cloudfront/distribution:Distribution",), _distribution),
    Rule("rate-limit", ("aws:cloudfront/distribution:Distribution",), _limited),
    Rule("weights", ("aws:lb/listenerRule:ListenerRule",), _weights),
    Rule("rights", ("aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"), _rights),
    Rule("trust", ("aws:iam/role:Role",), _trust),
    Rule(
        "told",
        ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm"),
        _told,
    ),
    Rule("log-retention", ("aws:cloudwatch/logGroup:LogGroup",), _kept),
    Rule("confined", ("kubernetes:apps/v1:*",), _confined),
    Rule("measured", ("kubernetes:apps/v1:*",), _measured),
    Rule("image", ("kubernetes:apps/v1:*",), _named_image),
)

WAIVERS = (
    Waiver("told", "*", "*-elevated", "a part of a composite alarm of the same name, which tells people"),
    Waiver(
        "told",
        "*",
        "service-burn-*",
        "the parts of the composite alarms on the error budget, which tell people",
    ),
    Waiver("tls", "local*", "edge-listener", "the lab has no certificates"),
    Waiver("https", "local*", "cdn-distribution", "the lab's edge speaks HTTP"),
    Waiver("protected", "local*", "*", "a lab is made and removed every day"),
    Waiver(
        "protected", "staging", "*", "staging is made and removed with its data; nobody's users are there"
    ),
    Waiver(
        "protected",
        "*",
        "*-test",
        "the test route serves no users, and is made anew by the next update of the foundation",
    ),
)


def broken(environment: str, resources: Iterable[Resource]) -> list[str]:
    """`NAME: WHY (rule RULE)` for whatever breaks a rule that nothing waives."""
    return [
        f"{resource.name}: {why} (rule {rule.name})"
        for resource in resources
        for rule in RULES
        if any(fnmatchcase(resource.type, pattern) for pattern in rule.types)
        and (why := rule.problem(resource))
        and not any(_waived(waiver, rule, environment, resource) for waiver in WAIVERS)
    ]


def _waived(waiver: Waiver, rule: Rule, environment: str, resource: Resource) -> bool:
    return (
        waiver.rule == rule.name
        and fnmatchcase(environment, waiver.environment)
        and fnmatchcase(resource.name, waiver.resource)
    )


def planned(preview: Mapping[str, Any]) -> Iterator[Resource]:
    """What the engine's preview (`--show-sames --json`) would have: every resource that is not deleted."""
    for step in preview.get("steps", ()):
        state = step.get("newState")
        if state and step["op"] not in ("delete", "read", "refresh"):
            yield Resource(
                state["type"],
                state["urn"].rpartition("::")[2],
                state.get("inputs") or {},
                bool(state.get("protect")),
            )
