"""A journal is continued only by the rules that began it, so a change of the rules must change their version."""

from __future__ import annotations

import hashlib
import json

from rollout.plan import parse_plan, plan_text
from rollout.policy import RULES
from rollout.policy.events import Reason, comparable
from tests.rollout.streams import EVERY_KIND, night

# The version, and what these rules decide on 200 random nights.
KNOWN = (3, "a45e5e13f9ae9f9f")
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


# A plan with every option, and what is decided on nights with every kind of event: all fields, the words of the reasons too.
OPTIONS = {
    "{limit: 1, rollback: {to: 5}}": "{limit: 1, breaches: 2, of: 3, min_requests: 100, rollback: previous}",
    "criteria:\n": "criteria:\n  comparison: {false_alarms: 5, difference: 0.5, rollback: hold}\n",
}
ALARMS = "alarms: {cpu: abort, queue: hold, disk: previous}\n"
# Decided only on what these nights do not say; they have tests of their own.
ELSEWHERE = {Reason.IDENTITY, Reason.FRONT_DOOR, Reason.TRAFFIC_MISSING, Reason.PREFLIGHT}
EVERYTHING = "4164cb0e16eb1717"


def test_every_field_of_every_decision_is_as_it_was() -> None:
    digest = hashlib.sha256()
    text = plan_text("phase-c")[0] + ALARMS
    plans = [text]
    for old, new in OPTIONS.items():
        assert old in text
        plans.append(plans[-1].replace(old, new))
    met: set[Reason] = set()
    for plan in map(parse_plan, plans):
        for seed in range(150):
            for _, _, decisions in night(plan, seed, 80, EVERY_KIND):
                for decision in decisions:
                    digest.update(json.dumps(decision.to_json(), sort_keys=True).encode())
                    met.add(decision.criterion)
    assert met == set(Reason) - ELSEWHERE
    found = digest.hexdigest()[:16]
    assert found == EVERYTHING, (
        f"a decision has other fields: put {found} here if that is meant; when more than words differ, raise rollout.policy.RULES"
    )
