"""The configuration and the update of a whole stack, for what is not done in the middle of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.automation import CommandError

from rollout.control.ports import TrafficError
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine, engine_problem


@dataclass(frozen=True, slots=True)
class StackConfiguration:
    """Keys are named without the project's namespace. Every method but `has` raises :class:`TrafficError`."""

    engine: Engine
    stack: str

    def has(self, key: str) -> bool:
        """Raises :class:`stackfile.StackFileError`."""
        return key in stackfile.read_config(stackfile.stack_file(self.engine.project_dir, self.stack))

    async def value(self, key: str) -> str:
        """A value, decrypted: not for logs."""
        return (await self._run("config", "get", _named(key))).rstrip("\n")

    async def put_secret(self, key: str, value: str) -> None:
        """Encrypts a value into the stack's file. It is handed over by a pipe: other users see a command's arguments."""
        await self._run("config", "set", "--secret", _named(key), given=value)

    async def put(self, key: str, value: str) -> None:
        await self._run("config", "set", _named(key), value)

    async def drop(self, key: str) -> None:
        await self._run("config", "rm", _named(key))

    async def update(self, message: str) -> None:
        """Deploys the stack as its file declares it, and waits until it is."""
        flags = ("--yes", "--skip-preview", "--suppress-outputs", "--suppress-progress")
        await self._run("up", *flags, "--message", message)

    async def outputs(self) -> Mapping[str, Any]:
        """As the last update left them, secrets in the clear: not for logs."""
        try:
            return await self.engine.outputs(self.stack)
        except CommandError as error:
            raise TrafficError(
                f"the outputs of {self.stack} cannot be read: {engine_problem(error)}"
            ) from error

    async def _run(self, *args: str, given: str = "") -> str:
        try:
            return (await self.engine.run(self.stack, *args, given=given)).stdout
        except CommandError as error:
            words = " ".join(part for part in args[:2] if not part.startswith("-"))
            raise TrafficError(f"`pulumi {words}` of {self.stack} failed: {engine_problem(error)}") from error


def _named(key: str) -> str:
    return f"{stackfile.NAMESPACE}:{key}"
