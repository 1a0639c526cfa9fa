"""A dry run: every decision is made and journaled, no traffic is moved and no notification is sent.

Metrics, probes and alarms are the live ones. A commanded weight counts as in force at once, so the rollout goes through
the whole plan with what is measured of the candidate at the weight that it really has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.control.ports import Ports

_NOT_DONE: Mapping[str, Any] = {"dry_run": True}


@dataclass(slots=True)
class _Traffic:
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

    def in_line_by_hand(self, weight: int) -> str:
        return ""

    async def promote(self) -> Mapping[str, Any]:
        return _NOT_DONE

    async def check_rollback(self) -> Mapping[str, str]:
        return {}


@dataclass(slots=True)
class _Limits:
    deployed: int = 0

    async def set_rate_limit(self, per_minute: int) -> Mapping[str, Any]:
        self.deployed = per_minute
        return _NOT_DONE

    async def read_rate_limit(self) -> int:
        return self.deployed


class _Notifier:
    async def send(self, topic: str, subject: str, body: str) -> str:
        return ""


def ports() -> Ports:
    """What a dry run acts on."""
    return Ports(_Traffic(), _Limits(), _Notifier())
