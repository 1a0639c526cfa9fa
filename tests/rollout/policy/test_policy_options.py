"""The options of a plan that count periods: M of N beyond the limit, a minimum of requests; phase-c stays as it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from rollout.plan import Plan, PlanError, load_plan, parse_plan, plan_text
from rollout.plan.explain import explain
from rollout.plan.plan import LONGEST_LOOK, MOST_PERIODS
from rollout.policy import Phase
from rollout.policy.events import comparable
from rollout.policy.state import REMEMBERED
from tests.rollout.runs import PLAN, Run, at_weight, brief
from tests.rollout.streams import night

TEXT = plan_text("phase-c")[0]
ERRORS, P95 = "error_rate: {limit: 1, rollback: {to: 5}", "latency_p95: {limit: 2s, rollback: previous"
BACK = [("set_weight", 5, "error_rate"), ("hold", 5, "error_rate")]


def plan_with(more: str, of: str = ERRORS) -> Plan:
    return parse_plan(TEXT.replace(of, f"{of}, {more}"))


TWO_OF_THREE = plan_with("breaches: 2, of: 3")


def decisions_of(plan: Plan, seed: int) -> list[dict[str, Any]]:
    return [comparable(decision.to_json()) for _, _, decided in night(plan, seed) for decision in decided]


def test_phase_c_decides_as_before_it_had_options() -> None:
    """The decisions of 400 random nights, digested by rules that know no option: version 3 of the rules, without them."""
    digest = hashlib.sha256()
    for seed in range(400):
        digest.update(json.dumps(decisions_of(PLAN, seed), sort_keys=True).encode())
    assert digest.hexdigest() == "52095023d8677d31fa7ab3a0437cfdfa226cf7b1da997be1d1f41a13cec1cddd"


def test_the_defaults_written_out_change_nothing() -> None:
    written = TEXT.replace(ERRORS, ERRORS + ", breaches: 1, of: 1, min_requests: 1")
    written = written.replace(P95, P95 + ", breaches: 1, of: 1, min_requests: 1")
    assert parse_plan(written) == PLAN
    one_of_three = PLAN.with_criteria(
        error_rate=replace(PLAN.criteria.error_rate, of=3),
        latency_p95=replace(PLAN.criteria.latency_p95, of=3),
    )
    for seed in range(150):
        assert decisions_of(one_of_three, seed) == decisions_of(PLAN, seed)


def test_two_of_three_periods_beyond_the_limit_are_a_breach() -> None:
    run, t = at_weight(100, TWO_OF_THREE)
    assert run.metrics(t + 61, t, errors=3) == []
    assert run.metrics(t + 121, t + 60) == []
    decided = run.metrics(t + 181, t + 120, errors=2)
    assert brief(decided) == BACK
    assert "error rate 2 % (2 of 100 requests) is above 1 % in 2 of 3 periods" in decided[0]["reason"]
    assert (decided[0]["value"], decided[0]["limit"]) == (2, 1)


def test_breaches_further_apart_than_n_periods_are_none() -> None:
    run, t = at_weight(100, TWO_OF_THREE)
    for n, errors in enumerate([3, 0, 0, 3]):
        assert run.metrics(t + 60 * n + 61, t + 60 * n, errors=errors) == []


@pytest.mark.parametrize("silent", [{"requests": 40, "errors": 4}, {"requests": None, "errors": None}])
def test_a_period_that_says_nothing_takes_no_place(silent: dict[str, Any]) -> None:
    run, t = at_weight(50, plan_with("breaches: 2, of: 2, min_requests: 100"))
    run.metrics(t + 61, t, errors=3)
    assert run.metrics(t + 121, t + 60, **silent) == []
    assert brief(run.metrics(t + 181, t + 120, errors=3)) == BACK


def test_a_small_period_neither_breaches_nor_passes_when_it_is_bad() -> None:
    run, t = at_weight(5, plan_with("min_requests: 100"))
    assert run.metrics(t + 61, t, requests=40, errors=4) == []
    assert run(t + 121, "tick") == []
    assert brief(run.metrics(t + 125, t + 60, requests=40)) == [("set_weight", 25, "stage_passed")]


def test_p95_counts_by_itself_and_needs_no_request_count() -> None:
    run, t = at_weight(50, plan_with("breaches: 2", of=P95))
    assert run.metrics(t + 61, t, p95=3, requests=None, errors=None) == []
    decided = run.metrics(t + 121, t + 60, p95=3, requests=None, errors=None)
    assert brief(decided) == [("set_weight", 25, "latency_p95"), ("hold", 25, "latency_p95")]


def test_no_stage_is_passed_while_the_newest_period_is_beyond_its_limit() -> None:
    run, t = at_weight(5, TWO_OF_THREE)
    run.metrics(t + 51, t, end=t + 50)
    run.metrics(t + 111, t + 50, end=t + 110, errors=3)
    assert run.ticks(int(t) + 112, int(t) + 169) == []
    assert brief(run.metrics(t + 171, t + 110)) == [("set_weight", 25, "stage_passed")]


def test_a_stage_that_waits_in_vain_for_the_next_period_is_inconclusive() -> None:
    run, t = at_weight(5, TWO_OF_THREE)
    run.metrics(t + 51, t, end=t + 50)
    run.metrics(t + 111, t + 50, end=t + 110, errors=3)
    (decision,) = run(t + 420, "tick")
    assert (decision["decision"], decision["criterion"]) == ("hold", "inconclusive")
    assert "newest period's error rate 3 % (3 of 100 requests) is above 1 %" in decision["reason"]


def test_a_retreat_uses_its_periods_up() -> None:
    run, t = at_weight(50, plan_with("breaches: 2"))
    run.metrics(t + 61, t, errors=3)
    assert brief(run.metrics(t + 121, t + 60, errors=3)) == BACK
    run(t + 122, "traffic", weight=5)
    assert run.metrics(t + 130, t + 60, errors=4) == []  # revised, and used already
    assert run.metrics(t + 186, t + 125, errors=3) == []
    decided = run.metrics(t + 246, t + 185, errors=3)
    assert brief(decided) == [("set_weight", 0, "error_rate"), ("hold", 0, "error_rate")]


def test_a_resume_counts_anew() -> None:
    run, t = at_weight(25, plan_with("breaches: 2"))
    run(t + 1, "operator", command="pause")
    run.metrics(t + 61, t, errors=3)
    run(t + 62, "operator", command="resume")
    assert run.metrics(t + 121, t + 61, errors=3) == []
    assert brief(run.metrics(t + 181, t + 121, errors=3)) == BACK


def test_a_breach_goes_from_the_highest_weight_of_its_periods() -> None:
    """The first bad period was measured at 50 %, before a weight below the commanded one was adopted."""
    run, t = at_weight(50, plan_with("breaches: 2"))
    run.metrics(t + 61, t, errors=3)
    run(t + 62, "traffic", weight=5)
    assert run.state.commanded == 5
    decided = run.metrics(t + 130, t + 65, errors=3)
    assert brief(decided) == [("alert", None, "error_rate")]  # to 5 %, where it is
    assert run.state.phase is Phase.HELD


def test_the_order_in_which_periods_are_told_does_not_decide() -> None:
    run, t = at_weight(50, plan_with("breaches: 2"))
    assert run.metrics(t + 121, t + 60, errors=3) == []
    assert brief(run.metrics(t + 122, t, errors=3)) == BACK


def test_a_period_from_before_the_rollout_is_not_counted() -> None:
    run = Run(plan_with("breaches: 2"))
    run(0, "started")
    run(1, "traffic", weight=5)
    run.metrics(2, -60, errors=50)
    assert run.metrics(61, 0, errors=50) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("breaches: 3, of: 2", r"criteria\.error_rate\.of is 2 and breaches is 3"),
        ("breaches: 21", r"criteria\.error_rate\.breaches is 21: it takes a whole number from 1 to 20"),
        ("of: 21", r"criteria\.error_rate\.of is 21: it takes a whole number from 1 to 20"),
        ("breaches: 0", r"criteria\.error_rate\.breaches"),
        ("of:", r"criteria\.error_rate\.of: this key has no value"),
        ("min_requests: 1.5", r"criteria\.error_rate\.min_requests"),
        ("breachs: 2", r"criteria\.error_rate\.breachs: unknown key"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(more: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_with(more)


def test_any_database_connection_error_aborts_and_takes_no_option() -> None:
    with pytest.raises(PlanError, match=r"db_connection_errors\.breaches: unknown key"):
        plan_with("breaches: 2", of="db_connection_errors: {limit: 0, rollback: abort")


def test_the_policy_remembers_as_many_periods_as_a_plan_may_ask_for() -> None:
    assert max(MOST_PERIODS, LONGEST_LOOK) < REMEMBERED  # of candidate, stable and edge each


def test_defaults_of_m_and_n() -> None:
    rule = plan_with("breaches: 2").criteria.error_rate
    assert (rule.breaches, rule.of, rule.min_requests) == (2, 2, 1)
    assert load_plan("phase-c").scaled(10).criteria.error_rate == PLAN.criteria.error_rate


def test_a_plan_says_it_in_words() -> None:
    words = " ".join(explain(plan_with("breaches: 2, of: 3, min_requests: 100"), 300))
    assert "error rate above 1 % in 2 of the newest 3 periods of 100 or more requests: back to 5 %" in words
    assert "The error rate of the newest period must not be above its limit either" in words
    assert "error rate above 1 % in 2 periods in a row" in " ".join(explain(plan_with("breaches: 2"), 300))
    assert "error rate above 1 % in a period: back to 5 %" in " ".join(explain(PLAN, 300))


def test_a_late_period_looks_at_no_more_than_n() -> None:
    """Bad, good, good, bad: two of four, and never two of three, whichever is received last."""
    text = plan_text("phase-c")[0].replace(
        "{limit: 2s, rollback: previous}", "{limit: 2s, breaches: 2, of: 3, rollback: previous}"
    )
    for order in ((0, 1, 2, 3), (1, 2, 3, 0), (3, 2, 1, 0), (1, 2, 0, 3)):
        run, t = at_weight(100, parse_plan(text))
        for place in order:
            p95 = 2.5 if place in (0, 3) else 0.2
            assert run.metrics(t + 250, t + 60 * place, p95=p95) == []
    run.metrics(t + 251, t + 60, p95=2.5)
    assert run.all[-1]["criterion"] == "latency_p95"
