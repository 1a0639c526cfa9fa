"""Rule 9: the edge's limit rises by what was counted under the deployed one, once for each read-back, and never falls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.plan import Stage
from rollout.policy import timing
from tests.rollout.runs import PLAN, Run, brief

# One long stage, in which nobody asks for the candidate's metrics.
LONG = replace(PLAN, stages=(Stage(5, 7200.0), Stage(100, 300.0))).with_metrics(blind_limit=7200.0)
RAISED = [("raise_rate_limit", None, "rate_limited")]


def begun(**started: Any) -> Run:
    run = Run(LONG)
    run(0, "started", **started)
    run(1, "traffic", weight=5)
    return run


def edge(run: Run, start: float, limited: int = 60, *, late: float = 5.0) -> list[dict[str, Any]]:
    """A period in which so many of 1,000 requests were answered 429."""
    return run(
        start + 60 + late, "metrics", colour="edge", start=start, end=start + 60, requests=1000 - limited,
        rate_limited=limited,
    )  # fmt: skip


def test_what_began_within_a_minute_of_the_start_says_nothing() -> None:
    run = begun(rate_limit=1000)
    assert edge(run, -10) == edge(run, 0) == edge(run, 59) == []
    assert brief(edge(run, 60)) == RAISED


def test_after_a_raise_nothing_is_raised_before_the_limit_was_read_back_and_settled() -> None:
    run = begun(rate_limit=1000)
    assert edge(run, 60)[0]["rate_limit"] == 1500
    assert edge(run, 120) == edge(run, 180) == [], "counted under the limit before"
    assert run(250, "limit", value=1500) == []
    assert edge(run, 240) == [], "begun before the limit was read back"
    assert edge(run, 300) == [], "begun within a minute of it: its counts began anew"
    assert edge(run, 310)[0]["rate_limit"] == 2000


def test_a_limit_that_is_never_read_back_is_raised_once() -> None:
    run = begun(rate_limit=1000)
    assert brief(edge(run, 60)) == RAISED
    assert [d for minute in range(2, 6) for d in edge(run, 60.0 * minute)] == []


def test_a_raise_that_failed_is_made_again_from_what_is_deployed() -> None:
    run = begun(rate_limit=1000)
    edge(run, 60)
    run(130, "limit", value=1000)
    assert edge(run, 190)[0]["rate_limit"] == 1500


def test_it_rises_from_what_is_deployed_whoever_raised_it() -> None:
    run = begun(rate_limit=1000)
    edge(run, 60)
    run(130, "limit", value=3000)
    assert edge(run, 190)[0]["rate_limit"] == 3500


def test_step_by_step_it_rises_to_its_cap() -> None:
    run, t, limits = begun(rate_limit=1000), 60.0, []
    for _ in range(8):
        (raised,) = edge(run, t)
        limits.append(raised["rate_limit"])
        run(t + 70, "limit", value=raised["rate_limit"])
        t += 130
    assert limits == list(range(1500, 5001, 500))
    assert brief(edge(run, t)) == [("alert", None, "rate_limited")]


@pytest.mark.parametrize("deployed", [5000, 5001, 9000])
def test_a_deployed_limit_at_the_cap_or_above_it_is_never_lowered(deployed: int) -> None:
    run = begun(rate_limit=deployed)
    (paged,) = edge(run, 60)
    assert (paged["decision"], paged["severity"]) == ("alert", "page")
    assert f"the limit is {deployed}/min, its cap 5000/min" in paged["reason"]


def test_a_limit_below_the_plans_initial_one_rises_by_a_step() -> None:
    assert edge(begun(rate_limit=300), 60)[0]["rate_limit"] == 800


def test_a_rehearsal_shortens_the_minute_with_its_metric_periods() -> None:
    assert timing.limit_settles(PLAN) == 60
    assert timing.limit_settles(PLAN.scaled(10)) == 6
    assert timing.limit_settles(PLAN.with_metrics(period=300.0)) == 60
