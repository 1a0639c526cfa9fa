"""The comparison as a criterion of the policy: when it is judged, where it sends the traffic, what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.journal.account import Verdict, account_of
from rollout.journal.replay import main_replay
from rollout.journal.report import render, section
from rollout.plan import Comparison, Plan, PlanError, Rollback, parse_plan, plan_text
from rollout.plan.explain import explain
from rollout.policy import Phase, decide, initial_state
from rollout.policy.compare import Pair, compare
from rollout.policy.events import Metrics, Tick
from rollout.policy.state import ON_STABLE
from tests.rollout import journals
from tests.rollout.runs import PLAN, Run, at_weight, brief
from tests.rollout.streams import night

TEXT = plan_text("phase-c")[0].replace("error_rate: {limit: 1,", "error_rate: {limit: 50,")
KEY = "criteria:\n"


def text_with(keys: str) -> str:
    return TEXT.replace(KEY, f"{KEY}  comparison: {keys}\n")


ABORT = text_with("{false_alarms: 0.1, difference: 0.5, rollback: abort}")
COMPARING = parse_plan(ABORT)
BACK = parse_plan(text_with("{false_alarms: 0.1, difference: 0.5, rollback: previous}"))


def both(run: Run, t: float, start: float, mine: tuple[int, int], its: tuple[int, int]) -> list[Any]:
    """One period of both colours, (requests, errors) each; the decisions of the second."""
    assert run.metrics(t, start, requests=mine[0], errors=mine[1]) == []
    return run.metrics(t, start, colour="stable", requests=its[0], errors=its[1])


def test_the_candidate_is_compared_when_the_later_half_is_told() -> None:
    run, t = at_weight(50, COMPARING)
    assert both(run, t + 61, t, (500, 1), (500, 1)) == []
    decided = both(run, t + 121, t + 60, (500, 20), (500, 1))
    assert brief(decided) == [("set_weight", 0, "comparison")]
    assert (decided[0]["limit"], decided[0]["event"]) == (1000, "metrics")
    assert decided[0]["value"] > 1000
    assert (
        "error rate 1.75 % against stable's 0.167 % (21 of 1,200 requests and 2 of 1,200, in 4 periods): "
        "evidence 3807 of 1000"
    ) in decided[0]["reason"]
    assert run.state.phase is Phase.ABORTED


def test_the_order_of_the_two_halves_does_not_matter() -> None:
    one, t = at_weight(50, COMPARING)
    other, _ = at_weight(50, COMPARING)
    both(one, t + 61, t, (500, 20), (500, 1))
    other.metrics(t + 61, t, colour="stable", requests=500, errors=1)
    other.metrics(t + 61, t, requests=500, errors=20)
    assert one.all == other.all
    assert one.all[-1]["criterion"] == "comparison"


def test_an_incident_of_both_colours_is_none_of_the_candidate() -> None:
    run, t = at_weight(50, COMPARING)
    for minute in range(2):
        assert both(run, t + 61 + 60 * minute, t + 60 * minute, (500, 100), (500, 95)) == []


def test_it_goes_back_from_the_highest_weight_of_its_periods_and_begins_anew() -> None:
    run, t = at_weight(50, BACK)
    decided = both(run, t + 61, t, (500, 20), (500, 1))
    assert brief(decided) == [("set_weight", 25, "comparison"), ("hold", 25, "comparison")]
    run(t + 62, "traffic", weight=25)
    assert run.state.pairs == ()
    assert run.metrics(t + 63, t, requests=500, errors=25) == []  # revised, and used already
    decided = both(run, t + 130, t + 65, (250, 20), (750, 1))
    assert brief(decided) == [("set_weight", 5, "comparison"), ("hold", 5, "comparison")]


def test_a_resume_begins_anew() -> None:
    run, t = at_weight(25, COMPARING)
    both(run, t + 61, t, (250, 4), (750, 1))
    assert run.state.pairs
    run(t + 62, "operator", command="pause")
    run(t + 63, "operator", command="resume")
    assert run.state.pairs == ()
    assert both(run, t + 125, t + 64, (250, 4), (750, 1)) == []


def test_a_revised_half_takes_the_place_of_the_first() -> None:
    run, t = at_weight(50, COMPARING)
    both(run, t + 61, t, (500, 2), (500, 1))
    both(run, t + 121, t + 60, (500, 2), (500, 1))
    run.metrics(t + 122, t, requests=500, errors=3)
    *_, first, second = run.state.pairs
    assert first == Pair(t, t + 60, 500, 3, 500, 1)
    assert second == Pair(t + 60, t + 120, 500, 2, 500, 1)
    run.metrics(t + 123, t, colour="stable", requests=None, errors=None)
    assert run.state.pairs[-1] == second
    assert len(run.state.pairs) == 3  # two of the stages before


@pytest.mark.parametrize("silent", [(0, None), (None, None), (500, None)])
def test_without_both_halves_there_is_nothing_to_compare(silent: tuple[Any, Any]) -> None:
    run, t = at_weight(100, COMPARING)
    before = run.state.pairs
    run.metrics(t + 61, t, requests=1000, errors=300)
    assert run.metrics(t + 61, t, colour="stable", requests=silent[0], errors=silent[1]) == []
    assert run.metrics(t + 62, t + 1, end=t + 60, colour="stable", requests=500) == []  # another period
    assert run.state.pairs == before


def test_all_breaches_of_an_event_are_told_and_the_lowest_weight_wins() -> None:
    plan = BACK.with_criteria(error_rate=replace(BACK.criteria.error_rate, limit=1))
    run, t = at_weight(50, plan)
    run.metrics(t + 61, t, colour="stable", requests=500, errors=1)
    decided = run.metrics(t + 61, t, requests=500, errors=30)
    assert brief(decided)[0] == ("set_weight", 5, "error_rate")
    assert [(b["criterion"], b["weight"]) for b in decided[0]["breaches"]] == [
        ("error_rate", 5),
        ("comparison", 25),
    ]
    assert decided[-1]["reason"].endswith("in the same period")


def test_a_period_that_was_not_compared_passes_no_stage() -> None:
    run, t = at_weight(5, COMPARING)
    run.metrics(t + 61, t)
    assert run(t + 121, "tick") == []
    assert brief(run.metrics(t + 125, t, colour="stable")) == [("set_weight", 25, "stage_passed")]


def test_a_worse_release_is_not_raised_before_it_is_compared() -> None:
    """Both halves in one poll, the candidate's first, when the window is over: back, and not first up and then back."""
    run, t = at_weight(50, COMPARING)
    assert both(run, t + 181, t + 120, (500, 20), (500, 1))[0]["weight"] == 0
    assert [d["weight"] for d in run.all if d["decision"] == "set_weight"] == [5, 25, 50, 0]


def test_without_stables_metrics_the_stage_is_inconclusive() -> None:
    run, t = at_weight(5, COMPARING)
    run.metrics(t + 61, t)
    run.metrics(t + 121, t + 60)
    run.metrics(t + 301, t + 240)
    (decision,) = run(t + 420, "tick")
    assert (decision["decision"], decision["criterion"], decision["value"]) == ("hold", "inconclusive", 0)
    assert "with 0 of 1 good metric periods that were compared with stable's" in decision["reason"]


def test_at_100_percent_there_is_nothing_to_compare_with() -> None:
    run, t = at_weight(100, COMPARING)
    run.metrics(t + 61, t)
    run.metrics(t + 61, t, colour="stable", requests=0, errors=None)
    assert brief(run(t + 300, "tick"))[0] == ("bake", 100, "stage_passed")


def test_after_an_abort_nothing_is_compared() -> None:
    run, t = at_weight(50, COMPARING)
    run(t + 1, "operator", command="abort")
    run(t + 2, "traffic", weight=0)
    before = run.state.pairs
    assert both(run, t + 65, t + 3, (500, 300), (5000, 1)) == []
    assert run.state.pairs == before


def test_under_phase_c_stables_periods_move_nothing_before_an_abort() -> None:
    """Random nights in which each of stable's periods is a tick instead decide the same."""
    for seed in range(100):
        state = initial_state()
        for event, after, decisions in night(PLAN, seed):
            if isinstance(event, Metrics) and event.role == "stable":
                state, instead = decide(PLAN, state, Tick(event.t))
            else:
                state, instead = decide(PLAN, state, event)
            if after.phase in ON_STABLE:
                break
            assert [replace(d, event="") for d in instead] == [replace(d, event="") for d in decisions]
            assert after.pairs == ()


def test_it_is_one_function_of_what_was_told() -> None:
    """Random nights: what the policy decided by the comparison is what the pairs that it held say."""
    plan = COMPARING.with_criteria(comparison=Comparison(20, 0.5, Rollback.HOLD))
    fired = 0
    for seed in range(250):
        for event, state, decisions in night(plan, seed):
            for decision in decisions:
                if decision.criterion == "comparison" and decision.decision == "hold":
                    fired += 1
                    assert isinstance(event, Metrics) and state.pairs == ()
            if state.pairs and isinstance(event, Metrics) and not decisions and plan.criteria.comparison:
                known = {(pair.start, pair.end) for pair in state.pairs}
                if (event.start, event.end) in known:
                    assert not compare(plan.criteria.comparison, state.pairs).beyond
    assert fired > 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "{false_alarms: 0, difference: 1, rollback: abort}",
            r"comparison\.false_alarms is .*above 0 and below 100",
        ),
        (
            "{false_alarms: 100, difference: 1, rollback: abort}",
            r"comparison\.false_alarms is .*above 0 and below 100",
        ),
        (
            "{false_alarms: 1, difference: 0, rollback: abort}",
            r"comparison\.difference is .*above 0 and below 100",
        ),
        ("{false_alarms: 1, rollback: abort}", r"comparison\.difference: this key is missing"),
        ("{false_alarms: 1, difference: 1}", r"comparison\.rollback: this key is missing"),
        ("{false_alarms: 1, difference: 1, rollback: {to: 7}}", r"comparison\.rollback\.to is 7"),
        ("{false_alarms: 1, difference: 1, rollback: abort, of: 2}", r"comparison\.of: unknown key"),
        ("", r"criteria\.comparison: this key has no value"),
    ],
)
def test_a_comparison_that_does_not_fit_is_refused_by_its_key(keys: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        parse_plan(text_with(keys))


def test_a_plan_says_it_in_words() -> None:
    words = " ".join("\n".join(explain(COMPARING)).split())
    assert "by 0.5 percentage points or more, and by more than chance: abort, all traffic to stable" in words
    assert "rolls back at most 0.1 % of the releases that are no worse than stable" in words
    assert "a period counts only when it was compared with stable's" in words
    assert COMPARING.scaled(10).criteria.comparison == COMPARING.criteria.comparison
    assert "compared" not in "\n".join(explain(PLAN))


LENIENT = text_with("{false_alarms: 1, difference: 0.3, rollback: abort}")


def worse(plan: str = LENIENT) -> tuple[Any, ...]:
    """A candidate that fails 0.8 %, below the guide's limit, against a stable of 0.02 %."""
    world = journals.World(candidate=lambda weight: {**journals.GOOD, "errors": 0.008})
    return journals.make(world, plan=plan)


def test_the_report_names_the_comparison() -> None:
    account = account_of(worse())
    assert account.stages[-1].verdict is Verdict.FAILED
    assert account.outcome == "aborted"
    assert account.breach_s is not None
    assert [visit.good_periods for visit in account.stages] == [1, 1, 0]  # the last one was the breach
    page = render("a release", [section(account)])
    assert "evidence of more errors than stable" in page
    assert "(limit 100)" in page


def test_replay_shows_what_the_comparison_would_have_changed(tmp_path: Path) -> None:
    """A release that the guide to the letter promoted, judged by a plan that compares."""
    journal, plan = tmp_path / "journal.jsonl", tmp_path / "plan.yaml"
    records = worse(plan_text("phase-c")[0])
    journal.write_text("".join(record.to_line() for record in records))
    plan.write_text(LENIENT)
    out: list[str] = []
    notes: list[str] = []
    assert main_replay(str(journal), str(plan), True, out.append, notes.append) == 0
    assert any(json.loads(line)["criterion"] == "comparison" for line in out)
    assert any(note.startswith("  now:") and "[comparison] abort: error rate" in note for note in notes)


def test_a_plan_without_the_key_has_none() -> None:
    plan: Plan = parse_plan(TEXT)
    assert plan.criteria.comparison is None
