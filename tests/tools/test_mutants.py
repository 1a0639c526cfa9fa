"""Mutants are drawn by seed, tried with the tests that matter, and docs/mutants.md fits the code."""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from tools.mutants import ROOMS
from tools.mutants.document import (
    UNEXPLAINED,
    Run,
    Survivor,
    counts,
    explained,
    render,
    result,
    share,
    survivors,
    tried,
)
from tools.mutants.draw import Mutant, draw, modules
from tools.mutants.trial import Baseline, Trials

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    pytest.importorskip("cosmic_ray", reason="a set-up older than the lock has no cosmic-ray")
    room = tmp_path / ROOMS[0]
    room.mkdir(parents=True)
    (room / "rule.py").write_text(
        textwrap.dedent("""\
            from __future__ import annotations

            import os

            LIMIT: int | None = 3

            def breached(value: float | None, *more: int) -> bool | None:
                try:
                    total = sum([*more])
                except (os.error, ValueError):
                    raise
                return value is not None and value + total > LIMIT
            """)
    )
    return tmp_path


def test_the_same_seed_draws_the_same_mutants_each_in_a_place_of_its_own(small: Path) -> None:
    first, places = draw(small, 100, seed=1)
    again, _ = draw(small, 100, seed=1)
    assert first == again
    # 3, `is not`, `and`, `value + total`, `> LIMIT`, not the exceptions, which cosmic-ray cannot replace.
    assert len(first) == places - 1 >= 5
    assert draw(small, 3, seed=1)[0] == first[:3]
    assert draw(small, 100, seed=2)[0] != first


def test_a_mutant_is_python_with_one_changed_line_and_no_changed_annotation(small: Path) -> None:
    original = (small / ROOMS[0] / "rule.py").read_text().splitlines()
    for seed in range(20):
        for mutant in draw(small, 100, seed)[0]:
            lines = mutant.source.splitlines()
            compile(mutant.source, "mutant", "exec")
            changed = [number for number, line in enumerate(lines, 1) if line != original[number - 1]]
            assert changed == [mutant.line]
            assert (mutant.before, mutant.after) == (
                original[mutant.line - 1].strip(),
                lines[mutant.line - 1].strip(),
            )
            assert (
                "int | None" in lines[4] and "float | None, *more" in lines[6] and "bool | None" in lines[6]
            )


SOURCE = """\
LIMIT = 3

def rule(a):
    if (a >
            LIMIT):
        return 1
    return 2
"""


def test_a_mutant_is_tried_with_the_tests_of_its_statement_quickest_first() -> None:
    tests = {
        0: {"slow", "quick", "other"},
        1: {""},
        3: {""},
        4: {"slow", "quick"},
        6: {"slow"},
        7: {"quick", "other"},
    }
    seconds = {"slow": 2.0, "quick": 0.1, "other": 1.0, "elsewhere": 0.2, "slow elsewhere": 3.0}
    baseline = Baseline(seconds, {"rule.py": tests})

    def of(line: int) -> list[str]:
        return baseline.selected("rule.py", SOURCE, line)

    assert of(5) == ["quick", "slow"]  # the condition's second line
    assert of(6) == ["slow"]
    assert of(7) == ["quick", "other"]
    assert baseline.within(["quick", "other", "slow"], 1.1) == ["quick", "other"]
    assert baseline.within(["slow", "quick"], 1) == ["slow"]
    # At import: also those that may look at it.
    assert of(1) == ["quick", "elsewhere", "other", "slow"]


RUN = Run(
    "abc1234",
    "2026-01-02",
    7,
    1500,
    {"rollout/policy": 60, "rollout/plan": 40},
    {"rollout/policy": 57, "rollout/plan": 38},
)


def test_the_result_has_its_interval() -> None:
    # Wilson's interval of 95 of 100.
    assert "95 of 100 killed, 95.0 % (95 % interval 88.8 % to 97.8 %); 1,500 places" in result(RUN)
    assert "first" not in result(RUN)


def test_a_run_that_ended_early_says_how_many_of_the_drawn_it_tried() -> None:
    early = replace(RUN, asked=400)
    assert result(early).endswith("These are the first 100 of the 400 that are drawn: time was up.")
    assert tried(render(early, [])) == tried(render(RUN, [])) == 100
    assert counts(render(early, [])) == (RUN.drawn, RUN.killed)


def test_explanations_are_kept_where_the_change_is_the_same() -> None:
    old = Survivor("rollout/plan/rules.py", "if a | b:", "if a or b:", "both are truth values")
    read = survivors(render(RUN, [old, Survivor("rollout/plan/yaml.py", "@cache", "")]))
    assert read == [old, Survivor("rollout/plan/yaml.py", "@cache", "", "not explained yet")]
    found = [Survivor(old.module, old.before, old.after), Survivor(old.module, old.before, "if a ^ b:")]
    assert [each.why for each in explained(found, read)] == ["both are truth values", "not explained yet"]


def test_the_rooms_have_modules() -> None:
    assert {name.rpartition("/")[0] for name in modules(CHECKOUT)} == set(ROOMS)


def test_the_controller_is_drawn_from_and_what_plays_nights_around_it_is_not() -> None:
    control = {name.rpartition("/")[2] for name in modules(CHECKOUT) if name.startswith("rollout/control/")}
    assert {"controller.py", "effects.py", "notifications.py", "dry_run.py"} <= control
    assert control & {"testing.py", "night.py", "invariants.py"} == set()


def test_when_time_is_up_no_more_are_begun(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text("LIMIT = 3\n")
    trials = object.__new__(Trials)  # no baseline is made
    trials._copies, trials.baseline, trials._budget = [tmp_path], Baseline({}, {}), math.inf
    mutants = [Mutant("rule.py", 1, "LIMIT = 3", f"LIMIT = {number}", "") for number in (4, 5)]
    assert [mutant for mutant, _ in trials.run(mutants)] == mutants
    assert list(trials.run(mutants, limit=-1)) == []


DOCUMENT = (CHECKOUT / "docs" / "mutants.md").read_text()


def test_every_survivor_is_in_the_code_and_explained() -> None:
    gone = [
        each
        for each in survivors(DOCUMENT)
        if not (CHECKOUT / each.module).is_file()
        or each.before not in map(str.strip, (CHECKOUT / each.module).read_text().splitlines())
    ]
    assert gone == [], "the code has changed: remove the row, or run `make mutants` again"
    assert [each for each in survivors(DOCUMENT) if each.why == UNEXPLAINED] == []


def test_the_numbers_of_the_document_agree() -> None:
    rooms = re.findall(r"^\| (rollout/\w+) \| (\d+) \| (\d+) \|$", DOCUMENT, re.MULTILINE)
    assert [room for room, _, _ in rooms] == list(ROOMS)
    drawn, killed = (sum(int(row[column]) for row in rooms) for column in (1, 2))
    percent, low, high = share(killed, drawn)
    assert f"{killed} of {drawn} killed, {percent} (95 % interval {low} to {high})" in DOCUMENT
    assert killed / drawn >= 0.95
