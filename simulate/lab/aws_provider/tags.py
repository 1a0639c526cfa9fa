"""Tags: set with the create call where it takes them, else after it, and kept in step by the service's tag calls."""

from __future__ import annotations

from typing import Any

from .calls import filled
from .convert import find
from .spec import TagCalls, Target


def wanted(target: Target) -> dict[str, str]:
    return target.inputs.get("tags") or {}


def put_in_create(calls: TagCalls, params: dict[str, Any], tags: dict[str, str]) -> None:
    if not tags or not calls.on_create:
        return
    if calls.ec2_type:
        params["TagSpecifications"] = [{"ResourceType": calls.ec2_type, "Tags": _pairs(tags)}]
    else:
        params[calls.on_create] = _pairs(tags)


def add(calls: TagCalls, target: Target, tags: dict[str, str]) -> None:
    if tags:
        listed: Any = {"Items": _pairs(tags)} if calls.items else _pairs(tags)
        target.aws.call(calls.add.op, **filled(calls.add.fixed, target), **{calls.member: listed})


def update(calls: TagCalls, target: Target) -> None:
    before: dict[str, str] = target.olds.get("tags") or {}
    after = wanted(target)
    gone = sorted(before.keys() - after.keys())
    if gone:
        names: Any = (
            [{"Key": key} for key in gone] if calls.ec2_type else {"Items": gone} if calls.items else gone
        )
        target.aws.call(calls.remove.op, **filled(calls.remove.fixed, target), **{calls.names: names})
    add(calls, target, {key: value for key, value in after.items() if before.get(key) != value})


def read(calls: TagCalls, target: Target, api: dict[str, Any]) -> dict[str, str]:
    source: Any = (
        api if calls.list is None else target.aws.call(calls.list.op, **filled(calls.list.fixed, target))
    )
    found = find(source, calls.path) or []
    # Tags that AWS itself set are not the program's.
    return {each["Key"]: each.get("Value", "") for each in found if not each["Key"].startswith("aws:")}


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
