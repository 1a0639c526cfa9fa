"""`make test`: what needs no lab on two cores, then what does, one test after the other; at the end one line for both.

A few failures are tried once more, because tests with processes and real parts also measure how busy the machine is. What passes only
then is named at the end: it is a test, or a product, that somebody has to look at.

python -m tools.test
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

CHECKOUT = Path(__file__).parents[1]
_REAL = "lab or engine"
# Tests in the lab share one, and measure it.
PARTS = (("-n", "2", "-m", f"not ({_REAL})"), ("-m", _REAL))
SECOND_TRY = 3  # so many failures of a part, at most, are tried once more


def counts(report: Path) -> Counter[str]:
    """Tests by outcome, from pytest's JUnit file: passed, failed, skipped. What broke outside a test is a failure."""
    found: Counter[str] = Counter()
    for suite in ET.parse(report).iter("testsuite"):  # noqa: S314 -- pytest's own
        total, failed, errors, skipped = (
            int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
        )
        found.update(passed=total - failed - errors - skipped, failed=failed + errors, skipped=skipped)
    return found


def failed(report: Path) -> list[str]:
    """Which tests failed, as pytest takes them: ``tests/x/test_y.py::test_z``."""
    return [
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for case in ET.parse(report).iter("testcase")  # noqa: S314 -- pytest's own
        if case.find("failure") is not None or case.find("error") is not None
    ]


def closing_line(found: Counter[str]) -> str:
    line = f"{found['passed']} passed, {found['failed']} failed"
    return f"{line}, {found['skipped']} skipped" if found["skipped"] else line


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, bool]:
    """Its exit code, and whether Ctrl-C came, which pytest receives too: it stops its lab first."""
    interrupted = False
    while True:
        try:
            return process.wait(), interrupted
        except KeyboardInterrupt:
            interrupted = True


def _pytest(arguments: Sequence[str], report: Path) -> tuple[int, bool]:
    return _wait(
        subprocess.Popen([sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments], cwd=CHECKOUT)
    )


def _passes_now(names: Sequence[str], report: Path) -> bool:
    print(f"\nOnce more: {', '.join(names)}", flush=True)
    return _pytest(names, report)[0] == 0


def run(parts: Sequence[Sequence[str]] = PARTS) -> int:
    """Run pytest for each part. Exit code: 0 when all tests passed, 1 when one failed, 130 when interrupted."""
    found: Counter[str] = Counter()
    good, late = True, list[str]()
    with tempfile.TemporaryDirectory() as folder:
        for number, arguments in enumerate(parts):
            report = Path(folder) / f"{number}.xml"
            code, interrupted = _pytest(arguments, report)
            if report.exists():
                found += counts(report)
            if interrupted:
                print(f"interrupted\n{closing_line(found)}")
                return 130
            names = failed(report) if code == 1 else []
            if 0 < len(names) <= SECOND_TRY and _passes_now(names, Path(folder) / f"{number}-again.xml"):
                code, late = 0, names
                found += Counter(passed=len(names), failed=-len(names))
            good = good and code == 0
    for name in late:
        print(f"passed only when it was tried once more: {name}")
    print(closing_line(found))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(run())
