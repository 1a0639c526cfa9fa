"""Policy documents held against what IAM itself publishes of its actions (policy-sentry's copy of it)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from policy_sentry.querying.actions import get_action_data, get_actions_for_service

# Reading that is as good as having a secret.
_SECRETS = ("s3:GetObject", "secretsmanager:GetSecretValue", "ssm:GetParameter")


@cache
def _formats(action: str) -> tuple[str, ...]:
    """Of the ARNs that an action takes, with `*` for what varies; empty for an action that does not exist."""
    service, _, name = action.partition(":")
    found = get_action_data(service, name) or {}
    return tuple(
        re.sub(r"\$\{\w+\}", "*", each["resource_arn_format"]) for each in next(iter(found.values()), [])
    )


@cache
def _conditions(action: str) -> frozenset[str]:
    service, _, name = action.partition(":")
    found = get_action_data(service, name) or {}
    return frozenset(key for each in next(iter(found.values()), []) for key in each["condition_keys"])


def _expanded(pattern: str) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    service = pattern.partition(":")[0]
    return [each for each in get_actions_for_service(service) if fnmatchcase(each.lower(), pattern.lower())]


def problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Actions that do not exist, resources that an action does not take, and conditions that it does not know."""
    for statement in document["Statement"]:
        for pattern in statement["Action"]:
            actions = _expanded(pattern)
            if not actions or not all(_formats(action) for action in actions):
                yield f"{pattern} is no action of IAM"
                continue
            if "*" in pattern:
                yield from (
                    f"{pattern} is also {action}"
                    for action in actions
                    if _changes(action) or action in _SECRETS
                )
                continue
            yield from _resource_problems(pattern, statement["Resource"])
            for keys in statement.get("Condition", {}).values():
                for key in keys:
                    if not any(_same_key(key, known) for known in _conditions(pattern)):
                        yield f"{pattern} knows no condition {key}"


def _same_key(key: str, known: str) -> bool:
    return fnmatchcase(key.lower(), re.sub(r"\$\{\w+\}", "*", known).lower())


def _resource_problems(action: str, resources: list[str]) -> Iterator[str]:
    formats = _formats(action)
    for resource in resources:
        if resource == "*":
            if set(formats) - {"*"} and (_changes(action) or action in _SECRETS):
                yield f"{action} can be limited to a resource, and is not"
        elif not any(_meets(resource, each) for each in formats if each != "*"):
            yield f"{action} takes {' or '.join(formats)}, not {resource}"


def _meets(one: str, other: str) -> bool:
    """Whether some ARN matches both patterns."""
    parts = zip(one.split(":", 5), other.split(":", 5), strict=True)
    return all(_overlap(mine, theirs) for mine, theirs in parts)


@cache
def _overlap(one: str, other: str) -> bool:
    """Whether some text matches both patterns; `*` is any text, in both."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return _overlap(one[1:], other) or _overlap(one, other[1:])
    if other[0] == "*":
        return _overlap(one, other[1:]) or _overlap(one[1:], other)
    return one[0] == other[0] and _overlap(one[1:], other[1:])


def _changes(action: str) -> bool:
    service, _, name = action.partition(":")
    found = next(iter((get_action_data(service, name) or {}).values()), [])
    return bool({each["access_level"] for each in found} - {"Read", "List"})


def writes(document: Mapping[str, Any]) -> set[str]:
    """Actions that change something, by IAM's own access levels."""
    patterns = {pattern for statement in document["Statement"] for pattern in statement["Action"]}
    return {action for pattern in patterns for action in _expanded(pattern) if _changes(action)}
