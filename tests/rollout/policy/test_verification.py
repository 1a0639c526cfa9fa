"""Rule 13: what verifies that stable is back to normal after an abort."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.plan import Plan
from rollout.policy import Phase, due_times
from tests.rollout.runs import PLAN, Run, at_weight, brief


def aborted(plan: Plan = PLAN, weight: int = 50) -> tuple[Run, float]:
    """All traffic has just been seen on stable."""
    run, t = at_weight(weight, plan)
    run(t + 1, "operator", command="abort")
    run(t + 3, "traffic", weight=0)
    return run, t + 3


def minutes(run: Run, t: float, *values: dict[str, Any], late: float = 10.0) -> None:
    """Stable's periods from ``t`` on, each known ``late`` seconds after its end."""
    for minute, changes in enumerate(values):
        start = t + 60 * minute
        run.metrics(start + 60 + late, start, colour="stable", **changes)


THOUSAND: dict[str, Any] = {"requests": 1000, "errors": 0}
GOOD = [THOUSAND] * 4


def ended(run: Run) -> dict[str, Any]:
    assert run.all[-1]["decision"] == "finish"
    return run.all[-1]


def test_every_minute_measured_and_normal_is_verified_when_the_watch_is_over() -> None:
    run, t = aborted()
    minutes(run, t + 20, *GOOD)
    assert run(t + 299, "tick") == []
    assert brief(run(t + 300, "tick")) == [("finish", 0, "operator")]
    assert ended(run)["verified"] is True
    assert ended(run)["reason"] == (
        "all traffic on stable, which was normal for 300 s (4 metric periods measured, error rate 0 % (0 of 4,000 requests))"
    )


def test_errors_are_those_of_the_whole_watch() -> None:
    """One minute at 0.3 % does not fail what failed 0.075 % in all; the same errors of fewer requests do."""
    for requests, verified in ((4000, True), (2000, False)):
        run, t = aborted()
        good = {"requests": requests // 4, "errors": 0}
        minutes(run, t + 20, good, good, good, good | {"errors": 3})
        run(t + 480, "tick")
        assert ended(run)["verified"] is verified, ended(run)["reason"]


def test_at_the_limit_is_not_below_it() -> None:
    run, t = aborted()
    minutes(run, t + 20, *GOOD[:3], THOUSAND | {"errors": 4})
    run(t + 480, "tick")
    assert ended(run)["verified"] is False
    assert "error rate 0.1 % (4 of 4,000 requests), below 0.1 % was expected" in ended(run)["reason"]


def test_each_minutes_p95_counts() -> None:
    run, t = aborted()
    minutes(run, t, THOUSAND, THOUSAND | {"p95": 0.5}, *GOOD[:3])
    run(t + 480, "tick")
    assert ended(run)["verified"] is False
    assert "P95 latency 0.5 s (in 1,000 requests), below 0.5 s was expected" in ended(run)["reason"]


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_a_minute_that_never_came_is_waited_for_and_verifies_nothing(missing: int) -> None:
    run, t = aborted()
    for minute in (n for n in range(5) if n != missing):
        run.metrics(t + 60 * minute + 70, t + 60 * minute, colour="stable", **THOUSAND)
    assert run.ticks(int(t) + 311, int(t) + 479) == []
    run(t + 480, "tick")
    assert ended(run)["verified"] is False
    assert "1 of 5 metric periods not measured" in ended(run)["reason"]


def test_the_last_minute_ends_the_watch_when_it_comes() -> None:
    run, t = aborted()
    minutes(run, t + 40, *GOOD[:3])
    assert run.ticks(int(t) + 240, int(t) + 370) == []
    assert brief(run.metrics(t + 371, t + 220, colour="stable", **THOUSAND)) == [("finish", 0, "operator")]
    assert ended(run)["verified"] is True


def test_a_minute_that_is_not_whole_in_the_watch_is_not_waited_for() -> None:
    run, t = aborted()
    minutes(run, t + 1, *GOOD)  # the fifth ends a second after the watch
    run(t + 300, "tick")
    assert ended(run)["verified"] is True


def test_a_bad_minute_after_the_watch_counts_no_more() -> None:
    run, t = aborted()
    minutes(run, t + 40, *GOOD[:3])
    run.metrics(t + 350, t + 280, colour="stable", requests=1000, errors=90)
    run.metrics(t + 371, t + 220, colour="stable", **THOUSAND)
    assert ended(run)["verified"] is True


def test_a_minute_told_without_requests_is_not_measured() -> None:
    run, t = aborted()
    minutes(run, t, *GOOD[:3], {"requests": 0, "errors": None, "p95": None}, THOUSAND)
    run(t + 480, "tick")
    assert ended(run)["verified"] is False
    assert "1 of 5 metric periods not measured" in ended(run)["reason"]


@pytest.mark.parametrize(
    "part",
    [{"p95": None}, {"errors": None}, {"requests": None, "errors": None}, {"requests": 0, "errors": None}],
)
def test_numbers_of_a_minute_that_come_later_are_waited_for(part: dict[str, Any]) -> None:
    run, t = aborted()
    minutes(run, t, *GOOD, THOUSAND | part)
    assert run.ticks(int(t) + 311, int(t) + 400) == []
    run.metrics(t + 401, t + 240, colour="stable", **THOUSAND)
    assert ended(run)["verified"] is True


def test_the_last_health_round_of_stable_must_be_clean() -> None:
    """One that is not waits for the next; three in a row leave nothing to wait for."""
    run, t = aborted()
    minutes(run, t + 20, *GOOD)
    run(t + 298, "health", colour="stable", failed=["deep"])
    assert run(t + 300, "tick") == []
    assert run(t + 303, "health", colour="stable", failed=[])[-1]["verified"] is True
    run, t = aborted()
    minutes(run, t + 20, *GOOD)
    for second in (290, 295, 299):
        run(t + second, "health", colour="stable", failed=["deep"])
    assert brief(run(t + 300, "tick")) == [("alert", None, "health"), ("finish", 0, "operator")]
    assert ended(run)["verified"] is False
    assert ended(run)["reason"] == "all traffic on stable, not verified: the last health round failed"


def test_a_failed_last_round_of_stable_without_a_clean_one_after_it_is_not_verified() -> None:
    run, t = aborted()
    minutes(run, t + 20, *GOOD)
    run(t + 299, "health", colour="stable", failed=["deep"])
    assert run.ticks(int(t) + 300, int(t) + 479) == []
    assert run(t + 480, "tick")[-1]["verified"] is False


def test_it_pages_as_soon_as_the_watch_so_far_is_not_normal_and_only_once() -> None:
    run, t = aborted()
    minutes(run, t, THOUSAND, THOUSAND)
    assert brief(run.metrics(t + 190, t + 120, colour="stable", requests=1000, errors=3)) == [
        ("alert", None, "error_rate")
    ]
    run.metrics(t + 250, t + 180, colour="stable", requests=1000, errors=30)
    run(t + 480, "tick")
    assert [d["decision"] for d in run.all[-2:]] == ["alert", "finish"]


def test_a_watch_shorter_than_two_periods_still_holds_a_whole_one() -> None:
    run, t = aborted(replace(PLAN, verification=replace(PLAN.verification, watch=60.0)))
    run.metrics(t + 115, t + 45, colour="stable", **THOUSAND)
    run(t + 120, "tick")
    assert ended(run)["verified"] is True


def test_a_long_watch_forgets_no_minute() -> None:
    """All three kinds of periods are told for 40 minutes; the worst of stable's was the first."""
    run, t = aborted(replace(PLAN, verification=replace(PLAN.verification, watch=2400.0)))
    for minute in range(40):
        start, end = t + 60 * minute, t + 60 * minute + 60
        values = THOUSAND | {"errors": 0 if minute else 50}
        run.metrics(end + 1, start, colour="stable", **values)
        run.metrics(end + 1, start, requests=0, errors=None)
        run(end + 1, "metrics", colour="edge", start=start, end=end, requests=1000, rate_limited=0)
    assert ended(run)["verified"] is False
    assert "(50 of 40,000 requests)" in ended(run)["reason"]


def test_what_falls_due_says_when_the_watch_ends_without_more_news() -> None:
    run, t = aborted()
    assert list(due_times(PLAN, run.state)) == [t + 480]
    minutes(run, t, *GOOD)
    assert run.all[-1]["decision"] == "set_weight"
    run.metrics(t + 301, t + 240, colour="stable", **THOUSAND)
    assert run.state.phase is Phase.FINISHED
