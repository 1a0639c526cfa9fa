"""`rollout abort` when no controller answers: moves traffic with whatever works, and what it bypasses it does not need.

The ways, in this order:

1. the rollout is continued from its journal and aborted at once;
2. a stack update, or break-glass with what the stacks say of the rule;
3. the load balancer's own API: by the journal's header, by the card that pre-flight wrote, or by the tags of rule and target
   groups, for which one of these or the operator names who is stable.

Whatever a way raises, a bug included, is told and the next one is tried. While a controller lives that does not answer, the third
comes first, and the first does not come at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout.aws.elb import modify_rule_line, target_health
from rollout.aws.tagged import find
from rollout.control.effects import refuse_traffic
from rollout.control.exits import Exit
from rollout.control.orders import Order
from rollout.control.ports import PortError, TrafficControl, TrafficError
from rollout.control.text import one_line
from rollout.journal import JournalError, Record, read_journal
from rollout.journal.card import Card, bring_in_line
from rollout.journal.header import Header
from rollout.journal.resume import ResumeError, ended, header_under_way, promotion, promotion_begun
from rollout.journal.station import Station
from rollout.policy import timing
from rollout.session import Connector, TooSlow, read_in_time, to_stable_without_stacks
from rollout.stacks.engine import Engine, EngineMissing
from rollout.stacks.environment import Environment
from rollout.stacks.project import EnvironmentProblem, default_region
from rollout.terminal.traffic_now import traffic_now, traffic_tagged

Say = Callable[[str], None]
MARK_LIMIT = 10.0  # seconds that the end waits for the mark of the abort
LOOK_LIMIT = (
    20.0  # seconds for the load balancer's answer on where traffic is, when nothing else is left to do
)
_NOT_VERIFIED = "all traffic is on stable, which is not verified to be back to normal"


@dataclass(slots=True)
class Emergency:
    """One abort. ``stable`` and ``region`` are the operator's words, or ''; ``order`` is what a controller would be told.

    ``station`` is None and ``stacks`` False in a folder that holds no such environment; with a store there is a station all the same.
    ``alone``: its lock is held, so that no controller is at work.
    ``paste`` prints a line that must not be wrapped.
    """

    connector: Connector
    env: str
    project_dir: Path
    station: Station | None
    stacks: bool
    alone: bool
    stable: str
    region: str
    order: Order
    say: Say
    warn: Say
    paste: Say
    resume: Callable[[Path, Sequence[Record]], Exit]
    _problem: str = ""  # of the way that failed last
    _over: bool = (
        False  # the latest rollout from here has ended: who is stable since may have changed elsewhere
    )
    _engine_failed: bool = False
    _card: Card | None = field(default=None)  # the best that is known of where traffic is divided
    _read_by: tuple[Engine, Environment] | None = None  # the stacks as they were read, and with what

    def abort(self) -> Exit:
        """Exit codes are those of `rollout abort`. Raises :class:`EnvironmentProblem` for bad input."""
        records = self._read()
        header = None if self._over else header_under_way(records)
        self._check(header)
        unfinished = bool(records) and not self._over and not self._problem
        self._engine_failed = not self.stacks
        if self.alone and unfinished and (code := self._continued(records)) is not None:
            return code
        leaving = self._leave_mark(records)
        ways = [self._by_stacks, self._by_api] if self.alone else [self._by_api, self._by_stacks]
        moved = any(way(header, records) for way in ways)
        leaving.join(MARK_LIMIT)
        if moved and self.order.stop:
            self._stop(records)
        return Exit.ROLLED_BACK_RED if moved else self._failed()

    def _leave_mark(self, records: Sequence[Record]) -> threading.Thread:
        """A controller that lives or is resumed hears the mark as the operator's abort. Traffic does not wait for it."""
        watched = promotion(records)
        undoes = watched and watched.kind == "watch" and watched.stable == self.stable
        over = self._over or (promotion_begun(records) and not undoes)
        path = None if over or self.station is None else self.station.latest()

        def leave() -> None:
            try:
                if path and self.station:
                    self.station.mark(path.stem, str(self.order))
            except OSError as error:
                self.warn(
                    f"the mark of the abort could not be left, so a controller that lives does not hear of it: {error}"
                )

        leaving = threading.Thread(target=leave, daemon=True)
        leaving.start()
        return leaving

    def _read(self) -> Sequence[Record]:
        """The latest journal, as far as there is one to continue; tells what is wrong with it."""
        path = self.station.latest() if self.station else None
        records: Sequence[Record] = ()
        try:
            if path is None:
                raise ResumeError(f"no rollout of {self.env} has been started from this folder")
            records = read_journal(path)
            if not records:
                raise ResumeError(f"{path}: the rollout ended before its first record")
            if end := ended(records):
                self._over = True
                self.warn(f"the latest rollout of {self.env} has ended ({end.outcome})")
            if (watched := promotion(records)) and watched.kind == "watch":
                old = watched.named("stable")
                raise ResumeError(
                    f"{watched.named('candidate')} is promoted: `rollout undo` goes back to {old}"
                )
            return records
        except (JournalError, ResumeError, OSError) as error:
            self._fails(error)
            return records

    def _check(self, header: Header | None) -> None:
        if header and self.stable not in {"", header.stable}:
            raise EnvironmentProblem(
                f"--stable {self.stable}: in the rollout under way {header.stable} is stable; `rollout abort` sends all traffic there"
            )

    def _fails(self, error: Exception) -> None:
        known = (EngineMissing, EnvironmentProblem, JournalError, PortError, ResumeError)
        named = "" if isinstance(error, known) else f"{type(error).__name__}: "
        self._problem = named + one_line(str(error))
        self.warn(self._problem)

    # --- the ways

    def _continued(self, records: Sequence[Record]) -> Exit | None:
        path = self.station.latest() if self.station else None
        try:
            return self.resume(path, records) if path else None
        except (EngineMissing, EnvironmentProblem) as error:
            self._engine_failed = True
            self._fails(error)
        except Exception as error:  # noqa: BLE001 -- see above
            self._fails(error)
        return None

    def _by_stacks(self, header: Header | None, records: Sequence[Record]) -> bool:
        if self._engine_failed:
            return False
        self.say("no rollout to continue: moving all traffic to stable")
        try:
            running = self.station.directory if self.station and self.alone else None
            engine = self.connector.engine(self.project_dir, running)
            deployed = asyncio.run(self._update(engine, header.roles if header else None))
        except Exception as error:  # noqa: BLE001 -- see above
            self._fails(error)
            return False
        self._moved(deployed=deployed)
        return True

    async def _update(self, engine: Engine, roles: Mapping[str, str] | None) -> bool:
        """True when the stack was updated, False when the load balancer's API did it. Raises whatever fails."""
        engine.end_left_over()
        try:
            environment = await read_in_time(self.connector, engine, self.env, roles)
        except EnvironmentProblem as error:
            if not (roles or isinstance(error, TooSlow)):
                with contextlib.suppress(Exception):  # what is wrong with the stacks is told already
                    async with asyncio.timeout(timing.READING_LIMIT):
                        self._card = await self.connector.read_card(engine, self.env)
            raise
        self._card, self._read_by = _card_of(environment), (engine, environment)
        if self.stable not in {"", environment.colours["stable"]}:
            stack = f"in {environment.traffic_stack} {environment.colours['stable']} is stable, and you name {self.stable}"
            raise TrafficError(f"{stack}: no stack update does that")
        traffic = self.connector.traffic(engine, environment)
        await self._show(environment, traffic)
        try:
            async with asyncio.timeout(timing.DECREASE_LIMIT):
                await traffic.set_weight(0, increase=False)
                return True
        except TimeoutError:
            self._fails(TrafficError(f"the stack update was not done within {timing.DECREASE_LIMIT:g} s"))
        except Exception as error:  # noqa: BLE001 -- see above
            self._fails(error)
        await traffic.break_glass(0)
        return False

    async def _show(self, environment: Environment, traffic: TrafficControl) -> None:
        try:
            shown = f"{await traffic.read_weight():g} %"
        except TrafficError:
            shown = "an unknown share"  # no reason to leave it there
        stable, candidate = (
            f"{environment.colours[role]} {environment.versions[role]}" for role in ("stable", "candidate")
        )
        self.say(f"before: {candidate} has {shown} of the traffic, stable is {stable}")

    def _by_api(self, header: Header | None, records: Sequence[Record]) -> bool:
        for card, by_word in self._cards(header, records):
            self._card = card
            try:
                asyncio.run(self._write(card, by_word=by_word))
            except Exception as error:  # noqa: BLE001 -- see above
                self._fails(error)
            else:
                self._moved(deployed=False)
                return True
        return False

    def _cards(self, header: Header | None, records: Sequence[Record]) -> Iterator[tuple[Card, bool]]:
        """What may say where traffic is divided; True with it: nothing but the operator's word says who is stable."""
        known = header.card if header else self._card or self._kept(records)
        stable = self.stable or (known.colours["stable"] if known else "")
        by_word = bool(self.stable) and not header
        if known:
            yield known.with_stable(stable), by_word
        if not stable:
            self._fails(EnvironmentProblem(self._who_is_stable()))
            return
        try:  # what is known may lack the rule, or name one that is no more
            region = self.region or (known.region if known else "")
            region = region or default_region(self.project_dir, self.env)
            yield asyncio.run(self._tagged(region, stable)), by_word
        except Exception as error:  # noqa: BLE001 -- see above
            self._fails(error)

    def _kept(self, records: Sequence[Record]) -> Card | None:
        """Pre-flight's card; what it says of the roles is old once a promotion has begun, and after the rollout."""
        card = self.station.card() if self.station else None
        old = promotion_begun(records) and card and card.colours["stable"] == records[0].body.get("stable")
        return card if self.stable or not (old or self._over) else None

    async def _tagged(self, region: str, stable: str) -> Card:
        return await find(self.connector.elbv2(region), self.env, region, stable)

    def _who_is_stable(self) -> str:
        return f"who is stable is not known here: `rollout abort --env {self.env} --stable blue` or `--stable green` says it"

    async def _write(self, card: Card, *, by_word: bool) -> None:
        if by_word:
            await _refuse_dead(card, self.connector.elbv2(card.region))
        if card.complete:
            self.say(f"moving all traffic to {card.named('stable')} through the load balancer's API")
        told = await to_stable_without_stacks(self.connector, card)
        if "written_back" in told:
            self.say(f"the rule was not as the program declares it: {told['written_back']} written back")
        if "not_written_back" in told:
            self.warn(f"whether the rule is whole was not seen: {told['not_written_back']}")

    # --- the end

    def _stop(self, records: Sequence[Record]) -> None:
        """Takes the pods away that have no traffic now; says how it is done by hand when it was not."""
        card = self._card
        stack = f"{self.env}-{card.colours['candidate']}" if card else "its stack"
        by_hand = f"`pulumi config set simple378:replicas 0 -s {stack}` and `pulumi up -s {stack}`"
        if promotion_begun(records):
            self.say(
                f"no pods were stopped: after a promotion the idle colour is what an undo goes back to. {by_hand}"
            )
        elif self._read_by is None or not self.alone:
            heard = "" if self.alone else "a controller that hears the mark stops them; else "
            self.say(f"the candidate's pods were left: {heard}{by_hand}")
        else:
            try:
                asyncio.run(self._scale_down(*self._read_by))
            except Exception as error:  # noqa: BLE001 -- see above
                self._fails(error)
                self.say(f"the candidate's pods were left: {by_hand}")
            else:
                self.say("the candidate's pods are stopped")

    async def _scale_down(self, engine: Engine, environment: Environment) -> None:
        traffic = self.connector.traffic(engine, environment)
        self.say(f"stopping the pods of {environment.named('candidate')}")
        async with asyncio.timeout(timing.STOP_LIMIT):
            await refuse_traffic(traffic)
            await self.connector.colours(engine, environment).scale("candidate", 0)

    def _moved(self, *, deployed: bool) -> None:
        if deployed:
            self.say(_NOT_VERIFIED)
            return
        stable = self._card.colours.get("stable", "") if self._card else ""
        by_hand = bring_in_line(f"{self.env}-traffic", stable)
        self.say(f"{_NOT_VERIFIED}. The traffic stack does not know it yet: {by_hand}")

    def _failed(self) -> Exit:
        self.warn(f"traffic could NOT be moved: {self._problem}")
        card = self._card
        if card and card.complete:
            self.warn(f"traffic now: {traffic_now(card, self.connector.elbv2, LOOK_LIMIT).in_words()}")
            self.warn("by hand, with the AWS command line, from any machine:")
            self.paste(modify_rule_line(card))
            return Exit.FAILED
        self.warn(where(self.connector, self.project_dir, self.env, self.region))
        self.warn("by hand, with the AWS command line, from any machine: docs/emergency.md")
        return Exit.FAILED


def where(connector: Connector, project_dir: Path, env: str, region: str = "") -> str:
    """Where traffic is, found by the tags alone. Never raises."""
    try:
        region = region or default_region(project_dir, env)
    except EnvironmentProblem as error:
        return f"traffic now: unknown: {error}"
    return f"traffic now: {traffic_tagged(env, region, connector.elbv2, LOOK_LIMIT).in_words()}"


def _card_of(environment: Environment) -> Card:
    return Card(
        environment.name,
        environment.region,
        environment.rule_arn,
        environment.groups,
        environment.colours,
        environment.versions,
    )


async def _refuse_dead(card: Card, elbv2: Any) -> None:
    """Nothing but the operator's word says who is stable, so a slip must not be an outage. Raises :class:`TrafficError`."""
    healthy: dict[str, Any] = {}
    try:
        for role in card.colours:
            healthy[role] = (await target_health(elbv2, card.groups[role])).healthy
    except TrafficError:
        return  # not known: no reason to leave traffic where it is
    if not healthy["stable"] and healthy["candidate"]:
        raise TrafficError(
            f"{card.colours['stable']} has no healthy target, {card.colours['candidate']} has {healthy['candidate']}; if it is meant "
            "all the same, the line below does it"
        )
