"""Each fault injected into the real parts ends as the guide says: one lab, one deployment, a release a fault.

The plan is the guide's at time scale 10; only how long a held rollout waits for a person, of which the guide says
nothing, is shortened.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from math import exp, lgamma, log

import pytest

from rollout.journal.account import Account, Verdict
from rollout.plan import plan_text
from simulate.lab.faults import FAULTS
from simulate.lab.lab import Lab
from simulate.lab.rehearsal.client import read_requests
from simulate.lab.rehearsal.release import Rig
from simulate.lab.rehearsal.summary import ReleaseResult, summarize

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(400)]

MUST_SHOW = (
    "errors-5pct",
    "hanging-requests",
    "slow-queries",
    "failing-probe",
    "pool-exhaustion",
    "targets-unreachable",
    "metrics-missing",
    "metrics-failing",
    "bad-rule",
)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("rehearsal")
    (directory / "logs").mkdir()
    plan = directory / "plan.yaml"
    plan.write_text(plan_text("phase-c")[0].replace("hold_timeout: 10m", "hold_timeout: 2m"))
    lab = Lab(f"test-{os.getpid()}-faults", time_scale=10)
    lab.start(attached=True)
    try:
        rig = Rig.of(lab, directory, print, str(plan))
        rig.deploy_all()
        rig.clients.start()
        yield rig
    finally:
        lab.stop()
        shutil.rmtree(lab.paths.root, ignore_errors=True)
        lab.paths.lock.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def good(rig: Rig) -> ReleaseResult:
    return rig.perform(1, "2.0.0", None)


def test_a_good_release_fails_no_request_and_swaps_the_roles(good: ReleaseResult, rig: Rig) -> None:
    account = good.account
    assert good.differs == ()
    assert good.client.failed == 0 and good.client.requests > 5000
    assert [(visit.weight, visit.bake) for visit in account.stages] == [
        *((weight, False) for weight in (5, 25, 50, 100)),
        (100, True),
    ]
    assert all(visit.verdict is Verdict.SUCCESSFUL for visit in account.stages)
    for told, planned in zip(summarize(good)["stages"], account.plan.stages, strict=True):
        assert told["left_s"] - told["seen_s"] >= planned.window
    assert rig.stable == "green"


@pytest.mark.parametrize("weight", [5, 25])
def test_clients_see_the_declared_weight(good: ReleaseResult, rig: Rig, weight: int) -> None:
    account = good.account
    visit = next(visit for visit in account.stages if visit.weight == weight)
    assert visit.seen_s is not None and visit.left_s is not None
    start = account.header.start
    # A second after the weight was seen: requests on their way then were sent by the old one.
    begin, end = start + visit.seen_s + 1, start + visit.left_s
    colours = [r.colour for r in read_requests(rig.clients.records) if begin <= r.at < end]
    candidates = colours.count(account.candidate)
    assert len(colours) > 500
    assert _two_sided(len(colours), candidates, weight / 100) > 1e-4


def test_metrics_of_a_good_release_count_users_and_no_probes(good: ReleaseResult, rig: Rig) -> None:
    """36 probes a period go to the candidate, which has about 150 requests of users in one at 25 %."""
    account = good.account
    visit = next(visit for visit in account.stages if visit.weight == 25)
    assert visit.seen_s is not None and visit.left_s is not None
    whole = [p for p in account.of("candidate") if visit.seen_s <= p.start and p.end <= visit.left_s]
    assert whole
    sent = [
        request.at - account.header.start
        for request in read_requests(rig.clients.records)
        if request.colour == account.candidate
    ]
    for period in whole:
        assert period.requests == pytest.approx(sum(period.start <= t < period.end for t in sent), abs=12)


def _two_sided(n: int, k: int, p: float) -> float:
    """The probability of a count at least as unlikely as ``k`` of ``n`` at probability ``p`` (exact binomial)."""

    def chance(i: int) -> float:
        return exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) + i * log(p) + (n - i) * log(1 - p))

    limit = chance(k) * (1 + 1e-9)
    return sum(c for i in range(n + 1) if (c := chance(i)) <= limit)


@pytest.mark.parametrize("name", MUST_SHOW)
def test_a_fault_ends_as_the_guide_says(good: ReleaseResult, rig: Rig, name: str) -> None:
    result = rig.perform(2 + MUST_SHOW.index(name), f"3.0.{MUST_SHOW.index(name)}", FAULTS[name])
    account = result.account
    assert result.differs == ()
    assert account.final_weight == 0
    assert rig.stable == "green"
    told = summarize(result)
    if told["first_breach_s"] is not None:
        # From the first period or round that breached until it was known and acted on, and the traffic moved.
        assert told["fault_started_s"] < told["decided_s"] < told["traffic_moved_s"]
        assert told["first_breach_s"] <= told["decided_s"]
        assert told["decided_s"] - told["first_breach_s"] <= account.plan.metrics.delay
    if told["last_failure_after_moved_s"] is not None:
        assert told["last_failure_after_moved_s"] < 30, "the guide's improvement within 30 seconds"
    _check(name, account)


def _check(name: str, account: Account) -> None:
    """What is particular to a fault."""
    candidate_rounds = [
        r for r in account.rounds if r.role == "candidate" and r.t <= account.retreats[0].decided
    ]
    if name == "targets-unreachable":
        assert not any(r.failed for r in candidate_rounds), "health must stay clean: metrics alone decide"
    if name == "failing-probe":
        assert {probe for r in candidate_rounds for probe in r.failed} == {"deep"}
    if name == "bad-rule":
        assert not any(r.failed for r in candidate_rounds), "probes go round the rule"
        (retreat,) = account.retreats
        assert retreat.moved is not None
        assert retreat.moved - retreat.detected <= account.plan.verification.deadlines.moved, (
            "back within T+2"
        )
        assert "flowing" not in retreat.late(account.plan), "back within T+3, as users find it"
    if name == "metrics-missing":
        assert account.stages[-1].verdict is Verdict.INCONCLUSIVE
    if name == "metrics-failing":
        assert account.stages[-1].verdict is Verdict.ERROR
    if account.finish and account.finish.get("verified"):
        moved = account.retreats[-1].moved or 0.0
        after = [p for p in account.of("stable") if p.start >= moved and p.requests]
        assert after and all(p.error_rate is not None and p.error_rate < 0.1 for p in after)
