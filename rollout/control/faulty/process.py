"""One process of the controller, which may die at any moment, and the disk that outlives it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from rollout.control.faulty.elsewhere import Sending
from rollout.control.testing import Crash, FakeClock
from rollout.journal import Record, parse_journal, utc
from rollout.journal.stored import SEND_LIMIT


@dataclass(frozen=True, slots=True)
class Death:
    """When a process dies: after so many seconds, or at its nth record, step or call of a port, before or after it.

    A step is a record that is no event: a decision, an intent, a result, a note.
    """

    at: str  # "time", "record", "step", "call"
    number: float
    after: bool = False

    def __str__(self) -> str:
        when = f"{self.number:g} s after it began" if self.at == "time" else f"{self.at} {self.number:g}"
        return f"killed {when if self.at == 'time' else ('after ' if self.after else 'before ') + when}"


class Process:
    """What lives and dies with one controller. Everything that it touches asks first whether it is still alive."""

    def __init__(self, death: Death | None = None) -> None:
        self.alive = True
        self.died = asyncio.Event()
        self.calls = self.records = self.steps = 0
        self._death = death
        if death and death.at == "time":
            asyncio.get_running_loop().call_later(death.number, self.kill)

    def kill(self) -> None:
        self.alive = False
        self.died.set()

    def check(self) -> None:
        """Raises :class:`Crash` in a task of a process that is dead."""
        if not self.alive:
            raise Crash

    def meets(self, what: str, number: int, *, after: bool) -> None:
        """The process is before or after its nth record or call. Raises :class:`Crash` when it dies there."""
        self.check()
        if self._death == Death(what, number, after):
            self._die()

    def _die(self) -> NoReturn:
        self.kill()
        raise Crash


class Disk:
    """The journal's file: what is on it when a process has died."""

    def __init__(self) -> None:
        self.data = b""

    def records(self) -> tuple[Record, ...]:
        """What the next process reads; a torn last line is cut off, as opening the file for writing does."""
        self.data = self.data[: self.data.rfind(b"\n") + 1]
        return parse_journal(self.data, "the journal")


class FaultyJournal:
    """Writes behind, as the real one does: a record that was not awaited may be lost with the process, or torn.

    ``sync()`` is awaited for each :meth:`durable`, and may fail. After a failure nothing more reaches the disk. ``sending``: with a
    store each record is sent there as well.
    """

    def __init__(
        self,
        disk: Disk,
        clock: FakeClock,
        process: Process,
        sync: Callable[[], Any],
        sending: Sending | None = None,
    ) -> None:
        self.sending = sending
        self.records = list(disk.records())
        self._disk, self._clock, self._process, self._sync = disk, clock, process, sync
        self.durable_to = len(self.records)
        self.failure: OSError | None = None
        self._failed_at: int | None = None  # how many records the disk has taken

    def append(self, kind: str, t: float, body: Mapping[str, Any]) -> int:
        process, step = self._process, kind != "event"
        process.records, process.steps = process.records + 1, process.steps + step
        process.meets("record", process.records, after=False)
        if step:
            process.meets("step", process.steps, after=False)
        number = len(self.records) + 1
        self.records.append(Record(number, utc(self._clock.now()), kind, t, dict(body)))
        if self.sending:
            self.sending.add(self.records[-1].to_line().encode())
        process.meets("record", process.records, after=True)
        if step:
            process.meets("step", process.steps, after=True)
        return number

    async def durable(self) -> None:
        self._process.check()
        written = len(self.records)
        if self.failure is None:
            try:
                await self._sync()
            except OSError as error:
                self.failure, self._failed_at = error, self.durable_to
        self._process.check()
        if self.failure:
            raise self.failure
        self.durable_to = max(self.durable_to, written)
        if self.sending:
            await self.sending.there(written, SEND_LIMIT)

    def close(self, lost: int = 0, *, torn: bool = False) -> None:
        """The process has ended: all but the last ``lost`` records are on the disk, never fewer than were awaited."""
        end = max(len(self.records) - lost, self.durable_to)
        if self._failed_at is not None:
            end = self._failed_at
        lines = [record.to_line() for record in self.records]
        text = "".join(lines[:end])
        if torn and end < len(lines):
            text += lines[end][: len(lines[end]) // 2]
        self._disk.data = text.encode()


def losses(draw: random.Random) -> tuple[int, bool]:
    """How many records the death of a process takes with it, and whether the next is torn."""
    return draw.choice((0, 0, 0, 1, 1, 2, 4)), draw.random() < 0.5  # noqa: PLR2004
