"""Stand-in for pulumi-aws's provider plugin, on botocore; what it does not do is listed in docs/lab-limits.md.

The official plugin's program is not to be had from a package registry. Where it is missing, the engine finds this one
as `pulumi-resource-aws` on PATH. It serves the resource types that `infra/` uses, against the lab's AWS
endpoint only (docs/decisions/0040-aws-provider-on-boto3.md).
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

__all__ = ["main"]


def main() -> None:
    """The engine starts it; it prints the port that it serves on."""
    _skip_the_sdk()
    from .server import serve  # noqa: PLC0415 - only now, without the SDK

    serve()


def _skip_the_sdk() -> None:
    """Lets `pulumi.runtime.proto` be imported without the SDK around it.

    Only the generated messages are needed; `pulumi/__init__` would take most of the start-up time (0.2 s on 2 cores,
    twice in a `pulumi up`). Only this process, which runs nothing else, sees these empty packages.
    """
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        return  # the import that follows reports it
    (root,) = spec.submodule_search_locations
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        package = ModuleType(name)
        package.__path__ = [root + name.removeprefix("pulumi").replace(".", "/")]
        sys.modules[name] = package
