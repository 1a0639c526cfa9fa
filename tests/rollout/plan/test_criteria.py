"""Good, beyond its limit, or neither: at the limit and on both sides of it."""

from __future__ import annotations

import pytest

from rollout.plan import load_plan
from rollout.plan.criteria import CRITERIA, requests
from rollout.policy.events import Metrics

PLAN = load_plan("phase-c")
ROWS = {row.key: row for row in CRITERIA}


@pytest.mark.parametrize(
    ("key", "measured", "good", "beyond"),
    [
        ("error_rate", {"requests": 1000, "errors": 9}, True, False),
        ("error_rate", {"requests": 1000, "errors": 10}, False, False),
        ("error_rate", {"requests": 1000, "errors": 11}, False, True),
        ("latency_p95", {"p95": 1.99}, True, False),
        ("latency_p95", {"p95": 2.0}, False, False),
        ("latency_p95", {"p95": 2.01}, False, True),
        ("db_connection_errors", {"db_connection_errors": 0}, True, False),
        ("db_connection_errors", {"db_connection_errors": 1}, False, True),
        ("error_rate", {}, False, False),
        ("latency_p95", {}, False, False),
        ("db_connection_errors", {}, False, False),
    ],
)
def test_a_value_at_its_limit(key: str, measured: dict[str, float], good: bool, beyond: bool) -> None:
    period = Metrics(70, "candidate", 0, 60, **measured)  # type: ignore[arg-type]
    assert (ROWS[key].is_good(PLAN, period), ROWS[key].is_beyond(PLAN, period)) == (good, beyond)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 requests"), (1, "1 request"), (2, "2 requests"), (1200, "1,200 requests")]
)
def test_requests_are_counted_in_words(count: int, text: str) -> None:
    assert requests(count) == text


@pytest.mark.parametrize(
    ("errors", "words"), [(0, "0 database connection errors"), (1, "1 database connection error")]
)
def test_a_count_in_words(errors: int, words: str) -> None:
    period = Metrics(70, "candidate", 0, 60, requests=4, db_connection_errors=errors)
    row = ROWS["db_connection_errors"]
    assert row.measured(period) == f"{words} (in 4 requests)"
    assert row.beyond(period, -1) == f"{words} (in 4 requests) {'is' if errors == 1 else 'are'} above -1"
