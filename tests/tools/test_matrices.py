"""docs/matrices.md holds what the code does: each fault of the decrease path, and a death at every record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.control.exits import Exit
from rollout.control.faulty.matrices import ACTIONS, FAULTS, Cell, cell, deaths
from simulate.lab.rehearsal.matrices import CRASHES, Ended, held
from simulate.lab.rehearsal.matrices import FAULTS as REAL_FAULTS
from tools.matrices.document import apart, deaths_table, faults_table, render, render_real

DOCUMENT = (Path(__file__).parents[2] / "docs" / "matrices.md").read_text()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_keeps_no_traffic_on_the_candidate(fault: str) -> None:
    found = [cell(fault, action) for action in ACTIONS]
    for each in found:
        print(f"{each.fault}, {each.action}: {each.words}")
        assert each.way, each
        assert each.told, each
        assert each.exit in (Exit.ROLLED_BACK, Exit.ROLLED_BACK_RED)
        assert each.seconds <= 25 or fault == "credentials wrong"
    assert faults_table(found).splitlines()[-1] in DOCUMENT.splitlines(), "run `make matrices`"


def test_a_death_ends_as_the_whole_rollout_or_on_stable() -> None:
    rows = list(deaths(stride=11))
    assert {row.rollout for row in rows} == {"good", "good, in the bake", "bad", "undo"}
    for row in rows:
        assert row.broken == []
        assert row.kills == row.same + row.stable
        assert row.rollout == "good" or not row.stable


@pytest.mark.long
def test_the_table_of_deaths_is_that_of_the_code() -> None:
    assert deaths_table(deaths()) in DOCUMENT, "run `make matrices`"


def test_the_document_says_what_did_not_hold() -> None:
    bad = Cell("stack locked", "abort", "", 0.0, Exit.FAILED, told=False, in_line=False)
    text = render("abc", "2025-12-20", [], [bad], ["1 night"])
    assert "| stack locked | NOT MOVED, exit 1, stack out of line (paged), NOBODY TOLD |" in text
    assert "Commit abc, 2025-12-20." in text


def test_the_tables_of_real_parts_have_the_cells_of_the_code() -> None:
    _, real = apart(DOCUMENT)
    rows = [line.strip("| ").split(" | ") for line in real.splitlines() if line.startswith("| ")]
    named = [tuple(row[:2]) for row in rows if row[0] not in ("killed", "fault")]
    wanted = [(crash.at, f"`rollout {crash.then}`") for crash in CRASHES]
    assert named == [*wanted, *((cell.fault, cell.action) for cell in REAL_FAULTS)], (
        "run `make matrices REAL=1`"
    )
    assert "BOTH" not in real


def test_either_part_of_the_document_is_written_alone() -> None:
    found = Ended(4, "", "blue", in_line=False, way="break-glass", off_s=3.14, requests=1200, failed=3)
    real = render_real("abc", "2025-12-20", [(CRASHES[0], found)], [(REAL_FAULTS[0], found)], 8)
    assert (
        "| engine missing | undo | break-glass | blue, stack out of line | 3.1 | no end in the journal, exit 4 | 3 of 1,200 |"
        in real
    )
    fakes = render("def", "2025-12-21", [], [], [])
    assert apart(fakes + real) == (fakes, real)
    assert apart(fakes) == (fakes, "")
    assert held(REAL_FAULTS[0], found)
    assert not held(REAL_FAULTS[0], replace(found, serves=""))
    assert not held(REAL_FAULTS[0], replace(found, exit=1))
    promoted = next(crash for crash in CRASHES if crash.promoted)
    assert held(promoted, replace(found, serves="green", exit=0))
    assert not held(promoted, found)
