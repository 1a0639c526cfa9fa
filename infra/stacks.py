"""Stack names and what is read from other stacks.

A stack's name says what it holds: `<env>` is the foundation, `<env>-blue` and `<env>-green` a colour each,
`<env>-traffic` the weights, `<env>-limits` the rate limit. First deployment: limits, foundation, colours, traffic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pulumi

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9]*")
# `simple378-<env>-green` must be a target group's name, which has at most 32 characters.
_LONGEST_ENVIRONMENT = 16


class Layer(Enum):
    """What a stack holds; the value is the module of this package that deploys it."""

    FOUNDATION = "foundation"
    COLOUR = "colour"
    TRAFFIC = "traffic"
    LIMITS = "limits"


class Colour(Enum):
    """One of the two sides of a release."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


_LAYERS = {
    "": (Layer.FOUNDATION, None),
    "blue": (Layer.COLOUR, Colour.BLUE),
    "green": (Layer.COLOUR, Colour.GREEN),
    "traffic": (Layer.TRAFFIC, None),
    "limits": (Layer.LIMITS, None),
}


@dataclass(frozen=True, slots=True)
class StackName:
    """A stack's name taken apart. `colour` is set for a colour's stack only."""

    name: str
    environment: str
    layer: Layer
    colour: Colour | None

    @property
    def resource_prefix(self) -> str:
        """What the names of this environment's cloud resources begin with."""
        return f"simple378-{self.environment}"


class StackError(pulumi.RunError):
    """A stack cannot be deployed as it is; the message says what to do."""


def parse_stack_name(name: str) -> StackName:
    """Take a stack's name apart.

    Raises:
        StackError: the name belongs to no layer.
    """
    environment, _, suffix = name.partition("-")
    if suffix not in _LAYERS or (not suffix and "-" in name):
        known = ", ".join(f"{environment}-{known}" for known in _LAYERS if known)
        raise StackError(
            f"stack {name!r} is of no layer: the layers of {environment!r} are {environment}, {known}"
        )
    if not _ENVIRONMENT.fullmatch(environment) or len(environment) > _LONGEST_ENVIRONMENT:
        raise StackError(
            f"stack {name!r}: the environment {environment!r} must be a letter followed by letters or digits "
            f"(lower case, at most {_LONGEST_ENVIRONMENT})"
        )
    layer, colour = _LAYERS[suffix]
    return StackName(name, environment, layer, colour)


class OtherStack:
    """The outputs of another stack of this project."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reference = pulumi.StackReference(
            f"{pulumi.get_organization()}/{pulumi.get_project()}/{name}",
        )

    def require(self, output: str) -> pulumi.Output[Any]:
        """The value of an output, secret if it is one there. Resolving it raises StackError when there is none."""

        def present(value: Any) -> Any:
            if value is None:
                raise StackError(
                    f"stack {self._name} has no output {output!r} yet: deploy it first, `pulumi up --stack {self._name}`"
                )
            return value

        return self._reference.get_output(output).apply(present)

    def get(self, output: str) -> pulumi.Output[Any]:
        """The value of an output, or None when that stack has none."""
        return self._reference.get_output(output)
