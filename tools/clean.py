"""`make clean`: end this checkout's labs and remove what commands made in it, except `.venv`.

Needs nothing but Python, so it works on a checkout that is half set up or broken. Labs are ended by killing their first
process: it is the init of their PID namespace, so the kernel ends everything else in there with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

_LEFTOVERS = ("build", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")
_COMPILED = "simulate/dataplane/__pycache__/numba-*"  # one folder each version of the sources
_PATIENCE = 10.0  # seconds for the kernel to end a killed lab


def first_process(record: Path) -> int | None:
    """Process id of the living first process of a lab, from its lab.json; None when it has ended.

    The id may belong to another process by now: start time and boot must be those noted.
    """
    try:
        noted: dict[str, Any] = json.loads(record.read_text())["first_process"]
        pid, ticks, boot = int(noted["pid"]), int(noted["start_ticks"]), str(noted["boot_id"])
        alive = (
            _start_ticks(pid) == ticks and Path("/proc/sys/kernel/random/boot_id").read_text().strip() == boot
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if alive else None


def _start_ticks(pid: int) -> int | None:
    # proc(5): the command's name, in parentheses, may hold spaces and parentheses itself.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def end_labs(labs: Path) -> bool:
    """Kill every lab that is recorded in the folder. False if one lives on."""
    deadline = time.monotonic() + _PATIENCE
    ended = True
    for record in sorted(labs.glob("*/lab.json")):
        while (pid := first_process(record)) is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                break
            except PermissionError:
                print(
                    f"clean: lab {record.parent.name} belongs to another user (process {pid})",
                    file=sys.stderr,
                )
                ended = False
                break
            if time.monotonic() > deadline:
                print(f"clean: lab {record.parent.name} does not end (process {pid})", file=sys.stderr)
                ended = False
                break
            time.sleep(0.05)
    return ended


def outdated(checkout: Path) -> list[str]:
    """Compiled code of the simulator for sources that have changed since: all but the newest, which takes a minute to
    make again."""
    found = sorted(checkout.glob(_COMPILED), key=lambda folder: folder.stat().st_mtime)
    return [str(folder.relative_to(checkout)) for folder in found[:-1]]


def main(checkout: Path) -> int:
    if not end_labs(checkout / "build" / "labs"):
        return 1
    problems: list[str] = []
    for name in (*_LEFTOVERS, *outdated(checkout)):
        shutil.rmtree(
            checkout / name, onerror=lambda _call, path, error: problems.append(f"{path}: {error[1]}")
        )
    # A folder that was not there is as it should be.
    remaining = [problem for problem in problems if (checkout / problem.partition(":")[0]).exists()]
    for problem in remaining:
        print(f"clean: cannot remove {problem}", file=sys.stderr)
    return 1 if remaining else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
