"""`make test` adds up its parts and fails when one of them does."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tools.test import PARTS, run

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


def test_every_test_is_in_exactly_one_part() -> None:
    first, second = (part[part.index("-m") + 1] for part in PARTS)
    assert first == f"not ({second})"
