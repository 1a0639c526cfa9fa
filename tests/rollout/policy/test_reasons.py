"""What a decision says: why it was made, with the sample that it was made on, and whether it raises the weight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.plan import Rollback, load_plan
from rollout.policy import decide, initial_state
from rollout.policy.events import DecisionKind
from tests.rollout.runs import PLAN, Run, at_weight
from tests.rollout.streams import night


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"requests": 4, "errors": 1}, "error rate 25 % (1 of 4 requests) is above 1 %: 0 %"),
        ({"requests": 1, "errors": 1}, "error rate 100 % (1 of 1 request) is above 1 %: 0 %"),
        ({"requests": 12_000, "p95": 2.414}, "P95 latency 2.414 s (in 12,000 requests) is above 2 s: 0 %"),
        (
            {"db_connection_errors": 1},
            "abort: 1 database connection error (in 100 requests) is above 0",
        ),
        (
            {"requests": None, "errors": None, "p95": None, "db_connection_errors": 3},
            "abort: 3 database connection errors are above 0",
        ),
    ],
)
def test_a_breach_shows_its_sample(values: dict[str, Any], reason: str) -> None:
    run, t = at_weight(5)
    assert run.metrics(t + 70, t, **values)[0]["reason"] == reason


def test_health_counts_its_rounds() -> None:
    run, t = at_weight(5)
    reasons = [
        run(t + 5 * n, "health", colour="candidate", failed=["ready", "deep"])[0]["reason"] for n in (1, 2, 3)
    ]
    assert reasons == [
        "candidate failed ready, deep: 1 of the 3 failed health rounds in a row that abort",
        "candidate failed ready, deep: 2 of the 3 failed health rounds in a row that abort",
        "abort: candidate failed ready, deep: 3 of the 3 failed health rounds in a row that abort",
    ]
    (paged,) = at_weight(5)[0](t, "health", colour="stable", failed=["deep"])
    assert paged["reason"] == "stable failed deep in 1 health round"


def test_rate_limiting_shows_its_requests() -> None:
    run, t = at_weight(5)
    (raised,) = run(
        t + 120, "metrics", colour="edge", start=t + 60, end=t + 120, requests=9_000, rate_limited=1_000
    )
    assert raised["reason"] == (
        "10 % of the requests were rate limited (1,000 of 10,000 requests), more than 5 %: "
        "from 1000 to 1500 requests per minute"
    )


def test_an_alarm_that_is_a_criterion_is_named() -> None:
    run, t = at_weight(25, replace(PLAN, alarms={"green-memory": Rollback.PREVIOUS}))
    first, _ = run(t + 1, "alarm", name="green-memory", tier="warning", state="ALARM")
    assert first["reason"] == "alarm green-memory is in ALARM: 5 %"


def test_stages_and_their_ends_count_periods() -> None:
    run, t = at_weight(5)
    (held,) = run(t + 359, "metrics_error", reason="x") or run(t + 360, "tick")
    assert held["reason"] == "abort: no successful query of the candidate for 360 s"
    run, t = at_weight(5)
    run.metrics(t + 200, t, requests=0, errors=None)
    (held,) = run(t + 420, "tick")
    assert held["reason"] == "the extension is over with 0 of 1 good metric periods"
    run.metrics(t + 430, t + 60)
    run(t + 440, "operator", command="resume")
    run.metrics(t + 500, t + 440)
    (passed,) = run(t + 560, "tick")
    assert passed["reason"] == "5 % held its window with 1 good period"


def test_verification_counts_what_was_measured() -> None:
    run, t = at_weight(50)
    run(t + 1, "operator", command="abort")
    run(t + 2, "traffic", weight=0)
    (paged,) = run.metrics(t + 70, t + 5, colour="stable", requests=1_000, errors=5)
    assert paged["reason"] == (
        "stable is not back to normal: error rate 0.5 % (5 of 1,000 requests), below 0.1 % was expected"
    )
    (finish,) = run(t + 482, "tick")
    assert finish["reason"] == (
        "all traffic on stable, not verified: error rate 0.5 % (5 of 1,000 requests), below 0.1 % was expected; "
        "3 of 4 metric periods not measured"
    )
    assert finish["value"] == 1


# --- increase


def increases(run: Run) -> list[tuple[float, bool]]:
    return [(d["weight"], "increase" in d) for d in run.all if d["decision"] == "set_weight"]


def test_a_command_says_whether_it_raises_the_weight() -> None:
    run, t = at_weight(25)
    run(t + 5, "traffic", weight=60)  # above the commanded one: reissued
    run(t + 6, "traffic", weight=25)
    run.metrics(t + 70, t + 7, end=t + 67, errors=3)
    assert increases(run) == [(5, True), (25, True), (25, False), (5, False)]
    run(t + 71, "traffic", weight=0)  # below: adopted and held
    run(t + 72, "operator", command="resume")
    assert increases(run)[-1] == (5, True)


@pytest.mark.parametrize("name", ["phase-c", "tuned"])
def test_an_increase_lies_above_what_was_commanded_and_what_was_seen(name: str) -> None:
    """As the controller worked it out itself before decisions said it; in random nights."""
    plan, kinds = load_plan(name), set()
    for seed in range(200):
        state = initial_state()
        for event, _, _ in night(plan, seed):
            before = state
            state, decisions = decide(plan, before, event)
            commanded = before.commanded
            for decision in decisions:
                if decision.decision is DecisionKind.SET_WEIGHT:
                    weight = decision.weight or 0
                    assert decision.increase == (weight > max(commanded, before.seen))
                    kinds.add(decision.increase)
                    commanded = weight
                else:
                    assert not decision.increase
    assert kinds == {True, False}
