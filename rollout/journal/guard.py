"""What the guardian leaves in the store at each look: a sign that it lives, and what it found.

A living controller renews its lease every 5 s. The guardian acts when that is older than ``after`` seconds, and looks every
:data:`EVERY` seconds, so traffic is on stable at the latest ``after + EVERY + LOOK_LIMIT`` after the last sign of the controller. ``after``
must be longer than a rollout may be without one and still have somebody at work: see :data:`LEAST_AFTER`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from rollout.journal.store import RENEWAL, TERM, Store

KEY = "guardian.json"
AFTER = 600.0  # seconds, unless the guardian's stack says otherwise
EVERY = 60.0  # seconds between looks
LOOK_LIMIT = 50.0  # seconds that one look may take
DEAD = 3 * EVERY + LOOK_LIMIT  # seconds without a look after which it does not live
RESUME_LIMIT = (
    60.0  # seconds from `rollout resume` until it holds the lease: it reads the store and the stacks
)
# An outage of the store that stops the renewals, a lease that has to run out before another machine takes it, and that
# machine's start.
LEAST_AFTER = 2 * TERM + RENEWAL + RESUME_LIMIT


@dataclass(frozen=True, slots=True)
class Guard:
    """One look. ``journal`` and ``lease`` are what it saw; ``settled``: there is nothing to do until one of them changes."""

    at: str  # by the guardian's clock, for people
    after: float  # seconds
    rule_arn: str  # the one rule that it may modify
    found: str  # in words
    journal: str = ""
    lease: str = ""
    settled: bool = False
    told: str = ""  # the subject of the message that was sent about them

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, store: Store) -> Self | None:
        """``None`` when no guardian has looked yet. Raises :class:`rollout.journal.store.StoreError`."""
        found = store.read(KEY)
        if found is None:
            return None
        try:
            body: dict[str, Any] = json.loads(found[0])
            return cls(**{each.name: body[each.name] for each in fields(cls) if each.name in body})
        except (ValueError, TypeError):
            return None
