"""The commands `rollout rotate` and `rollout pool`: what they refuse before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.journal.station import Station
from tests.rollout import driver
from tests.rollout.test_cli import Ran, project, rollout

__all__ = ["project", "rollout"]  # fixtures
Run = Callable[..., Ran]


def test_what_cannot_be_exchanged_is_refused(rollout: Run) -> None:
    ran = rollout("rotate", "password")
    assert (ran.code, ran.err) == (2, "rollout: rotate password: it takes origin or test\n")
    ran = rollout("pool", "red", "60")
    assert (ran.code, ran.err) == (2, "rollout: pool red: it takes blue or green\n")
    assert rollout("pool", "blue", "many").code == 2


def test_a_rotation_waits_for_the_end_of_a_rollout(rollout: Run, project: Path) -> None:
    (project / "weight").write_text("5")
    ran = rollout("rotate", "origin", "--yes", connector=driver.FileConnector())
    assert ran.code == 2
    assert "green 2.0.0 has 5 % of the traffic: end the rollout first" in ran.err


def test_a_rotation_is_refused_while_a_controller_runs(rollout: Run, project: Path) -> None:
    other = Station(project, "prod")
    other.take()
    try:
        ran = rollout("rotate", "test", "--yes", connector=driver.FileConnector())
    finally:
        other.give_back()
    assert ran.code == 2
    assert "controller" in ran.err


def test_without_a_terminal_it_wants_to_be_told(rollout: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = rollout("rotate", "test", connector=driver.FileConnector())
    assert ran.code == 2
    assert "pass --yes" in ran.err


@pytest.mark.parametrize("words", [("rotate", "--help"), ("pool", "--help")])
def test_the_help_says_when_it_is_refused(rollout: Run, words: tuple[str, ...]) -> None:
    assert "Refused" in rollout(*words).out
