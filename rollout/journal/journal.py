"""The append-only record of a rollout: JSON lines, enough to resume from any crash, to report, and to replay.

One record a line: ``{"seq": 7, "at": "2025-12-20T02:00:05.120Z", "kind": "event", "t": 5.12, "body": {...}}``. ``t`` is
seconds from the start of the rollout. Kinds:

========== ========================================================================================================
rollout    the first record, a :class:`rollout.journal.header.Header`
event      what the policy received; the body is exactly the event's JSON form
decision   what it answered
intent     an effect is about to be tried; its ``effect`` is the number of the decision it carries out
result     how that ended
note       anything else worth keeping, one of :mod:`rollout.journal.notes`
rejected   an event that the policy refused as illegal
========== ========================================================================================================

A record is written by one background thread in order, so only a caller of `durable` waits for the disk. A line
torn by a crash is the last one; opening the file again for writing cuts it off.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout.journal.notes import BadNote, Note, parse_note

KINDS = ("rollout", "event", "decision", "intent", "result", "note", "rejected")
WHERE_JOURNALS_ARE = "journals are in .rollout/ENV/ of the project, one TIME.jsonl a rollout; `rollout status` names the latest"


class JournalError(ValueError):
    """A journal cannot be read; the message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Record:
    seq: int
    at: str
    kind: str
    t: float
    body: Mapping[str, Any]

    @property
    def note(self) -> Note | None:
        """The note, when it is one. Raises :class:`JournalError`."""
        try:
            return parse_note(self.body) if self.kind == "note" else None
        except BadNote as error:
            raise JournalError(f"record {self.seq}: {error}") from None

    def to_line(self) -> str:
        fields = {"seq": self.seq, "at": self.at, "kind": self.kind, "t": round(self.t, 3), "body": self.body}
        return json.dumps(fields, separators=(",", ":"), default=str) + "\n"


def utc(epoch: float) -> str:
    """Epoch seconds as ``2025-12-20T02:00:05.120Z``."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_record(line: str, where: str) -> Record:
    """Reads one line. Raises :class:`JournalError` that begins with ``where``."""
    try:
        fields = json.loads(line)
        record = Record(fields["seq"], fields["at"], fields["kind"], fields["t"], fields["body"])
    except KeyError as error:
        raise JournalError(f"{where}: not a journal record (key {error} is missing)") from None
    except (ValueError, TypeError) as error:
        raise JournalError(f"{where}: not a journal record ({error})") from None
    if record.kind not in KINDS or not isinstance(record.body, dict):
        raise JournalError(f"{where}: not a journal record (kind {record.kind!r})")
    return record


def _complete_lines(data: bytes) -> tuple[list[bytes], int]:
    """The whole lines, and where they end; a torn last line is left out even when it happens to parse."""
    end = data.rfind(b"\n") + 1
    return data[:end].splitlines(), end


def read_journal(path: Path) -> tuple[Record, ...]:
    """All whole records. A torn last line is ignored. Raises :class:`JournalError`, ``OSError``."""
    return parse_journal(path.read_bytes(), str(path))


def parse_journal(data: bytes, source: str) -> tuple[Record, ...]:
    """All whole records of a journal's bytes. Raises :class:`JournalError`, which begins with ``source``."""
    lines, _ = _complete_lines(data)
    return tuple(_records(lines, source))


def _records(lines: list[bytes], source: str) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        record = parse_record(line.decode("utf-8", "replace"), f"{source}: line {number}")
        if record.seq != number or (number == 1) != (record.kind == "rollout"):
            raise JournalError(
                f"{source}: line {number}: record {record.seq} ({record.kind}) does not belong here"
            )
        yield record


@dataclass(frozen=True, slots=True)
class _Write:
    data: bytes
    sync: Callable[[OSError | None], None] | None = None  # called once everything before it is on the disk


class FileJournal:
    """Appends to one file. ``resume=True`` continues a file, after cutting off a torn last line.

    ``secrets`` are texts that must never be in it.

    When the disk fails, appending goes on in memory order without raising (a rollback must not wait for a disk);
    ``durable`` raises and ``failure`` says why.
    """

    def __init__(
        self, path: Path, now: Callable[[], float], *, resume: bool = False, secrets: Sequence[str] = ()
    ) -> None:
        self.path, self._now = path, now
        # As they stand inside of a JSON text: a quote or a backslash is escaped there.
        self._secrets = [json.dumps(secret)[1:-1] for secret in secrets]
        self.failure: OSError | None = None
        self._seq = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if resume else os.O_EXCL)
        self._fd = os.open(path, flags, 0o600)
        if resume:
            lines, end = _complete_lines(path.read_bytes())
            self._seq = len(lines)
            os.ftruncate(self._fd, end)
        _sync_directory(path.parent)
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._writer.start()

    def append(self, kind: str, t: float, body: Mapping[str, Any]) -> int:
        self._seq += 1
        line = Record(self._seq, utc(self._now()), kind, t, body).to_line()
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        self._accept(line.encode())
        return self._seq

    def _accept(self, line: bytes) -> None:
        self._queue.put(_Write(line))

    async def durable(self) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(failure: OSError | None) -> None:
            if not done.done():
                if failure:
                    done.set_exception(failure)
                else:
                    done.set_result(None)

        def synced(failure: OSError | None) -> None:
            loop.call_soon_threadsafe(settle, failure)

        self._queue.put(_Write(b"", synced))
        await done

    def close(self) -> None:
        """Writes what is left, syncs, closes. Safe to call twice."""
        if self._writer.is_alive():
            self._queue.put(None)
            self._writer.join()
            os.close(self._fd)

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self.failure is None:
                    _write_fully(self._fd, item.data)
                    if item.sync:
                        os.fsync(self._fd)
            except OSError as error:
                self.failure = error
            if item.sync:
                item.sync(self.failure)
        if self.failure is None:
            os.fsync(self._fd)


class NoJournal:
    """In place of a journal that cannot be opened, for what must not wait for a disk; ``durable`` raises the ``failure``."""

    def __init__(self, path: Path, failure: OSError) -> None:
        self.path, self.failure = path, failure
        self._seq = 0

    def append(self, kind: str, t: float, body: Mapping[str, Any]) -> int:
        self._seq += 1
        return self._seq

    async def durable(self) -> None:
        raise self.failure

    def close(self) -> None:
        pass


def _write_fully(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _sync_directory(path: Path) -> None:
    """Makes a new file's name durable, not only its bytes."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
