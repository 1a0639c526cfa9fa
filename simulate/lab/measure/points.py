"""The data plane's measuring points: the load that the lab gets at each, and what the simulator learns of it.

A point's requests wait in PostgreSQL by ``pg_sleep``. The points of low load are for fitting; all others differ from them
in load, pool size, the queries' law, patience or a fault, and are predicted before they are compared.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Law = Literal["fixed", "exponential"]


@dataclass(frozen=True, slots=True)
class Point:
    """``rate`` requests a second at random times (Poisson) for ``window_s`` seconds, after ``warm_up_s`` of the same.

    ``sleep``: the law of the time that each query sleeps, ``sleep_s`` its mean. ``pool``: connections of pgbouncer,
    ``wait_s`` its query_wait_timeout. A client gives up after ``timeout_s``. ``hang``: PostgreSQL stands still between
    these seconds of the window. ``fit``: used for fitting, not for judging.
    """

    name: str
    rate: float
    window_s: float
    sleep: Law
    sleep_s: float
    pool: int = 50
    wait_s: int = 5
    timeout_s: float = 30.0
    hang: tuple[float, float] | None = None
    warm_up_s: float = 10.0
    seed: int = 378
    fit: bool = False

    def arrivals(self) -> list[float]:
        """When requests are sent (seconds, 0 is the window's start), as many as the rate says, warm-up first.

        A Poisson process of which the number of arrivals is known: the luck left is when they come, not how many.
        """
        chance = random.Random(self.seed)
        before = [-self.warm_up_s * chance.random() for _ in range(round(self.rate * self.warm_up_s))]
        within = [self.window_s * chance.random() for _ in range(round(self.rate * self.window_s))]
        return sorted(before) + sorted(within)

    def sleeps(self, number: int) -> list[float]:
        """How long each of so many queries sleeps (seconds)."""
        chance = random.Random(self.seed + 1)
        if self.sleep == "fixed":
            return [self.sleep_s] * number
        return [chance.expovariate(1 / self.sleep_s) for _ in range(number)]


#: Names say what differs from the fit. Lengths are such that the luck of one run moves its p95 by less than a tenth
#: (standard deviation of the simulator's runs). The last loads go up to and beyond 60 % of two processors.
POINTS = (
    Point("low load, 0.1 s", 5, 60, "fixed", 0.1, fit=True),
    Point("low load, drawn, mean 0.1 s", 5, 60, "exponential", 0.1, seed=379, fit=True),
    Point("20/s", 20, 40, "fixed", 0.1),
    Point("50/s", 50, 40, "fixed", 0.1),
    Point("50/s, drawn, mean 0.2 s", 50, 60, "exponential", 0.2),
    Point("pool 2, 70 % busy", 25, 120, "fixed", 0.05, pool=2),
    Point("pool 4, drawn, 70 % busy", 53, 90, "exponential", 0.05, pool=4),
    Point("pool 8, 85 % busy", 65, 120, "fixed", 0.1, pool=8),
    Point(
        "pool 4, drawn, clients give up after 0.15 s", 50, 100, "exponential", 0.05, pool=4, timeout_s=0.15
    ),
    Point(
        "pool 2, 130 % asked, query_wait_timeout 2 s", 24, 60, "fixed", 0.1, pool=2, wait_s=2, warm_up_s=15
    ),
    Point("pool 2, PostgreSQL hangs for 8 s", 15, 40, "fixed", 0.05, pool=2, hang=(10, 18)),
    Point("150/s", 150, 30, "fixed", 0.1),
    Point("250/s", 250, 25, "fixed", 0.1),
    Point("350/s", 350, 20, "fixed", 0.1),
    Point("450/s", 450, 15, "fixed", 0.1),
    Point("100/s without pg_sleep", 100, 30, "fixed", 0.0),
)

#: Two points and the fit, to try the machinery itself.
SHORT = (
    Point("low load, 0.1 s", 10, 8, "fixed", 0.1, warm_up_s=2, fit=True),
    Point("30/s", 30, 6, "fixed", 0.1, warm_up_s=2),
    Point("pool 2, 60 % busy", 12, 12, "fixed", 0.1, pool=2, warm_up_s=4),
)
