"""Ctrl-C at a terminal asks: abort, hold or leave; once more while it asks aborts.

Elsewhere, and on SIGTERM, the controller leaves: traffic stays as it is, people are paged that nobody watches, and
`rollout resume` goes on. It does not abort by itself: whoever ends a process has not said that the release is bad.
A dry run has nothing to ask about: it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Protocol

from rollout.control.controller import Controller


class Pausable(Protocol):
    """A view that gives way to a question."""

    def pause(self) -> None: ...
    def go_on(self) -> None: ...


class Signals:
    """Hears SIGINT and SIGTERM while a controller runs."""

    def __init__(
        self, controller: Controller, say: Callable[[str], None], live: Pausable | None, *, asks: bool
    ) -> None:
        self._controller, self._say, self._live, self._asks = controller, say, live, asks
        self._asking = self._leaving = False
        self._tasks: set[asyncio.Task[object]] = set()

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.hear, number)

    def remove(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        self._end_question()

    def hear(self, number: int) -> None:
        """A signal arrived."""
        if self._leaving:
            self._say("leaving already")
        elif self._asking:
            self._end_question()
            self._say("again: the rollout is aborted, all traffic goes to stable")
            self._order("abort")
        elif self._asks and number == signal.SIGINT and sys.stdin.isatty():
            self._ask()
        else:
            self._leave(signal.Signals(number).name)

    def _order(self, command: str) -> None:
        task: asyncio.Task[object] = asyncio.create_task(self._controller.operate(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _leave(self, why: str) -> None:
        self._leaving = True
        self._controller.leave(why)

    def _ask(self) -> None:
        if self._live:
            self._live.pause()
        print(
            "\nThe rollout goes on while you choose: [a]bort (all traffic to stable), [h]old (traffic stays, this "
            "goes on watching), [l]eave (traffic stays, nobody watches), anything else: go on. Ctrl-C again aborts.",
            flush=True,
        )
        self._asking = True
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._answered)

    def _answered(self) -> None:
        choice = os.read(sys.stdin.fileno(), 1024).decode(errors="replace").strip().lower()[:1]
        self._end_question()
        if choice == "a":
            self._order("abort")
        elif choice == "h":
            self._order("pause")
        elif choice == "l":
            self._leave("the operator left")

    def _end_question(self) -> None:
        if self._asking:
            self._asking = False
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            if self._live:
                self._live.go_on()
