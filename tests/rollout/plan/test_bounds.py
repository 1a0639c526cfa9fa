"""The bounds of a plan: the last value that a key takes and the first that it does not; what must fit together."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from rollout.plan import PlanError, load_plan, parse_plan, plan_text

TEXT = plan_text("phase-c")[0]
PLAN = load_plan("phase-c")


def with_value(path: str, value: Any) -> str:
    """phase-c with one key changed; a number in the path is a place in a list, from 0."""
    plan = yaml.safe_load(TEXT)
    plan["criteria"]["error_rate"]["rollback"] = "previous"  # which fits any stages
    *way, last = path.split(".")
    part = plan
    for name in way:
        part = part[int(name)] if isinstance(part, list) else part[name]
    part[last] = value
    return yaml.safe_dump(plan)


@pytest.mark.parametrize(
    ("path", "last", "beyond"),
    [
        ("criteria.error_rate.limit", 0, -0.1),
        ("criteria.error_rate.limit", 100, 100.1),
        ("criteria.error_rate.breaches", 1, 0),
        ("criteria.error_rate.breaches", 20, 21),
        ("criteria.error_rate.of", 1, 0),
        ("criteria.error_rate.min_requests", 10_000_000, 10_000_001),
        ("criteria.error_rate.rollback", {"to": 0}, {"to": 1}),
        ("criteria.error_rate.rollback", {"to": 100}, {"to": 101}),
        ("criteria.error_rate.rollback", {"to": 5}, {"to": 5.0}),
        ("criteria.latency_p95.limit", "1m", "60001ms"),
        ("criteria.latency_p95.limit", "1ms", "0s"),
        ("criteria.db_connection_errors.limit", 1_000_000, 1_000_001),
        ("stages.0.weight", 1, 0),
        ("stages.0.weight", 24, 25),
        ("stages.0.window", "24h", 86_401),
        ("metrics.delay", 0, -1),
        ("metrics.period", "1h", 3601),
        ("metrics.max_extension", 0, "25h"),
        ("health.alert_after", 1, 0),
        ("health.abort_after", 100, 101),
        ("health.prepare_after", PLAN.health.alert_after, PLAN.health.alert_after - 1),
        ("health.prepare_after", PLAN.health.abort_after, PLAN.health.abort_after + 1),
        ("rate_limit.initial", 10, 9),
        ("rate_limit.cap", PLAN.rate_limit.initial, PLAN.rate_limit.initial - 1),
        ("rate_limit.step", 1, 0),
        ("rate_limit.share", 100, 101),
    ],
)
def test_the_last_value_is_taken_and_the_next_is_not(path: str, last: Any, beyond: Any) -> None:
    parse_plan(with_value(path, last))
    with pytest.raises(PlanError):
        parse_plan(with_value(path, beyond))


@pytest.mark.parametrize("share", [0, 100])
def test_a_share_between_its_bounds_is_neither_of_them(share: int) -> None:
    for key in ("false_alarms", "difference"):
        rule = {"false_alarms": 5, "difference": 0.5, "rollback": "abort"}
        parse_plan(with_value("criteria.comparison", rule))
        with pytest.raises(PlanError, match=f"{key} is {share}: it takes a number above 0 and below 100"):
            parse_plan(with_value("criteria.comparison", rule | {key: share}))


@pytest.mark.parametrize(
    ("value", "meant"), [(60_000, True), (60_001, False), ("2000", False), ("2000 s", True), ("2m", False)]
)
def test_a_number_that_was_meant_in_milliseconds(value: Any, meant: bool) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(with_value("criteria.latency_p95.limit", value))
    assert ("did you mean" in str(caught.value)) is meant


def test_a_repeated_value_is_cut_after_forty_characters() -> None:
    for length, shown in ((40, "x" * 40 + "'"), (41, "x" * 40 + "...'")):
        with pytest.raises(PlanError) as caught:
            parse_plan(with_value("hold_timeout", "x" * length))
        assert f"'{shown}: " in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "below", "above", "window"),
    [(0, 0, 5, 120), (5, 0, 25, 120), (24, 5, 25, 120), (25, 5, 50, 180), (100, 50, None, 300)],
)
def test_the_stages_around_a_weight(weight: float, below: int, above: int | None, window: float) -> None:
    found = PLAN.above(weight)
    assert (PLAN.below(weight), found and found.weight, PLAN.window_at(weight)) == (below, above, window)
