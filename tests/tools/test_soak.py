"""Soaking plays nights by seed and shows one that broke an invariant so that it can be played again."""

from __future__ import annotations

from collections import Counter

import pytest

from rollout.control.faulty.draw import draw_night
from rollout.control.faulty.invariants import Violation
from rollout.control.faulty.night import Played
from tools.soak import __main__ as soak


def test_one_night_is_shown_with_what_goes_wrong_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--seed", "378"]) == 0
    out = capsys.readouterr().out
    assert "the world behaves from" in out
    assert "processes and" in out


def test_a_night_that_breaks_an_invariant_can_be_played_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Violation(12.34, "traffic rose")
    monkeypatch.setattr(soak, "play", lambda seed: Played(draw_night(seed), violations=(broken,)))
    assert soak.main(["--seed", "7"]) == 1
    assert "VIOLATION at 12.3 s: traffic rose" in capsys.readouterr().out
    told = soak.tell(7)
    soak._print_broken(told)
    assert "again: python -m tools.soak --seed 7" in capsys.readouterr().out
    total = soak.Sum()
    total.add(told)
    assert "1 nights broke an invariant: [7]" in list(total.to_lines())


def test_an_exception_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(seed: int) -> Played:
        raise KeyError("a bug")

    monkeypatch.setattr(soak, "play", fails)
    assert soak.tell(3) == soak.Told(3, "exception", 1, 0, Counter(), ("KeyError: 'a bug'",))


def test_nights_are_played_for_as_long_as_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--seed", "378", "--for", "100ms"]) == 0
    assert "nights in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--for", "soon"], "--for: it is not a duration"), (["--for", "1s", "--workers", "0"], "at least 1")],
)
def test_bad_input_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        soak.main(arguments)
    assert message in capsys.readouterr().err
