"""The control plane tells the policy what is so, when it can be known, and puts its commands into force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from rollout.aws.attribution import Counts
from rollout.aws.attribution import attribute as attribute_live
from rollout.plan import BackTo, Comparison, Limit, Rollback
from rollout.policy import decide, initial_state, timing
from rollout.policy.events import (
    Checked,
    Decision,
    DecisionKind,
    EdgeMetrics,
    Health,
    Metrics,
    MetricsError,
    Reason,
    Resumed,
    Started,
    Traffic,
)
from rollout.policy.events import Limit as Limited
from simulate.controlplane import (
    Absence,
    Delivery,
    Draws,
    Fault,
    Habits,
    Redeploy,
    Rehearsal,
    Stream,
    Switch,
    Updates,
)
from simulate.controlplane.cloudwatch import attribute
from simulate.dataplane import CANDIDATE, STABLE, Constant, Period, streams
from tests.simulate.rehearsals import PLAN, check, failed_rounds, in_force, rehearse, short_plan, world_of

_NO_PERIOD = dict.fromkeys(Period._fields, 0) | {
    "p50": None, "p95": None, "p99": None, "mean": None, "worst": None, "memory": 0.0,
}  # fmt: skip


def period_of(**values: Any) -> Period:
    return Period(**{**_NO_PERIOD, **values})


# --- what is heard


@pytest.mark.parametrize(
    ("scenario", "given"),
    [
        ("healthy", {}),
        ("healthy", {"missing_percent": 20}),
        ("error-regression", {"error_percent": 3}),
        ("lb-misconfiguration", {"without_targets": 1}),
        ("lb-misconfiguration", {"refused_percent": 60}),
        ("pool-exhaustion", {}),
        ("rate-limit-too-strict", {"rate_per_minute": 3000, "limit_per_minute": 500}),
        ("metric-blackout", {"blackout_s": 200}),
        ("controller-crash", {"error_percent": 2}),
        ("controller-crash", {"suspended": 1, "down_s": 400}),
        ("bad-rule", {}),
        ("wrong-version", {"restored_after_s": 40}),
    ],
)
def test_what_the_policy_hears_is_so(scenario: str, given: dict[str, float]) -> None:
    for n in range(3):
        check(rehearse(scenario, given, plan=short_plan(), n=n))


@settings(max_examples=16, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@given(
    scenario=st.sampled_from(
        [
            "healthy",
            "error-regression",
            "pool-exhaustion",
            "memory-leak",
            "metric-blackout",
            "bad-rule",
            "wrong-version",
            "broken-after-promotion",
            "controller-crash",
        ]
    ),
    n=st.integers(0, 10**6),
    rate=st.sampled_from([200, 1000, 2500]),
    missing=st.sampled_from([0, 30]),
    leak=st.floats(0.05, 0.6),
)
def test_what_is_left_out_changes_nothing(
    scenario: str, n: int, rate: int, missing: int, leak: float
) -> None:
    """Telling each clean probe round, each tick and each metric period makes the same decisions at the same times."""
    values: dict[str, float] = {"rate_per_minute": rate, "missing_percent": missing}
    if scenario == "memory-leak":
        values["leak_mb_per_request"] = leak
    if scenario == "pool-exhaustion":
        values["leaks_per_query"] = leak
    if scenario == "bad-rule":
        values |= {"front_door": n % 2, "broken_at_s": n % 900}
    if scenario == "wrong-version":
        values |= {"restored_after_s": n % 3 * 40, "resume_after_s": 100, "deployed_at_s": n % 900}
    if scenario == "broken-after-promotion":
        values |= {"watched_s": 900, "probes_fail": n % 2, "undo_after_s": 100 * (n % 3)}
    if scenario == "controller-crash":
        values |= {"suspended": n % 2, "crash_at_s": 1 + n % 900, "down_s": 1 + n % 700}
    world = world_of(scenario, values)
    quick = Rehearsal(world, short_plan(), 3, n, listen=True)
    thorough = Rehearsal(world, short_plan(), 3, n, listen=True, thorough=True)
    quick.run()
    thorough.run()
    assert len(thorough.result.events) > len(quick.result.events)
    assert [replace(d, event="") for d in quick.result.decisions] == [
        replace(d, event="") for d in thorough.result.decisions
    ]
    assert quick.result.weights == thorough.result.weights
    assert quick.result.periods == thorough.result.periods


_COUNTING = Limit(1, BackTo(5), breaches=2, of=3, min_requests=20)
_OPTIONS: dict[str, dict[str, Any]] = {
    "comparison": {
        "comparison": Comparison(1, 0.5, Rollback.PREVIOUS),
        "error_rate": Limit(50, Rollback.ABORT),
    },
    "2 of 3": {"error_rate": _COUNTING, "latency_p95": replace(_COUNTING, limit=0.5)},
}


@pytest.mark.parametrize("option", _OPTIONS)
@pytest.mark.parametrize("scenario", ["error-regression", "latency-regression"])
def test_what_is_left_out_changes_nothing_under_a_plan_with_options(option: str, scenario: str) -> None:
    plan, criteria = short_plan().with_criteria(**_OPTIONS[option]), set()
    for n in range(3):
        world = world_of(scenario, {"rate_per_minute": 2500, "missing_percent": 20})
        quick = Rehearsal(world, plan, 3, n, listen=True)
        thorough = Rehearsal(world, plan, 3, n, listen=True, thorough=True)
        quick.run()
        thorough.run()
        assert [replace(d, event="") for d in quick.result.decisions] == [
            replace(d, event="") for d in thorough.result.decisions
        ]
        assert quick.result.weights == thorough.result.weights
        criteria |= {decision.criterion for decision in quick.result.decisions}
    if scenario == "error-regression":
        assert (Reason.COMPARISON if option == "comparison" else Reason.ERROR_RATE) in criteria


def test_the_decisions_are_the_policys_on_the_events_heard() -> None:
    run = rehearse("error-regression")
    state = initial_state()
    again: list[Decision] = []
    for event in run.result.events:
        state, decisions = decide(PLAN, state, event)
        again += decisions
    assert again == run.result.decisions
    assert state == run.state


def test_a_copy_goes_on_as_the_original_and_leaves_it_alone() -> None:
    run = Rehearsal(world_of("memory-leak", {"leak_mb_per_request": 0.5}), short_plan(), 2, listen=True)
    while run.now < 200_000:
        run.step()
    other, before = run.copy(), run.result.copy()
    there = other.run()
    assert run.result == before
    assert run.run() == there


def test_a_plane_used_before_makes_no_difference() -> None:
    world = world_of("error-regression")
    first = Rehearsal(world, PLAN, 5, 1)
    expected = first.run()
    again = Rehearsal(world, PLAN, 5, 1, plane=first.plane)
    assert again.run() == expected


# --- metrics


def counts_of(own: Period, other: Period) -> Counts:
    """What an ALB publishes of ``own``, its counts per load balancer included."""
    routed = own.requests - own.unavailable
    both = own, other
    return Counts(
        request_count=routed or None,
        target_2xx=own.ok or None,
        target_5xx=own.server_errors + own.db_errors or None,
        p95=own.p95,
        healthy_hosts=None if own.unavailable and not routed else 3,
        elb_502=sum(side.bad_gateway for side in both) or None,
        elb_503=sum(side.unavailable for side in both) or None,
        elb_504=sum(side.timed_out for side in both) or None,
    )


_ends = st.fixed_dictionaries(
    {
        name: st.integers(0, 50)
        for name in ("ok", "server_errors", "db_errors", "bad_gateway", "timed_out", "unavailable")
    }
)


@given(own=_ends, other=_ends)
def test_errors_are_attributed_as_the_live_controller_does(
    own: dict[str, int], other: dict[str, int]
) -> None:
    mine, its = period_of(**own), period_of(**other)
    live = attribute_live(counts_of(mine, its))
    assert attribute(mine, its) == (live.requests, live.errors)


def test_metrics_come_on_the_poll_after_their_delay() -> None:
    delivery = Delivery(Constant(75.0), Constant(20.0), Constant(75.0))
    run = Rehearsal(replace(world_of("healthy"), delivery=delivery), PLAN, 1, listen=True)
    run.run()
    waits = {e.t - e.end for e in run.result.events if isinstance(e, Metrics) and e.requests}
    assert waits
    assert all(75 <= wait < 85 for wait in waits)
    assert all(e.t % 10 == 0 for e in run.result.events if isinstance(e, Metrics))


def test_a_period_that_never_comes_is_told_as_no_data_when_overdue() -> None:
    delivery = Delivery(missing=1.0)
    run = Rehearsal(replace(world_of("healthy"), delivery=delivery), PLAN, 1, listen=True)
    result = run.run()
    told = [e for e in result.events if isinstance(e, Metrics)]
    assert told
    assert all((e.requests, e.p95, e.db_connection_errors) == (0, None, None) for e in told)
    assert all(180 <= e.t - e.end < 190 for e in told)
    assert result.weights == [(0.0, 0.0), *result.weights[1:]]
    assert max(weight for _, weight in result.weights) == 5, "no data is never good data"
    assert result.outcome == "aborted"


def test_the_applications_numbers_may_come_after_the_load_balancers() -> None:
    delivery = Delivery(Constant(20.0), Constant(100.0), Constant(20.0))
    run = Rehearsal(replace(world_of("healthy"), delivery=delivery), PLAN, 1, listen=True)
    run.run()
    check(run)
    told = [e for e in run.result.events if isinstance(e, Metrics) and e.role == "candidate"]
    first, second = [e for e in told if e.start == told[0].start]
    assert (first.db_connection_errors, second.db_connection_errors) == (None, 0)
    assert (first.requests, first.errors, first.p95) == (second.requests, second.errors, second.p95)


def test_database_connection_errors_are_told_before_the_rest_is_there() -> None:
    delivery = Delivery(Constant(170.0), Constant(5.0), Constant(170.0))
    world = replace(world_of("pool-exhaustion", {"pool_wait_s": 1, "leaks_per_query": 1}), delivery=delivery)
    run = Rehearsal(world, short_plan(), 1, listen=True)
    run.run()
    early = [e for e in run.result.events if isinstance(e, Metrics) and e.requests is None]
    assert early
    assert all(e.db_connection_errors for e in early)


def test_a_failing_query_is_told_at_each_poll_and_hides_the_metrics() -> None:
    run = rehearse("metric-blackout", {"blackout_at_s": 100, "blackout_s": 90})
    failing = [e.t for e in run.result.events if isinstance(e, MetricsError)]
    assert failing == [100, 110, 120, 130, 140, 150, 160, 170, 180]
    assert not [e.t for e in run.result.events if isinstance(e, Metrics) and 100 <= e.t < 190]


# --- traffic


def test_a_stack_update_takes_its_time_and_is_read_back() -> None:
    world = replace(world_of("healthy"), updates=Updates(stack=Constant(4.0)))
    run = Rehearsal(world, PLAN, 1, listen=True)
    result = run.run()
    commands = [d for d in result.decisions if d.decision is DecisionKind.SET_WEIGHT]
    assert [(t, w) for t, w in result.weights[1:]] == [(d.t + 4, d.weight) for d in commands]
    assert in_force(run, commands[1].t) == 5


def test_a_failed_increase_goes_back_and_a_failed_decrease_breaks_the_glass() -> None:
    updates = Updates(stack=Constant(4.0), break_glass=Constant(0.1), failing=1.0)
    run = Rehearsal(replace(world_of("healthy"), updates=updates), short_plan(), 1, listen=True)
    result = run.run()
    back = result.decisions[1]
    assert (back.criterion, back.weight, back.t) == (Reason.TRAFFIC, 0, 60)
    assert max(weight for _, weight in result.weights) == 0
    assert result.outcome == "aborted"
    assert [e.t for e in result.events if isinstance(e, Traffic) and 60 < e.t < 66]


def test_an_update_that_takes_too_long_is_overtaken_by_a_decrease() -> None:
    world = replace(
        world_of("lb-misconfiguration", {"without_targets": 1}), updates=Updates(stack=Constant(30.0))
    )
    result = Rehearsal(world, short_plan(), 1).run()
    assert result.decided == 12, "three failed rounds"
    assert max(weight for _, weight in result.weights) == 0, "the increase was ended"


# --- probes, alarms, people


def test_rounds_after_a_failure_are_told_until_they_are_clean() -> None:
    run = rehearse("pool-exhaustion", {"leaks_per_query": 0, "hang_s": 6, "hang_at_s": 59})
    rounds = [e for e in run.result.events if isinstance(e, Health)]
    assert failed_rounds(run, "candidate") == [62]
    assert [e.t for e in rounds] == [2, 2, 2, 62, 62, 67, 67]
    assert {e.role for e in rounds[:3]} == {"candidate", "stable", "front_door"}, "the first is always told"
    assert {e.role for e in rounds[3:]} == {"candidate", "stable"}


def test_an_alarm_moves_traffic_only_if_the_plan_says_so() -> None:
    values = {"drops_percent_per_minute": 90, "base_error_percent": 0}
    told = rehearse("websocket-instability", values).result
    assert "candidate-websocket-drops" in {name for _, name in told.alarms}
    assert told.outcome == "promoted"
    strict = replace(PLAN, alarms={"candidate-websocket-drops": Rollback.ABORT})
    assert rehearse("websocket-instability", values, plan=strict).result.outcome == "aborted"


@pytest.mark.parametrize(("command", "outcome"), [("resume", "promoted"), ("abort", "aborted")])
def test_an_operator_answers_a_hold(command: str, outcome: str) -> None:
    bad, good = (Switch(CANDIDATE, {"error_share": share}) for share in (0.5, 0.0))
    world = replace(
        world_of("healthy", {"base_error_percent": 0}),
        faults=(Fault("errors", 0, (bad,)), Fault("none any more", 120, (good,))),
        operator=Habits(command, Constant(200.0)),
    )
    result = Rehearsal(world, PLAN, 1).run()
    assert result.held == 200
    assert result.outcome == outcome


def test_without_an_operator_a_hold_ends_in_an_abort() -> None:
    result = rehearse("error-regression").result
    assert result.held == PLAN.hold_timeout
    assert result.outcome == "aborted"


def test_a_controller_that_is_down_hears_nothing_and_catches_up() -> None:
    run = rehearse("controller-crash", {"crash_at_s": 100, "down_s": 200, "base_error_percent": 0})
    times = [event.t for event in run.result.events]
    assert not [t for t in times if 100 < t < 300]
    at_once = [e for e in run.result.events if isinstance(e, Metrics) and e.t == 300]
    assert len({e.start for e in at_once}) >= 2
    assert run.result.outcome == "promoted"


def test_a_controller_that_was_down_is_not_blind_for_having_been_away() -> None:
    result = rehearse("controller-crash", {"crash_at_s": 100, "down_s": 500, "base_error_percent": 0}).result
    assert result.outcome == "promoted"


def test_the_policy_learns_of_a_gap_as_it_does_live() -> None:
    def told(down_s: float, suspended: int) -> list[tuple[float, float]]:
        values = {"crash_at_s": 300, "down_s": down_s, "suspended": suspended, "base_error_percent": 0}
        events = rehearse("controller-crash", values).result.events
        checked = [event for event in events if isinstance(event, Checked)]
        assert [(event.t, event.failed) for event in checked] == [
            (e.t + 5, ()) for e in events if isinstance(e, Resumed)
        ]
        return [(event.t, event.since) for event in events if isinstance(event, Resumed)]

    assert told(120, 0) == told(120, 1) == [(420, 300)]
    gap = timing.attention_gap(PLAN.health.interval)
    assert told(gap, 0), "`rollout resume` always tells it"
    assert told(gap, 1) == [], "a machine that slept for so short a time is not noticed"


def test_what_changed_while_nobody_watched_is_found_by_the_checks() -> None:
    world = world_of("controller-crash", {"crash_at_s": 300, "down_s": 100, "base_error_percent": 0})
    faults = (Fault("another version", 350, (Redeploy(STABLE, "0.9.0"),)),)
    result = Rehearsal(replace(world, faults=faults), PLAN, 1).run()
    held = [d for d in result.decisions if d.decision is DecisionKind.HOLD]
    assert (held[0].criterion, held[0].t) == (Reason.IDENTITY, 402), "the first round"
    assert any("version of stable: 0.9.0 answers" in decision.reason for decision in result.decisions)


def test_a_decrease_in_flight_at_the_crash_is_carried_out_after_it() -> None:
    world = replace(
        world_of("healthy"),
        absences=(Absence(18, 20),),
        faults=(Fault("no targets", 5, (Switch(CANDIDATE, {"no_targets": 1}),)),),
        updates=Updates(stack=Constant(4.0)),
    )
    result = Rehearsal(world, PLAN, 1).run()
    assert result.decided == 17
    assert result.weights == [(0, 0), (4, 5), (42, 0)]


@pytest.mark.parametrize("suspended", [False, True])
def test_an_increase_dies_with_its_controller_and_goes_on_with_its_machine(suspended: bool) -> None:
    world = replace(
        world_of("healthy", {"base_error_percent": 0}),
        absences=(Absence(1, 20, suspended=suspended),),
        updates=Updates(stack=Constant(4.0)),
    )
    result = Rehearsal(world, PLAN, 1).run()
    if suspended:
        assert result.weights[:2] == [(0, 0), (25, 5)]
        assert result.outcome == "promoted"
        return
    assert result.weights == [(0, 0)], "rule 11 takes back what was not seen"
    held = next(d for d in result.decisions if d.decision is DecisionKind.HOLD)
    assert held.criterion is Reason.TRAFFIC
    assert held.t == pytest.approx(21 + PLAN.apply_limit, abs=2.5), "its whole minute again"


# --- luck


def test_the_streams_are_those_of_the_data_plane_and_others() -> None:
    draws = Draws(7, 3)
    key = streams.keys(7, 3)
    control = [draws.uniform(Stream.PHASE, n) for n in range(5)]
    assert control != [float(streams.uniform(key[0], n)) for n in range(5)]
    other = Draws.__new__(Draws)
    other._keys = [int(k) for k in key]
    assert [other.uniform(Stream.PHASE, n) for n in range(5)] == [
        float(streams.uniform(key[0], n)) for n in range(5)
    ]


def test_plans_meet_the_same_luck() -> None:
    """Common random numbers: until two plans decide differently, everything is the same for both."""
    world = world_of("healthy", {"base_error_percent": 0})
    longer = replace(PLAN, stages=(replace(PLAN.stages[0], window=400.0), *PLAN.stages[1:]))
    one = Rehearsal(world, PLAN, 1).run()
    two = Rehearsal(world, longer, 1).run()
    assert one.weights[:2] == two.weights[:2]
    assert [closed.edge for closed in one.periods[:10]] == [closed.edge for closed in two.periods[:10]]
    assert one.weights[2] != two.weights[2]


def test_a_replication_is_another_rehearsal() -> None:
    runs = [rehearse("healthy", n=n).result for n in range(2)]
    assert runs[0].periods != runs[1].periods
    assert runs[0].weights != runs[1].weights


def test_the_rollout_begins_anywhere_in_a_minute() -> None:
    starts = [Rehearsal(world_of("healthy"), PLAN, 1, n).t0 % 60_000 for n in range(40)]
    assert min(starts) < 10_000
    assert max(starts) > 50_000


@pytest.mark.compiled
def test_a_limit_is_raised_by_what_was_counted_after_the_one_before_was_read_back() -> None:
    """The policy knows the deployed limit from the start, and of each raise when it is in force."""
    run = rehearse("rate-limit-too-strict", {"rate_per_minute": 3000, "limit_per_minute": 300})
    (started,) = (event for event in run.result.events if isinstance(event, Started))
    assert started.rate_limit == 300
    told = [(event.t, event.value) for event in run.result.events if isinstance(event, Limited)]
    assert told == run.result.limits
    raised = [d for d in run.result.decisions if d.decision is DecisionKind.RAISE_RATE_LIMIT]
    assert [d.rate_limit for d in raised][:2] == [800, 1300]
    assert len(told) == len(raised) >= 2
    edges = [event for event in run.result.events if isinstance(event, EdgeMetrics)]
    for decision, (read, _) in zip(raised[1:], told, strict=False):
        cause = next(event for event in edges if event.t == decision.t and event.share > 5)
        assert cause.start >= read + 60
