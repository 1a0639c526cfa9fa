"""Numbers as they are printed."""

from __future__ import annotations

import math

import pytest

from simulate.figures import between, plain


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"),
        (12345.6, 3, "12,346"),
        (10_000, 3, "10,000"),
        (1e6, 6, "1,000,000"),
        (123.4, 3, "123"),
        (12.34, 3, "12.3"),
        (9.999, 3, "10"),
        (100.0, 3, "100"),
        (-0.5, 3, "-0.5"),
        (0.000123456, 3, "0.000123"),
        (0.1, 6, "0.1"),
        (math.nan, 3, "nan"),
        (math.inf, 3, "inf"),
        (1e300, 6, "1e+300"),
    ],
)
def test_numbers_have_no_exponent(value: float, digits: int, text: str) -> None:
    assert plain(value, digits) == text


def test_an_interval_needs_both_ends() -> None:
    assert between(1.234, 12_345) == "1.23 to 12,345"
    assert between(None, None) == ""
