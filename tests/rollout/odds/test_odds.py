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
from rollout.odds.odds import LATENCY, Line, Odds, Release, Rollout, odds, wilson
from rollout.odds.text import advice
from rollout.plan import Plan, Stage, load_plan
from rollout.policy.events import Metrics, Traffic

PLAN = load_plan("phase-c")
FIRST_STAGE = replace(PLAN, stages=(Stage(5, 120.0),))  # promoted after its first stage


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
    found = taken_back(FIRST_STAGE, release, rollouts)
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


def an_answer(rate: float, back: int, undecided: int = 0, missed: int = 0) -> Odds:
    def line(errors: float, back: int, undecided: int) -> Line:
        shares = (wilson(100 - back, 100), wilson(back, 100), wilson(undecided, 100))
        return Line(errors, *shares, after=100.0)

    return Odds(PLAN, rate, 100, 1, (line(0.2, back, undecided),), (line(2, 100 - missed, 0),))


def test_advice_names_what_is_wrong_and_what_to_do() -> None:
    assert "has 50 requests: a single error is 2 %, above the limit of 1 %" in advice(an_answer(1000, 29))
    assert "breaches" in advice(an_answer(1000, 29))
    assert "the limit of 1 % is near to 0.2 % errors" in advice(an_answer(60_000, 29))
    assert "20.0 % of healthy releases end held" in advice(an_answer(10, 20, undecided=20))
    assert "less than one request" in advice(an_answer(10, 20, undecided=20))
    assert "30.0 % of those that fail 2 % of requests are promoted" in advice(an_answer(60_000, 1, missed=30))
    assert "hardly a bad one is promoted" in advice(an_answer(60_000, 1))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROLLOUTS", 40)


@pytest.mark.usefixtures("few")
def test_the_command_tells_the_plan_and_its_odds() -> None:
    ran = CliRunner().invoke(app, ["plan", "--rate", "1000"])
    assert ran.exit_code == 0
    assert ran.output.index("Plan phase-c") < ran.output.index("Odds at 1,000 requests/min")
    assert "seed 1" in ran.output and "0.05 % of requests fail" in ran.output
    assert "a single error is 2 %" in " ".join(ran.output.split())
    mine = CliRunner().invoke(app, ["plan", "--rate", "1000", "--base-errors", "2.5", "--json"])
    found = json.loads(mine.output)
    assert found["plan"]["stages"][0] == {"weight": 5, "window": 120.0}
    assert [line["error_percent"] for line in found["odds"]["healthy"]] == [2.5]
    assert [line["error_percent"] for line in found["odds"]["bad"]] == [3, 5, 10]
    assert set(found["odds"]["bad"][0]) == {
        "error_percent",
        "promoted",
        "taken_back",
        "undecided",
        "after_s",
    }


def test_json_without_odds() -> None:
    ran = CliRunner().invoke(app, ["plan", "--json"])
    assert set(json.loads(ran.output)) == {"plan"}


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
