"""Where traffic is, asked of the load balancer itself: the answer that matters when something else has failed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from rollout.journal.card import Card

MOVED_LIMIT = 60.0  # seconds for another controller to hear of an undo and to carry it out
LOOK_GAP = 0.5  # seconds between two looks at what it does
ANSWER_LIMIT = 3.0  # seconds for the load balancer's answer, credentials included


@dataclass(frozen=True, slots=True)
class TrafficNow:
    """The candidate's weight in percent, or why it is unknown."""

    card: Card
    weight: float | None
    why: str
    at: float  # epoch seconds

    def in_words(self) -> str:
        """``green 2.0.0 has 25 %, blue 1.0.0 has 75 % (load balancer, 02:11:03 UTC)``."""
        if self.weight is None:
            return f"unknown: {self.why}"
        when = time.strftime("%H:%M:%S UTC", time.gmtime(self.at))
        shares = (("candidate", self.weight), ("stable", 100 - self.weight))
        has = ", ".join(f"{self.card.named(role)} has {share:g} %" for role, share in shares)
        return f"{has} (load balancer, {when})"


def _elbv2(region: str) -> Any:
    from rollout.aws.clients import quick_elbv2  # noqa: PLC0415 -- boto3, which is slow to import

    return quick_elbv2(region, ANSWER_LIMIT)


def traffic_now(
    card: Card, connect: Callable[[str], Any] = _elbv2, limit: float = ANSWER_LIMIT
) -> TrafficNow:
    """Asks for at most ``limit`` seconds and never raises. ``connect`` makes an elbv2 client of a region."""
    if not card.complete:
        why = "the journal does not name the load balancer's rule"
        return TrafficNow(
            card, None, f"{why} (`pulumi stack output -s {card.env}-traffic` does)", time.time()
        )

    async def ask() -> tuple[Card, float]:
        return card, await _weight(connect(card.region), card)

    return _asked(ask, card, limit)


def wait_for_stable(
    card: Card, connect: Callable[[str], Any] = _elbv2, limit: float = MOVED_LIMIT
) -> TrafficNow:
    """Looks until the candidate has no traffic, for at most ``limit`` seconds; what was seen last."""
    deadline = time.monotonic() + limit
    while (seen := traffic_now(card, connect)).weight != 0 and card.complete and time.monotonic() < deadline:
        time.sleep(LOOK_GAP)
    return seen


def traffic_tagged(
    env: str, region: str, connect: Callable[[str], Any] = _elbv2, limit: float = ANSWER_LIMIT
) -> TrafficNow:
    """The same without a card: rule and target groups are found by their tags, and only their colours are known."""

    async def ask() -> tuple[Card, float]:
        from rollout.aws.tagged import find  # noqa: PLC0415 -- boto3, which is slow to import

        elbv2 = connect(region)
        card = await find(elbv2, env, region, "blue")
        return card, await _weight(elbv2, card)

    return _asked(ask, Card(env, region, "", {}, {}), limit)


async def _weight(elbv2: Any, card: Card) -> float:
    from rollout.aws.elb import WeightedRule  # noqa: PLC0415 -- as above

    return await WeightedRule(elbv2, card.rule_arn, card.groups).read_weight()


def _asked(
    ask: Callable[[], Coroutine[Any, Any, tuple[Card, float]]], card: Card, limit: float
) -> TrafficNow:
    found: list[tuple[Card, float]] = []
    problems: list[str] = []

    def run() -> None:
        try:
            found.append(asyncio.run(ask()))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the weight is unknown
            problems.append(str(error) or type(error).__name__)

    asking = threading.Thread(target=run, daemon=True)
    asking.start()
    asking.join(limit)
    if found:
        return TrafficNow(*found[0], "", time.time())
    why = problems[0] if problems else f"the load balancer did not answer within {limit:g} s"
    return TrafficNow(card, None, why, time.time())
