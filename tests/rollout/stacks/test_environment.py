"""The outputs of the stacks: what an older deployment lacks is named, with what to deploy."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rollout.stacks.environment import read_environment
from rollout.stacks.project import EnvironmentProblem


class Outputs:
    """Stand-in for the engine: the outputs of the stacks."""

    def __init__(self, foundation: dict[str, Any]) -> None:
        self.foundation = foundation

    async def outputs(self, stack: str) -> dict[str, Any]:
        return self.foundation if stack == "prod" else {"stable": "blue", "version": "1.0.0", "replicas": 2}

    async def json(self, stack: str, *command: str) -> dict[str, Any]:
        return {}


def test_a_foundation_of_before_the_groups_of_probes_is_named_with_the_fix() -> None:
    engine = Outputs({"region": "us-east-1", "targetGroups": {}})
    with pytest.raises(EnvironmentProblem) as refused:
        asyncio.run(read_environment(engine, "prod"))  # type: ignore[arg-type]
    assert str(refused.value) == (
        "stack prod has no target groups for probes yet: `pulumi up -s prod`, then `pulumi up -s prod-blue` and "
        "`pulumi up -s prod-green`, as no probe passes before"
    )


def test_any_other_missing_output_is_named() -> None:
    with pytest.raises(EnvironmentProblem, match="the stacks of prod lack the output 'targetGroups'"):
        asyncio.run(read_environment(Outputs({"probeTargetGroups": {}}), "prod"))  # type: ignore[arg-type]
