"""What plans are tried on: the healthy release, and bad ones by how likely they are.

A bad release is one of these; its chance among them is its weight over the sum of weights. Weights are the guide's register
where the risk is in it. The register has no line for a release that simply answers more errors or is slow, so these have a
weight of our own (``REGRESSIONS``), shared by the kinds of error regression: one near the guide's limit of 1 %, one at some multiple of
it, one that nobody can overlook, and one that begins when the candidate has all the traffic, with no stable left to compare it with.

Left out are risks on which plans of one guide cannot differ: those that no metric of the candidate shows (cdn-failure,
bundle-too-large, websocket-instability, rate-limit-too-strict), one that shows hours later (memory-leak), and one that stops
both colours (migration-failure); health probes, not limits, answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulate.scenarios import find

REGRESSIONS = 40.0  # percent: as likely as the likeliest risks of the register
_ERRORS = (
    {"error_percent": 1.5},
    {"error_percent": 3.0},
    {"error_percent": 10.0},
    {"error_percent": 3.0, "begins_s": 600.0},  # phase-c is at 100 % from 9 to 14 min
)
_REGISTER = ("slow-queries", "pool-exhaustion", "lb-misconfiguration")


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario with parameters of its own; ``weight`` is percent, 0 of the healthy release."""

    scenario: str
    weight: float
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        values = ", ".join(f"{name}={value:g}" for name, value in self.given.items())
        return f"{self.scenario} ({values})" if values else self.scenario


def default_cases(regressions: float = REGRESSIONS) -> tuple[Case, ...]:
    """The healthy release first, then the bad ones."""
    share = regressions / len(_ERRORS)
    return (
        Case("healthy", 0.0),
        *(Case("error-regression", share, given) for given in _ERRORS),
        Case("latency-regression", regressions),
        *(Case(name, find(name).probability or 0.0) for name in _REGISTER),
    )
