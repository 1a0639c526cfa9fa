"""What the installed pulumi-aws says of a resource type: its properties, their types, and which are required."""

from __future__ import annotations

import inspect
import keyword
import re
import typing
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pulumi import _types


@dataclass(frozen=True)
class Property:
    name: str
    type: Any
    required: bool

    @property
    def scalar(self) -> type | None:
        return self.type if self.type in (str, int, float, bool) else None

    @property
    def item(self) -> Any:
        """Of a list or map."""
        origin = typing.get_origin(self.type)
        return _unwrapped(typing.get_args(self.type)[-1]) if origin is not None else None

    @property
    def is_map(self) -> bool:
        return "Mapping" in str(typing.get_origin(self.type))


def _unwrapped(kind: Any) -> Any:
    """Input[T], Optional[T] and unions with a TypedDict mean their first proper choice."""
    if typing.get_origin(kind) is typing.Union:
        choices = [choice for choice in typing.get_args(kind) if choice is not type(None)]
        blocks = [choice for choice in choices if is_block(choice)]
        return _unwrapped((blocks or choices)[0])
    return kind


def is_block(kind: Any) -> bool:
    return isinstance(kind, type) and _types.is_input_type(kind)


def properties(block: type) -> dict[str, Property]:
    """By the names of the wire."""
    kinds = _types.input_type_types(block)
    parameters = inspect.signature(block).parameters
    found = {}
    for python_name, name in _types.input_type_py_to_pulumi_names(block).items():
        required = parameters[python_name].default is inspect.Parameter.empty
        found[name] = Property(name, _unwrapped(kinds[name if name in kinds else python_name]), required)
    return found


def inputs(token: str) -> dict[str, Property]:
    module, name = _module(token)
    # The second name where the first is that of another type's block.
    args = getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args")
    return properties(args)


def outputs(token: str) -> set[str]:
    module, name = _module(token)
    getters = (value.fget for value in vars(getattr(module, name)).values() if isinstance(value, property))
    return {getattr(getter, "_pulumi_name", getter.__name__) for getter in getters if getter is not None}


def _module(token: str) -> tuple[Any, str]:
    match = re.fullmatch(r"aws:(\w+)/\w+:(\w+)", token)
    assert match is not None
    name = f"{match[1]}_" if keyword.iskeyword(match[1]) else match[1]
    return import_module(f"pulumi_aws.{name}"), match[2]
