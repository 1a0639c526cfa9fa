"""Plans: phase-c is the guide to the letter, and a bad plan is refused with the key that is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.plan import BackTo, Limit, PlanError, Rollback, load_plan, parse_plan, plan_text

TEXT = plan_text("phase-c")[0]
PLAN = load_plan("phase-c")


def test_phase_c_is_the_guide_to_the_letter() -> None:
    assert [(s.weight, s.window) for s in PLAN.stages] == [(5, 120), (25, 180), (50, 180), (100, 300)]
    assert PLAN.criteria.error_rate == Limit(1, BackTo(5))
    assert PLAN.criteria.latency_p95 == Limit(2, Rollback.PREVIOUS)
    assert PLAN.criteria.db_connection_errors == Limit(0, Rollback.ABORT)
    health = PLAN.health
    assert (health.interval, health.alert_after, health.prepare_after, health.abort_after) == (5, 1, 2, 3)
    assert (PLAN.rate_limit.initial, PLAN.rate_limit.share) == (1000, 5)
    check = PLAN.verification
    assert (check.error_rate, check.latency_p95, check.watch) == (0.1, 0.5, 300)
    deadlines = check.deadlines
    assert (deadlines.decided, deadlines.moved, deadlines.flowing, deadlines.stable) == (60, 120, 180, 300)


def test_where_the_guide_is_silent() -> None:
    assert (PLAN.metrics.min_periods, PLAN.metrics.min_requests, PLAN.metrics.delay) == (1, 1, 180)
    assert (PLAN.metrics.max_extension, PLAN.metrics.blind_limit, PLAN.hold_timeout, PLAN.apply_limit) == (
        300,
        360,
        600,
        60,
    )


ERRORS = "error_rate: {limit: 1,"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "hold_timeout: 10m",
            "hold_time: 10m",
            "line 30: hold_time: unknown key; did you mean hold_timeout?",
        ),
        (
            "hold_timeout: 10m",
            "hold_timeout: 10m\nx: 1",
            "line 31: x: unknown key; the keys here are name, st",
        ),
        ("hold_timeout: 10m", "", "line 3: hold_timeout: this key is missing; phase-c has 10m"),
        (ERRORS, "eror: {limit: 1,", "criteria.eror: unknown key; did you mean error_rate?"),
        ("hold_timeout: 10m", "hold_timeout:", "line 30: hold_timeout: this key has no value; give one or"),
        (
            "rollback: {to: 5}",
            "rollback: {too: 5}",
            "line 14: criteria.error_rate.rollback is a mapping: it takes previous, abort, hold or {to: WEIGHT}",
        ),
        (
            "rollback: {to: 5}",
            "rollback: {to: 55}",
            "line 14: criteria.error_rate.rollback.to is 55: it takes the weight of a stage (5, 25, 50, 100) or 0",
        ),
        ("rollback: {to: 5}", "rollback: {to: true}", "criteria.error_rate.rollback is a mapping"),
        (
            "rollback: abort",
            "rollback: later",
            "criteria.db_connection_errors.rollback is 'later': it takes pr",
        ),
        (
            ERRORS,
            "error_rate: {limit: 101,",
            "criteria.error_rate.limit is 101: it takes a number from 0 to 100",
        ),
        (
            ERRORS,
            "error_rate: {limit: .inf,",
            "criteria.error_rate.limit is .inf: it takes a number from 0 to",
        ),
        (ERRORS, "error_rate: {limit: '1',", "criteria.error_rate.limit is '1': it takes a number from 0 to"),
        (ERRORS, "error_rate: {limit: 1, breaches: 3, of: 2,", "error_rate.of is 2 and breaches is 3"),
        (ERRORS, "error_rate: {limit: 1, of: 0,", "error_rate.of is 0: it takes a whole number from 1 to 20"),
        (
            "limit: 0, rollback",
            "limit: 0, of: 2, rollback",
            "errors.of: unknown key; the keys here are limit, ro",
        ),
        (
            "error_rate: 0.1",
            "error_rate: .nan",
            "verification.error_rate is .nan: it takes a number from 0 to",
        ),
        ("name: phase-c", "? {a: b}\n: c\nname: phase-c", "line 3: a key is a plain word"),
        ("name: phase-c", "name: " + "[" * 5000, "not readable as YAML: "),
        ("name: phase-c", "name: [", "line 7: not readable as YAML: "),
        ("name: phase-c", "name: 12", "line 3: name is 12: it takes text; put it in quotes"),
        ("name: phase-c", "name: !!python/object:os.x {}", "line 3: not readable as YAML: could not det"),
        (
            "{weight: 25, window: 3m}",
            "{weight: 5, window: 3m}",
            "line 8: stages.2.weight is 5 after 5: weights must rise from stage to stage",
        ),
        (
            "{weight: 100,",
            "{weight: 101,",
            "line 10: stages.4.weight is 101: it takes a whole number from 1 to 100",
        ),
        ("{weight: 100,", "{weight: 90,", "line 10: stages.4.weight is 90: the last stage must be 100"),
        ("window: 2m", "window: -2m", "line 7: stages.1.window is '-2m': it is negative"),
        (
            "window: 2m",
            "window: 2 minutes",
            "stages.1.window is '2 minutes': it is not a duration: write 2m, 90s",
        ),
        ("watch: 5m", "watch: 61m", "verification.watch is 1 h 1 min: it takes at most 60 periods, 1 h"),
        ("window: 2m", "window: 1e20h", "stages.1.window is '1e20h': it is not a duration"),
        ("window: 2m", "window: 100000000000000000000h", "00h': it takes at most 24h"),
        (
            "blind_limit: 6m",
            "blind_limit: 0s",
            "metrics.blind_limit is '0s': this duration must be more than 0",
        ),
        (
            "min_requests: 1",
            "min_requests: 1.5",
            "metrics.min_requests is 1.5: it takes a whole number from 1 to",
        ),
        (
            "hold_timeout: 10m",
            "hold_timeout: 10m\nhold_timeout: 9m",
            "line 31: key 'hold_timeout' appears twice, first on line 30",
        ),
        (
            "health: {interval: 5s,",
            "health: {interval: 5s, interval: 5s,",
            "health: key 'interval' appears twice, first on line 28",
        ),
        ("cap: 5000", "cap: 500", "rate_limit.cap is 500: it must not be below initial, which is 1000"),
        ("prepare_after: 2", "prepare_after: 4", "health.abort_after is 3, below prepare_after, which is 4"),
        (
            "latency_p95: {limit: 2s,",
            "latency_p95: {limit: 2000,",
            "is 2000: it takes at most 1m (a number without a unit is seconds); did you mean 2000ms?",
        ),
        (
            "latency_p95: 500ms",
            "latency_p95: 500s",
            "latency_p95 is '500s': it takes at most 1m; did you mean 500ms?",
        ),
    ],
)
def test_a_bad_plan_names_the_line_the_key_and_the_fix(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(PlanError) as caught:
        parse_plan(TEXT.replace(old, new, 1), "night.yaml")
    assert str(caught.value).startswith("night.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines() -> None:
    text = TEXT
    for old, new in (
        ("{weight: 25, window: 3m}", "{weight: 3, windw: 3m}"),
        ("{weight: 50, window: 3m}", "{weight: 4, window: 3m}"),
        (ERRORS, "error_rat: {limit: 1,"),
        ("limit: 2s", "limit: 2m"),
        ("cap: 5000", "cap: 500"),
        ("stable: 5m}", "stable: 5m"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(PlanError) as unreadable:
        parse_plan(text, "night.yaml")
    assert "not readable as YAML" in str(unreadable.value)
    with pytest.raises(PlanError) as caught:
        parse_plan(text.replace("stable: 5m\n", "stable: 5m}\n"), "night.yaml")
    assert str(caught.value).splitlines() == [
        "night.yaml: 4 mistakes",
        "  line 8: stages.2.windw: unknown key; did you mean window?",
        "  line 14: criteria.error_rat: unknown key; did you mean error_rate?",
        "  line 15: criteria.latency_p95.limit is '2m': it takes at most 1m",
        "  line 34: rate_limit.cap is 500: it must not be below initial, which is 1000",
    ]


def test_an_anchor_may_be_merged_and_overridden() -> None:
    text = TEXT.replace("{weight: 25, window: 3m}", "&long {weight: 25, window: 3m}", 1).replace(
        "{weight: 50, window: 3m}", "{<<: *long, weight: 50}", 1
    )
    assert parse_plan(text) == PLAN


def test_an_unreadable_plan_names_the_file_and_what_ships(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"nowhere\.yaml: cannot read.*phase-c"):
        load_plan(str(tmp_path / "nowhere.yaml"))
    with pytest.raises(PlanError, match="a plan is a mapping"):
        parse_plan("- 5", "x")


def test_scaling_shortens_time_but_not_the_engine_nor_the_traffic() -> None:
    scaled = PLAN.scaled(10)
    assert [s.window for s in scaled.stages] == [12, 18, 18, 30]
    assert (scaled.metrics.period, scaled.metrics.delay, scaled.health.interval) == (6, 18, 0.5)
    assert (scaled.metrics.max_extension, scaled.metrics.blind_limit, scaled.hold_timeout) == (30, 36, 60)
    assert (scaled.verification.watch, scaled.verification.deadlines.stable) == (30, 30)
    assert scaled.apply_limit == 60
    assert (scaled.criteria.latency_p95, scaled.verification.latency_p95, scaled.rate_limit) == (
        PLAN.criteria.latency_p95,
        PLAN.verification.latency_p95,
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
    assert tuned.bake
    # The figures do not.
    assert (
        "These figures are of the plan without `bake: 30m` and were made before releases baked at all" in text
    )
