"""What the controller needs from its environment, as small Protocols; ``rollout.control.testing`` has a fake of each.

Everything that waits is a coroutine. Cancelling one ends what it started: a cancelled ``set_weight`` has ended its
engine before the cancellation is answered. Durations are in seconds, weights in percent of the requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.journal.notes import Attributed
from rollout.policy.events import Event


class PortError(Exception):
    """A port could not do what was asked of it; the message says what was tried, what came of it and the fix."""


class TrafficError(PortError):
    """Traffic could not be changed or read."""


class TrafficRefused(TrafficError):
    """The change was not tried: it would touch more than the rule, or traffic was moved from elsewhere."""


EventMaker = Callable[[float], Event]
"""An event except for its time: called with the seconds from the start at which the controller receives it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One event of the metrics source, with how its numbers came about (for the journal, not for the policy)."""

    event: EventMaker
    detail: Attributed | None = None


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds. Never runs backwards while the process lives."""


class MetricsSource(Protocol):
    async def poll(self, t: float) -> Sequence[Reading]:
        """What is new at ``t`` seconds from the start: closed periods, revisions, alarms, or that the query failed.

        Does not raise for a failed query: that is an event too.
        """


@dataclass(frozen=True, slots=True)
class Round:
    """One round of probes: the names of those that failed, in order, each version that answered, and why one failed, if known."""

    failed: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    why: str = ""


class Probes(Protocol):
    @property
    def roles(self) -> Sequence[str]:
        """What can be probed: candidate, stable and, unless it is unknown, the front door."""

    async def round(self, role: str) -> Round:
        """Probes one of ``roles`` once."""


class TrafficControl(Protocol):
    async def read_weight(self) -> float:
        """The candidate's weight as the load balancer has it. Raises :class:`TrafficError`."""

    async def foresee(self, weight: int) -> None:
        """Checks that commanding ``weight`` next would touch the rule and nothing else.

        Raises :class:`TrafficRefused`, which the next increase to it raises as well.
        """

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        """Moves traffic by a stack update; returns what took how long (seconds). Raises :class:`TrafficError`."""

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        """Moves traffic through the load balancer's own API and verifies it. Raises :class:`TrafficError`."""

    async def reconcile(self, weight: int) -> Mapping[str, Any]:
        """Brings the stack back in line with a rule that was moved by :meth:`break_glass`."""

    def in_line_by_hand(self, weight: int) -> str:
        """What a person does when :meth:`reconcile` failed, in words."""

    async def promote(self) -> Mapping[str, Any]:
        """Candidate becomes stable in the stack, without touching the load balancer. Safe to repeat."""

    async def check_rollback(self) -> Mapping[str, str]:
        """Tries what a rollback would need; maps each thing checked to '' or what is wrong with it."""


class ColourControl(Protocol):
    """The pods of both colours, by role."""

    async def targets(self, role: str) -> tuple[int, str]:
        """How many targets are healthy, and what is wrong with the others. Raises :class:`TrafficError`."""

    async def scale(self, role: str, replicas: int) -> Mapping[str, Any]:
        """Sets the number of pods by stack update, and nothing else, and waits for them. Raises :class:`PortError`."""


class RateLimits(Protocol):
    async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
        """Sets the edge's limit, in requests per minute and client. Raises :class:`TrafficError`."""

    async def read_rate_limit(self) -> int:
        """The limit that is deployed. Raises :class:`TrafficError`."""


class Notifier(Protocol):
    async def send(self, topic: str, subject: str, body: str) -> str:
        """Tells the people of ``immediate``, ``warning`` or ``notice``.

        Returns which of several services did not accept it, '' for none. Raises :class:`PortError` when none did.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """The part of the environment that effects act on."""

    traffic: TrafficControl
    limits: RateLimits
    notifier: Notifier
    colours: ColourControl | None = None  # None: no pods are stopped


class Journal(Protocol):
    def append(self, kind: str, t: float, body: Mapping[str, Any]) -> int:
        """Writes one record after all earlier ones; returns its number. Never blocks on the disk."""

    async def durable(self) -> None:
        """Returns when all that was appended is on the disk. Raises ``OSError`` when it cannot be written."""
