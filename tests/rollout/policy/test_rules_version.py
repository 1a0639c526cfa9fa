"""A journal is continued only by the rules that began it, so a change of the rules must change their version."""

from __future__ import annotations

import hashlib
import json

from rollout.plan import parse_plan, plan_text
from rollout.policy import RULES
from rollout.policy.events import comparable
from tests.rollout.streams import night

# The version, and what these rules decide on 200 random nights.
KNOWN = (2, "152d701f488c8b6f")
COMPARED = "  comparison: {false_alarms: 0.1, difference: 0.5, rollback: abort}\n"


def test_the_version_follows_the_rules() -> None:
    digest = hashlib.sha256()
    text, _ = plan_text("phase-c")
    for plan in (parse_plan(text), parse_plan(text.replace("criteria:\n", "criteria:\n" + COMPARED))):
        for seed in range(100):
            for _, _, decisions in night(plan, seed):
                for decision in decisions:
                    digest.update(json.dumps(comparable(decision.to_json()), sort_keys=True).encode())
    found = digest.hexdigest()[:16]
    assert (RULES, found) == KNOWN, (
        f"the rules decide differently: raise rollout.policy.RULES and put {found} here; "
        "when only the random nights are others, the version stays"
    )
