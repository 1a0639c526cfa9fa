"""A journal that is in the store as well: each record is sent by a thread of its own, in order, until it is there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from rollout.journal.journal import FileJournal
from rollout.journal.store import Shared, StoreError, missing_from, record_name

SEND_LIMIT = 10.0  # seconds that an increase waits for the store
RETRY = 1.0  # seconds between tries of a record
CLOSE_LIMIT = 10.0  # seconds that the end waits for what is not sent yet


class StoredJournal(FileJournal):
    """``durable`` waits for disk and store: what may not be done unseen waits for it, a decrease only for its second."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], float],
        shared: Shared,
        name: str,
        *,
        resume: bool = False,
        secrets: Sequence[str] = (),
    ) -> None:
        """Raises :class:`StoreError` when what is continued cannot be read there."""
        self._shared, self._name = shared, name
        self._unsent: list[bytes] = []
        self._sent = 0
        self._problem = ""
        self._taken = False  # by another controller, so that nothing of this one is sent any more
        self._closing = False
        self._changed = threading.Condition()
        super().__init__(path, now, resume=resume, secrets=secrets)
        if resume:
            try:
                self._begin_behind(shared.lines(name, path.read_bytes()))
            except StoreError:
                super().close()
                raise
        self._sender = threading.Thread(target=self._send_all, name="store", daemon=True)
        self._sender.start()

    def _begin_behind(self, stored: bytes) -> None:
        missing = missing_from(stored, self.path.read_bytes())
        if missing is None:
            raise StoreError(f"{self.path} is not the journal {self._name} of {self._shared.store.where}")
        self._sent, self._unsent = stored.count(b"\n"), list(missing)

    def _accept(self, line: bytes) -> None:
        super()._accept(line)
        with self._changed:
            self._unsent.append(line)
            self._changed.notify_all()

    async def durable(self) -> None:
        wanted = self._seq
        await super().durable()
        await asyncio.to_thread(self._wait, wanted, SEND_LIMIT)

    def close(self) -> None:
        super().close()
        try:
            self._wait(self._seq, CLOSE_LIMIT)
        except StoreError:
            pass  # `rollout resume` from here sends the rest
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()

    def _wait(self, wanted: int, limit: float) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: self._sent >= wanted or self._taken or self._closing, limit)
            if not done or self._sent < wanted:
                why = self._problem or f"not sent within {limit:g} s"
                raise StoreError(f"the journal is not in the store {self._shared.store.where}: {why}")

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsent or self._closing)
                if self._closing:
                    return
                number, line = self._sent + 1, self._unsent[0]
            try:
                self._send(number, line)
            except StoreError as error:
                with self._changed:
                    self._problem = str(error)
                    if self._taken:
                        self._changed.notify_all()
                        return
                    self._changed.wait_for(lambda: self._closing, RETRY)
            else:
                with self._changed:
                    self._sent, self._problem = number, ""
                    del self._unsent[0]
                    self._changed.notify_all()

    def _send(self, number: int, line: bytes) -> None:
        try:
            send(self._shared, self._name, number, line)
        except Taken:
            self._taken = True
            raise


class Taken(StoreError):
    """Another controller has written this record: nothing of this one is sent any more."""


def send(shared: Shared, name: str, number: int, line: bytes) -> None:
    """One record of a journal. Raises :class:`Taken`, :class:`StoreError`."""
    key = f"journals/{name}/{record_name(number)}"
    if shared.store.create(key, line):
        return
    found = shared.store.read(key)
    if found is None:
        raise StoreError(f"record {number} of {name} was refused, and is not there")
    if found[0] != line:  # the same: only the answer was lost
        raise Taken(f"record {number} of {name} is another controller's")
