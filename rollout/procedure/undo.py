"""What an undo goes back to, and whether that can serve: looked at before anything is moved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from rollout.control.ports import ColourControl, PortError, Probes, TrafficControl, TrafficError
from rollout.journal.card import OTHER
from rollout.journal.header import Header
from rollout.journal.notes import GoingBack
from rollout.plan import WHOLE
from rollout.plan.units import duration
from rollout.policy import timing
from rollout.stacks.environment import Environment
from rollout.stacks.project import EnvironmentProblem


class UndoRefused(EnvironmentProblem):
    """There is nothing to go back to; nothing was touched, and the message says what to do instead."""


class NoTarget(TrafficError):
    """No target of the colour to go back to is healthy, as the load balancer says: nothing was moved, and nobody should move it there."""


def going_back(deployed: Environment, promoted: Header | None, version: str) -> Environment:
    """The environment with the roles as they were before the promotion.

    ``promoted`` is the header of the promoted release. Without it, and to go back to another version than that says,
    ``version`` is the one expected on the colour that is idle now. Raises :class:`UndoRefused`.
    """
    old = promoted.stable if promoted else OTHER[deployed.colours["stable"]]
    before = deployed if deployed.colours["stable"] == old else deployed.exchanged()
    runs, serves = before.versions["stable"], before.versions["candidate"]
    wanted = version or (promoted.versions.get("stable", "") if promoted else "")
    if not wanted:
        raise UndoRefused(
            f"nothing here says which version was stable before {serves}; {old} runs {runs}. If that is the one to go back to: "
            f"`rollout undo --to {runs}`"
        )
    if runs != wanted:
        stack = f"{deployed.name}-{old}"
        raise UndoRefused(
            f"{old} now runs {runs}, not {wanted}, which was stable before: deploy that with `pulumi config set simple378:version "
            f"{wanted} -s {stack}` and `pulumi up -s {stack}`, or go back to what is there with `rollout undo --to {runs}`"
        )
    if runs == serves:
        raise UndoRefused(
            f"both colours run {runs}: there is no other version to go back to. Deploy the one that you want to "
            f"{old}, with `pulumi config set simple378:version VERSION -s {deployed.name}-{old}` and `pulumi up`"
        )
    return before


@dataclass(frozen=True, slots=True)
class OldColour:
    """The colour that an undo goes back to: ``stable`` of ``environment``. ``say`` receives what is found, a line at a time."""

    environment: Environment
    control: ColourControl
    probes: Probes
    traffic: TrafficControl
    say: Callable[[str], None]

    @property
    def colour(self) -> str:
        return self.environment.colours["stable"]

    @property
    def wanted(self) -> int:
        """As many pods as what serves now has."""
        return max(self.environment.replicas["candidate"], 1)

    async def look(self) -> None:
        """Says whether an undo could go to it now. Raises :class:`TrafficError` when what serves does not have all of the traffic."""
        weight = await self.traffic.read_weight()
        if weight != WHOLE:
            serves = self.environment.named("candidate")
            raise TrafficError(
                f"{serves} has {weight:g} % of the traffic, not all of it: there is no promotion to watch"
            )
        healthy, problem = await self._targets()
        mark = "warning: " if healthy is None or healthy < self.wanted or problem else ""
        self.say(
            f"{mark}an undo goes back to {self.environment.named('stable')}: {self._of(healthy)}"
            + (f"; {problem}" if problem else "")
        )

    async def ready(self, *, named_stable: bool) -> GoingBack:
        """Looks at it, and scales it up if pods are missing.

        ``named_stable``: the traffic stack calls it stable already. Raises :class:`UndoRefused` when it has all of the traffic
        besides, :class:`NoTarget` when no target of it is healthy; that the load balancer does not say how many are is a warning.
        """
        with suppress(TrafficError):  # an unknown weight is no reason to leave it as it is
            if named_stable and await self.traffic.read_weight() == 0:
                raise UndoRefused(
                    f"nothing to undo: {self.environment.named('stable')} has all of the traffic already"
                )
        healthy, problem = await self._targets()
        took = None
        if (self.environment.replicas["stable"] if healthy is None else healthy) < self.wanted:
            began = _now()
            await self._scale_up(healthy)
            took = round(_now() - began, 1)
            healthy, problem = await self._targets()
        found = f"{self.environment.named('stable')}: {self._of(healthy)}" + (
            f"; {problem}" if problem else ""
        )
        if healthy == 0:
            raise NoTarget(f"nothing was moved: {found}")
        mark = "warning: " if healthy is None else ""
        self.say(f"{mark}back to {found}" + ("" if took is None else f", after {duration(round(took))}"))
        answered = await self.probes.round("stable")
        wanted = self.environment.versions["stable"]
        if others := [version for version in answered.versions if version.partition("@")[0] != wanted]:
            raise TrafficError(
                f"nothing was moved: {self.colour} answers as {', '.join(others)}, not {wanted}"
            )
        if answered.failed:
            self.say(
                f"warning: {', '.join(answered.failed)} of {self.colour} failed through the test route; what both colours "
                "share may be the cause, and an undo does not cure that"
            )
        return GoingBack(self.colour, wanted, healthy, self.wanted, answered.failed, took)

    def _of(self, healthy: int | None) -> str:
        if healthy is None:
            return f"how many of {self.wanted} targets are healthy is not known"
        return f"{healthy} of {self.wanted} targets are healthy"

    async def _targets(self) -> tuple[int | None, str]:
        """How many are healthy, ``None`` when the load balancer does not say it in a few tries; and what is wrong."""
        problem = ""
        for again in range(timing.LOOK_TRIES):
            if again:
                await asyncio.sleep(timing.LOOK_RETRY)
            try:
                async with asyncio.timeout(timing.LOOK_LIMIT):
                    return await self.control.targets("stable")
            except TrafficError as error:
                problem = str(error)
            except TimeoutError:
                problem = f"no answer within {timing.LOOK_LIMIT:g} s"
        return None, problem

    async def _scale_up(self, healthy: int | None) -> None:
        """Until as many targets as wanted are healthy, but for a limited time. A failed update is reported and not raised."""
        self.say(
            f"{self.colour}: {self._of(healthy)}; scaling it up by an update of {self.environment.name}-{self.colour}, "
            f"for at most {duration(timing.SCALE_LIMIT)}"
        )
        update = asyncio.ensure_future(self.control.scale("stable", self.wanted))
        began = reported = _now()
        try:
            while _now() - began < timing.SCALE_LIMIT:
                await asyncio.wait([update], timeout=timing.SCALE_POLL)
                failed = update.done() and update.exception() is not None
                healthy, _ = await self._targets()
                if failed or (update.done() and (healthy is None or healthy >= self.wanted)):
                    break
                if update.done():
                    await asyncio.sleep(timing.SCALE_POLL)
                if _now() - reported >= timing.SCALE_REPORTED:
                    reported = _now()
                    self.say(f"{self.colour}: {self._of(healthy)} after {duration(round(reported - began))}")
        finally:
            update.cancel()
            try:
                await update
            except asyncio.CancelledError:
                self.say(f"{self.colour}: the update was ended, not all of its pods came")
            except (PortError, OSError) as error:
                self.say(f"{self.colour}: {error}")


def _now() -> float:
    return asyncio.get_running_loop().time()
