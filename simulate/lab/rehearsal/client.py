"""The load of a rehearsal and what its clients counted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from simulate.lab.errors import LabError
from simulate.lab.lab import Lab
from simulate.lab.layout import EDGE
from simulate.lab.load.records import Request
from simulate.lab.rehearsal.watch import Watch

RATE = 100  # requests per second
#: 200 requests a minute each: far from the limit of 1,000, and well above the 100 of the fault `rate-limit`.
CLIENTS = 30
WEBSOCKETS = 20
LONGEST_S = 4 * 3600
STOP_LIMIT_S = 45.0  # an answer is given up after 30 s
NAME = "the load"


@dataclass(slots=True)
class Counts:
    """What the clients counted of the requests that they sent between ``start`` and ``end`` (epoch seconds).

    ``by_second`` maps whole seconds after ``start`` to requests by colour ('' without an answer), ``failed_by_second``
    to failures. A request that was rate limited is none of them.
    """

    start: float
    end: float
    requests: int = 0
    failed: int = 0
    rate_limited: int = 0
    by_colour: Counter[str] = field(default_factory=Counter)
    failed_by_colour: Counter[str] = field(default_factory=Counter)
    by_second: dict[int, Counter[str]] = field(default_factory=dict)
    failed_by_second: Counter[int] = field(default_factory=Counter)
    #: What failed, by status; 0 without an answer.
    failures: Counter[int] = field(default_factory=Counter)

    def add(self, request: Request) -> None:
        if not self.start <= request.at < self.end:
            return
        second = int(request.at - self.start)
        self.requests += 1
        self.by_colour[request.colour] += 1
        self.by_second.setdefault(second, Counter())[request.colour] += 1
        self.rate_limited += request.rate_limited
        if request.failed:
            self.failed += 1
            self.failures[request.status] += 1
            self.failed_by_colour[request.colour] += 1
            self.failed_by_second[second] += 1

    def failed_since(self, t: float) -> int:
        """Failures among the requests sent in the whole seconds from ``t`` on (seconds after ``start``)."""
        return sum(number for second, number in self.failed_by_second.items() if second >= t)


def read_requests(path: Path) -> Iterator[Request]:
    """The requests recorded so far; a line still being written is left out."""
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield Request(**{"error": "", **json.loads(line)})


@dataclass(slots=True)
class Clients:
    """The load on a lab's edge, recorded in ``directory``."""

    lab: Lab
    watch: Watch
    directory: Path
    rate: int = RATE
    _process: subprocess.Popen[str] | None = None

    @property
    def records(self) -> Path:
        return self.directory / "requests.jsonl"

    @property
    def _sums(self) -> Path:
        return self.directory / "load.json"

    @property
    def _log(self) -> Path:
        return self.directory / "load.log"

    def start(self) -> None:
        """Begins to send, from now on watched."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.records.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "simulate.lab.load",
            "--url",
            f"http://{EDGE}",
            "--rate",
            str(self.rate),
        ]
        command += ["--clients", str(CLIENTS), "--websockets", str(WEBSOCKETS), "--duration", str(LONGEST_S)]
        command += ["--out", str(self.records)]
        with self._log.open("w") as log, self._sums.open("w") as sums:
            self._process = self.lab.popen(command, output=sums, errors=log)
        self.watch.background[NAME] = (self._process, self._log)

    def stop(self) -> None:
        """Sends nothing more and waits for the answers on their way. Raises :class:`LabError` if they do not come."""
        if self._process is None:
            return
        self.watch.background.pop(NAME, None)
        self._process.terminate()
        self._process.wait()
        self._process = None
        # The load itself ends a little later than nsenter; it prints its sums last.
        deadline = time.monotonic() + STOP_LIMIT_S
        while not self._sums.read_text().strip():
            if time.monotonic() > deadline:
                raise LabError(f"the load did not end within {STOP_LIMIT_S:g} s", f"see {self._log}")
            time.sleep(0.1)

    def counted(self, start: float, end: float) -> Counts:
        """What was counted of ``[start, end)``; waits for the record of a later request, while the load goes on."""
        if self._process is not None:
            self.watch.until(lambda: self._last_at() >= end)
        counts = Counts(start, end)
        for request in read_requests(self.records):
            counts.add(request)
        return counts

    def _last_at(self) -> float:
        """When the request of the last whole line was sent (epoch seconds)."""
        with self.records.open("rb") as records:
            records.seek(max(0, records.seek(0, 2) - 2000))
            lines = records.read().split(b"\n")[1:-1]
        return float(json.loads(lines[-1])["at"]) if lines else 0.0
