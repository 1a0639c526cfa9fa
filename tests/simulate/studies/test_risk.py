"""The register as a Monte Carlo: which risks occur, what nights share, and what a mitigation is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from rollout.plan import BackTo, Comparison
from simulate.controlplane import Closed, Rehearsal, RehearsalResult, model_for
from simulate.dataplane import EdgePeriod
from simulate.scenarios import BadParameter
from simulate.studies.replication import Job, Rows, run
from simulate.studies.replication.job import plane_of
from simulate.studies.risk import NIGHT_S, Register, Result, measure, mitigations_of, summarize
from simulate.studies.risk.nights import CALM, TOGETHER, Night, costs, is_unsafe, replication
from tests.simulate.command import simulate
from tests.simulate.controlplane.test_controlplane import period_of
from tests.simulate.rehearsals import PLAN

_NAMES = [risk.name for risk in Register.read({}).risks]
_NONE = {f"{name}.probability": 0.0 for name in _NAMES}
_QUIET = {"base_error_percent": 0.0, "websockets": 20.0}


def only(*names: str, **common: float) -> Register:
    """The register in which these risks occur for certain, and no other."""
    return Register.read(_NONE | {f"{name}.probability": 100.0 for name in names} | _QUIET | common)


def study(register: Register, n: int, workers: int = 1) -> Rows:
    job = Job("healthy", PLAN, 5, register.common)
    return run(job, n, workers=workers, measure=partial(measure, register))


def told(register: Register, n: int) -> Result:
    return summarize(register, Job("healthy", PLAN, 5, register.common), study(register, n))


def worth(result: Result, mitigation: str) -> Mapping[str, Any]:
    return next(one.more for one in result.worths if one.mitigation.name == mitigation)


# --- which risks occur


def test_the_register_is_the_guides() -> None:
    found = {risk.number: risk.probability for risk in Register.read({}).risks}
    assert found == {1: 30, 2: 25, 3: 15, 4: 40, 5: 20, 6: 35, 7: 15, 8: 40, 9: 10}


def test_risks_occur_as_often_as_the_register_says_and_independently() -> None:
    register, n = Register.read({}), 4000
    nights = [register.occurring(3, k) for k in range(n)]
    seen = np.array([[name in night for name in _NAMES] for night in nights], float)
    for risk, share in zip(register.risks, seen.mean(axis=0), strict=True):
        p = risk.probability / 100
        assert share == pytest.approx(p, abs=4 * (p * (1 - p) / n) ** 0.5)
    between = np.corrcoef(seen.T)[~np.eye(len(_NAMES), dtype=bool)]
    assert np.abs(between).max() < 4.5 / n**0.5


def test_probabilities_of_0_and_100() -> None:
    assert all(only().occurring(1, k) == frozenset() for k in range(200))
    assert all(only(*_NAMES).occurring(1, k) == frozenset(_NAMES) for k in range(200))


def test_another_probability_is_nobody_elses_luck() -> None:
    register, other = Register.read({}), Register.read({"cdn-failure.probability": 95})
    for k in range(300):
        assert register.occurring(1, k) - {"cdn-failure"} == other.occurring(1, k) - {"cdn-failure"}
        assert register.occurring(1, k) == register.without("migration-failure").occurring(1, k)


# --- nights


def test_one_certain_risk_together_is_that_risk_alone() -> None:
    found = replication(only("lb-misconfiguration"), PLAN, 2, 0)
    measures = [key.removeprefix(f"{CALM}/") for key in found if key.startswith(f"{CALM}/")]
    assert len(measures) == 10
    for name in measures:
        assert found[f"{TOGETHER}/{name}"] == found[f"lb-misconfiguration/{name}"]
    assert found[f"{TOGETHER}/failed_requests"] > found[f"{CALM}/failed_requests"]


def test_without_a_risk_nothing_is_worth_anything_to_users() -> None:
    result = told(only(), 3)
    assert result.together.ends["promoted"].count == 3
    assert {one.mean for one in result.together.costs.values()} == {0.0}
    assert all(one.more["failed_requests"].mean == 0 for one in result.worths)
    assert not any(one.seen for one in result.worths)


def test_what_was_idle_would_have_changed_nothing() -> None:
    """A night is not run again without a mitigation that did nothing in it: run, it ends and costs the same."""
    chances = {f"{name}.probability": 10.0 for name in ("migration-failure", "lb-misconfiguration")}
    register = Register.read(
        {"base_error_percent": 0.2, "websockets": 0, **chances}
    )  # falsely rolled back, too
    skipped = 0
    for k in range(10):
        names = register.occurring(8, k)
        world = register.world(names)
        plane = plane_of(model_for(world.model, PLAN))
        base = Rehearsal(world, PLAN, 8, k, plane=plane).run()
        for one in mitigations_of(PLAN):
            if not one.risk and one.idle(PLAN, base):
                skipped += 1
                without = Rehearsal(world, one.plan(PLAN), 8, k, plane=plane).run()
                assert (without.outcome, without.weights, without.limits) == (
                    base.outcome,
                    base.weights,
                    base.limits,
                )
                found = [costs(Night(world, PLAN, r, 0.0), register, names) for r in (base, without)]
                assert found[0] == found[1]
    assert 15 < skipped < 60


def test_every_night_has_the_same_requests() -> None:
    register = only("migration-failure", "slow-queries", rate_per_minute=300)
    arrivals = set()
    for names in ((), ("migration-failure",), ("slow-queries", "memory-leak")):
        world = register.world(names)
        result = Rehearsal(world, PLAN, 1, plane=plane_of(model_for(world.model, PLAN))).run()
        arrivals.add(tuple(closed.edge.arrivals for closed in result.periods))
        assert result.watched == NIGHT_S
    assert len(arrivals) == 1


def test_a_request_hurts_once() -> None:
    """Errors for want of a connection come after 5 s: they failed, and are not slow as well."""
    register = only("pool-exhaustion")
    names = ["pool-exhaustion"]
    result = record_of(ok=900, db_errors=100, p95=15.0)
    found = costs(Night(register.world(names), PLAN, result, 100.0), register, names)
    assert (found["failed_requests"], found["slow_requests"], found["hurt"]) == (100, 0, 100)
    assert found["unsafe_minutes"] == 1


def record_of(**side: Any) -> RehearsalResult:
    """A result of one metric period, of which stable had all."""
    edge = edge_of(attempts=side["ok"] + side.get("db_errors", 0))
    return RehearsalResult(
        periods=[Closed(0, 0.0, (period_of(**side), period_of()), edge)], ended=60.0, watched=60.0
    )


def edge_of(attempts: int, rate_limited: int = 0) -> EdgePeriod:
    return EdgePeriod(attempts, rate_limited, 0, attempts, attempts - rate_limited, 0)


@pytest.mark.parametrize(
    ("side", "limited", "unsafe"),
    [
        ({"ok": 990, "server_errors": 10}, 0, False),
        ({"ok": 989, "server_errors": 11}, 0, True),
        ({"ok": 1000}, 11, True),
        ({"ok": 1000, "p50": 0.1, "p95": 1.9, "p99": 1.9}, 0, False),
        ({"ok": 1000, "p50": 0.1, "p95": 2.1, "p99": 2.2}, 0, True),
    ],
)
def test_a_minute_is_unsafe_above_1_percent_of_all_users(
    side: dict[str, Any], limited: int, unsafe: bool
) -> None:
    closed = Closed(0, 0.0, (period_of(), period_of(**side)), edge_of(1000, limited))
    assert is_unsafe(closed) is unsafe
    quiet = replace(closed, edge=edge_of(100_000, limited))
    assert not is_unsafe(quiet), "a small share of all users"


# --- what mitigations are worth


def test_stages_are_worth_something_where_errors_come() -> None:
    result = told(only("lb-misconfiguration", rate_per_minute=300), 6)
    more = worth(result, "staged traffic")
    assert more["failed_requests"].low > 100
    assert result.worths[0].mitigation.name == "staged traffic"
    assert worth(result, "raising the rate limit")["hurt"].mean == 0
    assert worth(result, "migration time limit")["hurt"].mean == 0, "it answers another risk"


def test_the_answer_to_a_risk_is_worth_something_where_it_occurs() -> None:
    names = ("cdn-failure", "rate-limit-too-strict", "websocket-instability")
    result = told(only(*names), 3)
    assert result.together.ends["promoted"].count == 3, "none of them is a bad release"
    for name in ("frontend rollback", "raising the rate limit", "websocket restart"):
        assert worth(result, name)["hurt"].low > 0
    assert worth(result, "staged traffic")["failed_requests"].mean == pytest.approx(0, abs=1)


def test_without_p95_a_slow_release_is_promoted() -> None:
    result = told(only("slow-queries"), 3)
    assert (result.bad_promoted.count, result.together.ends["rolled_back"].count) == (0, 3)
    more = worth(result, "P95 criterion")
    assert more["bad_promoted"].mean == 1
    assert more["unsafe_minutes"].low > 5
    assert worth(result, "all automated rollback")["bad_promoted"].mean == 1


def test_without_its_time_limit_a_migration_blocks_until_it_ends_by_itself() -> None:
    result = told(only("migration-failure", rate_per_minute=60), 2)
    assert worth(result, "migration time limit")["unsafe_minutes"].mean == pytest.approx(20, abs=1)


def test_a_plan_with_a_comparison_has_one_mitigation_more() -> None:
    compared = PLAN.with_criteria(comparison=Comparison(0.1, 0.5, BackTo(5)))
    extra = {one.name for one in mitigations_of(compared)} - {one.name for one in mitigations_of(PLAN)}
    assert extra == {"comparison with stable"}
    for one in mitigations_of(compared):
        for weight in (
            limit.rollback.to
            for limit in (one.plan(compared).criteria.error_rate, one.plan(compared).criteria.comparison)
            if limit and isinstance(limit.rollback, BackTo)
        ):
            assert weight in (0, *(stage.weight for stage in one.plan(compared).stages))


# --- workers


def test_the_number_of_workers_changes_nothing() -> None:
    register = Register.read({"rate_per_minute": 60, "websockets": 0})
    one, two = study(register, 21), study(register, 21, workers=2)
    assert one.names == two.names
    assert np.array_equal(one.values, two.values, equal_nan=True)


# --- the command


class Figure(BaseModel):
    model_config = ConfigDict(extra="forbid")
    n: int
    mean: float
    low: float | None
    high: float | None
    p95: float


class Share(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class NightFound(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ends: dict[str, Share]
    failed_requests: Figure
    hurt: Figure
    unsafe_minutes: Figure
    rate_limited_requests: Figure
    slow_requests: Figure
    spoiled_pages: Figure
    websocket_drops: Figure


class RiskFound(NightFound):
    name: str
    risk: int
    probability: float
    detection_s: Figure | None


class TogetherFound(NightFound):
    risks: Figure
    bad_promoted: Share
    false_rollback: Share


class WorthFound(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    guide: str
    seen: bool
    failed_requests: Figure
    hurt: Figure
    unsafe_minutes: Figure
    bad_promoted: Figure
    false_rollback: Figure


class Found(BaseModel):
    """What the JSON of `risk` is, key by key."""

    model_config = ConfigDict(extra="forbid")
    plan: str
    seed: int
    replications: int
    night_s: float
    rate_per_minute: float
    calm: NightFound
    risks: list[RiskFound]
    together: TogetherFound
    mitigations: list[WorthFound]


Capture = pytest.CaptureFixture[str]
_FEW = ("risk", "--rate", "100", "--set", "websockets=0", "--replications")


def test_json_has_the_keys_that_are_promised(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert simulate(*_FEW, "2", "--json", monkeypatch=monkeypatch) == 0
    found = Found.model_validate_json(capsys.readouterr().out)
    assert [one.name for one in found.risks] == _NAMES
    assert sum(share.count for share in found.together.ends.values()) == found.replications == 2
    assert {one.name for one in found.mitigations} == {one.name for one in mitigations_of(PLAN)}
    assert list(found.together.ends) == ["promoted", "held", "rolled_back"]


def test_tables_and_page(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    page = tmp_path / "risk.html"
    assert simulate(*_FEW, "3", "--html", str(page), monkeypatch=monkeypatch) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for word in (*_NAMES, "no difference seen", "Strategy 2", "Risk 4", "Wilson", "3 nights of 40 minutes"):
        assert word in out
    text = page.read_text()
    assert text.count("<svg") == 6, "each for wide and narrow screens"
    assert all(name in text for name in _NAMES)
    assert "migration-failure.migration_limit_s" in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--set", "nonsense.probability=3"), "'nonsense' is not in the register: it has migration-failure"),
        (("--set", "cdn-failure.nonsense=3"), "'nonsense' is not a parameter of cdn-failure"),
        (("--set", "cdn-failure.probability=101"), "'probability' is 101"),
        (("--set", "slow_s=3"), "write SCENARIO.slow_s"),
        (("--set", "cdn-failure.replicas=3"), "leave out 'cdn-failure.'"),
        (("--set", "replicas=0"), "'replicas' is 0"),
        (("--set", "rate-limit-too-strict.limit_per_minute=5"), "'limit_per_minute' is 5"),
        (("--set", "clients=2"), "'heavy_clients' is 2"),
        (("--set", "cdn-failure.probability"), "it takes key=value"),
        (("--rate", "-1"), "--rate is -1"),
        (("--rate", "5", "--set", "rate_per_minute=5"), "give one of them"),
        (("--plan", "nowhere.yaml"), "nowhere.yaml"),
        (("--html", "/nowhere/x.html"), "--html: the directory /nowhere does not exist"),
        (("--dask", "nonsense://x"), "--dask"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    args: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert simulate("risk", *args, monkeypatch=monkeypatch) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_parameters_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadParameter, match="memory_mb"):
        Register.read({"memory-leak.memory_mb": 500})
