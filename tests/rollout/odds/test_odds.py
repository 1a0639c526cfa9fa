"""What chance does to a plan: against closed forms, and as the command tells it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rollout.cli import app, main
from rollout.odds import odds as module
from rollout.odds.odds import LATENCY, Line, Odds, Release, Rollout, odds, watch
from rollout.odds.shares import wilson
from rollout.odds.text import advice
from rollout.plan import Comparison, Limit, Plan, Rollback, Stage, load_plan
from rollout.plan.explain import beside, explain, table
from rollout.policy.events import Metrics, Traffic

PLAN = load_plan("phase-c")
FIRST_STAGE = replace(PLAN, stages=(Stage(5, 120.0), Stage(100, 300.0)))


def taken_back(plan: Plan, release: Release, rollouts: int) -> float:
    chance = np.random.default_rng(5)
    runs = [Rollout(plan, release, chance) for _ in range(rollouts)]
    for run in runs:
        run.run()
    return sum(run.fell is not None for run in runs) / rollouts


def judged(mean: float, errors: float, limit: int) -> tuple[float, float]:
    """The chances that Poisson(``mean``) requests, each failing by ``errors`` percent, fail by less or more than the limit."""
    below = above = 0.0
    for n in range(1, int(mean + 12 * math.sqrt(mean) + 12)):
        arrives = math.exp(n * math.log(mean) - mean - math.lgamma(n + 1))
        p = errors / 100
        chances = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n * limit // 100 + 1)]
        above += arrives * (1 - sum(chances))
        below += arrives * sum(chances[: -(-n * limit // 100)])
    return below, above


@pytest.mark.parametrize(("rate", "errors"), [(1000, 0.2), (1000, 1.0), (4000, 0.5)])
def test_the_first_stage_agrees_with_the_binomial(rate: float, errors: float) -> None:
    """Told in order, it hears the period in which the weight came, then a whole one, until that is good or takes it back."""
    release = Release(rate, errors, errors, sigma=0.0)
    share = rate * 0.05
    passes = []
    for at in range(60):  # s of the first period in which there is traffic, by when the rollout begins
        _, above = judged(share * (at + 0.5) / 60, errors, 1)
        below, whole_above = judged(share, errors, 1)
        passes.append((1 - above) * below / (below + whole_above))
    expected = 1 - sum(passes) / len(passes)
    rollouts = 3000
    chance = np.random.default_rng(5)
    runs = [Rollout(FIRST_STAGE, release, chance) for _ in range(rollouts)]
    for run in runs:
        run.run()
    found = sum(max(weight for _, weight in run._weights) == 5 for run in runs) / rollouts
    assert abs(found - expected) < 3 * math.sqrt(expected * (1 - expected) / rollouts)


def test_a_release_that_never_fails_is_promoted_and_one_that_always_fails_is_not() -> None:
    assert taken_back(PLAN, Release(1000, 0, 0), 50) == 0
    assert taken_back(PLAN, Release(1000, 100, 0), 50) == 1


def test_requests_follow_the_weight_in_force() -> None:
    """The events themselves: a period's requests are those of the weights that were in force in it."""
    told: list[Any] = []
    run = Rollout(PLAN, Release(600_000, 0, 0), np.random.default_rng(2))
    receive = run._receive
    run._receive = lambda event: (told.append(event), receive(event))[1]  # type: ignore[method-assign, func-returns-value]
    run.run()
    weights = [(event.t, event.weight) for event in told if isinstance(event, Traffic)]
    periods = [event for event in told if isinstance(event, Metrics) and event.requests]
    assert [weight for _, weight in weights] == [0, 5, 25, 50, 100]
    assert len(periods) > 10
    for period in periods:
        seconds = np.arange(period.start, period.end, 0.05)
        mean = np.mean([max((w for t, w in weights if t <= at), default=0) for at in seconds])
        assert period.requests == pytest.approx(600_000 * mean / 100, rel=0.02, abs=900)
        assert period.t >= period.end + 20, "published late"
        assert period.t % 10 == 0, "the controller polls six times a period"


def test_without_traffic_nothing_is_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No data is never good data: held when the extension is over, and taken back when nobody decides."""
    run = Rollout(PLAN, Release(0.001, 0, 0), np.random.default_rng(1))
    run.run()
    assert run.fell == pytest.approx(LATENCY * 2 + 120 + 300 + 600)
    assert not run.breached
    monkeypatch.setattr(module, "ROLLOUTS", 5)
    (line, *_) = odds(PLAN, 0.001).healthy
    assert line.undecided.count == line.taken_back.count == line.taken_back.total


def test_more_patient_plans_are_asked_themselves() -> None:
    """Whatever the plan says is what is counted: a higher limit, more requests, another first weight."""
    release = Release(1000, 0.5, 0.5)
    strict = taken_back(PLAN, release, 200)
    lax = PLAN.with_criteria(error_rate=replace(PLAN.criteria.error_rate, limit=10.0))
    assert strict > 0.4
    assert taken_back(lax, release, 200) < strict / 3
    larger = replace(PLAN, stages=(Stage(50, 120.0), Stage(100, 300.0)))
    assert taken_back(larger, release, 200) < strict / 2


def test_the_same_seed_gives_the_same_odds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROLLOUTS", 50)
    assert odds(PLAN, 1000) == odds(PLAN, 1000)
    scaled = odds(PLAN.scaled(10), 10_000, time_scale=10)
    assert scaled.healthy[0].promoted.count == pytest.approx(
        odds(PLAN, 1000).healthy[0].promoted.count, abs=6
    )


def test_wilson_is_as_published() -> None:
    share = wilson(5, 100)  # Newcombe 1998, table: 0.0215 to 0.1118
    assert (round(share.low, 4), round(share.high, 4)) == (0.0215, 0.1118)
    assert wilson(0, 100).low == 0
    assert wilson(100, 100).high == 1


# --- advice and the command


def an_answer(
    rate: float,
    back: int = 0,
    undecided: int = 0,
    missed: int = 0,
    *,
    plan: Plan = PLAN,
    errors: float = 0.2,
    bad: float = 2,
) -> Odds:
    def line(errors: float, back: int, undecided: int) -> Line:
        shares = (wilson(100 - back, 100), wilson(back, 100), wilson(undecided, 100))
        return Line(errors, *shares, after=100.0)

    return Odds(plan, rate, 100, 1, (line(errors, back, undecided),), (line(bad, 100 - missed, 0),))


def with_errors(**changes: Any) -> Plan:
    return PLAN.with_criteria(error_rate=replace(PLAN.criteria.error_rate, **changes))


COMPARING = PLAN.with_criteria(comparison=Comparison(0.1, 0.5, Rollback.ABORT))
PATIENT = replace(COMPARING, stages=(Stage(100, 120.0),)).with_criteria(
    error_rate=Limit(1, Rollback.ABORT, breaches=2, of=3, min_requests=100)
)


@pytest.mark.parametrize(
    ("odds", "words"),
    [
        (
            an_answer(60_000, 1),
            "1.0 % of healthy releases are rolled back (at 0.2 % errors), and hardly a bad one",
        ),
        # A single error is above the limit: what the plan does not have yet.
        (
            an_answer(1000, 29),
            (
                "50 requests, of which a single error is 2 %. A single error is above the limit of 1 %, so by bad luck alone 29.0 % "
                "of healthy releases are rolled back (at 0.2 % errors). Ask for more than one bad period (breaches: 2, of: 3), "
                "judge the error rate only in periods of 100 or more requests (min_requests), begin with a larger weight, or raise "
                "the limit and compare with stable (criteria.comparison)."
            ),
        ),
        (
            an_answer(1000, 29, plan=with_errors(min_requests=100)),
            "Ask for more than one bad period (breaches: 2, of: 3), begin with a larger weight, or raise the limit and compare",
        ),
        (
            an_answer(1000, 29, plan=with_errors(breaches=2, of=3)),
            "Judge the error rate only in periods of 100 or more requests (min_requests), begin with a larger weight, or raise",
        ),
        (
            an_answer(
                1000,
                29,
                plan=COMPARING.with_criteria(error_rate=with_errors(min_requests=100).criteria.error_rate),
            ),
            "(at 0.2 % errors). Ask for more than one bad period (breaches: 2, of: 3), or begin with a larger weight.",
        ),
        (an_answer(50, 29, plan=PATIENT), "There is too little traffic for this limit: raise it."),
        # The base errors are near the limit, or above it: nothing that luck does.
        (
            an_answer(60_000, 29, errors=0.6),
            "29.0 % of healthy releases are rolled back: the limit of 1 % is near 0.6 % errors. Ask for more than one bad",
        ),
        (
            an_answer(60_000, 29, errors=0.6, plan=with_errors(breaches=2, of=2)),
            "errors. Compare with stable (criteria.comparison) and raise the limit.",
        ),
        (an_answer(60_000, 29, errors=0.6, plan=PATIENT), "errors. Raise the limit."),
        (
            an_answer(60_000, 29),
            "rolled back: there are many periods, each with a chance of its own. Ask for more",
        ),
        (
            an_answer(1000, 100, undecided=60, errors=5),
            (
                "100.0 % of healthy releases are rolled back, and not by bad luck: their 5 % errors are not below the limit of 1 %. "
                "Raise the limit above what fails anyway, and compare with stable (criteria.comparison)."
            ),
        ),
        (an_answer(1000, 100, errors=5, plan=PATIENT), "Raise the limit above what fails anyway."),
        # Data is lacking.
        (
            an_answer(10, 20, undecided=20),
            (
                "has less than one request on average. That is too few requests to judge by: 20.0 % of healthy releases end held, "
                "without a decision. Begin with a larger weight."
            ),
        ),
        (
            an_answer(1000, 20, undecided=20, plan=PLAN.with_metrics(min_requests=60)),
            "Begin with a larger weight, or lower metrics.min_requests, which is 60.",
        ),
        (
            an_answer(1000, 20, undecided=20, plan=with_errors(min_requests=100)),
            (
                "A period with a single error is not good, even where it is no breach: 20.0 % of healthy releases end held, "
                "without a decision. Begin with a larger weight, or allow a longer metrics.max_extension."
            ),
        ),
        (
            an_answer(60_000, 20, undecided=20, plan=PLAN.with_metrics(min_periods=5)),
            (
                "Good periods come too late: 20.0 % of healthy releases end held, without a decision. Allow a longer "
                "metrics.max_extension, or lower metrics.min_periods, which is 5."
            ),
        ),
        # Bad releases are missed.
        (
            an_answer(60_000, missed=30),
            "Of the releases that fail 2 % of their requests, 30.0 % are promoted. Compare with stable (criteria.comparison).",
        ),
        (
            an_answer(60_000, missed=30, plan=with_errors(limit=5.0)),
            "promoted. Lower the limit, which is 5 %, or compare",
        ),
        (
            an_answer(1000, missed=30, plan=with_errors(min_requests=100)),
            "promoted. Begin with a larger weight, lower criteria.error_rate.min_requests, which is 100, or compare",
        ),
        (an_answer(60_000, missed=30, plan=PATIENT), "promoted. Ask for fewer bad periods than 2 of 3."),
        (
            an_answer(60_000, missed=30, plan=COMPARING, errors=1.8),
            "promoted. Lower the comparison's difference, which is 0.5 points.",
        ),
        (an_answer(60_000, missed=30, plan=COMPARING), "promoted. Watch longer (windows, min_periods)."),
    ],
)
def test_advice_fits_the_plan_at_hand(odds: Odds, words: str) -> None:
    assert words in advice(odds)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROLLOUTS", 40)


@pytest.mark.usefixtures("few")
def test_the_command_tells_the_plan_and_its_odds() -> None:
    ran = CliRunner().invoke(app, ["plan", "--rate", "1000"])
    assert ran.exit_code == 0
    assert ran.output.index("Plan phase-c") < ran.output.index("Odds at 1,000 requests/min")
    assert "seed 1" in ran.output and "healthy, % that fail" in ran.output
    assert "a single error is 2 %" in " ".join(ran.output.split())
    mine = CliRunner().invoke(app, ["plan", "--rate", "1000", "--base-errors", "2.5", "--json"])
    found = json.loads(mine.output)
    assert found["plan"]["stages"][0] == {"weight": 5, "window": 120.0}
    assert [line["error_percent"] for line in found["odds"]["healthy"]] == [2.5]
    assert [line["error_percent"] for line in found["odds"]["bad"]] == [3, 5, 10]
    assert "verified after a rollback" in ran.output
    assert "verified" in found["odds"]["healthy"][0]
    assert set(found["odds"]["bad"][0]) == {
        "error_percent",
        "promoted",
        "taken_back",
        "undecided",
        "after_s",
    }


def test_json_without_odds() -> None:
    ran = CliRunner().invoke(app, ["plan", "--json"])
    assert set(json.loads(ran.output)) == {"plan", "earliest_s", "latest_s"}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--rate", "0"], "--rate 0: it takes requests per minute, above 0"),
        (["--rate", "-3"], "--rate -3"),
        (["--rate", "nan"], "--rate nan"),
        (["--rate", "7e6"], "up to 6,000,000"),
        (["--rate", "many"], "--rate"),
        (["--base-errors", "1"], "--rate"),
        (["--rate", "5", "--base-errors", "10"], "--base-errors 10: it takes percent, from 0 to below 10"),
        (["--rate", "5", "--base-errors", "nan"], "--base-errors nan"),
        (["nowhere.yaml", "--rate", "5"], "nowhere.yaml"),
    ],
)
def test_bad_input_is_one_clear_error(
    args: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rollout", "plan", *args])
    with pytest.raises(SystemExit) as end:
        main()
    out = capsys.readouterr()
    assert (end.value.code, out.out) == (2, "")
    assert says in out.err


@pytest.mark.usefixtures("few")
def test_two_plans_stand_side_by_side_with_their_odds() -> None:
    ran = CliRunner().invoke(app, ["plan", "phase-c", "tuned", "--rate", "1000"], env={"COLUMNS": "80"})
    assert ran.exit_code == 0
    lines = ran.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["(*", "differs)", "phase-c", "tuned"]
    assert lines[1].split("  ")[1:2] == ["stage 1"] and lines[1].count("5 % for 2 min") == 2
    assert any(line.startswith("* error rate") and "above 1 % in 2 of the" in line for line in lines)
    assert any(line.split() == ["*", "earliest", "end", "13", "min", "43", "min"] for line in lines)
    text = " ".join(ran.output.split())
    assert (
        "healthy, 0.2 % fail:" in text and "phase-c: At 5 % of 1,000/min" in text and "tuned: At 5 %" in text
    )
    both = json.loads(CliRunner().invoke(app, ["plan", "phase-c", "tuned", "--json"]).output)["plans"]
    assert [one["plan"]["name"] for one in both] == ["phase-c", "tuned"]
    assert [one["earliest_s"] for one in both] == [780, 780 + 1800]


def test_other_keys_are_shown_where_they_differ() -> None:
    longer = replace(PLAN, stages=PLAN.stages[:3], hold_timeout=5400.0).with_metrics(min_requests=50)
    lines = [" ".join(line.split()) for line in table(beside(PLAN, longer), 80)]
    assert "* stage 4 100 % for 5 min -" in lines
    assert "* metrics.min_requests 1 50" in lines
    assert "* hold_timeout 10 min 1 h 30 min" in lines
    assert not any("apply_limit" in line for line in lines)


@pytest.mark.parametrize("width", [80, 110])
def test_no_line_of_an_explained_plan_is_too_long_or_ends_within_a_word(width: int) -> None:
    whole = " ".join(" ".join(explain(load_plan("tuned"), 10_000)).split())
    lines = [*explain(load_plan("tuned"), width)]
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == whole


def test_a_healthy_stable_is_verified_as_often_as_its_errors_allow() -> None:
    """Four whole minutes lie in the watch, and fewer than 0.1 % of their requests fail; all numbers come in time."""
    errors, rate, watches = 0.05, 875, 1500  # about 3,500 requests: three errors of them pass, four do not
    release = Release(rate, errors, errors, delay=1.0, sigma=0.01)
    mean = 4 * rate * errors / 100
    expected = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(4))
    found = watch(PLAN, release, watches)
    assert found.count / watches == pytest.approx(expected, abs=0.03)
    assert watch(PLAN, Release(rate, 0.2, 0.2, delay=1.0, sigma=0.01), 100).count < 5


def test_a_stable_whose_metrics_come_too_late_is_not_verified() -> None:
    assert watch(PLAN, Release(1000, 0, 0, delay=600.0, sigma=0.01), 20).count == 0
    assert watch(PLAN, Release(1000, 0, 0, delay=100.0, sigma=0.01), 20).count == 20
