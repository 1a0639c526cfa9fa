"""The lab's fault switches and change counters: state that AWS does not have, shared by the server's threads.

Lab only. Switches are set through ``/lab/faults``; what each one does is in ``simulate.lab.faults``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any


class Changes:
    """Counts the changes made through the API, by service, and lets others wait for the next one.

    The load balancer's agent follows it instead of polling the API, which costs nothing while nothing changes.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._last: dict[str, int] = {}

    def note(self, service: str) -> None:
        with self._changed:
            self._version += 1
            self._last[service] = self._version
            self._changed.notify_all()

    def since(self, version: int, timeout: float) -> tuple[int, list[str]]:
        """The version now and the services changed after ``version``; waits up to ``timeout`` seconds for one.

        A ``version`` from the future (the server was started anew) counts as nothing seen yet.
        """
        with self._changed:
            if version <= self._version:
                self._changed.wait_for(lambda: self._version > version, timeout)
            else:
                version = 0
            return self._version, sorted(s for s, last in self._last.items() if last > version)


class Switches:
    """The active fault switches by name, each with its settings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, dict[str, Any]] = {}

    def active(self, name: str) -> Mapping[str, Any] | None:
        with self._lock:
            return self._active.get(name)

    def all(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return dict(self._active)

    def set(self, name: str, settings: dict[str, Any] | None) -> None:
        """Switches ``name`` on with these settings, or off with ``None``."""
        with self._lock:
            if settings is None:
                self._active.pop(name, None)
            else:
                self._active[name] = settings


SWITCHES = Switches()
CHANGES = Changes()
