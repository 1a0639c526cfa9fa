"""The JSON Schema of a plan file, so that an editor checks and completes it (``rollout plan --schema``).

It has every key, its kind and its bounds. What must fit together (weights that rise, a rollback to the weight of a stage) and the
bounds of a duration with its unit only :func:`rollout.plan.parse_plan` checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_origin

from rollout.plan.marks import Duration, Key, Number, keys
from rollout.plan.plan import WHOLE, Plan, Rollback
from rollout.plan.units import PATTERN

_ACTIONS: dict[str, Any] = {"enum": [str(action) for action in Rollback]}
_BACK_TO: dict[str, Any] = {
    "type": "object",
    "properties": {"to": {"type": "integer", "minimum": 0, "maximum": WHOLE}},
    "required": ["to"],
    "additionalProperties": False,
}


def schema() -> dict[str, Any]:
    """Of JSON Schema draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rollout plan",
        **_part(Plan, None),
    }


def _part(form: type, mark: Any) -> dict[str, Any]:
    found = keys(form, mark)
    return {
        "type": "object",
        "description": (form.__doc__ or "").partition("\n")[0],
        "properties": {name: _value(key) for name, key in found.items()},
        "required": [name for name, key in found.items() if key.required],
        "additionalProperties": False,
    }


def _value(key: Key) -> dict[str, Any]:
    if is_dataclass(key.kind):
        return _part(key.kind, key.mark)  # type: ignore[arg-type] # a class
    if get_origin(key.kind) is tuple:
        return {"type": "array", "items": _part(get_args(key.kind)[0], None), "minItems": 1}
    if get_origin(key.kind) is Mapping:
        return {"type": "object", "additionalProperties": _ACTIONS}
    if isinstance(key.mark, Number):
        return {"type": "integer" if key.kind is int else "number", **_bounds(key.mark)}
    if isinstance(key.mark, Duration):
        least = "minimum" if key.mark.zero else "exclusiveMinimum"
        bare = {"type": "number", least: 0, "maximum": key.mark.most}
        return {"anyOf": [{"type": "string", "pattern": PATTERN}, bare]}
    if key.kind is str:
        return {"type": "string", "minLength": 1}
    return {"anyOf": [_ACTIONS, _BACK_TO]}


def _bounds(mark: Number) -> dict[str, Any]:
    if mark.between:
        return {"exclusiveMinimum": mark.least, "exclusiveMaximum": mark.most}
    return {"minimum": mark.least, "maximum": mark.most}
