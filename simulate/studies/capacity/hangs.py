"""Which pool survives which hang: failed requests by pool size and by how long all queries hang, nothing else being wrong."""

from __future__ import annotations

from dataclasses import dataclass

from simulate.studies.capacity.measure import Measured, Runner
from simulate.studies.capacity.sizes import LARGEST_POOL, SMALLEST_POOL, Sizes, hang_case

HANGS_S = (1, 2, 5, 10, 20, 30)


@dataclass(frozen=True, slots=True)
class Hangs:
    """``found[pool][hang]``: pool sizes are of a pgbouncer, hangs seconds."""

    found: dict[int, dict[float, Measured]]

    def survived(self, pool: int) -> float:
        """The longest of the hangs up to which no request failed in any run (s)."""
        longest = 0.0
        for hang, measured in self.found[pool].items():
            if measured.worst:
                break
            longest = hang
        return longest


def hang_table(sizes: Sizes, runner: Runner) -> Hangs:
    runner.progress("hangs")
    middle = (SMALLEST_POOL + LARGEST_POOL) // 2
    pools = sorted({SMALLEST_POOL, middle, LARGEST_POOL, sizes.pool_size})
    asked = sizes.assumptions.values["hang_s"]
    hangs = sorted({*map(float, HANGS_S), *([asked] if asked else [])})
    cases = [
        hang_case(sizes.assumptions.model(sizes.replicas, pool * sizes.pgbouncers), hang)
        for pool in pools
        for hang in hangs
    ]
    measured = iter(runner.measure(cases))
    return Hangs({pool: {hang: next(measured) for hang in hangs} for pool in pools})
