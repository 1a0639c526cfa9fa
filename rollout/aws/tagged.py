"""The rule with the weights and the target groups behind it, found by the tags that `infra/` gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rollout.aws.elb import call
from rollout.control.ports import TrafficError
from rollout.journal.card import OTHER, Card

ENVIRONMENT, ROLE, COLOUR = "simple378:environment", "simple378:role", "simple378:colour"
RULE, GROUP = "traffic-rule", "traffic-group"
_BATCH = 20  # resources in one question for tags

Resource = Mapping[str, Any]


async def find(elbv2: Any, env: str, region: str, stable: str) -> Card:
    """``stable`` is a colour. Raises :class:`TrafficError` when they are not found, or more than once."""
    return await call(
        "DescribeTags", f"the target groups of {env}", lambda: _find(elbv2, env, region, stable)
    )


def _find(elbv2: Any, env: str, region: str, stable: str) -> Card:
    groups: dict[str, Resource] = {}
    every = _pages(elbv2, "describe_target_groups", "TargetGroups")
    for group, tags in _tagged(elbv2, every, "TargetGroupArn", env, GROUP):
        colour = tags.get(COLOUR, "")
        if colour in groups:
            raise TrafficError(f"two target groups have the tags of {env} and {colour}; {_BY_HAND}")
        groups[colour] = group
    wanted = f"{ENVIRONMENT}={env} and {ROLE}="
    if missing := [colour for colour in OTHER if colour not in groups]:
        raise TrafficError(
            f"no target group of {region} has the tags {wanted}{GROUP} and {COLOUR}={missing[0]}; is that the region? {_BY_HAND}"
        )
    balancers = dict.fromkeys(arn for colour in OTHER for arn in groups[colour]["LoadBalancerArns"])
    rules = [
        rule["RuleArn"]
        for balancer in balancers
        for listener in _pages(elbv2, "describe_listeners", "Listeners", LoadBalancerArn=balancer)
        for rule, _ in _tagged(elbv2, _rules(elbv2, listener["ListenerArn"]), "RuleArn", env, RULE)
    ]
    if len(rules) != 1:
        raise TrafficError(f"{len(rules)} rules have the tags {wanted}{RULE}, where one should; {_BY_HAND}")
    colours = {"stable": stable, "candidate": OTHER[stable]}
    arns = {role: groups[colour]["TargetGroupArn"] for role, colour in colours.items()}
    return Card(env, region, rules[0], arns, colours)


_BY_HAND = "docs/emergency.md says how to find them by hand"


def _rules(elbv2: Any, listener: str) -> Iterator[Resource]:
    rules = _pages(elbv2, "describe_rules", "Rules", ListenerArn=listener)
    return (rule for rule in rules if not rule["IsDefault"])  # which has no tags of its own


def _pages(elbv2: Any, operation: str, key: str, **arguments: str) -> Iterator[Resource]:
    for page in elbv2.get_paginator(operation).paginate(**arguments):
        yield from page[key]


def _tagged(
    elbv2: Any, resources: Iterable[Resource], arn: str, env: str, role: str
) -> Iterator[tuple[Resource, Mapping[str, str]]]:
    """Those of one environment and role, each with all its tags."""
    by_arn = {resource[arn]: resource for resource in resources}
    arns = list(by_arn)
    for first in range(0, len(arns), _BATCH):
        found = elbv2.describe_tags(ResourceArns=arns[first : first + _BATCH])
        for described in found["TagDescriptions"]:
            tags = {tag["Key"]: tag.get("Value", "") for tag in described["Tags"]}
            if (tags.get(ENVIRONMENT), tags.get(ROLE)) == (env, role):
                yield by_arn[described["ResourceArn"]], tags
