"""What plans are tried on: the healthy release, and bad ones by how likely they are.

A bad release is one of these; its chance among them is its weight over the sum of weights. Weights are the guide's register
where the risk is in it. The register has no line for a release that simply answers more errors or is slow, so these have a
weight of our own (``REGRESSIONS``), shared by the sizes of an error regression: one near the guide's limit of 1 %, one at some
multiple of it, and one that nobody can overlook.

Left out are risks on which plans of one guide cannot differ: those that no metric of the candidate shows (cdn-failure,
bundle-too-large, websocket-instability, rate-limit-too-strict), one that shows hours later (memory-leak), and one that stops
both colours (migration-failure); health probes, not limits, answer it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulate.scenarios import find

REGRESSIONS = 40.0  # percent: as likely as the likeliest risks of the register
_ERROR_SIZES = (1.5, 3.0, 10.0)  # percent
_REGISTER = ("slow-queries", "pool-exhaustion", "lb-misconfiguration")


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario with parameters of its own; ``weight`` is percent, 0 of the healthy release."""

    scenario: str
    weight: float
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        said = ", ".join(f"{name}={value:g}" for name, value in self.given.items())
        return f"{self.scenario} ({said})" if said else self.scenario


def default_cases(regressions: float = REGRESSIONS) -> tuple[Case, ...]:
    """The healthy release first, then the bad ones."""
    share = regressions / len(_ERROR_SIZES)
    return (
        Case("healthy", 0.0),
        *(Case("error-regression", share, {"error_percent": size}) for size in _ERROR_SIZES),
        Case("latency-regression", regressions),
        *(Case(name, find(name).probability or 0.0) for name in _REGISTER),
    )
