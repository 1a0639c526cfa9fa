"""A dry run: every decision is made and journaled, nothing is moved and nobody is told.

Metrics, probes and alarms are the live ones. A commanded weight is pretended to be there at once, so the whole plan is
gone through on what the candidate shows at the weight that it really has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.control.effects import Ports

_NOT_DONE: Mapping[str, Any] = {"dry_run": True}


@dataclass(slots=True)
class PretendedTraffic:
    weight: float = 0

    async def read_weight(self) -> float:
        return self.weight

    async def foresee(self, weight: int) -> None:
        return None

    async def set_weight(self, weight: int, *, increase: bool) -> Mapping[str, Any]:
        self.weight = weight
        return _NOT_DONE

    async def break_glass(self, weight: int) -> Mapping[str, Any]:
        self.weight = weight
        return _NOT_DONE

    async def reconcile(self, weight: int) -> Mapping[str, Any]:
        return _NOT_DONE

    async def promote(self) -> Mapping[str, Any]:
        return _NOT_DONE

    async def check_rollback(self) -> Mapping[str, str]:
        return {}


class PretendedLimits:
    async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
        return _NOT_DONE


class NobodyToTell:
    async def send(self, topic: str, subject: str, body: str) -> None:
        return None


def ports() -> Ports:
    """What a dry run acts on."""
    return Ports(PretendedTraffic(), PretendedLimits(), NobodyToTell())
