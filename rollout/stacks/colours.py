"""The pods of a colour by stack update: their number, or new ones in place of them, and nothing else of it."""

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
_ANNOTATIONS = ("spec.template.metadata.annotations",)
# What can be restarted -> (key of the colour's stack, its Deployment).
RESTARTABLE = {
    "backend": ("backendRestarts", NAME),
    "pgbouncer": ("pgbouncerRestarts", "pool-deployment"),
}


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
        stack = f"{self.env}-{self.colours[role]}"
        change = _Change(
            self.engine, stack, NAME, {"replicas": replicas}, _REPLICAS, f"to {replicas} replicas"
        )
        return {"stack": stack, "replicas": replicas, "update_s": await change.deploy()}


async def restart(engine: Engine, env: str, colour: str, what: str) -> float:
    """Replaces the pods of a colour's backend or pgbouncer one by one, and awaits the last. Seconds that it took.

    Raises :class:`TrafficError`.
    """
    key, name = RESTARTABLE[what]
    stack = f"{env}-{colour}"
    try:
        declared = stackfile.read_config(stackfile.stack_file(engine.project_dir, stack))
        # `pulumi config set` writes a number as a text.
        values = {key: int(declared.get(key, 0)) + 1}
    except stackfile.StackFileError as error:
        raise TrafficError(str(error)) from error
    return await _Change(engine, stack, name, values, _ANNOTATIONS, f"to restart {what}").deploy()


@dataclass(frozen=True, slots=True)
class _Change:
    """Keys of a colour's stack, and what of one Deployment may change by them; ``words`` follow "the update of STACK"."""

    engine: Engine
    stack: str
    deployment: str
    values: Mapping[str, int]
    allowed: tuple[str, ...]
    words: str

    async def deploy(self) -> float:
        """Declares and deploys. Seconds that it took. Raises :class:`TrafficError`."""
        began = time.monotonic()
        file = stackfile.stack_file(self.engine.project_dir, self.stack)
        try:
            state = await self.engine.json(self.stack, "stack", "export")
            scope = find_scope(state, DEPLOYMENT, self.stack, self.deployment)
            declared = stackfile.changed(file, self.values)
            await self._check(declared, scope)
            stackfile.write(file, declared)
            await self.engine.run(self.stack, *scope.update(refresh=True))
        except CommandError as error:
            raise TrafficError(
                f"the update of {self.stack} {self.words} failed: {engine_problem(error)}"
            ) from error
        except stackfile.StackFileError as error:
            raise TrafficError(str(error)) from error
        return round(time.monotonic() - began, 3)

    async def _check(self, declared: str, scope: Scope) -> None:
        """Raises :class:`TrafficError` when the update would change more than it should: another version, above all."""
        file = stackfile.stack_file(self.engine.project_dir, self.stack)
        ahead = file.with_name(f".{file.stem}.ahead.yaml")
        stackfile.write(ahead, declared)
        try:
            preview = await self.engine.json(
                self.stack, "preview", "--json", "--config-file", str(ahead), *scope.flags
            )
        finally:
            ahead.unlink(missing_ok=True)
        if more := beyond(preview, scope, self.allowed):
            raise TrafficError(
                f"the update of {self.stack} {self.words} would change more: {', '.join(more)}. "
                f"Make {file.name} what is deployed, or `pulumi up -s {self.stack}` yourself"
            )
