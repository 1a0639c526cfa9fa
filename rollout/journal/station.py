"""The directory of an environment's rollouts, ``.rollout/<env>/``: journals, who is at work, the operator's commands.

With a store (:mod:`rollout.journal.store`) it is this machine's copy of what every machine can see.

One controller at a time: it holds a lock that the kernel gives back when the process ends, however it ends. Commands
from another terminal are small files, answered by small files: nothing listens anywhere, and a path may be as long as
it likes (a Unix socket's may not).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial, reduce
from pathlib import Path
from typing import Any

from rollout.journal.card import BadCard, Card
from rollout.journal.journal import FileJournal
from rollout.journal.store import (
    ABORT,
    Lease,
    LeaseHeld,
    LeaseLost,
    Shared,
    StoreError,
    joined,
    mark_of,
    newer,
    order_of,
)
from rollout.journal.stored import StoredJournal

POLL = 0.1  # seconds between looks for a command or its answer
ANSWER_LIMIT = 15.0
MARK_POLL = 2.0  # seconds between looks for the mark of an abort
MARK_TRIES = 3  # looks until it counts as not known whether there is one


class StationError(Exception):
    """Another controller is running, or none answers; the message says which and what to do."""


class Station:
    """One environment's directory."""

    def __init__(self, project_dir: Path, env: str, shared: Shared | None = None) -> None:
        self.env, self.shared = env, shared
        self.directory = project_dir / ".rollout" / env
        self._commands = self.directory / "commands"
        self._lock_file = self.directory / "controller.lock"
        self._card_file = self.directory / "card.json"
        self._marks = self.directory / "aborted"
        self._lock: int | None = None
        self._lease = Lease(shared.store, str(self.directory.resolve())) if shared else None

    def new_journal(self, epoch: float, prefix: str = "") -> Path:
        """The path of a journal that begins now."""
        stamp = datetime.fromtimestamp(epoch, UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self.directory / f"{prefix}{stamp}.jsonl"
        number = 1
        while path.exists():
            number += 1
            path = self.directory / f"{prefix}{stamp}-{number}.jsonl"
        return path

    def point_at(self, journal: Path) -> None:
        """Makes ``latest`` name a journal."""
        temporary = self.directory / f".latest.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(journal.name if journal.parent == self.directory else journal.resolve())
        temporary.replace(self.directory / "latest")

    def latest(self) -> Path | None:
        link = self.directory / "latest"
        return link.resolve() if link.exists() else None

    def open_journal(
        self,
        path: Path,
        now: Callable[[], float],
        *,
        resume: bool = False,
        secrets: Sequence[str] = (),
        local: bool = False,
    ) -> FileJournal:
        """Opens a journal of this directory, which is in the store too unless it is ``local``. Raises ``OSError``."""
        if self.shared is None or local:
            return FileJournal(path, now, resume=resume, secrets=secrets)
        return StoredJournal(path, now, self.shared, path.stem, resume=resume, secrets=secrets)

    def fetch(self) -> None:
        """Brings the newest journal of the store here. Raises ``OSError``.

        What a controller of this machine did not send before it died is kept: `resume` sends it. Where another has gone on meanwhile
        with records of its own, that counts, and what was here is set aside.
        """
        if self.shared and self.holder() is None:
            self._bring(self.shared)

    def _bring(self, shared: Shared) -> None:
        name, here = shared.latest(), self.latest()
        if name is None or (here and here.stem > name):
            return
        path = self.directory / f"{name}.jsonl"
        local = path.read_bytes() if path.exists() else b""
        stored = shared.lines(name, local)
        if newer(stored, local) is not local:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not stored.startswith(local):
                path.replace(path.with_suffix(f".diverged-{time.time_ns()}"))
            scratch = path.with_suffix(f".{os.getpid()}.tmp")
            scratch.write_bytes(stored)
            scratch.replace(path)
        if stored:
            self.point_at(path)

    def write_card(self, card: Card) -> None:
        """Keeps what moving traffic takes where `rollout abort` finds it without journal and Pulumi."""
        self.directory.mkdir(parents=True, exist_ok=True)
        card = replace(card, written=time.time())
        _write(self._card_file, card.to_json())
        if self.shared:
            with contextlib.suppress(StoreError):  # here the newer one outweighs what is there
                self.shared.write_card(card)

    def card(self) -> Card | None:
        """What was kept last, here or in the store; ``None`` when there is nothing that can be read."""
        stored = None
        if self.shared:
            with contextlib.suppress(StoreError):
                stored = self.shared.card()
        cards = [card for card in (stored, self._local_card()) if card]
        return max(cards, key=lambda card: card.written, default=None)

    def _local_card(self) -> Card | None:
        with contextlib.suppress(OSError, ValueError, BadCard):
            return Card.read(json.loads(self._card_file.read_text()))
        return None

    # --- an abort that no controller carried out

    def mark(self, name: str, order: str = ABORT) -> None:
        """Leaves a mark at a rollout, which its controller hears as the operator's ``order``, an abort. Raises ``OSError``."""
        try:
            self._marks.mkdir(parents=True, exist_ok=True)
            fields = mark_of(order, self._mark_here(name))
            if fields:
                _write(self._marks / name, fields)
        finally:
            if self.shared:
                self.shared.mark(name, order)

    async def hear_marks(self, name: str, operate: Callable[[str], Awaitable[tuple[bool, str]]]) -> None:
        """Hands the order of a mark to ``operate``, and again when more was added to it, until cancelled."""
        heard = None
        while True:
            order = None
            with contextlib.suppress(OSError):  # not known: the next look may tell
                order = await self.marked(name)
            if order not in (None, heard):
                heard = order
                await operate(order)
            await asyncio.sleep(MARK_POLL)

    async def surely_marked(self, name: str) -> str | None:
        """As :meth:`marked`, in several looks. Raises :class:`StoreError` when none of them tells."""
        problem: OSError | None = None
        for look in range(MARK_TRIES):
            if look:
                await asyncio.sleep(MARK_POLL)
            try:
                return await self.marked(name)
            except OSError as error:
                problem = error
        raise StoreError(
            f"it is not known whether an abort or an undo was left for {name}, so nobody goes on with it: `rollout resume` when its "
            f"mark can be read ({problem})"
        )

    async def marked(self, name: str) -> str | None:
        """The order of a mark, an abort, if there is one at a rollout. Raises ``OSError`` when nobody knows whether there is."""
        return await asyncio.to_thread(self._marked, name)

    def _marked(self, name: str) -> str | None:
        orders: list[str] = []
        unknown: OSError | None = None
        for read in (self._order_here, self._order_there):
            try:
                orders += read(name)
            except OSError as error:
                unknown = error
        if unknown and not orders:
            raise unknown
        return reduce(joined, orders) if orders else None

    def _order_here(self, name: str) -> list[str]:
        found = self._mark_here(name)
        return [] if found is None else [order_of(found)]

    def _order_there(self, name: str) -> list[str]:
        order = self.shared.marked(name) if self.shared else None
        return [order] if order else []

    def _mark_here(self, name: str) -> bytes | None:
        try:
            return (self._marks / name).read_bytes()
        except FileNotFoundError:
            return None

    # --- one controller

    def take(self, say: Callable[[str], None] | None = None) -> None:
        """Becomes the controller of this environment.

        Raises :class:`StationError` when there is one. With a store, another machine's is watched to see whether it lives, and ``say``
        tells of that; without ``say`` nobody waits. Raises ``OSError``.
        """
        self._commands.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StationError(
                f"another controller is running: {self._who()}; see `rollout status`"
            ) from None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started})
        os.ftruncate(lock, 0)
        os.write(lock, holder.encode())
        self._lock = lock
        try:
            if self._lease and self.shared:
                self._lease.take(say)
                self._bring(self.shared)
        except LeaseHeld as error:
            self.give_back()
            raise StationError(
                f"another controller is running: {error}; see `rollout status`. It is not taken over before its lease stands still for "
                f"{error.term:g} s; `rollout abort` moves traffic all the same"
            ) from None
        except OSError:
            self.give_back()
            raise
        for left in self._commands.iterdir():
            left.unlink(missing_ok=True)

    def give_back(self) -> None:
        if self._lock is not None:
            if self._lease:
                with contextlib.suppress(StoreError):  # it ends by itself
                    self._lease.give_back()
            os.close(self._lock)
            self._lock = None

    async def keep_lease(self, lost: Callable[[str], None], down: Callable[[str], None]) -> None:
        """As :func:`keep`; without a store there is none."""
        if self._lease:
            renew = self._lease.renew
            await keep(partial(asyncio.to_thread, renew), self._lease.renewal, lost, down)

    def holder(self) -> str | None:
        """Who is the controller, in words; ``None`` when nobody is."""
        try:
            lock = os.open(self._lock_file, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return self._who()
        finally:
            os.close(lock)
        return None

    def elsewhere(self) -> str | None:
        """Who holds the lease of the store, in words. Raises ``OSError``."""
        return self.shared.holder() if self.shared and self.holder() is None else None

    def _who(self) -> str:
        try:
            held: Mapping[str, Any] = json.loads(self._lock_file.read_text())
            return f"process {held['pid']} on {held['host']}, since {held['started']}"
        except (OSError, ValueError, KeyError):
            return "a process that has just begun"

    # --- commands

    def ask(self, command: str) -> tuple[bool, str]:
        """Sends a command to the controller and waits for what its policy says. Raises :class:`StationError`."""
        name = f"{time.time_ns()}-{os.getpid()}"
        question, answer = self._commands / f"{name}.json", self._commands / f"{name}.answer"
        _write(question, {"command": command})
        deadline = time.monotonic() + ANSWER_LIMIT
        try:
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError, ValueError):
                    found = json.loads(answer.read_text())
                    return bool(found["accepted"]), str(found["text"])
                if self.holder() is None:
                    raise StationError("the controller ended before it answered; see `rollout status`")
                time.sleep(POLL)
        finally:
            question.unlink(missing_ok=True)
            answer.unlink(missing_ok=True)
        raise StationError(f"the controller ({self.holder()}) did not answer within {ANSWER_LIMIT:g} s")

    async def serve(self, operate: Callable[[str], Awaitable[tuple[bool, str]]]) -> None:
        """Hands commands to ``operate`` until cancelled."""
        while True:
            for question in sorted(self._commands.glob("*.json")):
                with contextlib.suppress(OSError, ValueError, KeyError):
                    command = json.loads(question.read_text())["command"]
                    question.unlink()
                    accepted, text = await operate(command)
                    _write(question.with_suffix(".answer"), {"accepted": accepted, "text": text})
            await asyncio.sleep(POLL)


async def keep(
    renew: Callable[[], Awaitable[None]],
    renewal: float,
    lost: Callable[[str], None],
    down: Callable[[str], None],
) -> None:
    """Renews a lease, every ``renewal`` seconds, until it is ``lost`` to another; tells once when the store is ``down``."""
    told = False
    while True:
        await asyncio.sleep(renewal)
        try:
            await renew()
            told = False
        except LeaseLost as error:
            lost(str(error))
            return
        except StoreError as error:
            if not told:
                down(str(error))
            told = True


def _write(path: Path, fields: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(fields))
    temporary.replace(path)
