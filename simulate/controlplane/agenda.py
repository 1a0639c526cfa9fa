"""What is to come, on SimPy's clock: entries that are data, so that a rehearsal can be copied in the middle.

A SimPy process is a generator and cannot be copied; an entry is a function of its owner and arguments, and can be given
to another owner. Time is in whole milliseconds, as the controller's: sums of them are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import simpy

Owner = TypeVar("Owner")
_Entry = tuple[int, Callable[..., None], tuple[Any, ...]]  # ms, what to do with the owner, arguments


class Agenda(Generic[Owner]):
    """The entries of one owner. Those of the same millisecond are due in the order they were made."""

    def __init__(self, owner: Owner, now: int = 0) -> None:
        self._owner = owner
        self._clock = simpy.Environment(initial_time=now)
        self._entries: dict[int, _Entry] = {}
        self._made = 0

    @property
    def next(self) -> int:
        """When the next entry is due (ms). There must be one."""
        return int(self._clock.peek())

    def at(self, ms: int, act: Callable[..., None], *args: Any) -> None:
        """``act(owner, *args)`` at ``ms``, not before now. ``act`` must not be bound to an owner."""
        number = self._made
        self._made = number + 1
        self._entries[number] = (ms, act, args)
        clock = self._clock
        clock.timeout(max(ms - clock.now, 0), number).callbacks.append(self._due)

    def step(self) -> None:
        """Does what is due next."""
        self._clock.step()

    def copy(self, owner: Owner) -> Agenda[Owner]:
        """The same entries for another owner."""
        other = Agenda(owner, int(self._clock.now))
        for ms, act, args in sorted(self._entries.values(), key=lambda entry: entry[0]):
            other.at(ms, act, *args)
        return other

    def _due(self, event: Any) -> None:
        _, act, args = self._entries.pop(event.value)
        act(self._owner, *args)
