"""`make test`: what needs no lab on two cores, then what does, one test after the other; at the end one line for both.

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


def counts(report: Path) -> Counter[str]:
    """Tests by outcome, from pytest's JUnit file: passed, failed, skipped. What broke outside a test is a failure."""
    found: Counter[str] = Counter()
    for suite in ET.parse(report).iter("testsuite"):  # noqa: S314 -- pytest's own
        total, failed, errors, skipped = (
            int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
        )
        found.update(passed=total - failed - errors - skipped, failed=failed + errors, skipped=skipped)
    return found


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


def run(parts: Sequence[Sequence[str]] = PARTS) -> int:
    """Run pytest for each part. Exit code: 0 when all tests passed, 1 when one failed, 130 when interrupted."""
    found: Counter[str] = Counter()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for number, arguments in enumerate(parts):
            report = Path(folder) / f"{number}.xml"
            command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
            code, interrupted = _wait(subprocess.Popen(command, cwd=CHECKOUT))
            if report.exists():
                found += counts(report)
            if interrupted:
                print(f"interrupted\n{closing_line(found)}")
                return 130
            good = good and code == 0
    print(closing_line(found))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(run())
