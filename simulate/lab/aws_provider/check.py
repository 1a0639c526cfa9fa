"""Inputs of a resource, checked before anything is touched: names, types, defaults, and what AWS would refuse.

Values are checked against the table's own rules and AWS's service model (enumerations, lengths, ranges and
patterns of the create call), so that the lab refuses what the cloud would. Unknown values of a preview pass.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.model

from .aws import input_shape
from .spec import (
    SAME_LEVEL,
    Block,
    Create,
    Failure,
    Field,
    ListOf,
    MapOf,
    Mode,
    Props,
    ResourceType,
    Scalar,
    Type,
    Value,
)
from .wire import UNKNOWN

LIMITS = "docs/lab-limits.md"


def check(entry: ResourceType, news: Props, region: str) -> tuple[dict[str, Value], list[Failure]]:
    """The inputs with defaults filled in, and everything that is wrong with them."""
    failures: list[Failure] = []
    inputs = _block(entry.block, news, "", failures, entry.token)
    if not failures:
        failures.extend(entry.rules({"region": region} | inputs))
        failures.extend(_against_model(entry, inputs))
    return inputs, failures


def _block(block: Block, value: Props, path: str, failures: list[Failure], token: str) -> dict[str, Value]:
    inputs: dict[str, Value] = {}
    known = {field.name: field for field in block.fields if field.mode is not Mode.OUTPUT}
    for name, item in value.items():
        here = _inside(path, name)
        if name in known:
            inputs[name] = _field(known[name], item, here, failures, token)
        else:
            failures.append(Failure(here, _unknown_property(token, name, block)))
    for name, field in known.items():
        if name not in inputs and field.default is not None:
            inputs[name] = field.default
        elif name not in inputs and field.required:
            failures.append(Failure(_inside(path, name), "is required"))
    return inputs


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _field(field: Field, value: Value, path: str, failures: list[Failure], token: str) -> Value:
    before = len(failures)
    typed = _typed(field.type, value, path, failures, token)
    if typed is not UNKNOWN and len(failures) == before:
        reasons = (refuse(typed) for refuse in field.checks)
        failures.extend(Failure(path, reason) for reason in reasons if reason)
    return typed


def _unknown_property(token: str, name: str, block: Block) -> str:
    field = block.named(name)
    if field is not None:
        return f"{name} of {token} is an output: only AWS sets it"
    names = [each.name for each in block.fields if each.mode is not Mode.OUTPUT]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown property {name} of {token}{hint} (what the lab's provider serves: {LIMITS})"


def _typed(kind: Type, value: Value, path: str, failures: list[Failure], token: str) -> Value:
    if value is UNKNOWN:
        return value
    match kind:
        case Block() if isinstance(value, Mapping):
            return _block(kind, value, path, failures, token)
        case ListOf() if isinstance(value, list):
            _length(kind, value, path, failures)
            return [
                _typed(kind.item, item, f"{path}[{at}]", failures, token) for at, item in enumerate(value)
            ]
        case MapOf() if isinstance(value, Mapping):
            return {
                key: _typed(kind.item, item, f"{path}.{key}", failures, token) for key, item in value.items()
            }
        case Scalar.JSON:
            return _document(value, path, failures)
        case Scalar.ARCHIVE if isinstance(value, Mapping):
            return value
        case Scalar() if _is_scalar(kind, value):
            return value
    failures.append(Failure(path, f"must be {_KINDS[kind if isinstance(kind, Scalar) else type(kind)]}"))
    return value


_KINDS: dict[Any, str] = {
    Block: "an object",
    ListOf: "a list",
    MapOf: "a map",
    Scalar.STRING: "a string",
    Scalar.INTEGER: "a whole number",
    Scalar.NUMBER: "a number",
    Scalar.BOOLEAN: "true or false",
    Scalar.ARCHIVE: "an archive",
}
_PYTHON_TYPES: dict[Scalar, tuple[type, ...]] = {
    Scalar.STRING: (str,),
    Scalar.INTEGER: (int,),
    Scalar.NUMBER: (int, float),
    Scalar.BOOLEAN: (bool,),
    Scalar.ARCHIVE: (),
}


def _is_scalar(kind: Scalar, value: Value) -> bool:
    return isinstance(value, _PYTHON_TYPES[kind]) and isinstance(value, bool) is (kind is Scalar.BOOLEAN)


def _length(kind: ListOf, value: list[Value], path: str, failures: list[Failure]) -> None:
    if len(value) < kind.at_least:
        failures.append(Failure(path, f"must have at least {kind.at_least} item(s), has {len(value)}"))
    if kind.at_most is not None and len(value) > kind.at_most:
        failures.append(Failure(path, f"must have at most {kind.at_most} item(s), has {len(value)}"))


def _document(value: Value, path: str, failures: list[Failure]) -> Value:
    """pulumi-aws lets a policy be given as an object, too."""
    text = json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value
    try:
        json.loads(text)
    except (TypeError, ValueError) as error:
        failures.append(Failure(path, f"is no JSON document: {error}"))
    return text


def _against_model(entry: ResourceType, inputs: Props) -> Iterator[Failure]:
    if not isinstance(entry.create, Create):
        return
    shape = input_shape(entry.service, entry.create.op)
    for member in entry.create.inside.split(".") if entry.create.inside else ():
        shape = shape.members[member] if shape is not None else None
    if shape is not None:
        yield from _block_against(entry.block, inputs, shape, "")


def _block_against(block: Block, value: Props, shape: botocore.model.Shape, path: str) -> Iterator[Failure]:
    for field in block.fields:
        item = value.get(field.name)
        inner = _member(shape, field)
        if item is not None and item is not UNKNOWN and inner is not None:
            yield from _value_against(field.type, item, inner, f"{path}.{field.name}" if path else field.name)


def _member(shape: botocore.model.Shape, field: Field) -> botocore.model.Shape | None:
    """None where the create call has no such member: then another call of the entry takes it."""
    if not field.api or not field.sent or field.encode is not None:
        return None
    inner: botocore.model.Shape | None = shape
    if field.api == SAME_LEVEL:
        return shape
    for part in field.api.split("."):
        members = getattr(inner, "members", {})
        inner = members.get(part)
        if inner is None:
            return None
    return inner


def _value_against(kind: Type, value: Value, shape: botocore.model.Shape, path: str) -> Iterator[Failure]:
    match kind:
        case Block():
            yield from _block_against(kind, value, shape, path)
        case ListOf():
            if kind.quantity:
                shape = shape.members["Items"]
            if shape.type_name == "list":
                for index, item in enumerate(value):
                    if item is not UNKNOWN:
                        yield from _value_against(kind.item, item, shape.member, f"{path}[{index}]")
        case Scalar():
            reason = refused_by_model(value, shape)
            if reason:
                yield Failure(path, reason)
        case MapOf():
            pass


def refused_by_model(value: Value, shape: botocore.model.Shape) -> str | None:
    """Why AWS's own service model does not allow a scalar, or None."""
    limits: dict[str, Any] = shape.metadata
    least, most = limits.get("min"), limits.get("max")
    if shape.type_name == "string" and isinstance(value, str):
        if limits.get("enum") and value not in limits["enum"]:
            return f"must be one of {', '.join(limits['enum'])}"
        if least is not None and len(value) < least:
            return f"must have at least {least} character(s), has {len(value)}"
        if most is not None and len(value) > most:
            return f"must have at most {most} characters, has {len(value)}"
        pattern = _pattern(limits.get("pattern"))
        if pattern is not None and not pattern.fullmatch(value):
            return f"must match {pattern.pattern}"
    if shape.type_name in ("integer", "long", "float", "double") and isinstance(value, int | float):
        if least is not None and value < least:
            return f"must be at least {least}, is {value}"
        if most is not None and value > most:
            return f"must be at most {most}, is {value}"
    return None


@cache
def _pattern(text: str | None) -> re.Pattern[str] | None:
    r"""AWS writes Java patterns; one that Python cannot read (mostly \p{...} of free text) is not held against a value."""
    if text is None or r"\p{" in text:
        return None
    try:
        return re.compile(text, re.DOTALL)
    except re.error:
        return None
