"""Whether the foundation is as its program declares: a listener or a security group changed by hand is found before the release."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi.automation import CommandError

from rollout.procedure.rules import broken, planned
from rollout.stacks.engine import Engine, engine_problem

LIMIT = 120.0  # seconds: it asks AWS for every resource of the stack
_SHOWN = 5  # of the resources that would change
_UNCHANGED = ("same", "read", "refresh")


async def problem(engine: Engine, stack: str) -> str:
    """What an update of the stack would change, in words with the fix, or which rules of production it breaks; '' when nothing. Takes at most ``LIMIT`` seconds."""
    command = f"`pulumi preview --refresh -s {stack}`"
    try:
        async with asyncio.timeout(LIMIT):
            preview = await engine.json(stack, "preview", "--refresh", "--show-sames", "--json")
    except TimeoutError:
        return f"{command} did not end within {LIMIT:g} s: run it by hand, it must change nothing"
    except CommandError as error:
        return f"{command} failed: {engine_problem(error)}"
    except ValueError as error:
        return f"{command} printed no JSON: {error}"
    found = list(_changes(preview))
    if not found:
        return _rules_broken(stack, preview)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"{stack} is not as its program declares, an update would {', '.join(found[:_SHOWN])}{more}; look at {command}, "
        f"then `pulumi up --refresh -s {stack}`"
    )


def _rules_broken(environment: str, preview: Mapping[str, Any]) -> str:
    found = broken(environment, planned(preview))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    listed = "; ".join(found[:_SHOWN])
    return f"{environment} breaks rules of production: {listed}{more}" if found else ""


def _changes(preview: Mapping[str, Any]) -> Iterator[str]:
    for step in preview.get("steps", ()):
        if step["op"] in _UNCHANGED:
            continue
        name = step["urn"].rpartition("::")[2]
        touched = ", ".join(step.get("detailedDiff") or step.get("diffReasons") or ())
        yield f"{step['op']} {name}" + (f" ({touched})" if touched else "")
