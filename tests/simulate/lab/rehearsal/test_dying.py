"""A real process that is killed at a record of its journal, which is on the disk as far as that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rollout.journal import read_journal
from rollout.plan import parse_plan
from simulate.lab.rehearsal.dying import matches
from simulate.lab.rehearsal.matrices import CRASHES, FIRST_WEIGHT, short_plan

PROGRAM = """
import json, sys, time
from pathlib import Path
from rollout.journal import FileJournal
from simulate.lab.rehearsal.dying import killed_at
with killed_at(sys.argv[1], {"kind": "intent", "weight": 0}):
    journal = FileJournal(Path(sys.argv[2]), time.time)
    for kind, body in (("rollout", {}), ("intent", {"weight": 50}), ("event", {}), ("intent", {"weight": 0}), ("event", {})):
        journal.append(kind, 0, body)
    time.sleep(30)
"""


@pytest.mark.parametrize(("when", "records"), [("before", 3), ("after", 4), ("inside", 5)])
def test_it_dies_where_it_should(tmp_path: Path, when: str, records: int) -> None:
    journal, locks = (
        tmp_path / "journal.jsonl",
        tmp_path / ".pulumi/locks/organization/simple378/local-traffic",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, when, str(journal)],
        env={"PULUMI_BACKEND_URL": f"file://{tmp_path}?metadata=skip"},
    )
    if when == "inside":
        while not journal.exists() or journal.read_bytes().count(b"\n") < records:
            assert process.poll() is None
            time.sleep(0.01)
        locks.mkdir(parents=True)
        (locks / "lock.json").touch()
    assert process.wait(20) == -9
    assert len(read_journal(journal)) == records


@pytest.mark.parametrize(
    ("wanted", "hit"),
    [
        ({"kind": "intent"}, True),
        ({"kind": "intent", "weight": 50}, True),
        ({"kind": "intent", "weight": 0}, False),
    ],
)
def test_a_record_holds_all_that_is_wanted(wanted: dict[str, Any], *, hit: bool) -> None:
    assert matches(wanted, "intent", {"act": "set_weight", "weight": 50}) is hit


def test_the_short_plan_is_one_and_begins_with_the_weight_of_the_cells() -> None:
    plan = parse_plan(short_plan(), "the short plan")
    assert [stage.weight for stage in plan.stages] == [FIRST_WEIGHT, 100]
    assert {crash.record.get("weight", 0) for crash in CRASHES} <= {0, FIRST_WEIGHT}
