"""Ctrl-C at a terminal asks: abort, hold or leave; a second Ctrl-C aborts.

Elsewhere, and on SIGTERM, the controller leaves: traffic stays as it is, somebody is paged because nothing watches it,
and `rollout resume` continues. It does not abort: ending a process does not say that the release is bad. A dry run has
nothing to ask about: it ends.
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
    def resume(self) -> None: ...


class Signals:
    """Handles SIGINT and SIGTERM while a controller runs."""

    def __init__(
        self, controller: Controller, say: Callable[[str], None], live: Pausable | None, *, asks: bool
    ) -> None:
        self._controller, self._say, self._live, self._asks = controller, say, live, asks
        self._asking = self._leaving = False
        self._tasks: set[asyncio.Task[object]] = set()
        # A shell starts background jobs with SIGINT ignored: the Ctrl-C of its terminal is not meant for them.
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        self._numbers = (signal.SIGTERM,) if ignored else (signal.SIGINT, signal.SIGTERM)

    def install(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.add_signal_handler(number, self.receive, number)

    def remove(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            loop.remove_signal_handler(number)
        self._end_question()

    def receive(self, number: int) -> None:
        """A signal arrived."""
        if self._leaving:
            self._say("leaving already: waiting until no stack update is under way")
        elif self._asking:
            self._end_question()
            self._say("Ctrl-C again: the rollout is aborted, all traffic goes to stable")
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
            "\nThe rollout continues while you choose:\n"
            "  [a]bort  all traffic to stable\n"
            "  [h]old   traffic stays as it is and is still watched, until `rollout resume` or `rollout abort`\n"
            "  [l]eave  traffic stays as it is and is NOT watched, until `rollout resume`\n"
            f"{self._unwatched()}"
            "Anything else continues; Ctrl-C again aborts.",
            flush=True,
        )
        self._asking = True
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._answered)

    def _unwatched(self) -> str:
        told = self._controller.unwatched
        return f"           {told}\n" if told else ""

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
                self._live.resume()
