"""Checks of single values that AWS makes but its service model does not describe."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from ..spec import Failure, Props, ResourceType, Value, ValueCheck
from ..wire import UNKNOWN


def within(least: float, most: float) -> ValueCheck:
    return lambda value: None if least <= value <= most else f"must be {least} to {most}, is {value}"


def at_most(limit: int) -> ValueCheck:
    return lambda value: (
        None if len(value) <= limit else f"must have at most {limit} characters, has {len(value)}"
    )


def one_of(*allowed: Value) -> ValueCheck:
    return lambda value: (
        None if value in allowed else f"must be one of {', '.join(map(str, allowed))}, is {value}"
    )


def matches(pattern: str, words: str) -> ValueCheck:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda value: None if compiled.fullmatch(value) else f"must be {words}, is {value!r}"


def cidr(value: Value) -> str | None:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return f"is no CIDR block: {error}"
    return None


def exactly_one(inputs: Props, names: Iterable[str], path: str = "") -> list[Failure]:
    names = tuple(names)
    given = [name for name in names if inputs.get(name) not in (None, [], {}, "")]
    if len(given) == 1:
        return []
    return [
        Failure(f"{path}{given[1] if given else names[0]}", f"exactly one of {', '.join(names)} is needed")
    ]


def known(value: Value) -> TypeGuard[Any]:
    return value is not None and value is not UNKNOWN


def table(*entries: ResourceType) -> dict[str, ResourceType]:
    return {entry.token: entry for entry in entries}
