"""A plan written as text is read back as the same plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan import (
    BackTo,
    Comparison,
    Criteria,
    Deadlines,
    HealthRule,
    Limit,
    MetricRule,
    Plan,
    RateLimitRule,
    Rollback,
    Stage,
    Verification,
    load_plan,
    parse_plan,
    plan_text,
)
from rollout.plan.yaml import as_yaml

PLAN = load_plan("phase-c")


def times(most: float) -> st.SearchStrategy[float]:
    return st.one_of(
        st.integers(1, int(most)).map(float),
        st.integers(1, int(1000 * most)).map(lambda ms: ms / 1000),
        st.floats(1e-9, most),
    )


windows = times(86_400)
latencies = times(60)
counts = st.integers(1, 20)
percents = st.one_of(st.integers(0, 100).map(float), st.floats(0, 100))
shares = st.floats(1e-6, 99)
ABORTS = st.sampled_from(Rollback)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    weights = sorted(draw(st.sets(st.integers(1, 99), max_size=4)))

    def consequence() -> Rollback | BackTo:
        return draw(ABORTS | st.builds(BackTo, st.sampled_from([0, *weights, 100])))

    def limit(values: st.SearchStrategy[float]) -> Limit:
        of = draw(st.integers(1, 5))
        return Limit(draw(values), consequence(), draw(st.integers(1, of)), of, draw(counts))

    period = draw(times(3600))
    rounds = sorted(draw(st.lists(counts, min_size=3, max_size=3)))
    initial = draw(st.integers(10, 5000))
    return Plan(
        name=draw(st.text(min_size=1, max_size=12).filter(lambda text: "\x00" not in text)),
        stages=tuple(Stage(weight, draw(windows)) for weight in (*weights, 100)),
        criteria=Criteria(
            limit(percents),
            limit(latencies),
            Limit(draw(percents), consequence()),
            draw(st.none() | st.builds(Comparison, shares, shares, ABORTS)),
        ),
        metrics=MetricRule(
            period, draw(times(3600)), draw(counts), draw(counts), draw(windows), draw(windows)
        ),
        health=HealthRule(draw(times(3600)), draw(latencies), *rounds),
        hold_timeout=draw(windows),
        apply_limit=draw(times(3600)),
        rate_limit=RateLimitRule(initial, draw(counts), initial + draw(counts), draw(percents)),
        verification=Verification(
            draw(percents),
            draw(latencies),
            period * draw(counts),
            Deadlines(*(draw(windows) for _ in range(4))),
        ),
        alarms=draw(st.dictionaries(st.text(min_size=1, max_size=8), ABORTS, max_size=2)),
    )


@given(plans())
def test_a_plan_is_read_back_as_it_was(plan: Plan) -> None:
    assert parse_plan(as_yaml(plan)) == plan


@pytest.mark.parametrize("name", ["phase-c", "no", "12", "a: b", "# x", "ü\n\u2028"])
def test_any_name_is_read_back(name: str) -> None:
    plan = replace(PLAN, name=name)
    assert parse_plan(as_yaml(plan)) == plan


def test_the_plan_that_ships_is_as_it_is_written() -> None:
    """One form for all: what a person has to read and compare."""
    text = plan_text("tuned")[0]
    assert text.endswith("\n" + as_yaml(parse_plan(text)))
