"""Many plans on the same luck: what is counted, who is on the front, what is proposed, and what is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rollout.plan import BackTo, Comparison, Limit, Plan, Rollback, Stage, load_plan, parse_plan
from rollout.plan.yaml import as_yaml
from simulate.cli import app
from simulate.commands.errors import BadInput, CommandError
from simulate.studies.replication import Job, run, wilson
from simulate.studies.tune import (
    GUIDE,
    Bounds,
    Case,
    Figures,
    Value,
    default_cases,
    differences,
    plans_to_try,
)
from simulate.studies.tune.objectives import _percent, figures, front, ranked
from simulate.studies.tune.sweep import Sweep, sweep
from tests.simulate.rehearsals import PLAN, short_plan

GIVEN = {"rate_per_minute": 300.0, "base_error_percent": 0.5}
ABORTS = short_plan().with_criteria(error_rate=Limit(1, Rollback.ABORT))
COMPANY = (short_plan(), ABORTS, replace(ABORTS, stages=(Stage(20, 60.0), Stage(100, 60.0))))
CASES = (Case("healthy", 0), Case("error-regression", 30, {"error_percent": 3}), Case("slow-queries", 10))
N = 22  # more than one block of replications


@pytest.fixture(scope="module")
def swept() -> Sweep:
    return sweep(COMPANY, CASES, N, seed=5, given=GIVEN)


def same(one: Sweep, two: Sweep) -> bool:
    return all(
        np.array_equal(a.values, b.values, equal_nan=True) for a, b in zip(one.rows, two.rows, strict=True)
    )


def test_each_plan_has_the_rows_of_a_study_of_its_own(swept: Sweep) -> None:
    for number, plan in enumerate(COMPANY):
        alone = run(Job("healthy", plan, 5, GIVEN), N)
        for figure in ("outcome", "rolled_back", "failed_requests", "duration_s", "detection_s"):
            assert np.array_equal(swept.column(0, number, figure), alone.column(figure), equal_nan=True)
    assert swept.column(0, 0, "rolled_back").sum() > 0, "there was something to tell apart"


def test_the_number_of_workers_changes_nothing(swept: Sweep) -> None:
    assert same(sweep(COMPANY, CASES, N, seed=5, given=GIVEN, workers=2), swept)


def test_who_else_is_tried_changes_nothing(swept: Sweep) -> None:
    fewer = sweep(COMPANY[1:], CASES[:1], N, seed=5, given=GIVEN)
    assert np.array_equal(fewer.column(0, 0, "failed_requests"), swept.column(0, 1, "failed_requests"))


def test_less_is_simulated_than_asked(swept: Sweep) -> None:
    assert 0 < swept.simulated_s < 0.8 * swept.asked_s


def test_memory_does_not_grow_with_the_replications() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    plans = plans_to_try(PLAN)[:10]
    sweep(plans, CASES[1:2], 20, seed=1, given={})
    before = resident()
    sweep(plans, CASES[1:2], 60, seed=2, given={})
    assert resident() - before < 8 << 20


# --- figures


def test_figures_are_the_weighted_means(swept: Sweep) -> None:
    found = figures(swept, 1)
    assert found.false_rollbacks.mean == pytest.approx(100 * swept.column(0, 1, "rolled_back").mean())
    promoted = [(swept.column(case, 1, "outcome") == 0).mean() for case in (1, 2)]
    assert found.missed.mean == pytest.approx(100 * (0.75 * promoted[0] + 0.25 * promoted[1]))
    failed = [swept.column(case, 1, "failed_requests").mean() for case in (1, 2)]
    assert found.failed.mean == pytest.approx(0.75 * failed[0] + 0.25 * failed[1])
    slow = swept.column(2, 1, "slow_requests").mean()
    assert slow > 3
    assert found.hurt.mean >= found.failed.mean + 0.25 * slow
    assert found.detection_s and found.night_s


def test_one_share_has_wilsons_interval_and_two_have_a_narrower_one() -> None:
    happened = np.arange(40) < 3
    one = _percent([happened], np.ones(1))
    expected = wilson(3, 40)
    assert (one.low, one.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    two = _percent([happened, happened], np.array([0.5, 0.5]))
    assert two.mean == one.mean
    assert two.high - two.mean == pytest.approx((one.high - one.mean) / math.sqrt(2))


def plan_with(false: float, missed: float, hurt: float) -> Figures:
    hurts = Value(hurt, hurt, hurt)
    return Figures(Value(false, false, false), Value(missed, missed, missed), hurts, hurts, None, None)


def test_the_front_is_what_no_other_beats() -> None:
    plans = [
        plan_with(8, 0, 50),
        plan_with(1, 0, 60),
        plan_with(1, 0, 61),
        plan_with(0, 2, 90),
        plan_with(8, 0, 50),
    ]
    assert front(plans) == [0, 1, 3, 4]


def test_the_rule_takes_the_fewest_false_rollbacks_within_its_bounds() -> None:
    plans = [
        plan_with(8, 1, 100),
        plan_with(0, 2, 50),  # promotes more bad releases
        plan_with(0, 1, 126),  # hurts more
        plan_with(3, 1, 110),
        plan_with(3, 0, 105),
    ]
    assert ranked(plans, GUIDE, Bounds()) == [4, 3, 0]
    assert ranked(plans, GUIDE, Bounds(hurt_at_most=1.3)) == [2, 4, 3, 0]
    assert ranked(plans, GUIDE, Bounds(missed_more=1)) == [1, 4, 3, 0]
    unsure = replace(plans[3], false_rollbacks=Value(2, 1, 4))
    assert ranked([plans[0], unsure, plans[4]], GUIDE, Bounds()) == [2, 1, 0]
    assert ranked(plans[:2], GUIDE, Bounds(hurt_at_most=0.1)) == []  # not even the guide's own plan


# --- plans and words


def test_the_candidates_are_plans_of_the_guides_length() -> None:
    plans = plans_to_try(PLAN)
    assert plans[GUIDE] == PLAN
    assert len(plans) == len({plan.name for plan in plans}) == 20
    assert any(plan.criteria.comparison for plan in plans)
    for plan in plans:
        assert parse_plan(as_yaml(plan)) == plan
        assert sum(stage.window for stage in plan.stages) <= 2 * 13 * 60
        assert plan is plans[GUIDE] or differences(plan, PLAN)


def test_releases_weigh_what_the_register_says() -> None:
    cases = default_cases(30)
    assert cases[0] == Case("healthy", 0)
    weights: dict[str, float] = {}
    for case in cases:
        weights[case.scenario] = weights.get(case.scenario, 0) + case.weight
    assert weights["slow-queries"] == 40
    assert weights["error-regression"] == pytest.approx(30)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (PLAN, []),
        (replace(PLAN, name="x"), []),
        (replace(PLAN, stages=(Stage(10, 90.0), *PLAN.stages[1:])), ["first stage 10 % for 90s"]),
        (
            PLAN.with_criteria(error_rate=Limit(2, Rollback.ABORT, breaches=2, of=3, min_requests=50)),
            ["error rate: limit 2 %, 2 of 3 periods, only with 50 requests, abort"],
        ),
        (
            replace(PLAN, hold_timeout=90.0)
            .with_criteria(comparison=Comparison(0.1, 0.5, BackTo(5)))
            .with_metrics(min_periods=2),
            [
                "compared with stable (false alarms 0.1 %, difference 0.5 points, to 5 %)",
                "min periods 2",
                "hold timeout 90s",
            ],
        ),
    ],
)
def test_differences_are_told_in_words(plan: Plan, words: list[str]) -> None:
    assert differences(plan, PLAN) == words


# --- the command


def call(*words: str) -> str:
    found = CliRunner().invoke(app, ["tune", *words], catch_exceptions=True)
    if isinstance(found.exception, CommandError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.yaml"
    file.write_text(as_yaml(replace(ABORTS, name="my own")))
    return file


def test_it_proposes_a_plan_and_writes_it(tmp_path: Path, own: Path) -> None:
    out, page = tmp_path / "tuned.yaml", tmp_path / "tuned.html"
    small = (
        "--replications",
        "2",
        "--rate",
        "200",
        "--set",
        "base_error_percent=0.2",
        "--plan",
        str(own),
    )
    found = json.loads(call(*small, "--out", str(out), "--html", str(page), "--json", "--hurt-at-most", "9"))
    assert [plan["number"] for plan in found["plans"]] == list(range(21))
    assert found["plans"][20]["name"] == "my own"
    assert found["plans"][GUIDE]["confirmed"]
    assert found["simulated_s"] < found["asked_s"]
    assert found["chosen"] is not None
    header, plan = out.read_text(), load_plan(str(out))
    assert replace(plan, name="") == replace((*plans_to_try(PLAN), ABORTS)[found["chosen"]], name="")
    assert "It buys: " in header and "on seed 1001" in header
    assert "200 requests/min of which 0.2 % fail anyway" in header.replace("\n#", "")
    assert "How long to bake was not tried" in header.replace("\n#", "")
    assert plan.bake == PLAN.bake == 0
    text = page.read_text()
    assert text.count("<svg") == 4 and "my own" in text
    said = call(*small, "--out", str(tmp_path / "again.yaml"))
    assert "Fixed limits against comparison" in said and "Shared rehearsals: " in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rate", "0"), "--rate"),
        (("--set", "nonsense=1"), "nonsense"),
        (("--set", "error_percent=1"), "error_percent"),
        (("--seed", "7", "--confirm-seed", "7"), "fresh"),
        (("--regressions", "-1"), "--regressions"),
        (("--hurt-at-most", "nan"), "--hurt-at-most"),
        (("--missed-more", "-1"), "--missed-more"),
        (("--plan", "nowhere.yaml"), "--plan: nowhere.yaml"),
        (("--out", "nowhere/tuned.yaml"), "--out"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        call(*words)
