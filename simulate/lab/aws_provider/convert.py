"""Between Pulumi's properties and AWS's members, both ways, following the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from .spec import SAME_LEVEL, Api, Block, Field, ListOf, MapOf, Mode, Props, Scalar, Type, Value
from .wire import UNKNOWN


def encode(block: Block, inputs: Props, names: Iterable[str] | None = None) -> Api:
    """The parameters for `names` (default: all) that are set in `inputs`."""
    wanted = None if names is None else frozenset(names)
    params: Api = {}
    for field in block.fields:
        if (
            not field.api
            or not field.sent
            or field.mode is Mode.OUTPUT
            or (wanted is not None and field.name not in wanted)
        ):
            continue
        value = inputs.get(field.name)
        if value is not None:
            _put(params, field.api, encode_value(field, value))
    return params


def encode_value(field: Field, value: Value) -> Any:
    return field.encode(value) if field.encode is not None else _encode(field.type, value)


def _encode(kind: Type, value: Value) -> Any:
    match kind:
        case Block():
            return encode(kind, value)
        case ListOf():
            items = [_encode(kind.item, item) for item in value]
            if not kind.quantity:
                return items
            return {"Quantity": len(items), "Items": items} if items else {"Quantity": 0}
        case MapOf(pairs=(key_name, value_name)):
            return [{key_name: key, value_name: item} for key, item in sorted(value.items())]
        case _:
            return value


def _put(params: Api, path: str, value: Any) -> None:
    if path == SAME_LEVEL:
        params |= value
        return
    *outer, last = path.split(".")
    for part in outer:
        params = params.setdefault(part, {})
    if isinstance(value, dict) and isinstance(params.get(last), dict):
        params[last] |= value
    else:
        params[last] = value


def decode(block: Block, api: Mapping[str, Any]) -> dict[str, Value]:
    """The properties that a description shows."""
    props: dict[str, Value] = {}
    for field in block.fields:
        if not field.api:
            continue
        raw = find(api, field.api)
        if raw is None:
            continue
        value = field.decode(raw) if field.decode is not None else _decode(field.type, raw)
        if value is not None:
            props[field.name] = value
    return props


def find(api: Any, path: str) -> Any:
    """`path` is dotted; a number is an index, such as Rules.0.RuleArn. None where there is nothing."""
    if path == SAME_LEVEL:
        return api
    for part in path.split(".") if path else ():
        if isinstance(api, list):
            api = api[int(part)] if int(part) < len(api) else None
        else:
            api = api.get(part) if isinstance(api, Mapping) else None
    return api


def _decode(kind: Type, raw: Any) -> Value:
    match kind:
        case Block():
            return decode(kind, raw)
        case ListOf():
            items = raw.get("Items", []) if kind.quantity else raw
            return [_decode(kind.item, item) for item in items]
        case MapOf(pairs=(key_name, value_name)):
            return {item[key_name]: str(item[value_name]) for item in raw}
        case MapOf():
            return {key: str(item) for key, item in raw.items()}
        case Scalar.STRING:
            return str(raw)
        case Scalar.INTEGER:
            return int(raw)
        case Scalar.NUMBER:
            return float(raw)
        case Scalar.BOOLEAN:
            return raw if isinstance(raw, bool) else str(raw).lower() == "true"
        case Scalar.JSON | Scalar.ARCHIVE:
            return raw if isinstance(raw, str) else json.dumps(raw, sort_keys=True)


def to_attributes(block: Block, inputs: Props, names: Iterable[str] | None = None) -> list[dict[str, str]]:
    """ELB's attribute lists; nested blocks flatten, since their members carry keys of their own."""
    wanted = None if names is None else frozenset(names)
    found: list[dict[str, str]] = []
    for field in block.fields:
        value = inputs.get(field.name)
        if value is None or (wanted is not None and field.name not in wanted):
            continue
        if isinstance(field.type, Block):
            found.extend(to_attributes(field.type, value))
        elif field.attribute:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found.append({"Key": field.attribute, "Value": text})
    return found


def from_attributes(block: Block, attributes: Iterable[Mapping[str, str]]) -> dict[str, Value]:
    by_key = {each["Key"]: each["Value"] for each in attributes}
    return _from_attributes(block, by_key)


def _from_attributes(block: Block, by_key: Mapping[str, str]) -> dict[str, Value]:
    props: dict[str, Value] = {}
    for field in block.fields:
        if isinstance(field.type, Block):
            inner = _from_attributes(field.type, by_key)
            if inner:
                props[field.name] = inner
        elif by_key.get(field.attribute):
            props[field.name] = _decode(field.type, by_key[field.attribute])
    return props


def as_inputs(block: Block, live: Props, prior: Props | None) -> dict[str, Value]:
    """The live properties as a program would have written them.

    A property that the program left out is shown only when somebody gave it a value other than its default, so that a
    refresh distinguishes drift from defaults that AWS filled in. Without `prior` inputs, which is an import, everything is shown.
    """
    inputs: dict[str, Value] = {}
    for field in block.fields:
        if field.mode is Mode.OUTPUT:
            continue
        value = live.get(field.name)
        before = None if prior is None else prior.get(field.name)
        if value is None and not field.shown:
            value = field.default if prior is None else before
        if value is None:
            continue
        if before is not None or prior is None:
            inputs[field.name] = _as_input(field.type, value, before)
        elif field.mode is not Mode.EITHER:
            shown = _as_input(field.type, value, {})
            if shown not in (field.default, "", False, [], {}):
                inputs[field.name] = shown
    return inputs


def _as_input(kind: Type, value: Value, before: Value) -> Value:
    match kind:
        case Block():
            return as_inputs(kind, value, before if before is None or isinstance(before, Mapping) else {})
        case ListOf():
            earlier = before if isinstance(before, list) else []
            without: Props | None = None if before is None else {}
            return [
                _as_input(kind.item, value[new], without if old is None else earlier[old])
                for old, new in pair(kind, earlier, value)
                if new is not None
            ]
        case Scalar.JSON if isinstance(before, str) and same(kind, before, value):
            return before
        case _:
            return value


def pair(kind: ListOf, olds: list[Value], news: list[Value]) -> list[tuple[int | None, int | None]]:
    """Which item of `olds` became which of `news`, in the order of `olds`, then the new ones. Ordered lists pair by
    position, others by equality, then by key, then by position of what is left."""
    if not kind.unordered:
        most = max(len(olds), len(news))
        return [(i if i < len(olds) else None, i if i < len(news) else None) for i in range(most)]
    free = list(range(len(news)))
    matched: dict[int, int] = {}

    def match(alike: Any) -> None:
        for old, item in enumerate(olds):
            if old not in matched:
                new = next((each for each in free if alike(item, news[each])), None)
                if new is not None:
                    matched[old] = new
                    free.remove(new)

    match(lambda old, new: same(kind.item, old, new))
    if kind.key:
        match(lambda old, new: old.get(kind.key) == new.get(kind.key))
    match(lambda old, new: isinstance(kind.item, Block))
    return [(old, matched.get(old)) for old in range(len(olds))] + [(None, new) for new in free]


def same(kind: Type, old: Value, new: Value) -> bool:
    match kind:
        case _ if old is UNKNOWN or new is UNKNOWN:
            return False
        case Block() if isinstance(old, Mapping) and isinstance(new, Mapping):
            inputs = (field for field in kind.fields if field.mode is not Mode.OUTPUT)
            return all(same(field.type, old.get(field.name), new.get(field.name)) for field in inputs)
        case ListOf() if isinstance(old, list) and isinstance(new, list):
            return len(old) == len(new) and _same_items(kind, old, new)
        case Scalar.JSON if isinstance(old, str) and isinstance(new, str):
            return bool(json.loads(old) == json.loads(new))
        case Scalar.ARCHIVE if isinstance(old, Mapping) and isinstance(new, Mapping):
            return bool(old.get("hash") == new.get("hash"))
        case _:
            return bool(old == new)


def _same_items(kind: ListOf, olds: list[Value], news: list[Value]) -> bool:
    if not kind.unordered:
        return all(same(kind.item, old, new) for old, new in zip(olds, news, strict=True))
    left = list(news)
    for old in olds:
        found = next((at for at, new in enumerate(left) if same(kind.item, old, new)), None)
        if found is None:
            return False
        del left[found]
    return True
