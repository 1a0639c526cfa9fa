"""The metric math of alarms."""

from __future__ import annotations

import pytest

from simulate.lab.aws_server.metric_math import BadExpression, evaluate

SERIES = {"a": {60: 4.0, 120: 6.0}, "b": {120: 2.0, 180: 0.0}, "c": {120: 2.0, 240: 8.0}}
PERIODS = [60, 120, 180]


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("a", {60: 4.0, 120: 6.0}),
        # A missing value counts as 0 where the other series has one.
        ("a + b", {60: 4.0, 120: 8.0, 180: 0.0}),
        ("b > a", {60: 0.0, 120: 0.0, 180: 0.0}),
        ("100 * a / FILL(b, 1)", {60: 400.0, 120: 300.0}),
        ("a / b", {120: 3.0}),
        ("b - a", {60: -4.0, 120: -4.0, 180: 0.0}),
        ("1 / b", {120: 0.5}),
        ("FILL(a, 0) - FILL(b, 0)", {60: 4.0, 120: 4.0, 180: 0.0}),
        ("FILL(a, REPEAT)", {60: 4.0, 120: 6.0, 180: 6.0}),
        ("IF(a > 5, 1, 0)", {60: 0.0, 120: 1.0}),
        ("IF(a > 5, b)", {120: 2.0}),
        # The values of the User Guide's table: 0 for a true condition without a value, dropped for a false one.
        ("IF(a > 3, b, a)", {60: 0.0, 120: 2.0}),
        ("IF(a > 5, a, b)", {120: 6.0}),
        ("IF(a > 5 AND b > 1, 1, 0)", {60: 0.0, 120: 1.0, 180: 0.0}),
        ("IF(a > 5 || a < 5, 1, 0)", {60: 1.0, 120: 1.0}),
        ("MIN([FILL(a, 9), FILL(b, 9)])", {60: 4.0, 120: 2.0, 180: 0.0}),
        ("MAX([a, b])", {60: 4.0, 120: 6.0, 180: 0.0}),
        ("SUM([a, b])", {60: 4.0, 120: 8.0, 180: 0.0}),
        ("AVG(a)", {60: 5.0, 120: 5.0, 180: 5.0}),
        ("AVG([a, b])", {60: 2.0, 120: 4.0, 180: 0.0}),
        ("DIFF(a)", {120: 2.0}),
        ("60 * RATE(a)", {120: 2.0}),
        # Over a gap the difference is divided by the time that passed.
        ("RATE(c)", {240: 0.05}),
        ("-a", {60: -4.0, 120: -6.0}),
        ("ABS(0 - a)", {60: 4.0, 120: 6.0}),
        ("3", {60: 3.0, 120: 3.0, 180: 3.0}),
    ],
)
def test_expressions(expression: str, wanted: dict[int, float]) -> None:
    assert evaluate(expression, SERIES, PERIODS) == wanted


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("d + 1", "'d'"),
        ("RUNNING_SUM(a)", "RUNNING_SUM"),
        ("a +", "a +"),
        ("a.b", "a.b"),
        ("__import__('os')", "__IMPORT__"),
        ("SEARCH('x', 'Sum')", "SEARCH"),
    ],
)
def test_what_is_not_understood_is_named(expression: str, named: str) -> None:
    with pytest.raises(BadExpression) as error:
        evaluate(expression, SERIES, PERIODS)
    assert named in str(error.value)
