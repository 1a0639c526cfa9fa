"""API calls filled in from a table entry's templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .aws import ApiError
from .convert import find
from .spec import Api, Describe, Operation


def described(read: Describe, operation: Operation) -> Api | None:
    try:
        result = operation.aws.call(read.call.op, **filled(read.call.fixed, operation))
    except ApiError as error:
        if error.code in read.gone:
            return None
        raise
    api: Api | None = find(result, read.path)
    if not api or (read.absent is not None and read.absent(api)):
        return None
    return merged(api, read.more(operation, api)) if read.more is not None else api


def filled(template: Any, operation: Operation) -> Any:
    """`{id}`, `{token}` and `{property}` in the strings of a template; whatever is not text passes."""
    if isinstance(template, str) and template.startswith("{") and template.endswith("}"):
        name = template[1:-1]
        if name == "id":
            return operation.id
        if name == "token":
            return operation.token
        return operation.inputs.get(name, operation.state.get(name))
    if isinstance(template, Mapping):
        return {key: filled(value, operation) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(item, operation) for item in template]
    return template


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where both have a structure, the union of the two."""
    result = dict(one)
    for key, value in other.items():
        mine = result.get(key)
        result[key] = (
            merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
        )
    return result
