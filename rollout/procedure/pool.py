"""Another size for a colour's connection pools, also while it serves (Risk 6): its pgbouncers are replaced one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.automation import CommandError

from rollout.control.ports import TrafficError
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine, engine_problem
from rollout.stacks.project import EnvironmentProblem

_SIZE, _ALLOW = "poolSize", "allowWhileServing"
_OF_THE_POOL = "pool-"  # how the names of its resources begin
_UNCHANGED = ("same", "read", "refresh")


@dataclass(frozen=True, slots=True)
class PoolSize:
    """``stack`` is the colour's. ``version`` is what it runs: a colour that serves takes no change without its name."""

    engine: Engine
    stack: str
    version: str
    say: Callable[[str], None]

    async def set(self, size: int) -> None:
        """Raises :class:`EnvironmentProblem` with nothing touched, :class:`TrafficError` when the update failed."""
        file = stackfile.stack_file(self.engine.project_dir, self.stack)
        before = stackfile.read_config(file).get(_SIZE)
        declared = stackfile.changed(file, {_SIZE: size})
        ahead = file.with_name(f".{file.stem}.ahead.yaml")
        stackfile.write(ahead, declared)
        try:
            # Only in the copy: the key opens this change and no later one.
            stackfile.write(ahead, stackfile.changed(ahead, {_ALLOW: self.version}))
            if not await self._previewed(str(ahead)):
                self.say(f"{self.stack}: the pools have {size} connections each already, nothing was changed")
                return
            self.say(
                f"{self.stack}: from {before} to {size} connections to the database for each pgbouncer; they are replaced one by one"
            )
            stackfile.write(file, declared)
            await self.engine.run(
                self.stack, "up", "--yes", "--skip-preview", "--suppress-outputs", "--suppress-progress",
                "--message", "rollout pool", "--config-file", str(ahead),
            )  # fmt: skip
        except CommandError as error:
            raise TrafficError(
                f"the update of {self.stack} failed: {engine_problem(error)}. {file.name} declares {size}: the same command "
                "again continues"
            ) from error
        finally:
            ahead.unlink(missing_ok=True)
        self.say(f"{self.stack}: every pgbouncer has {size} connections now")

    async def _previewed(self, ahead: str) -> bool:
        """Whether the update would change something. Raises :class:`EnvironmentProblem` when it would more than the pools."""
        try:
            preview = await self.engine.json(self.stack, "preview", "--json", "--config-file", ahead)
        except CommandError as error:
            raise EnvironmentProblem(f"nothing was touched: {engine_problem(error)}") from error
        changes = list(_changes(preview))
        if more := [change for change in changes if not change[1].startswith(_OF_THE_POOL)]:
            named = ", ".join(f"{op} {name}" for op, name in more)
            raise EnvironmentProblem(
                f"nothing was touched: the update of {self.stack} would change more than its pools: {named}. Make "
                f"Pulumi.{self.stack}.yaml what is deployed, or `pulumi up -s {self.stack}` yourself"
            )
        return bool(changes)


def _changes(preview: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What would be done to which resource; outputs of the stack are no resource."""
    for step in preview.get("steps", ()):
        name = step["urn"].rpartition("::")[2]
        if step["op"] not in _UNCHANGED and "pulumi:pulumi:Stack" not in step["urn"].rpartition("$")[2]:
            yield step["op"], name
