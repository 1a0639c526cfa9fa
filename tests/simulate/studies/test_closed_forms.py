"""The formulas against values from the literature and each other, and the data plane against the formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import simulate.studies.validation
from simulate.cli import main
from simulate.dataplane import plane
from simulate.dataplane.streams import Keys, Stream, keys
from simulate.studies.validation import Line
from simulate.studies.validation import closed_forms as known
from simulate.studies.validation.checks import Case, Check, cases, examine


def test_erlang_b_and_c_against_tables() -> None:
    assert known.erlang_b(1, 1.0) == pytest.approx(0.5)
    assert known.erlang_b(10, 8.0) == pytest.approx(0.1217, abs=5e-5)  # Erlang's table
    assert known.erlang_b(5, 3.0) == pytest.approx(0.1101, abs=5e-5)
    assert known.erlang_c(1, 0.7) == pytest.approx(0.7)
    assert known.erlang_c(10, 8.0) == pytest.approx(0.4092, abs=5e-5)


def test_special_cases_agree() -> None:
    rate, service = 0.7, 1.0
    assert known.mg1_response(rate, service, 2 * service**2) == pytest.approx(1 / (1 - rate))  # M/M/1
    assert known.mmc_response(1, rate, service) == pytest.approx(1 / (1 - rate))
    assert known.mmc_response_above(1, rate, service, 2.0) == pytest.approx(math.exp(-2 * (1 - rate)))
    assert known.mmck(5, 5, 4.0)[0] == pytest.approx(known.erlang_b(5, 4.0))
    assert known.erlang_a(5, 4.0, 1.0, 1e-9)[0] == pytest.approx(known.erlang_b(5, 4.0))  # no patience at all
    assert known.erlang_a(5, 4.0, 1.0, 1e9)[1] == pytest.approx(known.erlang_c(5, 4.0) * 4.0, rel=1e-3)


def test_guides_false_alarms() -> None:
    """At 5 % of 1,000 requests a minute, > 1 % in a minute: one healthy minute in ten."""
    assert known.false_alarm(50, 0.002, 0.01) == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_data_plane_agrees(case: Case) -> None:
    check = examine(case, effort=0.1, narrow=0.3)
    assert check.passed, check


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (Stream.QUERY, Stream.WORK, "query and work: above 0.25 s"),
        (Stream.ROUTE, Stream.ERROR, "alarm of a healthy 5 % stage"),
    ],
)
def test_a_stream_used_twice_is_noticed(
    monkeypatch: pytest.MonkeyPatch, one: Stream, other: Stream, name: str
) -> None:
    """Even where oracle and kernel make the same mistake."""

    def mixed_up(seed: int, replication: int = 0) -> Keys:
        found = keys(seed, replication)
        found[other] = found[one]
        return found

    monkeypatch.setattr(plane, "keys", mixed_up)
    case = next(case for case in cases() if case.name == name)
    assert not examine(case, effort=0.1, narrow=math.inf).passed


@pytest.mark.parametrize("flags", [(), ("--json",)])
@pytest.mark.parametrize(
    ("passed", "measured", "excused", "code"),
    [(True, 1.1, "", 0), (False, 1.1, "", 1), (True, 1.5, "", 1), (True, 1.5, "processors busy", 0)],
)
def test_the_command_ends_as_the_tables_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    passed: bool,
    measured: float,
    excused: str,
    code: int,
    flags: tuple[str, ...],
) -> None:
    check = Check("M/M/1", 1.0, 1.1, 0.9, 1.3, "s", passed)
    line = Line("20/s", "p95", "s", 1.0, 0.9, 1.1, measured, 20.0, excused=excused)
    monkeypatch.setattr(simulate.studies.validation, "validate", lambda **_: [check])
    monkeypatch.setattr(simulate.studies.validation, "compare", lambda *_, **__: [line])
    monkeypatch.setattr("sys.argv", ["simulate", "validate", *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    told = capsys.readouterr()
    if flags:
        document = json.loads(told.out)
        assert document["checks"][0]["passed"] is passed
        assert document["lab"]["lines"][0]["passed"] is (code == 0 or not passed)
    else:
        assert "20/s" in told.out and "M/M/1" in told.out
    if code:
        assert "1 of 2 lines fail: " in told.err


def test_a_bad_measurement_costs_no_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(simulate.studies.validation, "validate", lambda **_: pytest.fail("it was begun"))
    monkeypatch.setattr("sys.argv", ["simulate", "validate", "--lab", str(tmp_path / "no.json")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--lab: " in capsys.readouterr().err
