"""Stack names, and the outputs of other stacks.

A stack's name tells what it holds: `<env>` is the foundation, `<env>-blue` and `<env>-green` a colour each,
`<env>-traffic` the weights, `<env>-limits` the rate limit, `<env>-frontend` the frontend's release, `<env>-guardian` the watchdog
over unwatched rollouts. First deployment: limits, foundation, traffic, colours, guardian; the frontend when its first release is
in the bucket.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pulumi

# The backend listens on it: the foundation's target groups and the pods of the colours.
BACKEND_PORT = 8000
# Its pods run as it, in either colour's namespace; credentials for AWS are given to it.
SERVICE_ACCOUNT = "backend"
# Where the application publishes its metrics in CloudWatch.
METRIC_NAMESPACE = "Simple378"
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9]*")
# `simple378-<env>-green-probe` is a target group's name, which AWS limits to 32 characters.
_LONGEST_ENVIRONMENT = 10


class Layer(Enum):
    """What a stack holds; the value is the folder of `infra.layers` that deploys it."""

    FOUNDATION = "foundation"
    COLOUR = "colour"
    TRAFFIC = "traffic"
    LIMITS = "limits"
    GUARDIAN = "guardian"
    FRONTEND = "frontend"


class Colour(Enum):
    """One of the two deployments of the workload, of which a release replaces one."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> Colour:
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE

    @property
    def namespace(self) -> str:
        """The namespace in Kubernetes."""
        return f"simple378-{self.value}"


_LAYERS = {
    "": (Layer.FOUNDATION, None),
    "blue": (Layer.COLOUR, Colour.BLUE),
    "green": (Layer.COLOUR, Colour.GREEN),
    "traffic": (Layer.TRAFFIC, None),
    "limits": (Layer.LIMITS, None),
    "guardian": (Layer.GUARDIAN, None),
    "frontend": (Layer.FRONTEND, None),
}


@dataclass(frozen=True, slots=True)
class StackName:
    """The parts of a stack's name. `colour` is set for a colour's stack only."""

    name: str
    environment: str
    layer: Layer
    colour: Colour | None

    @property
    def resource_prefix(self) -> str:
        """What the names of this environment's cloud resources begin with."""
        return f"simple378-{self.environment}"


class StackError(pulumi.RunError):
    """A stack cannot be deployed as it is; the message names the fix."""


def parse_stack_name(name: str) -> StackName:
    """Parse a stack's name.

    Raises:
        StackError: the name belongs to no layer.
    """
    environment, _, suffix = name.partition("-")
    if suffix not in _LAYERS or (not suffix and "-" in name):
        known = ", ".join(f"{environment}-{known}" for known in _LAYERS if known)
        raise StackError(
            f"stack {name!r} belongs to no layer: the layers of {environment!r} are {environment}, {known}"
        )
    if not _ENVIRONMENT.fullmatch(environment) or len(environment) > _LONGEST_ENVIRONMENT:
        raise StackError(
            f"stack {name!r}: the environment {environment!r} must be a letter followed by letters or digits "
            f"(lower case, at most {_LONGEST_ENVIRONMENT})"
        )
    layer, colour = _LAYERS[suffix]
    return StackName(name, environment, layer, colour)


class OtherStack:
    """The outputs of a stack of this project (another one or this one) after its last deployment."""

    def __init__(self, name: str, outputs: Mapping[str, Any], secrets: Collection[str]) -> None:
        self._name = name
        self._outputs = outputs
        self._secrets = secrets

    @classmethod
    async def read(cls, name: str) -> OtherStack:
        """Read a stack's outputs from the engine. They are awaited, so that a missing one ends the program before it
        registers anything: an error inside `apply` comes late, once for each resource that depends on it."""
        reference = pulumi.StackReference(f"{pulumi.get_organization()}/{pulumi.get_project()}/{name}")
        outputs = await reference.outputs.future()
        secrets = await reference.secret_output_names.future()
        return cls(name, outputs or {}, secrets or ())

    def get(self, output: str) -> Any:
        """The value of an output, or None if the stack does not have it."""
        return self._outputs.get(output)

    def require(self, output: str) -> Any:
        """The value of an output that is not secret.

        Raises:
            StackError: the stack does not have it.
        """
        if output in self._secrets:
            raise TypeError(f"output {output!r} of stack {self._name} is a secret")
        return self._required(output)

    def require_secret(self, output: str) -> pulumi.Output[str]:
        """The value of a secret output.

        Raises:
            StackError: the stack does not have it.
        """
        return pulumi.Output.secret(str(self._required(output)))

    def _required(self, output: str) -> Any:
        if output not in self._outputs:
            raise StackError(
                f"stack {self._name} has no output {output!r} yet: deploy it first, `pulumi up --stack {self._name}`"
            )
        return self._outputs[output]
