"""The comparison with the lab: measurements made up of the simulator's own runs, and the one that ships."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulate.controlplane.world import STACK_UPDATE
from simulate.dataplane import Backend, Empirical
from simulate.lab.measure.points import Point
from simulate.lab.measure.sender import quantiles
from simulate.studies.validation import BadMeasurement, Line, compare, lab, lab_model, read, rollouts, shipped
from simulate.studies.validation.measurement import Fit, fit, parse

LAWS = Fit(
    Empirical.from_samples(np.linspace(0.002, 0.005, 50)),
    Empirical.from_samples(np.linspace(0.001, 0.004, 50)),
)
LOW = Point("low load", 5, 60, "fixed", 0.1, fit=True)
POOL = Point("pool 2, 85 % busy", 30, 600, "fixed", 0.05, pool=2)
IMPATIENT = Point("130 % asked", 24, 200, "fixed", 0.1, pool=2, wait_s=2, warm_up_s=15)


def measured(point: Point, **other: Any) -> dict[str, Any]:
    """What the lab would have told of a point if it were the simulator, on another seed."""
    throughput, p50, p95, failures = lab.predict(point, LAWS, 2, seed=99, runs=1)[0]
    answered = round(throughput * point.window_s)
    figures = {
        "sent": round(answered / (1 - failures / 100)),
        "answered": answered,
        "p50_s": p50,
        "p95_s": p95,
        "processors_busy": 0.3,
        "database_beyond_sleep_s": quantiles(LAWS.database.quantiles),
        "rest_s": quantiles(LAWS.rest.quantiles),
    }
    return asdict(point) | figures | other


def document(*points: dict[str, Any], **parts: Any) -> str:
    return json.dumps(
        {"format": 1, "machine": {}, "versions": {}, "points": {"replicas": 2, "points": points}} | parts
    )


def lines_of(*points: dict[str, Any]) -> list[Line]:
    return compare(parse(document(measured(LOW), *points), "made up"), runs=20)


def failing(lines: list[Line]) -> set[tuple[str, str]]:
    return {(line.where, line.what) for line in lines if not line.passed}


def test_the_simulator_agrees_with_itself() -> None:
    lines = lines_of(measured(POOL), measured(IMPATIENT))
    assert failing(lines) == set()
    told = {(line.where, line.what): line for line in lines}
    assert told[IMPATIENT.name, "failures"].measured > 10
    assert (POOL.name, "failures") not in told, "nothing failed and nothing was to"
    assert all(line.low <= line.predicted <= line.high for line in lines)
    assert {line.excused for line in lines if line.where == LOW.name} == {"fitted to"}


def test_a_pool_one_too_large_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [measured(POOL), measured(IMPATIENT)]
    real = lab.predict

    def one_too_many(point: Point, *arguments: Any, **options: Any) -> Any:
        return real(replace(point, pool=point.pool + 1), *arguments, **options)

    monkeypatch.setattr(lab, "predict", one_too_many)
    found = failing(lines_of(*stored))
    assert (POOL.name, "p95") in found
    assert {(IMPATIENT.name, "throughput"), (IMPATIENT.name, "failures")} <= found


def test_a_timeout_counted_as_success_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [measured(IMPATIENT)]
    monkeypatch.setattr(lab, "is_answered", lambda outcomes: outcomes >= 0)
    assert (IMPATIENT.name, "failures") in failing(lines_of(*stored))


def test_what_is_beyond_the_aims_scope_is_shown_and_not_judged() -> None:
    busy = measured(replace(POOL, name="busy"), processors_busy=0.8, p95_s=9.0)
    plain = measured(replace(LOW, name="plain", sleep_s=0.0, fit=False), p95_s=9.0)
    lines = lines_of(busy, plain)
    assert failing(lines) == set()
    excuses = {line.where: line.excused for line in lines if line.what == "p95"}
    assert excuses == {LOW.name: "fitted to", "busy": "processors 80 % busy", "plain": "no pg_sleep"}


def test_rollouts_are_compared_within_one_metric_period() -> None:
    release = {"fault": "errors-5pct", "fault_started_s": 2.0, "traffic_moved_s": 25.0}
    rollouts: dict[str, Any] = {"plan": "phase-c", "rate": 100, "time_scale": 10.0}
    rollouts["stack_update_s"] = {"quantiles": [2.0, 2.5, 3.0]}

    def lines_with(decided: float) -> list[Line]:
        told = rollouts | {"releases": [release | {"decided_s": decided}]}
        text = document(measured(LOW), rollouts=told)
        return [line for line in compare(parse(text, "made up"), runs=2) if line.where.startswith("errors")]

    first, late = lines_with(22.0), lines_with(60.0)
    assert [(line.what, line.aim, line.absolute) for line in first] == [
        ("detection", 6.0, True),
        ("rollback", 6.0, True),
    ]
    assert failing(first) == set()
    assert [line.what for line in late if not line.passed] == ["detection", "rollback"]
    # Beside the period itself it takes the publication's 9 s; a delay that was dropped would show.
    assert 10 < first[0].predicted < 25


def test_the_fit_is_of_low_load_only() -> None:
    strange = measured(POOL, database_beyond_sleep_s=[9.0] * 65, rest_s=[9.0] * 65)
    laws = fit(parse(document(measured(LOW), strange), "made up"))
    assert laws.database.mean == pytest.approx(LAWS.database.mean, rel=0.02)
    assert laws.rest.mean == pytest.approx(LAWS.rest.mean, rel=0.02)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "is no measurement"),
        ('{"format": 2}', "has format 2: measure again"),
        ('{"format": 1}', "'machine' is missing"),
        (document({"name": "x", "sent": 1, "answered": 1}), "'rate' is missing"),
        (document({"name": "x", "sent": 1, "answered": 0}), "0 of 1 were answered"),
    ],
)
def test_a_file_that_is_no_measurement(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text(text)
    with pytest.raises(BadMeasurement, match=says):
        read(path)


def test_nothing_to_fit_to() -> None:
    with pytest.raises(BadMeasurement, match="no point of low load"):
        compare(parse(document(measured(POOL)), "made up"))


# --- the measurement that ships


def test_all_lines_of_the_shipped_measurement_pass() -> None:
    lines = compare(shipped())
    assert failing(lines) == set()
    judged = [line for line in lines if not line.excused]
    assert {"throughput", "p50", "p95", "failures", "detection", "rollback"} == {line.what for line in judged}


def test_the_scenarios_updates_lie_between_those_of_an_idle_and_a_busy_lab() -> None:
    idle, busy = shipped().updates_idle, shipped().updates_busy
    assert idle and busy
    for share, z in ((0.5, 0.0), (0.95, 1.645)):
        law = STACK_UPDATE.median * np.exp(z * STACK_UPDATE.sigma)
        assert np.quantile(idle.quantiles, share) < law < np.quantile(busy.quantiles, share)


def test_a_dropped_metric_delay_fails_against_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "PUBLICATION_DELAY_S", 0.0)
    rows = {(line.where, line.what) for line in compare(shipped(), runs=2) if not line.passed}
    assert any(where.startswith("errors-5pct") and what == "detection" for where, what in rows)


def test_a_pool_one_too_large_fails_against_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_too_many(*arguments: Any) -> Backend:
        made = lab_model.backend(*arguments)
        return replace(made, pool=replace(made.pool, size=made.pool.size + 1))

    monkeypatch.setattr(lab, "backend", one_too_many)
    found = {where for where, what in failing(compare(shipped(), runs=10)) if what in ("p95", "failures")}
    assert {where.partition(",")[0] for where in found} >= {"pool 2"}
