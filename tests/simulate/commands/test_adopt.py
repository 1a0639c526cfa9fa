"""`simulate adopt`: what it shows, what it refuses, and that nothing is written unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.plan import plan_text
from simulate.commands import adopt
from simulate.studies.tune.tuned_plan import FALSE_ROLLBACKS, read_header
from tests.simulate.command import simulate

PROPOSED, _ = plan_text("tuned")
CERTAIN, UNSURE = "0.4 (0.156 to 1.02)", "0.4 (0.156 to 9.02)"


@pytest.fixture
def ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plan that ships: as the proposed one, but patient for longer."""
    file = tmp_path / "ships.yaml"
    file.write_text(PROPOSED.replace("hold_timeout: 10m", "hold_timeout: 20m"))
    monkeypatch.setattr(adopt, "ADOPTED", file)
    return file


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def call(text: str, *options: str) -> tuple[int, str, str]:
        file = tmp_path / "proposed.yaml"
        file.write_text(text)
        code = simulate("adopt", str(file), *options, monkeypatch=monkeypatch)
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("build/tuned.yaml", "simulate: build/tuned.yaml does not exist; `simulate tune` writes it\n"),
        ("other.yaml", "simulate: other.yaml does not exist; `simulate tune --out other.yaml` writes it\n"),
        ("tuned", "simulate: FILE: 'tuned' is a plan that ships: give the file that `simulate tune` wrote"),
        ("phase-c", "simulate: FILE: 'phase-c' is a plan that ships"),
    ],
)
def test_what_tune_did_not_write_is_refused(
    file: str, says: str, ships: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    before = ships.read_text()
    assert simulate("adopt", file, "--yes", monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.startswith(says)
    assert ships.read_text() == before


def test_the_header_of_the_plan_that_ships_can_be_read() -> None:
    mine, guide = read_header(PROPOSED)[FALSE_ROLLBACKS]
    assert (mine.mean, mine.low, mine.high) == (0.4, 0.156, 1.02)
    assert guide.mean == 6.1
    assert len(read_header(PROPOSED)) == 6


def test_a_better_plan_is_shown_and_adopted(run: Any, ships: Path) -> None:
    code, out, err = run(PROPOSED, "--yes")
    assert (code, err) == (0, "")
    assert "hold timeout 10m" in out
    assert "-hold_timeout: 20m" in out and "+hold_timeout: 10m" in out
    assert ships.read_text() == PROPOSED
    assert "nothing to do" in run(PROPOSED, "--yes")[1]


def test_a_gain_that_may_be_chance_is_refused(run: Any, ships: Path) -> None:
    assert CERTAIN in PROPOSED
    before = ships.read_text()
    code, out, err = run(PROPOSED.replace(CERTAIN, UNSURE), "--yes")
    assert code == 1
    assert "0.156 to 9.02" in out, "what it is refused for is shown"
    assert err.startswith(
        "simulate: not adopted: 5.7 percentage points fewer false rollbacks than phase-c, give or take 8.72"
    )
    assert ships.read_text() == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (plan_text("phase-c")[0], "no figures in its header"),
        (PROPOSED.replace("name: tuned", "name: other"), "must be named 'tuned'"),
        (PROPOSED, "stdin is not a terminal; pass --yes"),
        ("stages: 3", "simulate: FILE: "),
    ],
)
def test_bad_input_changes_nothing(
    run: Any, ships: Path, text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    before = ships.read_text()
    code, _, err = run(text)
    assert code == 2
    assert says in err
    assert ships.read_text() == before


def test_tune_never_writes_over_a_plan_that_ships(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tune", "--replications", "2", "--out", str(adopt.ADOPTED))
    assert simulate(*words, monkeypatch=monkeypatch) == 2
    assert "simulate adopt" in capsys.readouterr().err
