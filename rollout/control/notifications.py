"""Tells people: each message is tried until a service accepts it, because a hold that nobody hears of ends as an abort.

The journal has a result when a message is first refused and another when it is accepted. What no service accepted before the
controller ended is sent again by the one that resumes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.control.ports import Notifier
from rollout.control.problems import problem_of
from rollout.policy import timing

if TYPE_CHECKING:
    from rollout.control.effects import Recorder


@dataclass(frozen=True, slots=True)
class Message:
    """``about``: the number of the decision or note it tells of, in the journal; ``topic``: immediate, warning or notice."""

    about: int
    topic: str
    subject: str
    body: str


class Notifications:
    """Delivers messages, each on its own: one that no service takes keeps no other waiting."""

    def __init__(self, notifier: Notifier, recorder: Recorder) -> None:
        self._notifier, self._recorder = notifier, recorder
        self._deliveries: dict[asyncio.Task[None], Message] = {}

    def send(self, message: Message) -> None:
        """Begins to send a message."""
        task = asyncio.create_task(self.deliver(message), name=f"notify {message.about}")
        self._deliveries[task] = message
        task.add_done_callback(self._deliveries.pop)

    async def deliver(self, message: Message) -> None:
        """Returns when a service has accepted the message."""
        began, tries = asyncio.get_running_loop().time(), 0
        while True:
            tries += 1
            body = message.body
            if tries > 1:
                body += f"\nThis message is {asyncio.get_running_loop().time() - began:.0f} s old: nobody took it before."
            try:
                async with asyncio.timeout(timing.NOTIFY_LIMIT):
                    refused = await self._notifier.send(message.topic, message.subject, body)
            except Exception as error:  # noqa: BLE001 -- whatever it is, nobody was told
                if tries == 1:
                    self._record(message, ok=False, error=problem_of(error, timing.NOTIFY_LIMIT))
            else:
                self._record(message, ok=True, **({"tries": tries} if tries > 1 else {}), error=refused)
                return
            await asyncio.sleep(timing.NOTIFY_RETRY[min(tries, len(timing.NOTIFY_RETRY)) - 1])

    def _record(self, message: Message, *, ok: bool, error: str, **more: int) -> None:
        result = {"effect": message.about, "act": "notify", "ok": ok, "topic": message.topic}
        result |= {"subject": message.subject, **more}
        self._recorder.record("result", result | ({"error": error} if error else {}))

    async def drain(self, limit: float) -> tuple[Message, ...]:
        """Waits at most ``limit`` seconds for all messages; returns those that no service accepted until then."""
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=limit)
        unsent = tuple(self._deliveries.values())
        for task in self._deliveries:
            task.cancel()
        return unsent
