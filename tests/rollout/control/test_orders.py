"""An operator's order as one line of text."""

from __future__ import annotations

import pytest

from rollout.control.orders import Order


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (Order("pause"), "pause"),
        (Order("abort"), "abort"),
        (Order("abort", stop=True), "abort --stop"),
        (Order("abort", stop=False, reason="orders are lost"), "abort --keep --reason orders are lost"),
        (Order("abort", reason="a --stop --reason b"), "abort --reason a --stop --reason b"),
    ],
)
def test_it_is_read_as_it_was_written(order: Order, text: str) -> None:
    assert str(order) == text
    assert Order.parse(text) == order


def test_a_reason_is_one_line() -> None:
    assert str(Order("abort", reason="one\ntwo")) == "abort --reason one two"


def test_what_this_version_does_not_know_is_passed_over() -> None:
    assert Order.parse("abort --gently --stop") == Order("abort", stop=True)
