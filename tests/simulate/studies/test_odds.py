"""The odds that `rollout plan --rate` prints are those of the rehearsal, which has all the rest of the world as well."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout.odds.odds import Release, Rollout
from rollout.plan import load_plan
from simulate.studies.replication import Job, measure

PLAN = load_plan("phase-c")


@pytest.mark.parametrize(("rate", "base"), [(1000, 0.2), (3000, 0.5)])
def test_a_healthy_release_is_taken_back_as_often_as_in_the_rehearsal(rate: float, base: float) -> None:
    rehearsals, rollouts = 250, 1000
    rows = measure(
        Job("healthy", PLAN, 3, {"rate_per_minute": rate, "base_error_percent": base}), 0, rehearsals
    )
    chance = np.random.default_rng(3)
    runs = [Rollout(PLAN, Release(rate, base, base), chance) for _ in range(rollouts)]
    for run in runs:
        run.run()
    rehearsed = rows.column("rolled_back").mean()
    found = np.mean([run.fell is not None for run in runs])
    both = (rehearsed * rehearsals + found * rollouts) / (rehearsals + rollouts)
    spread = math.sqrt(both * (1 - both) * (1 / rehearsals + 1 / rollouts))
    assert abs(rehearsed - found) < 2.5 * spread
