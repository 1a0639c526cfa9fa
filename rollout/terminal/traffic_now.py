"""Where traffic is, asked of the load balancer itself: the answer that matters when something else has failed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rollout.journal.header import Header

ANSWER_LIMIT = 3.0  # seconds for the load balancer's answer, credentials included


@dataclass(frozen=True, slots=True)
class TrafficNow:
    """The candidate's weight in percent, or why it is unknown."""

    header: Header
    weight: float | None
    why: str
    at: float  # epoch seconds

    def in_words(self) -> str:
        """``green 2.0.0 has 25 %, blue 1.0.0 has 75 % (load balancer, 02:11:03 UTC)``."""
        if self.weight is None:
            return f"unknown: {self.why}"
        when = time.strftime("%H:%M:%S UTC", time.gmtime(self.at))
        shares = (("candidate", self.weight), ("stable", 100 - self.weight))
        has = ", ".join(f"{self.header.named(role)} has {share:g} %" for role, share in shares)
        return f"{has} (load balancer, {when})"


def _elbv2(region: str) -> Any:
    from rollout.aws.clients import quick_elbv2  # noqa: PLC0415 -- boto3, which is slow to import

    return quick_elbv2(region, ANSWER_LIMIT)


def traffic_now(
    header: Header, connect: Callable[[str], Any] = _elbv2, limit: float = ANSWER_LIMIT
) -> TrafficNow:
    """Asks for at most ``limit`` seconds and never raises. ``connect`` makes an elbv2 client of a region."""
    if not (header.region and header.rule_arn and header.groups):
        why = "the journal does not name the load balancer's rule"
        return TrafficNow(
            header, None, f"{why} (`pulumi stack output -s {header.env}-traffic` does)", time.time()
        )
    found: list[float] = []
    problems: list[str] = []

    def ask() -> None:
        try:
            from rollout.aws.elb import WeightedRule  # noqa: PLC0415 -- as above

            rule = WeightedRule(connect(header.region), header.rule_arn, header.groups)
            found.append(asyncio.run(rule.read_weight()))
        except Exception as error:  # noqa: BLE001 -- whatever it is, the weight is unknown
            problems.append(str(error) or type(error).__name__)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(limit)
    why = problems[0] if problems else f"the load balancer did not answer within {limit:g} s"
    return TrafficNow(header, found[0] if found else None, "" if found else why, time.time())
