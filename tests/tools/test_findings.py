"""docs/findings.md says what its commands say: all rows in form, the cheap ones run again."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from rollout.plan import Plan, load_plan
from tools import findings
from tools.findings import ROOT, Row, cells, rows, run

ROWS = list(rows((ROOT / "docs" / "findings.md").read_text()))
PLANS = sorted((ROOT / "docs" / "plans").glob("*.yaml"))
CHEAP = ("--set hang_s=20 --set pool_size=50", "--set sticky_s=300", "--rate 10000")


def cheap() -> list[Row]:
    """One row of each kind of command that costs a few seconds."""
    found = [row for row in ROWS if " ".join(row.command).endswith(CHEAP)]
    return [row for row in found if row.command[0] == "rollout" or row.requests <= 360_000]


def test_no_row_is_empty_and_each_names_its_seed() -> None:
    assert len(ROWS) > 50
    for row in ROWS:
        assert len(row.columns) == len(row.cells) and all(row.cells), row
        assert row.command[0] == "rollout" or "--seed" in row.command


@pytest.mark.timeout(600)  # the first may compile the simulator
@pytest.mark.parametrize("row", cheap(), ids=lambda row: " ".join(row.command[-4:]))
def test_a_cheap_row_says_what_its_command_says(row: Row) -> None:
    assert cells(row.columns, run(row.command)) == row.cells


def test_cheap_rows_are_of_each_kind() -> None:
    assert {row.command[1] for row in cheap()} == {"plan", "rehearse"}
    assert len(cheap()) >= 3


def test_a_wrong_number_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "findings.md"
    page.write_text(
        "# A\n\nEvery row is `simulate rehearse healthy --seed 1` with ...\n\n"
        "| options | rolled back | detection, s |\n|---|---|---|\n| `--rate 5` | 50 % (9 to 91) | - |\n\n| other |\n|---|\n| x |\n"
    )
    monkeypatch.setattr(findings, "DOCUMENT", page)
    monkeypatch.setattr(
        findings,
        "run",
        lambda command: {
            "replications": 2,
            "rolled_back": {"count": 0},
            "detection_s": {"mean": 3, "low": 2.0, "high": 4.5},
        },
    )
    monkeypatch.setattr("sys.argv", ["findings"])
    assert findings.main() == 1
    assert "findings.md:7: simulate rehearse healthy --seed 1 --rate 5" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["findings", "--write"])
    assert findings.main() == 0
    assert "| `--rate 5` | 0 % (0 to 65.8) | 3 (2 to 4.5) |\n" in page.read_text()
    monkeypatch.setattr("sys.argv", ["findings"])
    assert findings.main() == 0


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_of_the_findings_is_phase_c_but_for_its_errors(path: Path) -> None:
    guide, plan = load_plan("phase-c"), load_plan(str(path))
    differ = {field.name for field in fields(Plan) if getattr(plan, field.name) != getattr(guide, field.name)}
    assert differ <= {"name", "criteria"}
    mine, its = plan.criteria, guide.criteria
    judged = {field.name for field in fields(mine) if getattr(mine, field.name) != getattr(its, field.name)}
    assert judged <= {"error_rate", "comparison"}
    assert plan.name == path.stem
