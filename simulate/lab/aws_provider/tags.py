"""Tags: set with the create call where it takes them, else after it, and kept in step by the service's tag calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .calls import filled
from .convert import find
from .spec import Operation, Props, TagCalls
from .wire import UNKNOWN


def declared(default_tags: Iterable[tuple[str, str]], inputs: Props) -> Any:
    """All tags that the resource should have; UNKNOWN in a preview in which its own tags are not known yet."""
    tags = inputs.get("tags") or {}
    return UNKNOWN if tags is UNKNOWN else dict(default_tags) | tags


def wanted(operation: Operation) -> Any:
    return declared(operation.aws.aws.config.default_tags, operation.inputs)


def own(all_tags: dict[str, str], operation: Operation) -> dict[str, str]:
    """Without the provider's default tags, unless the program declares them, too."""
    tags = operation.inputs.get("tags") or {}
    defaults = dict(operation.aws.aws.config.default_tags)
    return {key: value for key, value in all_tags.items() if key in tags or defaults.get(key) != value}


def put_in_create(calls: TagCalls, params: dict[str, Any], tags: dict[str, str]) -> None:
    if not tags or not calls.on_create:
        return
    if calls.ec2_type:
        params["TagSpecifications"] = [{"ResourceType": calls.ec2_type, "Tags": _pairs(tags)}]
    else:
        params[calls.on_create] = tags if calls.mapped else _pairs(tags)


def add(calls: TagCalls, operation: Operation, tags: dict[str, str]) -> None:
    if tags:
        listed: Any = tags if calls.mapped else _pairs(tags)
        if calls.envelope:
            listed = {calls.envelope: listed}
        operation.aws.call(calls.add.op, **filled(calls.add.fixed, operation), **{calls.member: listed})


def update(calls: TagCalls, operation: Operation) -> None:
    # What AWS had last, with the default tags of that time.
    before: dict[str, str] = operation.state.get("tagsAll") or operation.olds.get("tags") or {}
    after: dict[str, str] = wanted(operation)
    gone = sorted(before.keys() - after.keys())
    fixed = filled(calls.remove.fixed, operation)
    if calls.whole:
        if gone and not after:
            operation.aws.call(calls.remove.op, **fixed)
        elif before != after:
            add(calls, operation, after)
        return
    if gone:
        names: Any = [{"Key": key} for key in gone] if calls.ec2_type else gone
        operation.aws.call(
            calls.remove.op, **fixed, **{calls.names: {calls.envelope: names} if calls.envelope else names}
        )
    add(calls, operation, {key: value for key, value in after.items() if before.get(key) != value})


def read(calls: TagCalls, operation: Operation, api: dict[str, Any]) -> dict[str, str]:
    source: Any = (
        api
        if calls.list is None
        else operation.aws.call(calls.list.op, **filled(calls.list.fixed, operation))
    )
    found = find(source, calls.path) or []
    if calls.mapped:
        found = [{"Key": key, "Value": value} for key, value in dict(found).items()]
    # Tags that AWS itself set are not the program's.
    return {each["Key"]: each.get("Value", "") for each in found if not each["Key"].startswith("aws:")}


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
