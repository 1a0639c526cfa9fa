"""The directory of an environment's rollouts, ``.rollout/<env>/``: journals, who is at work, the operator's commands.

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
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout.journal.card import BadCard, Card

POLL = 0.1  # seconds between looks for a command or its answer
ANSWER_LIMIT = 15.0


class StationError(Exception):
    """Another controller is running, or none answers; the message says which and what to do."""


class Station:
    """One environment's directory."""

    def __init__(self, project_dir: Path, env: str) -> None:
        self.env = env
        self.directory = project_dir / ".rollout" / env
        self._commands = self.directory / "commands"
        self._lock_file = self.directory / "controller.lock"
        self._card_file = self.directory / "card.json"
        self._lock: int | None = None

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

    def write_card(self, card: Card) -> None:
        """Keeps what moving traffic takes where `rollout abort` finds it without journal and Pulumi."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _write(self._card_file, card.to_json())

    def card(self) -> Card | None:
        """What was kept last; ``None`` when there is nothing that can be read."""
        with contextlib.suppress(OSError, ValueError, BadCard):
            return Card.read(json.loads(self._card_file.read_text()))
        return None

    # --- one controller

    def take(self) -> None:
        """Becomes the controller of this environment. Raises :class:`StationError` when there is one."""
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
        for left in self._commands.iterdir():
            left.unlink(missing_ok=True)

    def give_back(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

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


def _write(path: Path, fields: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(fields))
    temporary.replace(path)
