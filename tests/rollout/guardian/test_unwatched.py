"""The crash matrix without anybody who resumes: killed behind each record of a rollout, the guardian takes it back, or rightly does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.control.faulty.matrices import ROLLOUTS, quiet_night
from rollout.control.faulty.night import play_night
from rollout.journal.guard import AFTER
from rollout.journal.progress import ended, promotion_begun
from tests.rollout.guardian.world import BLUE, GREEN, HEADER, World

NAME = "20251220T030000Z"


@pytest.mark.parametrize("rollout", ROLLOUTS)
def test_killed_behind_every_record_with_nobody_to_resume(rollout: str) -> None:
    first, *rest = play_night(quiet_night(rollout)).records
    kind = "undo" if rollout == "undo" else "release"
    records = [replace(first, body=HEADER | {"kind": kind}), *rest]
    outcomes = set()
    for number in range(1, len(records) + 1):
        world = World()
        world.write(NAME, records[:number])
        world.renew()
        world.look(AFTER + 1)
        over = ended(records[:number]) is not None
        kept = over or promotion_begun(records[:number])
        assert (world.balancer.weights == {BLUE: 100, GREEN: 0}) is not kept, number
        assert bool(world.pages) is not over, number
        outcomes.add((kept, over))
    assert (False, False) in outcomes
    assert (True, True) in outcomes
    assert ((True, False) in outcomes) is (rollout == "good")
