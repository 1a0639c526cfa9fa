"""Every scenario that ships shows what it claims. Seeds are fixed, so are the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest

from infra.workload.pgbouncer_ini import Pool, render_ini
from rollout.plan import Rollback
from rollout.policy.events import DecisionKind, Reason
from simulate.controlplane import Rehearsal, RehearsalResult, model_for
from simulate.dataplane import CANDIDATE, STABLE
from simulate.scenarios import SCENARIOS, BadParameter, find
from simulate.studies.replication import Job, rehearsal
from simulate.studies.replication.job import basic
from tests.simulate.rehearsals import PLAN, rehearse

_RISKS = {  # the guide's register: number -> (scenario, probability in percent)
    1: ("migration-failure", 30),
    2: ("lb-misconfiguration", 25),
    3: ("cdn-failure", 15),
    4: ("rate-limit-too-strict", 40),
    5: ("websocket-instability", 20),
    6: ("pool-exhaustion", 35),
    7: ("memory-leak", 15),
    8: ("slow-queries", 40),
    9: ("bundle-too-large", 10),
}
_GOOD = {"base_error_percent": 0.0}  # nothing but the scenario's own fault can roll back


@dataclass(frozen=True, slots=True)
class Runs:
    records: tuple[RehearsalResult, ...]
    findings: Mapping[str, np.ndarray]

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(result.outcome for result in self.records)

    @property
    def first_reasons(self) -> set[str | None]:
        """Why each run first lowered the weight."""
        return {_first_reason(result) for result in self.records}


def _first_reason(result: RehearsalResult) -> str | None:
    lowered = (d for d in result.decisions if d.decision is DecisionKind.SET_WEIGHT and d.t == result.decided)
    return next((d.criterion.value for d in lowered), None)


def runs(scenario: str, n: int, **values: float) -> Runs:
    job, found = Job(scenario, PLAN, 11, values), find(scenario)
    records = tuple(rehearsal(job, k).run() for k in range(n))
    rows = [{**basic(job.world(), r), **found.findings(found.values(values), r)} for r in records]
    names = {name for row in rows for name in row}
    return Runs(records, {name: np.array([row.get(name, np.nan) for row in rows]) for name in names})


def test_the_nine_risks_are_there_with_the_guides_probabilities() -> None:
    assert {s.risk: (s.name, s.probability) for s in SCENARIOS.values() if s.risk} == _RISKS


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_is(name: str) -> None:
    scenario = find(name)
    assert scenario.sentence and scenario.symptom and scenario.mitigation
    names = [one.name for one in scenario.all_parameters()]
    assert len(names) == len(set(names))
    for one in scenario.all_parameters():
        assert one.check(one.default) == one.default
        assert one.unit and one.what
        with pytest.raises(BadParameter, match=one.name):
            scenario.values({one.name: one.low - 1})
    with pytest.raises(BadParameter, match="nonsense"):
        scenario.values({"nonsense": 1})


def test_healthy_is_mostly_promoted_and_what_is_not_is_false() -> None:
    found = runs("healthy", 30)
    assert found.outcomes["promoted"] >= 20
    assert found.first_reasons <= {None, "error_rate"}
    assert np.isnan(found.findings["detection_s"]).all(), "there was nothing to detect"
    assert runs("healthy", 8, **_GOOD).outcomes == {"promoted": 8}


def test_error_regression_is_rolled_back_for_its_errors() -> None:
    found = runs("error-regression", 15)
    assert found.outcomes == {"aborted": 15}
    assert found.first_reasons == {"error_rate"}
    assert found.findings["failed_requests_candidate"].mean() > 3
    assert 30 < found.findings["detection_s"].mean() < 300
    assert found.findings["rollback_s"].max() < 6, "a stack update and its read-back"


def test_latency_regression_is_rolled_back_for_its_latency() -> None:
    found = runs("latency-regression", 15, **_GOOD)
    assert found.outcomes == {"aborted": 15}
    assert found.first_reasons == {"latency_p95"}


def test_migration_failure_stops_both_colours_and_ends_at_its_limit() -> None:
    found = runs("migration-failure", 2)
    assert found.outcomes == {"aborted": 2}
    assert found.first_reasons == {"health"}
    for result in found.records:
        assert result.decided == pytest.approx(72, abs=5), "three rounds after the hang"
        reasons = [d.reason for d in result.decisions]
        assert any("rollback will not cure this" in reason for reason in reasons)
        assert result.verified is False
        stable = result.periods[3].sides[STABLE]
        assert stable.errors > 0.9 * stable.requests
        assert result.periods[-1].sides[STABLE].errors == pytest.approx(0, abs=3), (
            "well again after the limit"
        )
    assert set(found.findings["database_blocked_s"]) == {600}


def test_without_a_limit_the_migration_hurts_for_longer() -> None:
    values = {"migration_hangs_s": 400, "migration_limit_s": 200, "rate_per_minute": 300}
    limited, endless = (runs("migration-failure", 1, mitigation=m, **values).findings for m in (1, 0))
    assert endless["failed_requests"][0] > 1.6 * limited["failed_requests"][0]


def test_lb_misconfiguration_fails_every_request_and_only_metrics_see_it() -> None:
    found = runs("lb-misconfiguration", 15)
    assert found.outcomes == {"aborted": 15}
    assert found.first_reasons == {"error_rate"}, "probes go another way"
    assert (found.findings["failed_requests_candidate"] == found.findings["requests_candidate"]).all()
    empty = runs("lb-misconfiguration", 15, without_targets=1)
    assert empty.first_reasons == {"health"}
    assert empty.findings["detection_s"].max() < 15 < found.findings["detection_s"].min()


def test_cdn_failure_is_invisible_to_the_backends_metrics() -> None:
    found = runs("cdn-failure", 15, **_GOOD)
    assert found.outcomes == {"promoted": 15}
    assert found.findings["failed_requests"].max() == 0
    assert found.findings["blank_pages"].min() > 100
    assert found.findings["frontend_rollback_s"].mean() < 180, "the guide's 3 min"
    unmitigated = runs("cdn-failure", 5, mitigation=0, **_GOOD)
    assert unmitigated.findings["blank_pages"].min() > 3 * found.findings["blank_pages"].mean()
    calls = unmitigated.records[0].periods[-2].edge.arrivals
    assert calls < 0.8 * 1000, "blank pages make no requests"


def test_cdn_failure_stops_a_rollout_whose_plan_listens_to_the_canary() -> None:
    strict = replace(PLAN, alarms={"frontend-assets": Rollback.ABORT})
    assert rehearse("cdn-failure", plan=strict).result.outcome == "aborted"


def test_rate_limit_is_raised_until_few_are_refused_and_moves_no_traffic() -> None:
    found = runs("rate-limit-too-strict", 4, rate_per_minute=6000, **_GOOD)
    assert found.outcomes == {"promoted": 4}
    assert found.findings["rate_limited_percent"].min() > 5
    assert found.findings["rate_limited_percent_at_the_end"].max() < 1
    assert found.findings["rate_limit_per_minute"].min() >= 2000
    assert found.findings["failed_requests"].max() == 0, "a 429 is no error of a colour"


def test_the_rate_limit_is_too_strict_for_little_traffic_too() -> None:
    """At 1,000 requests a minute nobody exceeds the guide's 1,000 a client, so the limit is less there."""
    found = runs("rate-limit-too-strict", 4, **_GOOD)
    assert found.findings["rate_limited_percent"].min() > 3
    assert found.findings["rate_limited_percent_at_the_end"].max() < 1
    whole = runs("rate-limit-too-strict", 2, limit_per_minute=1000, **_GOOD)
    assert whole.findings["rate_limited_percent"].max() == 0


def test_websocket_instability_alarms_and_does_not_roll_back() -> None:
    found = runs("websocket-instability", 10, **_GOOD)
    assert found.outcomes == {"promoted": 10}
    assert found.findings["websocket_alarms"].mean() == 1
    steady = runs("websocket-instability", 10, drops_percent_per_minute=0, **_GOOD)
    assert found.findings["websocket_drops"].mean() > 2 * steady.findings["websocket_drops"].mean()
    worse = runs("websocket-instability", 10, mitigation=0, **_GOOD)
    assert worse.findings["websocket_drops"].mean() > 1.5 * found.findings["websocket_drops"].mean()
    assert found.findings["websockets_on_candidate_at_the_end"].max() < 250, (
        "they stay where they were opened"
    )


def test_pool_exhaustion_passes_the_first_stage_and_is_aborted() -> None:
    found = runs("pool-exhaustion", 12, **_GOOD)
    assert found.outcomes == {"aborted": 12}
    assert found.first_reasons <= {"health", "db_connection_errors"}
    assert min(result.decided or 0 for result in found.records) > 120
    assert found.findings["pool_waiting_at_most"].max() > 5
    assert found.findings["database_connection_errors"].max() > 0


def test_a_database_connection_error_aborts_by_itself() -> None:
    """A pool that is only sometimes too small: every probe round is clean."""
    found = runs("pool-exhaustion", 6, pool_wait_s=0.02, leaks_per_query=0, pool_size=1, **_GOOD)
    assert found.outcomes == {"aborted": 6}
    assert {"db_connection_errors"} <= found.first_reasons <= {"db_connection_errors", "error_rate"}


def test_a_slow_memory_leak_passes_the_rollout() -> None:
    found = runs("memory-leak", 10, **_GOOD)
    assert found.outcomes == {"promoted": 10}
    assert 40 < found.findings["memory_percent_at_most"].mean() < 60
    assert 1 < found.findings["hours_to_the_limit"][0] < 12


def test_a_fast_memory_leak_restarts_replicas_and_is_rolled_back() -> None:
    found = runs("memory-leak", 10, leak_mb_per_request=0.5, mitigation=0, **_GOOD)
    assert found.outcomes == {"aborted": 10}
    assert found.first_reasons == {"health"}
    assert found.findings["replica_restarts"].min() >= 1
    assert any("candidate-memory" in {name for _, name in result.alarms} for result in found.records)


def test_restarts_at_85_percent_keep_a_leaking_release_up() -> None:
    values = {"leak_mb_per_request": 0.25, **_GOOD}
    killed, restarted = (runs("memory-leak", 6, mitigation=m, **values) for m in (0, 1))
    assert killed.outcomes == {"aborted": 6}
    assert restarted.findings["replica_restarts"].min() >= 1, "it leaks as fast"
    assert restarted.findings["memory_percent_at_most"].max() <= 85
    assert restarted.first_reasons <= {None, "error_rate"}, "no probe sees a replica missing"
    few = restarted.findings["failed_requests"].sum() / restarted.findings["replica_restarts"].sum()
    assert few < 3, "requests in flight"
    lost = killed.findings["failed_requests"].sum() / killed.findings["replica_restarts"].sum()
    assert few < lost / 5


def test_slow_queries_are_rolled_back_by_p95_and_rare_ones_are_not_seen() -> None:
    found = runs("slow-queries", 12, **_GOOD)
    assert found.outcomes == {"aborted": 12}
    assert found.first_reasons == {"latency_p95"}
    rare = runs("slow-queries", 6, slow_percent=2, rate_per_minute=4000, **_GOOD)
    assert rare.outcomes["promoted"] >= 5


def test_a_bundle_too_large_shows_in_no_servers_metrics() -> None:
    found = runs("bundle-too-large", 8, **_GOOD)
    assert found.outcomes == {"promoted": 8}
    assert found.findings["page_load_p95_s"][0] > 3
    assert found.findings["page_loads_above_3s_percent"][0] > 20
    gated = runs("bundle-too-large", 1, mitigation=1, **_GOOD).findings
    assert gated["bundle_kb"][0] <= 500
    assert gated["page_load_p95_s"][0] < found.findings["page_load_p95_s"][0] / 2


def test_a_metric_blackout_passes_no_stage_and_aborts() -> None:
    found = runs("metric-blackout", 12, **_GOOD)
    assert found.outcomes == {"aborted": 12}
    assert found.first_reasons <= {"blind", "hold_timeout"}, (
        "or held as inconclusive before it is blind for 6 min"
    )
    assert found.findings["stages_passed_blind"].max() == 0
    short = runs("metric-blackout", 12, blackout_s=120, **_GOOD)
    assert short.outcomes == {"promoted": 12}


def test_a_controller_crash_ends_in_the_same_place() -> None:
    crashed, calm = runs("controller-crash", 8, **_GOOD), runs("healthy", 8, **_GOOD)
    assert crashed.outcomes == calm.outcomes == {"promoted": 8}
    assert crashed.findings["duration_s"].mean() >= calm.findings["duration_s"].mean()
    assert crashed.findings["duration_s"].mean() < calm.findings["duration_s"].mean() + 180
    bad = runs("controller-crash", 8, error_percent=5, **_GOOD)
    assert bad.outcomes["aborted"] == 8
    assert bad.findings["detection_s"].min() >= 120 - 10, "nobody watches while it is down"


def test_a_controller_that_comes_back_gives_a_stage_its_whole_time_again() -> None:
    """Rule 15: of what fell due while nobody watched nothing raises traffic, and nothing condemns the release."""
    for suspended in (0, 1):
        values = {"crash_at_s": 100, "down_s": 900, "suspended": suspended, **_GOOD}
        found = runs("controller-crash", 4, **values)
        assert found.outcomes == {"promoted": 4}
        for result in found.records:
            assert [weight for t, weight in result.weights if t < 1000 + PLAN.stages[0].window] == [0, 5]
            passed = next(d for d in result.decisions if d.criterion is Reason.STAGE_PASSED)
            assert passed.t >= 1000 + PLAN.stages[0].window


def test_a_hold_times_out_while_nobody_watches() -> None:
    values = {"crash_at_s": 400, "down_s": 1200, "error_percent": 0, **_GOOD}
    result = runs("controller-crash", 1, missing_percent=100, **values).records[0]
    aborted = next(d for d in result.decisions if d.decision is DecisionKind.SET_WEIGHT and d.weight == 0)
    assert (aborted.criterion, aborted.t) == (Reason.HOLD_TIMEOUT, 1600), "at once, when somebody is back"


def test_a_bad_rule_is_taken_back_within_the_guides_two_minutes() -> None:
    """The lab's fault of the same name, with the same end: aborted by the front door, verified, and users are let in again."""
    for at in (20, 200, 700):
        found = runs("bad-rule", 6, broken_at_s=at, **_GOOD)
        assert found.outcomes == {"aborted": 6}
        assert found.first_reasons == {"front_door"}, "the colours' own probes and metrics are clean"
        assert all(result.verified for result in found.records)
        assert found.findings["detection_s"].max() <= 5, "the first round at the front door after it"
        assert found.findings["users_locked_out_s"].max() < 30, "the guide allows two minutes"
        locked_out, refused = (found.findings[name] for name in ("users_locked_out_s", "refused_requests"))
        assert refused == pytest.approx(1000 / 60 * locked_out)
        assert found.findings["failed_requests"].max() == 0, "no colour has failed anything"
        later = [c for r in found.records for c in r.periods if c.start > (r.moved or 0)]
        assert all(closed.sides[STABLE].requests > 800 for closed in later)


def test_without_rounds_at_the_front_door_missing_requests_hold() -> None:
    found = runs("bad-rule", 6, front_door=0, **_GOOD)
    assert found.outcomes == {"aborted": 6}
    for result in found.records:
        held = next(d for d in result.decisions if d.decision is DecisionKind.HOLD)
        assert held.criterion is Reason.TRAFFIC_MISSING
        assert 200 + 2 * 60 < held.t < 200 + 600, "two periods, and their delay"
    assert found.findings["users_locked_out_s"].min() > 600, "a hold waits for a person for ten minutes"
    asked = runs("bad-rule", 3, front_door=0, abort_after_s=60, **_GOOD)
    assert asked.findings["users_locked_out_s"].max() < 600


def test_another_version_holds_the_release_and_nobody_can_resume_it() -> None:
    found = runs("wrong-version", 6, resume_after_s=60, **_GOOD)
    assert found.outcomes == {"aborted": 6}
    assert found.first_reasons == {"hold_timeout"}
    for result in found.records:
        held = next(d for d in result.decisions if d.decision is DecisionKind.HOLD)
        assert (held.criterion, held.t) == (Reason.IDENTITY, 202), "the next round"
        assert result.refused == 1, "the operator's resume"
        assert max(weight for _, weight in result.weights) == 25


def test_the_approved_version_back_in_its_place_can_be_resumed() -> None:
    found = runs("wrong-version", 6, restored_after_s=30, resume_after_s=60, **_GOOD)
    assert found.outcomes == {"promoted": 6}
    assert {result.refused for result in found.records} == {0}
    assert {round(result.held) for result in found.records} == {60}
    too_soon = runs("wrong-version", 2, restored_after_s=57, resume_after_s=60, **_GOOD)
    assert {result.refused for result in too_soon.records} == {1}, "three rounds must not have met it"


def test_what_breaks_after_the_promotion_is_undone_by_the_watch() -> None:
    found = runs("broken-after-promotion", 6, **_GOOD)
    assert found.outcomes == {"undone": 6}
    assert found.first_reasons == {"health"}
    for result in found.records:
        assert result.promoted is not None and result.decided is not None and result.moved is not None
        broke = result.promoted + 300
        assert broke + 60 < result.decided < broke + 93, "three rounds, one every 30 s"
        assert result.moved < result.decided + 10
        assert result.verified
    assert 60 < found.findings["broken_for_users_s"].mean() < 120


def test_nobody_undoes_what_nobody_watches() -> None:
    alone = runs("broken-after-promotion", 2, mitigation=0, **_GOOD)
    assert alone.outcomes == {"promoted": 2}
    assert alone.findings["broken_for_users_s"].min() > 3000
    errors = runs("broken-after-promotion", 2, probes_fail=0, **_GOOD)
    assert errors.outcomes == {"promoted": 2}, "errors alone say nothing to the watch"
    assert "candidate-error-rate" in {name for _, name in errors.records[0].alarms}


@pytest.mark.parametrize("watched", [0, 1])
def test_a_person_undoes_what_the_alarm_says(watched: int) -> None:
    values = {"probes_fail": 0, "mitigation": watched, "undo_after_s": 120, **_GOOD}
    found = runs("broken-after-promotion", 3, **values)
    assert found.outcomes == {"undone": 3}
    assert found.first_reasons == {"operator"}
    for result in found.records:
        alarm = next(t for t, name in result.alarms if t > (result.promoted or 0))
        assert (result.detected, result.decided) == (alarm, alarm + 120)
        assert result.verified


def test_a_good_release_is_watched_to_the_end_of_its_night() -> None:
    found = runs("broken-after-promotion", 3, breaks_after_s=5000, **_GOOD)
    assert found.outcomes == {"promoted": 3}
    for result in found.records:
        assert result.ended == pytest.approx((result.promoted or 0) + 3600)
        assert result.decided is None


def test_a_traffic_surge_is_blamed_on_a_good_release() -> None:
    found = runs("traffic-surge", 2, **_GOOD)
    assert found.outcomes == {"aborted": 2}
    assert found.findings["candidate_p95_s_at_most"].min() > 2
    assert found.findings["stable_p95_s_at_most"].min() > 2, "alone, stable cannot carry it either"
    roomy = runs("traffic-surge", 2, slots=24, **_GOOD)
    assert roomy.outcomes == {"promoted": 2}
    assert roomy.findings["candidate_p95_s_at_most"].max() < 2
    calm = runs("traffic-surge", 2, surge_factor=1.2, **_GOOD)
    assert calm.outcomes == {"promoted": 2}


def test_a_retry_storm_outlives_its_cause_unless_clients_share_a_budget() -> None:
    storm = runs("retry-storm", 2, **_GOOD)
    assert storm.findings["attempts_per_request"].min() > 2
    assert storm.findings["given_up_percent_at_the_end"].min() > 50, "minutes after the database is well"
    budget = runs("retry-storm", 2, mitigation=1, **_GOOD)
    assert budget.findings["attempts_per_request"].max() < 1.2
    assert budget.findings["given_up_percent_at_the_end"].max() < 1


def test_stickiness_slows_a_rollback_down() -> None:
    """Clients that the candidate holds stay on it although the weight is 0."""
    run = Rehearsal(
        (scenario := find("error-regression")).world(
            scenario.values({"error_percent": 20, "sticky_s": 3600, "clients": 3000, "rate_per_minute": 3000})
        ),
        PLAN,
        1,
    )
    result = run.run()
    moved = result.moved or 0
    late = [closed for closed in result.periods if closed.start > moved]
    assert sum(closed.sides[CANDIDATE].requests for closed in late) > 100
    assert run.plane.model == model_for(run.world.model, PLAN)


def test_operator_and_failures_can_be_set_in_every_scenario() -> None:
    values = {"resume_after_s": 60.0, "update_failures_percent": 100.0}
    result = rehearse("healthy", values).result
    assert {d.criterion for d in result.decisions if d.decision is DecisionKind.HOLD} == {Reason.TRAFFIC}


def test_a_pool_is_waited_for_as_long_as_the_program_configures() -> None:
    wait = next(one.default for one in find("healthy").all_parameters() if one.name == "pool_wait_s")
    ini = render_ini(Pool("db", 5432, "app", 50, 100, "require", 30))
    assert f"query_wait_timeout = {wait:g}" in ini.splitlines()
