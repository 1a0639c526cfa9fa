"""The pods of a colour by stack update: the number of its replicas, and nothing else of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.automation import CommandError

from rollout.aws.elb import target_health
from rollout.control.ports import TrafficError
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine, engine_problem
from rollout.stacks.traffic import Scope, beyond, find_scope

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
NAME = "backend-deployment"  # of the resource; the connection pool has a Deployment too
_REPLICAS = ("spec.replicas",)


@dataclass(frozen=True, slots=True)
class StackColours:
    """Both colours of one environment. Maps are by role: ``colours`` has blue or green, ``groups`` target group ARNs."""

    engine: Engine
    env: str
    elbv2: Any
    colours: Mapping[str, str]
    groups: Mapping[str, str]

    async def targets(self, role: str) -> tuple[int, str]:
        health = await target_health(self.elbv2, self.groups[role])
        return health.healthy, health.problem if health.others else ""

    async def scale(self, role: str, replicas: int) -> Mapping[str, Any]:
        began = time.monotonic()
        stack = f"{self.env}-{self.colours[role]}"
        file = stackfile.stack_file(self.engine.project_dir, stack)
        try:
            state = await self.engine.json(stack, "stack", "export")
            scope = find_scope(state, DEPLOYMENT, stack, NAME)
            declared = stackfile.changed(file, {"replicas": replicas})
            await self._check(stack, declared, scope, replicas)
            stackfile.write(file, declared)
            await self.engine.run(stack, *scope.update(refresh=True))
        except CommandError as error:
            raise TrafficError(
                f"the update of {stack} to {replicas} replicas failed: {engine_problem(error)}"
            ) from error
        except stackfile.StackFileError as error:
            raise TrafficError(str(error)) from error
        return {"stack": stack, "replicas": replicas, "update_s": round(time.monotonic() - began, 3)}

    async def _check(self, stack: str, declared: str, scope: Scope, replicas: int) -> None:
        """Raises :class:`TrafficError` when the update would change more than the replicas: another version, above all."""
        file = stackfile.stack_file(self.engine.project_dir, stack)
        ahead = file.with_name(f".{file.stem}.ahead.yaml")
        stackfile.write(ahead, declared)
        try:
            preview = await self.engine.json(
                stack, "preview", "--json", "--config-file", str(ahead), *scope.flags
            )
        finally:
            ahead.unlink(missing_ok=True)
        if more := beyond(preview, scope, _REPLICAS):
            raise TrafficError(
                f"the update of {stack} to {replicas} replicas would change more: {', '.join(more)}. "
                f"Make {file.name} what is deployed, or `pulumi up -s {stack}` yourself"
            )
