"""Entry point of the Pulumi program: deploys the layer that the stack's name stands for.

Only that layer is imported. `<env>-traffic` is updated at every traffic stage and at every rollback, so it must not
load Kubernetes types that it never uses.
"""

import sys
from importlib import import_module
from pathlib import Path

import pulumi

# The engine runs this folder as a program; the modules import each other as the package `infra`.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from infra.stacks import parse_stack_name


async def _deploy() -> None:
    stack = parse_stack_name(pulumi.get_stack())
    await import_module(f"infra.layers.{stack.layer.value}.program").deploy(stack)


pulumi.run(_deploy)
