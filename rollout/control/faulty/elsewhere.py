"""A store in memory that fails by seed, and what sends a journal there: the real lease, marks and records, without threads."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rollout.journal.store import Shared, StoreError
from rollout.journal.stored import RETRY, Taken, send

if TYPE_CHECKING:
    from rollout.control.faulty.ports import Faults
    from rollout.control.faulty.process import Process

T = TypeVar("T")
_SLOWEST = 10.0  # seconds: no call of a store takes longer


class MemoryStore:
    """Objects by key, each with the tag of its version. It never fails: calls to it do (:class:`StoreCalls`)."""

    where = "memory"

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, str]] = {}
        self._folders: dict[str, set[str]] = defaultdict(set)
        self._versions = 0

    def write(self, key: str, body: bytes) -> None:
        self._versions += 1
        self._objects[key] = (body, str(self._versions))
        parts = key.split("/")
        for depth in range(1, len(parts)):
            self._folders["/".join(parts[:depth])].add(parts[depth])

    def create(self, key: str, body: bytes) -> bool:
        if key in self._objects:
            return False
        self.write(key, body)
        return True

    def replace(self, key: str, body: bytes, tag: str) -> bool:
        if self._objects.get(key, (b"", ""))[1] != tag:
            return False
        self.write(key, body)
        return True

    def read(self, key: str) -> tuple[bytes, str] | None:
        return self._objects.get(key)

    def age(self, key: str) -> float | None:
        """It is asked by nobody here."""
        raise NotImplementedError

    def names(self, folder: str, after: str = "") -> list[str]:
        return sorted(name for name in self._folders[folder] if name > after)


class StoreCalls:
    """One process's way to the store. ``place``: where its faults are drawn."""

    def __init__(self, process: Process, faults: Faults, place: str) -> None:
        self._process, self._faults, self._place = process, faults, place

    async def call(self, act: Callable[[], T]) -> T:
        """Raises :class:`StoreError`, whether or not it was done."""
        self._process.check()
        fault, seconds = self._faults.at(self._place), min(self._faults.seconds(self._place), _SLOWEST)
        if fault in ("delay", "no answer"):
            await asyncio.sleep(seconds)
        if fault in ("error", "no answer"):
            raise StoreError(f"{self._place}: {fault}")
        self._process.check()
        done = act()
        if fault == "slow answer":
            await asyncio.sleep(seconds)
        if fault == "lost answer":
            raise StoreError(f"{self._place}: {fault}")
        return done


class Sending:
    """Sends a journal's records to the store in order, each until it is there, as the thread of a ``StoredJournal`` does."""

    def __init__(self, calls: StoreCalls, shared: Shared, name: str, sent: int, unsent: list[bytes]) -> None:
        self._calls, self._shared, self._name = calls, shared, name
        self.sent, self._unsent = sent, unsent
        self.taken = False
        self._problem = "not sent"
        self._news = asyncio.Event()

    def add(self, line: bytes) -> None:
        self._unsent.append(line)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def run(self) -> None:
        while not self.taken:
            if not self._unsent:
                await self._news.wait()
                continue
            number, line = self.sent + 1, self._unsent[0]
            try:
                await self._calls.call(lambda: send(self._shared, self._name, number, line))  # noqa: B023 -- it is awaited
            except Taken as error:
                self.taken, self._problem = True, str(error)
            except StoreError as error:
                self._problem = str(error)
                await asyncio.sleep(RETRY)
                continue
            else:
                self.sent = number
                del self._unsent[0]
            self._tell()

    async def there(self, wanted: int, limit: float) -> None:
        """Returns when so many records are in the store. Raises :class:`StoreError`."""
        try:
            async with asyncio.timeout(limit):
                while self.sent < wanted and not self.taken:
                    await self._news.wait()
        except TimeoutError:
            pass
        if self.sent < wanted:
            raise StoreError(f"the journal is not in the store: {self._problem}")
