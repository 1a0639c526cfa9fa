"""What every machine can see of an environment's rollouts: journals, the controller's lease, the card, the marks of aborts.

The objects are kept by a :class:`Store` (``rollout.aws.store``: S3), below a prefix of the environment:

=========================== =============================================================================================
journals/NAME/0000001.json  one record, exactly its line of the journal; created only if absent, so no record is written twice
lease.json                  who is the controller; replaced only in the version that was read
card.json                   :class:`rollout.journal.card.Card`
guardian.json               :class:`rollout.journal.guard.Guard`, what the guardian found last
aborted/NAME                somebody moved that rollout's traffic to stable without its controller, which hears it as an abort;
                            flags and reason are in it, and the marks ``before`` that it was added to
=========================== =============================================================================================

A lease is renewed by replacing it. Whether its holder lives is seen by whether it changes within the seconds that it names,
counted by the clock of whoever looks: clocks of two machines are never compared.
"""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from rollout.journal.card import BadCard, Card

TERM = 30.0  # seconds without a renewal after which a lease is anybody's
RENEWAL = 5.0  # seconds between renewals
LOOK = 0.5  # seconds between looks at another's lease
_READERS = 32  # records read at once
_BOOT = Path("/proc/sys/kernel/random/boot_id")
ABORT = "abort"
_REASON = " --reason "
LEASE, _CARD = "lease.json", "card.json"


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class StoreError(OSError):
    """The store cannot be read or written; the message says what was tried and why it failed."""


class LeaseHeld(Exception):
    """Another controller holds the lease; the message is who, ``term`` for how many seconds it lasts without a renewal."""

    def __init__(self, who: str, term: float) -> None:
        super().__init__(who)
        self.term = term


class LeaseLost(Exception):
    """Another controller has taken the lease over; the message is who."""


class Store(Protocol):
    """Objects by key. Everything blocks for a few seconds at most and raises :class:`StoreError`."""

    where: str  # for messages

    def create(self, key: str, body: bytes) -> bool:
        """False when there is one."""

    def replace(self, key: str, body: bytes, tag: str) -> bool:
        """False when it is no longer the version ``tag``."""

    def write(self, key: str, body: bytes) -> None: ...

    def read(self, key: str) -> tuple[bytes, str] | None:
        """The object and the tag of its version."""

    def age(self, key: str) -> float | None:
        """Seconds since the object was written, by the store's own clock; ``None`` when there is none."""

    def names(self, folder: str, after: str = "") -> list[str]:
        """What is directly in ``folder``, sorted, from behind ``after``."""


@dataclass(slots=True)
class Lease:
    """One process's claim to be the controller. ``place``: its directory, which says with the machine whose it is after a crash."""

    store: Store
    place: str
    _owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    _since: str = field(default_factory=_utc)
    _renewals: int = 0
    _tag: str = ""
    _clock: Callable[[], float] = time.monotonic

    @property
    def term(self) -> float:
        """Seconds without a renewal after which it is anybody's."""
        return TERM

    @property
    def renewal(self) -> float:
        """Seconds between renewals."""
        return RENEWAL

    def take(self, say: Callable[[str], None] | None = None) -> None:
        """Raises :class:`LeaseHeld`: at once without ``say``, else only if the holder is seen to live. Raises :class:`StoreError`."""
        for seconds in self.taking(say):
            time.sleep(seconds)

    def taking(self, say: Callable[[str], None] | None = None) -> Generator[float]:
        """As :meth:`take`, but the seconds that it wants to wait for are the caller's to wait."""
        while True:
            found = self.store.read(LEASE)
            if found is None:
                if self.store.create(LEASE, self._body()):
                    break
                continue
            body, tag = found
            held = _parsed(body)
            mine = _whose(held) == _whose(_parsed(self._body())) and bool(held.get("machine"))
            if not (held.get("left") or mine) and (say is None or (yield from self._lives(held, tag, say))):
                raise LeaseHeld(in_words(held), self.term)
            if self.store.replace(LEASE, self._body(), tag):
                break
        try:
            self._read_tag()
        except LeaseLost as error:  # at the same moment
            raise LeaseHeld(str(error), self.term) from None

    def renew(self) -> None:
        """Raises :class:`LeaseLost`, :class:`StoreError`."""
        self._renewals += 1
        self._replace(self._body())

    def give_back(self) -> None:
        """Raises :class:`StoreError`; a lease that is another's by now is left alone."""
        if self._tag:
            self.store.replace(LEASE, self._body(left=True), self._tag)
            self._tag = ""

    def _replace(self, body: bytes) -> None:
        if not self.store.replace(LEASE, body, self._tag):
            # Perhaps only the answer to the last renewal was lost.
            found = self.store.read(LEASE)
            if found is None or _parsed(found[0]).get("owner") != self._owner:
                raise LeaseLost(
                    in_words(_parsed(found[0])) if found else "nobody: somebody removed the lease"
                )
            if not self.store.replace(LEASE, body, found[1]):
                raise LeaseLost("another controller")
        self._read_tag()

    def _read_tag(self) -> None:
        found = self.store.read(LEASE)
        if found is None or _parsed(found[0]).get("owner") != self._owner:
            raise LeaseLost(in_words(_parsed(found[0])) if found else "nobody")
        self._tag = found[1]

    def _lives(
        self, held: dict[str, Any], tag: str, say: Callable[[str], None]
    ) -> Generator[float, None, bool]:
        term = float(held.get("term", TERM))
        say(f"the lease is held by {in_words(held)}; watching for {term:g} s whether it is renewed")
        until = self._clock() + term
        while self._clock() < until:
            yield LOOK
            now = self.store.read(LEASE)
            if now and now[1] != tag:
                return not _parsed(now[0]).get("left")
        return False

    def _body(self, *, left: bool = False) -> bytes:
        fields = {
            "owner": self._owner,
            "host": socket.gethostname(),
            "machine": machine(),
            "place": self.place,
            "pid": os.getpid(),
            "since": self._since,
            "renewed": _utc(),
            "renewals": self._renewals,
            "term": self.term,
        }
        return json.dumps(fields | ({"left": True} if left else {})).encode()


def machine() -> str:
    """What two machines never have alike, containers included: boot and file systems; '' where the kernel does not say.

    Whoever has it alike sees the same directory, so that the lock in it tells whether the process before is dead.
    """
    try:
        return f"{_BOOT.read_text().strip()} {os.readlink('/proc/self/ns/mnt')}"
    except OSError:
        return ""


def _whose(held: dict[str, Any]) -> tuple[Any, ...]:
    return held.get("host"), held.get("machine"), held.get("place")


def in_words(held: dict[str, Any]) -> str:
    """``process 12 on host a, since 2025-12-20T02:00:05+00:00``."""
    return f"process {held.get('pid')} on {held.get('host')}, since {held.get('since')}"


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Shared:
    """What a store holds of an environment."""

    store: Store

    def holder(self) -> str | None:
        """Who holds the lease, in words, and when it was renewed last; nobody says whether it lives. Raises :class:`StoreError`."""
        found = self.store.read(LEASE)
        held = _parsed(found[0]) if found else {"left": True}
        if held.get("left"):
            return None
        return f"{in_words(held)} (lease last renewed at {held.get('renewed')} by its clock)"

    def latest(self) -> str | None:
        """The name of the newest journal."""
        names = self.store.names("journals")
        return names[-1] if names else None

    def lines(self, name: str, local: bytes = b"") -> bytes:
        """A journal as far as it is here without a gap. What ``local`` has of it is not read again."""
        keys = self.store.names(f"journals/{name}")
        whole = [key for number, key in enumerate(keys, start=1) if key == record_name(number)]
        known = local.splitlines(keepends=True)[: len(whole)]

        def read(key: str) -> bytes:
            found = self.store.read(f"journals/{name}/{key}")
            return found[0] if found else b""

        # Records were sent in order, so whoever has the same last one has the same before it.
        if known and read(whole[len(known) - 1]) != known[-1]:
            known = []
        with ThreadPoolExecutor(_READERS) as readers:
            return b"".join([*known, *readers.map(read, whole[len(known) :])])

    def write_card(self, card: Card) -> None:
        self.store.write(_CARD, json.dumps(card.to_json()).encode())

    def card(self) -> Card | None:
        found = self.store.read(_CARD)
        try:
            return Card.read(_parsed(found[0])) if found else None
        except BadCard:
            return None

    def mark(self, name: str, order: str = ABORT) -> None:
        """Leaves the mark of an abort, which a controller hears as this order; one that is there is added to."""
        key = f"aborted/{name}"
        while not self.store.create(key, json.dumps(mark_of(order)).encode()):
            if found := self.store.read(key):
                more = mark_of(order, found[0])
                if more is None or self.store.replace(key, json.dumps(more).encode(), found[1]):
                    break

    def marked(self, name: str) -> str | None:
        """The order of the mark, if there is one."""
        found = self.store.read(f"aborted/{name}")
        return order_of(found[0]) if found else None


def order_of(mark: bytes) -> str:
    """What a mark orders: with flags and reason, if it says any, but never anything else than an abort."""
    order = _parsed(mark).get("order")
    return order if isinstance(order, str) and order.partition(" ")[0] == ABORT else ABORT


def mark_of(order: str, found: bytes | None = None) -> dict[str, Any] | None:
    """What is in a mark of this order: beside one that was ``found``, what both say; ``None`` when it adds nothing."""
    fields = {"host": socket.gethostname(), "pid": os.getpid(), "at": _utc(), "order": order}
    if found is None:
        return fields
    earlier, old = order_of(found), _parsed(found)
    both = joined(earlier, order)
    before = old.pop("before", [])
    return None if both == earlier else fields | {"order": both, "before": [*before, old]}


def joined(earlier: str, later: str) -> str:
    """Two orders as one (:class:`rollout.control.orders.Order`): the later's flag and reason count, else the earlier's."""
    (old, _, why_before), (new, _, why) = (order.partition(_REASON) for order in (earlier, later))
    flags = new.split()[1:] or old.split()[1:]
    reason = why or why_before
    return " ".join([ABORT, *flags]) + (f"{_REASON}{reason}" if reason else "")


def record_name(number: int) -> str:
    return f"{number:07}.json"


def newer(stored: bytes, local: bytes) -> bytes:
    """Of two copies of a journal the one to continue: what was not sent is kept, unless another has gone on with records of its own."""
    return local if local.startswith(stored) else stored


def missing_from(stored: bytes, local: bytes) -> Sequence[bytes] | None:
    """The lines of ``local`` that ``stored`` lacks; ``None`` when they are not the same journal."""
    return local[len(stored) :].splitlines(keepends=True) if local.startswith(stored) else None
