"""`rollout`, killed by SIGKILL at a record of its journal: ``python -m simulate.lab.rehearsal.dying WHEN RECORD -- run --env local``.

RECORD is what the record holds, in JSON: its kind and fields of its body. WHEN is ``before`` it is in the journal, ``after`` it is, or
``inside``: after it, while the engine holds the lock of a stack. The journal is on the disk as far as that, and nothing else is put in order.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from rollout.cli import main as rollout
from rollout.journal import FileJournal

_LOOK_S = 0.002


def matches(wanted: Mapping[str, Any], kind: str, body: Mapping[str, Any]) -> bool:
    """Whether a record holds all that is wanted."""
    return wanted.items() <= {**body, "kind": kind}.items()


def _die(journal: Path, records: int) -> NoReturn:
    """Once so many records are in the file."""
    while journal.read_bytes().count(b"\n") < records:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def _die_inside(journal: Path, records: int, locks: Path) -> NoReturn:
    while not any(locks.rglob("*.json")):
        time.sleep(_LOOK_S)
    _die(journal, records)


def locks_of(backend: str) -> Path:
    """Where a backend in a directory (``file://...``) keeps the locks of its stacks."""
    return Path(backend.removeprefix("file://").partition("?")[0]) / ".pulumi" / "locks"


@contextmanager
def killed_at(when: str, wanted: Mapping[str, Any]) -> Iterator[None]:
    """Within this the process is killed at the first such record."""
    append, count = FileJournal.append, 0

    def dying(journal: FileJournal, kind: str, t: float, body: Mapping[str, Any]) -> int:
        nonlocal count
        hit = matches(wanted, kind, body)
        if hit and when == "before":
            _die(journal.path, count)
        count = append(journal, kind, t, body)
        if hit and when == "after":
            _die(journal.path, count)
        if hit:
            locks = locks_of(os.environ["PULUMI_BACKEND_URL"])
            threading.Thread(target=_die_inside, args=(journal.path, count, locks), daemon=True).start()
        return count

    with patch.object(FileJournal, "append", dying):
        yield


if __name__ == "__main__":
    with killed_at(sys.argv[1], json.loads(sys.argv[2])):
        sys.argv = ["rollout", *sys.argv[4:]]
        rollout()
