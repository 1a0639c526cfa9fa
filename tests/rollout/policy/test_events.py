"""Events as JSON: the values at the edge of what is accepted, and the way back."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from rollout.policy.events import (
    BadEvent,
    Breach,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Metrics,
    Reason,
    Started,
    event_to_json,
    number,
    parse_event,
)

METRICS: dict[str, Any] = {"t": 70, "event": "metrics", "colour": "candidate", "start": 0, "end": 60}


@pytest.mark.parametrize(
    ("event", "key", "last", "beyond"),
    [
        ({"event": "tick"}, "t", 0, -0.001),
        ({"t": 1, "event": "traffic"}, "weight", 0, -0.001),
        ({"t": 1, "event": "traffic"}, "weight", 100, 100.001),
        (METRICS, "requests", 0, -1),
        (METRICS, "requests", 3.0, 3.5),
        (METRICS, "p95", 0, -0.001),
        ({"t": 1, "event": "started"}, "rate_limit", 0, -1),
        (METRICS, "start", -60.0, float("nan")),
        (METRICS, "end", 1.7e308, float("inf")),
        ({"t": 1, "event": "tick"}, "t", 1, True),
    ],
)
def test_values_up_to_the_edge_are_accepted_and_none_beyond(
    event: dict[str, Any], key: str, last: Any, beyond: Any
) -> None:
    parsed = parse_event(event | {key: last})
    assert getattr(parsed, key) == last
    with pytest.raises(BadEvent, match=f"'{key}' is {beyond}"):
        parse_event(event | {key: beyond})


@pytest.mark.parametrize(("value", "kind"), [(1, int), (1.5, float), (2.0, float)])
def test_times_stay_whole_or_fractional_as_they_were_written(value: float, kind: type) -> None:
    event = parse_event({"t": value, "event": "traffic", "weight": value})
    out = event_to_json(event)
    assert type(out["t"]) is kind and type(out["weight"]) is kind
    assert out["t"] == out["weight"] == value


def test_what_was_not_measured_is_null_and_what_was_not_known_at_the_start_is_left_out() -> None:
    assert event_to_json(Started(0)) == {"t": 0, "event": "started"}
    assert event_to_json(Started(0, 1000)) == {"t": 0, "event": "started", "rate_limit": 1000}
    assert event_to_json(Metrics(70, "stable", 0, 60)) == {
        "t": 70,
        "event": "metrics",
        "colour": "stable",
        "start": 0,
        "end": 60,
        "requests": None,
        "errors": None,
        "p95": None,
        "db_connection_errors": None,
    }


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(BadEvent) as caught:
        parse_event({"t": "9" * 1000, "event": "tick"})
    assert "9..." in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["", 5, None, ["a"]])
def test_a_text_is_a_text_and_not_empty(text: Any) -> None:
    assert parse_event({"t": 1, "event": "metrics_error", "reason": "x"})
    with pytest.raises(BadEvent, match=r"'reason' is .*: it takes a text"):
        parse_event({"t": 1, "event": "metrics_error", "reason": text})


def test_an_unknown_event_is_answered_with_all_that_are_known() -> None:
    with pytest.raises(BadEvent) as caught:
        parse_event({"t": 1, "event": "edge"})
    known = "started, traffic, health, metrics, metrics_error, alarm, limit, tick, resumed, checked, operator"
    assert f"'event' is 'edge': it takes one of {known}" in str(caught.value)


def test_of_several_missing_keys_the_first_is_named() -> None:
    with pytest.raises(BadEvent, match=r"^'colour' is missing: a 'health' event needs t, colour, failed"):
        parse_event({"t": 1, "event": "health"})


@pytest.mark.parametrize(("length", "shown"), [(58, "'" + "9" * 58 + "'"), (59, "'" + "9" * 59 + "...")])
def test_a_value_of_sixty_characters_is_shown_whole(length: int, shown: str) -> None:
    with pytest.raises(BadEvent) as caught:
        parse_event({"t": "9" * length, "event": "tick"})
    assert f"'t' is {shown}: it takes" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, 1), (1.2345674, 1.234567), (1.2345676, 1.234568), (1e-7, 0), (None, None)]
)
def test_a_number_for_people_has_six_digits_after_the_point(value: float | None, shown: float | None) -> None:
    assert number(value) == shown
    assert type(number(value)) is type(shown)


def test_the_largest_number_that_a_float_holds_is_finite() -> None:
    most = sys.float_info.max
    assert parse_event(METRICS | {"end": most}) == Metrics(70, "candidate", 0, most)
    with pytest.raises(BadEvent, match="it takes a finite number"):
        parse_event(METRICS | {"end": 10**309})


def test_rates_without_requests() -> None:
    assert EdgeMetrics(70, 0, 60, 0, 0).share == 0
    assert EdgeMetrics(70, 0, 60, 3, 1).share == 25
    assert Metrics(70, "stable", 0, 60, requests=0, errors=0).error_rate is None
    assert Metrics(70, "stable", 0, 60, requests=4, errors=1).error_rate == 25


def test_a_decision_leaves_out_what_it_does_not_say() -> None:
    bare = Decision(1, DecisionKind.ALERT, Reason.HEALTH, "health", "x")
    assert bare.to_json() == {
        "t": 1,
        "decision": "alert",
        "criterion": "health",
        "value": None,
        "limit": None,
        "event": "health",
        "reason": "x",
    }
    breaches = tuple(Breach(Reason.ERROR_RATE, 2, 1, target, "x") for target in (None, 0, 5))
    full = replace(
        bare, weight=0, rate_limit=0, outcome="aborted", verified=False, breaches=breaches
    ).to_json()
    assert (full["weight"], full["rate_limit"], full["outcome"], full["verified"]) == (0, 0, "aborted", False)
    assert [breach["weight"] for breach in full["breaches"]] == [0, 0, 5]
