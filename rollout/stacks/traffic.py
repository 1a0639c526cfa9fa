"""Traffic by stack update: what `pulumi up -s <env>-traffic` does, limited to the rule, and able to be stopped.

The weight is declared in the stack's configuration (``candidateWeight``, and ``generation`` raised by one), then the
engine deploys it. Two fences keep an update to the rule:

- before an increase a full preview, made ahead while the previous window is open: an increase that would touch
  anything else, or more of the rule than its actions, is refused;
- the update itself is run with ``--target`` on the rule, so the engine leaves everything else alone whatever the
  preview showed. A decrease, which waits for no preview, relies on this alone.

A decrease also refreshes the rule first: after an engine was stopped half-way, or after a change by hand, the state
may claim that there is nothing to do.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pulumi.automation import CommandError, ConcurrentUpdateError

from rollout.aws.elb import RuleMissing, WeightedRule, target_health
from rollout.control.ports import TrafficError, TrafficRefused
from rollout.journal.card import bring_in_line
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine, engine_problem

LOCK_WAIT = 1.0  # seconds between tries while another update holds the stack's lock
DECREASE_LOCK_WAIT = 3.0  # seconds that a decrease waits for another update before break-glass
READ_BACK_LIMIT = 5.0
READ_BACK_GAP = 0.1
_STALE = "refused, nothing was changed"  # infra's generation guard


@dataclass(frozen=True, slots=True)
class Scope:
    """The URNs that an update may touch: the one resource, its component, and the stack for its outputs."""

    resource: str
    around: tuple[str, ...]

    @property
    def flags(self) -> list[str]:
        return [part for urn in (*self.around, self.resource) for part in ("--target", urn)]

    def update(self, *, refresh: bool) -> list[str]:
        """The engine's arguments for an update of this scope and nothing else, without a preview."""
        args = ["up", "--yes", "--skip-preview", "--suppress-outputs", "--suppress-progress"]
        return [*args, "--message", "rollout", *self.flags, *(["--refresh"] if refresh else [])]


def find_scope(state: Mapping[str, Any], type_: str, stack: str, name: str = "") -> Scope:
    """Finds the one resource of a type, and of a name if one is given, in an exported state. Raises :class:`TrafficRefused`."""
    resources = (state.get("deployment") or {}).get("resources") or []
    found = [
        resource
        for resource in resources
        if resource["type"] == type_ and resource["urn"].endswith(f"::{name}" if name else "")
    ]
    if len(found) != 1:
        named = f" named {name}" if name else ""
        raise TrafficRefused(
            f"stack {stack} has {len(found)} resources of type {type_}{named}: one was expected"
        )
    parents = {resource["urn"]: resource.get("parent") for resource in resources}
    around, urn = [], found[0].get("parent")
    while urn:
        around.append(urn)
        urn = parents.get(urn)
    return Scope(found[0]["urn"], tuple(reversed(around)))


def beyond(preview: Mapping[str, Any], scope: Scope, properties: tuple[str, ...]) -> list[str]:
    """What a preview would touch besides ``properties`` of the scope's resource, in words; empty when nothing."""
    found = []
    for step in preview.get("steps", ()):
        if step["op"] in ("same", "read", "refresh"):
            continue
        name = step["urn"].rpartition("::")[2]
        if step["urn"] != scope.resource or step["op"] != "update":
            found.append(f"{step['op']} {name}")
            continue
        touched = step.get("detailedDiff") or dict.fromkeys(step.get("diffReasons") or ["?"])
        found += [f"{name}.{path}" for path in touched if not path.startswith(properties)]
    return found


@dataclass(slots=True)
class StackTraffic:
    """The traffic of one environment. ``generation`` is the one deployed last."""

    engine: Engine
    stack: str
    rule: WeightedRule
    scope: Scope
    generation: int
    colours: Mapping[str, str]  # role -> blue or green
    _foreseen: str = ""  # fingerprint of what the last good preview was made of
    _unclean: bool = field(
        default=True
    )  # an engine may have been stopped half-way: refresh before relying on the state

    @property
    def _file(self) -> Path:
        return stackfile.stack_file(self.engine.project_dir, self.stack)

    async def read_weight(self) -> float:
        return await self.rule.read_weight()

    async def foresee(self, weight: int) -> None:
        preview = await self._preview(self._declared(weight))
        if more := beyond(preview, self.scope, ("actions",)):
            raise TrafficRefused(
                f"the update of {self.stack} to {weight} % would touch more than the weights: {', '.join(more)}. "
                f"Run `pulumi up -s {self.stack}` while no rollout is under way"
            )
        self._foreseen = self._fingerprint(weight)

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        began = time.monotonic()
        if increase and self._foreseen != self._fingerprint(weight):
            await self.foresee(weight)
        foreseen = time.monotonic()
        await self._update(
            self._declared(weight), refresh=self._unclean or not increase, wait_for_lock=increase
        )
        updated = time.monotonic()
        await self._read_back(weight)
        read = time.monotonic()
        return {
            "generation": self.generation,
            "preview_s": round(foreseen - began, 3),
            "update_s": round(updated - foreseen, 3),
            "read_back_s": round(read - updated, 3),
            # An increase changes nothing but weights: what else is wrong with the rule is found before it, at the front door.
            **({} if increase else await self.rule.make_whole()),
        }

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        began = time.monotonic()
        await self.rule.write_weight(weight)
        await self._read_back(weight)
        moved = time.monotonic()
        return {"modify_rule_s": round(moved - began, 3), **await self.rule.make_whole()}

    async def reconcile(self, weight: int) -> Mapping[str, Any]:
        await self._update(self._declared(weight), refresh=True, wait_for_lock=True)
        await self._read_back(weight)
        return {"generation": self.generation}

    def in_line_by_hand(self, weight: int) -> str:
        return bring_in_line(self.stack, self.colours["stable"], weight)

    async def promote(self) -> Mapping[str, Any]:
        outputs = await self._outputs()
        if outputs.get("stable") == self.colours["candidate"]:
            return {"generation": outputs["generation"], "already": True}
        values: dict[str, str | int] = {"stable": self.colours["candidate"], "candidateWeight": 0}
        if more := beyond(await self._preview(values), self.scope, ()):
            raise TrafficRefused(
                f"the promotion must not touch the load balancer, but would: {', '.join(more)}"
            )
        await self._update(values, refresh=False, wait_for_lock=True)
        return {"generation": self.generation, "stable": self.colours["candidate"]}

    async def check_rollback(self) -> Mapping[str, str]:
        checks: dict[str, str] = {}
        try:
            await self.rule.read_weight()
            checks["credentials and rule"] = ""
            checks["stable's targets"] = (
                await target_health(self.rule.elbv2, self.rule.groups["stable"])
            ).problem
        except TrafficError as error:
            checks["credentials and rule"] = str(error)
        try:
            deployed = (await self._outputs())["generation"]
            checks["engine and state"] = (
                ""
                if deployed == self.generation
                else f"generation {deployed} is deployed, not {self.generation}"
            )
        except (TrafficError, KeyError) as error:
            checks["engine and state"] = str(error)
        return checks

    def _declared(self, weight: int) -> dict[str, str | int]:
        """The keys that declare a weight: who is stable too, where the file names the other, as before an undo."""
        names = {"stable": self.colours["stable"]}
        astray = stackfile.read_config(self._file).get("stable") != names["stable"]
        return {**(names if astray else {}), "candidateWeight": weight}

    # --- the engine

    async def _preview(self, values: Mapping[str, str | int]) -> Mapping[str, Any]:
        """A full preview of the stack as it would be declared; the real file is not touched."""
        text = stackfile.changed(self._file, {**values, "generation": self.generation + 1})
        ahead = self._file.with_name(f".{self._file.stem}.ahead.yaml")
        stackfile.write(ahead, text)
        try:
            preview: Mapping[str, Any] = await self.engine.json(
                self.stack, "preview", "--json", "--config-file", str(ahead)
            )
        except CommandError as error:
            raise TrafficRefused(f"the preview of {self.stack} failed: {engine_problem(error)}") from error
        finally:
            ahead.unlink(missing_ok=True)
        return preview

    async def _update(self, values: Mapping[str, str | int], *, refresh: bool, wait_for_lock: bool) -> None:
        """Declares and deploys. Waits for another update to end; without ``wait_for_lock`` only a few seconds."""
        deadline = time.monotonic() + DECREASE_LOCK_WAIT
        for stale in (False, True):
            wanted = {**values, "generation": self.generation + 1}
            stackfile.write(self._file, stackfile.changed(self._file, wanted))
            self._unclean = True
            try:
                await self._up(refresh, None if wait_for_lock else deadline)
            except CommandError as error:
                problem = engine_problem(error)
                if _STALE not in problem or wait_for_lock or stale:
                    raise TrafficError(f"the update of {self.stack} failed: {problem}") from error
                # Traffic was moved from elsewhere meanwhile. A decrease is made on top of that.
                self.generation = int((await self._outputs())["generation"])
            else:
                self._unclean = False
                self.generation += 1
                return

    async def _up(self, refresh: bool, deadline: float | None) -> None:
        while True:
            try:
                await self.engine.run(self.stack, *self.scope.update(refresh=refresh))
                return
            except ConcurrentUpdateError:
                if await self.engine.unlock(self.stack):
                    continue
                if deadline is not None and time.monotonic() > deadline:
                    raise
            await asyncio.sleep(LOCK_WAIT)

    async def _outputs(self) -> Mapping[str, Any]:
        try:
            return await self.engine.outputs(self.stack)
        except CommandError as error:
            raise TrafficError(
                f"the outputs of {self.stack} cannot be read: {engine_problem(error)}"
            ) from error

    async def _read_back(self, weight: int) -> None:
        deadline = time.monotonic() + READ_BACK_LIMIT
        while (seen := await self._seen()) != weight:
            if time.monotonic() > deadline:
                raise TrafficError(f"{weight} % was written, but {seen:g} % is read back")
            await asyncio.sleep(READ_BACK_GAP)

    async def _seen(self) -> float:
        """The weight in force, of the rule as the stack made it anew if somebody had deleted it."""
        try:
            return await self.rule.read_weight()
        except RuleMissing:
            self.rule = replace(self.rule, arn=str((await self._outputs()).get("ruleArn", "")))
            return await self.rule.read_weight()

    def _fingerprint(self, weight: int) -> str:
        """A digest of everything that the next update is made of: the program, the configuration, the generation."""
        digest = hashlib.sha256(f"{weight} {self.generation}".encode())
        digest.update(stackfile.changed(self._file, {**self._declared(weight), "generation": 0}).encode())
        for path in sorted((self.engine.project_dir / "infra").rglob("*.py")):
            status = path.stat()
            digest.update(f"{path} {status.st_mtime_ns} {status.st_size}".encode())
        return digest.hexdigest()


@dataclass(slots=True)
class StackLimits:
    """The edge's rate limit by stack update. Never lowers it: it may have been raised by hand meanwhile."""

    engine: Engine
    stack: str
    scope: Scope
    _unclean: bool = True  # what is declared may not be deployed

    async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
        began = time.monotonic()
        file = stackfile.stack_file(self.engine.project_dir, self.stack)
        # `pulumi config set` writes a number as a text.
        declared = int(stackfile.read_config(file).get("rateLimit", 0))
        if declared >= per_minute and not self._unclean:
            return {"already": declared}
        stackfile.write(file, stackfile.changed(file, {"rateLimit": max(declared, per_minute)}))
        self._unclean = True
        try:
            await self.engine.run(self.stack, *self.scope.update(refresh=True))
        except CommandError as error:
            raise TrafficError(f"the update of {self.stack} failed: {engine_problem(error)}") from error
        self._unclean = False
        return {"update_s": round(time.monotonic() - began, 3)}

    async def read_rate_limit(self) -> int:
        """As the last update left it."""
        try:
            return int((await self.engine.outputs(self.stack))["rateLimit"])
        except CommandError as error:
            raise TrafficError(
                f"the outputs of {self.stack} cannot be read: {engine_problem(error)}"
            ) from error
