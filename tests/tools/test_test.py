"""`make test` adds up its parts and fails when one of them does."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import tools.test
from tools.test import PARTS, SECOND_TRY, run

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    (tmp_path / "test_good.py").write_text(
        textwrap.dedent("""\
            import pytest

            def test_one(): pass
            def test_two(): pass

            @pytest.mark.skip(reason="never")
            def test_three(): pass
            """)
    )
    (tmp_path / "test_bad.py").write_text(
        textwrap.dedent("""\
            import pytest

            @pytest.fixture
            def broken(): raise OSError

            def test_fails(): assert False
            def test_breaks(broken): pass
            """)
    )
    return tmp_path


def test_the_closing_line_adds_up_the_parts(tests: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = str(tests / "test_good.py"), str(tests / "test_bad.py")
    assert run([(good, "-k", "one"), (good, "-k", "not one")]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "2 passed, 0 failed, 1 skipped"
    # The failure of the first part does not stop the second, and is not forgotten.
    assert run([(bad,), (good, "-k", "one")]) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "1 passed, 2 failed"


@pytest.mark.parametrize("broken", ["--no-such-option", "no_such_test.py"])
def test_a_part_that_does_not_start_is_a_failure(
    tests: Path, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    assert run([(broken,), (str(tests / "test_good.py"),)]) == 1
    assert "2 passed, 0 failed" in capfd.readouterr().out


FAILS_ONCE = """
from pathlib import Path
import pytest
DONE = Path(__file__).with_suffix(".done")

@pytest.mark.parametrize("n", range(%d))
def test_busy(n):
    done = DONE.with_name(f"{DONE.name}-{n}")
    try:
        assert done.exists()
    finally:
        done.touch()
"""


@pytest.mark.parametrize(("failures", "code"), [(SECOND_TRY, 0), (SECOND_TRY + 1, 1)])
def test_a_few_failures_are_tried_once_more_and_named(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    code: int,
) -> None:
    (tmp_path / "test_busy.py").write_text(FAILS_ONCE % failures)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setattr(tools.test, "CHECKOUT", tmp_path)
    assert run([("test_busy.py", "-k", "busy")]) == code
    lines = capfd.readouterr().out.splitlines()
    named = [
        line for line in lines if line.startswith("passed only when it was tried once more: test_busy.py::")
    ]
    assert len(named) == (failures if code == 0 else 0)
    assert lines[-1] == (f"{failures} passed, 0 failed" if code == 0 else f"0 passed, {failures} failed")


def test_what_fails_twice_has_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_bad.py").write_text("def test_bad(): assert False\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setattr(tools.test, "CHECKOUT", tmp_path)
    assert run([("test_bad.py", "-k", "bad")]) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"


def test_every_test_is_in_exactly_one_part() -> None:
    first, second = (part[part.index("-m") + 1] for part in PARTS)
    assert first == f"not ({second})"
