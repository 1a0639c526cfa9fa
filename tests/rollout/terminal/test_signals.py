"""Which signals end a controller, and how."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from rollout.terminal.signals import Signals


class Controller:
    """Remembers why it was left."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.informed = asyncio.Event()

    def leave(self, why: str) -> None:
        self.left.append(why)
        self.informed.set()


@pytest.fixture
def ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


async def left_after(*numbers: signal.Signals) -> list[str]:
    controller: Any = Controller()
    signals = Signals(controller, lambda text: None, None, asks=False)
    signals.install()
    try:
        for number in numbers:
            os.kill(os.getpid(), number)
        await asyncio.wait_for(controller.informed.wait(), 10)
        return list(controller.left)
    finally:
        signals.remove()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_without_a_terminal_leaves(number: signal.Signals) -> None:
    assert await left_after(number) == [number.name]


async def test_a_background_job_is_not_ended_by_the_ctrl_c_of_its_terminal(ignored: None) -> None:
    assert await left_after(signal.SIGINT, signal.SIGTERM) == ["SIGTERM"]
