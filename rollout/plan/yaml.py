"""A plan as the text of a plan file: what ``parse_plan`` reads back as the same plan.

>>> from rollout.plan import load_plan, parse_plan
>>> plan = load_plan("phase-c")
>>> parse_plan(as_yaml(plan)) == plan
True
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

import yaml

from rollout.plan.marks import Duration, keys
from rollout.plan.plan import BackTo, Plan
from rollout.plan.units import exact, written

_PLAIN = re.compile(r"[A-Za-z][\w-]*")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")  # which YAML takes for something else
_WIDTH = 90  # characters: a part without parts that fits is one line


def as_yaml(plan: Plan) -> str:
    """The plan, every key that is not at its default written out."""
    sections = [(name, _lines(name, value)) for name, value in _entries(plan)]
    text: list[str] = []
    for index, (_, lines) in enumerate(sections):
        if index and max(len(lines), len(sections[index - 1][1])) > 1:
            text.append("")
        text += lines
    return "\n".join(text) + "\n"


def _entries(part: Any, mark: Any = None) -> Iterator[tuple[str, Any]]:
    """The keys of a part that are not at their defaults: values as text, parts as pairs of their own."""
    for name, key in keys(type(part), mark).items():
        value = getattr(part, name)
        if not key.required and replace(part, **{name: key.default}) == part:
            continue
        yield name, _form(value, key.mark)


def _form(value: Any, mark: Any) -> Any:
    if isinstance(value, BackTo):
        return f"{{to: {value.to}}}"
    if is_dataclass(value):
        return dict(_entries(value, mark))
    if isinstance(value, tuple):
        return [dict(_entries(one)) for one in value]
    if isinstance(value, Mapping):
        return {_text(name): str(action) for name, action in value.items()}
    if isinstance(mark, Duration):
        return written(value)
    return _text(value) if isinstance(value, str) else exact(value)


def _lines(name: str, value: Any, indent: str = "") -> list[str]:
    """One key with all below it: on one line where that is short and simple."""
    if isinstance(value, str):
        return [f"{indent}{name}: {value}"]
    if isinstance(value, list):
        return [f"{indent}{name}:", *(f"{indent}  - {_flow(one)}" for one in value)]
    if all(isinstance(one, str) for one in value.values()):
        line = f"{indent}{name}: {_flow(value)}"
        if len(line) <= _WIDTH:
            return [line]
    return [
        f"{indent}{name}:",
        *(line for key, one in value.items() for line in _lines(key, one, f"{indent}  ")),
    ]


def _flow(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _text(text: str) -> str:
    """A plain word, or quoted."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else str(yaml.safe_dump(text, default_style='"', width=float("inf"))).splitlines()[0]
