"""A plan written as text is read back as the same plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan import (
    Comparison,
    Deadlines,
    HealthRule,
    Limit,
    Plan,
    RateLimitRule,
    Rollback,
    Stage,
    Verification,
    load_plan,
    parse_plan,
    seconds,
)
from rollout.plan.yaml import as_yaml, duration

PLAN = load_plan("phase-c")

times = st.one_of(
    st.integers(1, 7200).map(float),
    st.integers(1, 60_000).map(lambda ms: ms / 1000),
    st.floats(1e-9, 1e9),
)
counts = st.integers(1, 20)
percents = st.one_of(st.integers(0, 100).map(float), st.floats(0, 100))
shares = st.floats(1e-6, 99)
ABORTS = st.sampled_from([Rollback.PREVIOUS, Rollback.ABORT, Rollback.HOLD])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    weights = sorted(draw(st.sets(st.integers(1, 99), max_size=4)))
    stages = tuple(Stage(weight, draw(times)) for weight in (*weights, 100))

    def consequence() -> tuple[Rollback, int]:
        if draw(st.booleans()):
            return Rollback.FIRST_STEP, draw(st.sampled_from([0, *weights, 100]))
        return draw(ABORTS), 0

    def limit(values: st.SearchStrategy[float]) -> Limit:
        of = draw(st.integers(1, 5))
        return Limit(draw(values), *consequence(), draw(st.integers(1, of)), of, draw(counts))

    rounds = sorted(draw(st.lists(counts, min_size=3, max_size=3)))
    initial = draw(st.integers(10, 5000))
    return Plan(
        name=draw(st.text(min_size=1, max_size=12).filter(lambda text: "\x00" not in text)),
        stages=stages,
        error_rate=limit(percents),
        latency_p95=limit(times),
        db_connection_errors=Limit(draw(percents), *consequence()),
        period=draw(times),
        metric_delay=draw(times),
        min_periods=draw(counts),
        min_requests=draw(counts),
        max_extension=draw(times),
        blind_limit=draw(times),
        hold_timeout=draw(times),
        apply_limit=draw(times),
        health=HealthRule(draw(times), draw(times), *rounds),
        rate_limit=RateLimitRule(initial, draw(counts), initial + draw(counts), draw(percents)),
        verification=Verification(
            draw(percents), draw(times), draw(times), Deadlines(*(draw(times) for _ in range(4)))
        ),
        comparison=draw(st.none() | st.builds(Comparison, shares, shares, ABORTS)),
        alarms=draw(st.dictionaries(st.text(min_size=1, max_size=8), ABORTS, max_size=2)),
    )


@given(plans())
def test_a_plan_is_read_back_as_it_was(plan: Plan) -> None:
    assert parse_plan(as_yaml(plan)) == plan


@pytest.mark.parametrize("name", ["phase-c", "no", "12", "a: b", "# x", "ü\n\u2028"])
def test_any_name_is_read_back(name: str) -> None:
    plan = replace(PLAN, name=name)
    assert parse_plan(as_yaml(plan)) == plan


@pytest.mark.parametrize(
    ("value", "text"), [(120, "2m"), (90, "90s"), (0.5, "500ms"), (0, "0s"), (0.1234567, "0.1234567")]
)
def test_durations_are_written_as_people_do(value: float, text: str) -> None:
    assert duration(value) == text
    assert seconds(text if not text[-1].isdigit() else float(text)) == value
