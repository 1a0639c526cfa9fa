"""Durations and numbers, as they are read and as they are written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.plan.units import PATTERN, clock, duration, exact, number, seconds, written


@pytest.mark.parametrize(
    ("text", "value"),
    [("2m", 120), ("90s", 90), ("500ms", 0.5), ("1m30s", 90), (5, 5), ("1h", 3600), ("1.5 s", 1.5)],
)
def test_durations(text: object, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "5", "5 m 3", True, None, "-1s", -1, float("nan")])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration|negative"):
        seconds(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7200, "2h"),
        (120, "2m"),
        (90, "90s"),
        (0.5, "500ms"),
        (1.5, "1500ms"),
        (0, "0s"),
        (0.1234567, "0.1234567"),
    ],
)
def test_durations_are_written_as_people_do(value: float, text: str) -> None:
    assert written(value) == text
    assert seconds(text if not text[-1].isdigit() else float(text)) == value


@given(st.one_of(st.integers(0, 10**9).map(float), st.floats(0, 1e12)))
def test_a_written_duration_is_read_back_exactly_and_as_the_schema_has_it(value: float) -> None:
    text = written(value)
    if text[-1].isdigit():
        assert float(text) == value
    else:
        assert seconds(text) == value
        assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (150, "2 min 30 s"),
        (0, "0 s"),
        (59.9996, "1 min"),
        (0.25, "250 ms"),
        (7384.5, "2 h 3 min 4.5 s"),
        (360_000_000, "100000 h"),
    ],
)
def test_durations_are_told_as_people_do(value: float, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10_000.0, "10000"),
        (1_234_567.8, "1234570"),
        (0.00005, "0.00005"),
        (2.5, "2.5"),
        (1 / 3, "0.333333"),
        (1e22, "10000000000000000000000"),
        (0.0, "0"),
        (-3.0, "-3"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_plain(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(-1e300, 1e300))
def test_an_exact_number_is_plain_and_read_back(value: float) -> None:
    assert float(exact(value)) == value
    assert "e" not in exact(value)


@pytest.mark.parametrize(
    ("value", "whole", "tenths"),
    [
        (0, "0:00", "0:00.0"),
        (62.44, "1:02", "1:02.4"),
        (59.96, "1:00", "1:00.0"),
        (-3, "-0:03", "-0:03.0"),
        (-0.01, "0:00", "0:00.0"),
        (7200, "120:00", "120:00.0"),
    ],
)
def test_times_since_the_start(value: float, whole: str, tenths: str) -> None:
    assert clock(value) == whole
    assert clock(value, tenths=True) == tenths


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1 s"), (0.9994, "999.4 ms"), (60, "1 min"), (3600, "1 h"), (3601, "1 h 1 s"), (1.2344, "1.234 s")],
)
def test_a_duration_at_the_edge_of_its_unit(value: float, text: str) -> None:
    assert duration(value) == text


def test_an_endless_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="endless"):
        seconds(float("inf"))
    assert seconds(0) == 0
