"""What a client saw of each request, and the sums of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_TOO_MANY_REQUESTS = 429
_ACCEPTED = range(200, 400)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``at`` is when it was sent, in seconds of the epoch; ``status`` is 0 where no answer came, and
    ``error`` is then the reason. ``colour`` and ``version`` are those of the backend that answered, empty if none did."""

    at: float
    latency_s: float
    status: int
    error: str
    colour: str
    version: str

    @property
    def failed(self) -> bool:
        """As a user counts: anything but a 2xx or 3xx, whoever answered it. A 429 is counted apart (``rate_limited``)."""
        return self.status not in _ACCEPTED and not self.rate_limited

    @property
    def rate_limited(self) -> bool:
        return self.status == _TOO_MANY_REQUESTS

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps(
            {
                "at": round(self.at, 4),
                "latency_s": round(self.latency_s, 5),
                "status": self.status,
                **({"error": self.error} if self.error else {}),
                "colour": self.colour,
                "version": self.version,
            }
        )


def parse(line: str | bytes) -> Request:
    """A result of vegeta in its JSON form. Raises ValueError or KeyError for anything else."""
    result: dict[str, Any] = json.loads(line)
    headers = {name.lower(): values for name, values in (result.get("headers") or {}).items()}
    status = int(result["code"])
    return Request(
        at=datetime.fromisoformat(result["timestamp"]).timestamp(),
        latency_s=result["latency"] / 1e9,
        status=status,
        # vegeta calls every status outside of 200-399 an error; only a missing answer is one here.
        error=result.get("error", "") if status == 0 else "",
        colour=_first(headers, "x-simple378-colour"),
        version=_first(headers, "x-simple378-version"),
    )


def _first(headers: Mapping[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]


@dataclass(slots=True)
class Window:
    """Sums of the requests sent within one second."""

    total: int = 0
    failed: int = 0
    rate_limited: int = 0
    by_colour: Counter[str] = field(default_factory=Counter)
    failed_by_colour: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """Sums over all requests, by the second in which they were sent."""

    total: int = 0
    failed: int = 0
    rate_limited: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: dict[int, Window] = field(default_factory=dict)

    def add(self, request: Request) -> None:
        self.total += 1
        self.failed += request.failed
        self.rate_limited += request.rate_limited
        self.statuses[request.status] += 1
        if request.error:
            self.errors[request.error] += 1
        window = self.seconds.setdefault(int(request.at), Window())
        window.total += 1
        window.failed += request.failed
        window.rate_limited += request.rate_limited
        window.by_colour[request.colour] += 1
        window.failed_by_colour[request.colour] += request.failed

    def between(self, start: float, end: float) -> Window:
        """The sums of the whole seconds in ``[start, end)``, in seconds of the epoch."""
        result = Window()
        for second, window in self.seconds.items():
            if start <= second < end:
                result.total += window.total
                result.failed += window.failed
                result.rate_limited += window.rate_limited
                result.by_colour += window.by_colour
                result.failed_by_colour += window.failed_by_colour
        return result

    def summary(self) -> dict[str, Any]:
        """For a person or a file."""
        whole = self.between(float("-inf"), float("inf"))
        return {
            "total": self.total,
            "failed": self.failed,
            "rate_limited": self.rate_limited,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "colours": dict(sorted(whole.by_colour.items())),
            "errors": dict(self.errors.most_common(5)),
        }
