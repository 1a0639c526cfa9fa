"""Plans: phase-c is the guide to the letter, and a bad plan is refused with the key that is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.plan import Limit, PlanError, Rollback, load_plan, parse_plan, plan_text, seconds

TEXT = plan_text("phase-c")[0]
PLAN = load_plan("phase-c")


def test_phase_c_is_the_guide_to_the_letter() -> None:
    assert [(s.weight, s.window) for s in PLAN.stages] == [(5, 120), (25, 180), (50, 180), (100, 300)]
    assert PLAN.error_rate == Limit(1, Rollback.FIRST_STEP, to=5)
    assert PLAN.latency_p95 == Limit(2, Rollback.PREVIOUS)
    assert PLAN.db_connection_errors == Limit(0, Rollback.ABORT)
    health = PLAN.health
    assert (health.interval, health.alert_after, health.prepare_after, health.abort_after) == (5, 1, 2, 3)
    assert (PLAN.rate_limit.initial, PLAN.rate_limit.share) == (1000, 5)
    check = PLAN.verification
    assert (check.error_rate, check.p95, check.watch) == (0.1, 0.5, 300)
    deadlines = check.deadlines
    assert (deadlines.decided, deadlines.moved, deadlines.flowing, deadlines.stable) == (60, 120, 180, 300)


def test_where_the_guide_is_silent() -> None:
    assert (PLAN.min_periods, PLAN.min_requests, PLAN.metric_delay) == (1, 1, 180)
    assert (PLAN.max_extension, PLAN.blind_limit, PLAN.hold_timeout, PLAN.apply_limit) == (300, 360, 600, 60)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hold_timeout: 10m", "hold_time: 10m", r"hold_time: unknown key.*\(and 1 more\)"),
        (
            "rollback: {to: 5}",
            "rollback: {too: 5}",
            r"criteria\.error_rate\.rollback: it takes previous, abort, hold or",
        ),
        (
            "rollback: {to: 5}",
            "rollback: {to: 55}",
            r"criteria\.error_rate\.rollback\.to is 55: it takes the weight of a",
        ),
        ("error_rate: {limit: 1,", "error_rate: {limit: 101,", r"criteria\.error_rate\.limit"),
        ("name: phase-c", "? {a: b}\n: c", r"not readable as YAML: a key is a plain word"),
        ("name: phase-c", "name: " + "[" * 5000, r"not readable as YAML"),
        (
            "{weight: 25, window: 3m}",
            "{weight: 5, window: 3m}",
            r"stages\.1\.weight is 5 after 5: weights must rise",
        ),
        (
            "{weight: 100, window: 5m}",
            "{weight: 101, window: 5m}",
            r"stages\.3\.weight: .*less than or equal to 100",
        ),
        (
            "{weight: 100, window: 5m}",
            "{weight: 90, window: 5m}",
            r"stages\.3\.weight is 90: the last stage must be 100",
        ),
        ("window: 2m", "window: -2m", r"stages\.0\.window: '-2m' is negative"),
        ("window: 2m", "window: 2 minutes", r"stages\.0\.window: '2 minutes' is not a duration"),
        ("blind_limit: 6m", "blind_limit: 0s", r"metrics\.blind_limit: this duration must be more than 0"),
        ("min_requests: 1", "min_requests: 1.5", r"metrics\.min_requests: .*integer"),
        ("rollback: abort", "rollback: later", r"criteria\.db_connection_errors\.rollback"),
        ("hold_timeout: 10m", "hold_timeout: 10m\nhold_timeout: 9m", r"'hold_timeout' stands twice"),
        ("cap: 5000", "cap: 500", r"rate_limit: cap must not be below initial"),
        (
            "prepare_after: 2",
            "prepare_after: 4",
            r"health: alert_after, prepare_after and abort_after must not fall",
        ),
        ("name: phase-c", "name: [", r"not readable as YAML"),
        ("error_rate: 0.1", "error_rate: .nan", r"verification\.error_rate"),
        ("error_rate: {limit: 1,", "error_rate: {limit: .inf,", r"criteria\.error_rate\.limit"),
    ],
)
def test_a_bad_plan_names_the_key(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(PlanError, match=message) as caught:
        parse_plan(TEXT.replace(old, new, 1), "night.yaml")
    assert str(caught.value).startswith("night.yaml: ")
    assert "\n" not in str(caught.value)


def test_an_unreadable_plan_names_the_file_and_what_ships(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nowhere\.yaml: cannot read.*phase-c"):
        load_plan(str(tmp_path / "nowhere.yaml"))
    with pytest.raises(PlanError, match="a plan is a mapping"):
        parse_plan("- 5", "x")


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


def test_scaling_shortens_time_but_not_the_engine_nor_the_traffic() -> None:
    scaled = PLAN.scaled(10)
    assert [s.window for s in scaled.stages] == [12, 18, 18, 30]
    assert (scaled.period, scaled.metric_delay, scaled.health.interval) == (6, 18, 0.5)
    assert (scaled.max_extension, scaled.blind_limit, scaled.hold_timeout) == (30, 36, 60)
    assert (scaled.verification.watch, scaled.verification.deadlines.stable) == (30, 30)
    assert scaled.apply_limit == 60
    assert (scaled.latency_p95, scaled.verification.p95, scaled.rate_limit) == (
        PLAN.latency_p95,
        PLAN.verification.p95,
        PLAN.rate_limit,
    )
    assert replace(PLAN.scaled(1)) == PLAN


def test_neighbouring_stages() -> None:
    assert [PLAN.below(w) for w in (100, 50, 25, 10, 5, 3, 0)] == [50, 25, 5, 5, 0, 0, 0]
    following = [PLAN.above(w) for w in (0, 3, 5, 30, 100)]
    assert [s.weight if s else None for s in following] == [5, 5, 25, 50, None]
    assert [PLAN.window_at(w) for w in (3, 5, 30, 100)] == [120, 120, 180, 300]


def test_the_tuned_plan_ships_and_says_what_it_costs() -> None:
    text, source = plan_text("tuned")
    tuned = load_plan("tuned")
    assert (source, tuned.name) == ("tuned.yaml", "tuned")
    assert replace(tuned, name=PLAN.name) != PLAN
    for said in ("Proposed by `simulate tune ", "--seed=", "It buys: ", "It costs: ", "Rule: "):
        assert said in text
