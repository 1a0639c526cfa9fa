"""When requests arrive: open loop, so they do not wait for answers, and overload shows as overload.

Every kind becomes a table of rates, one an interval, repeated when it ends; within an interval arrivals are Poisson.
Arrival times are the cumulative rate's inverse at unit-rate arrivals, so they are exact when the rate changes.
"""

# mypy: disable-error-code="no-any-return"
# (to mypy an element of an array is Any)

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulate.dataplane._compiled import compiled, inlined

_HOUR = 3600.0
_LEAST_STEP, _MOST_STEP = 0.1, 86_400  # seconds of a trace
HIGHEST_RATE = 6_000_000  # requests per minute


class BadTrace(ValueError):
    """A trace file cannot be used; the message names the file, the line and what it takes."""


def _check_rate(per_minute: float) -> None:
    if not 0 <= per_minute < math.inf:
        raise ValueError(f"per_minute is {per_minute!r}: a rate is finite and not negative")


@dataclass(frozen=True, slots=True)
class Poisson:
    """A constant rate in requests per minute."""

    per_minute: float

    def __post_init__(self) -> None:
        _check_rate(self.per_minute)


@dataclass(frozen=True, slots=True)
class Bursty:
    """Gamma-Poisson: the rate of each interval is drawn from a Gamma law around ``per_minute``.

    ``variance_to_mean`` is that of the requests of an interval (1: Poisson; ELB and WorldCup traces: 22-41), so the
    rate's Gamma law has shape m / (variance_to_mean - 1) for m requests an interval in the mean.
    """

    per_minute: float
    variance_to_mean: float
    interval_s: float = 60.0

    def __post_init__(self) -> None:
        _check_rate(self.per_minute)
        if not 1 < self.variance_to_mean < math.inf:
            raise ValueError(f"variance_to_mean is {self.variance_to_mean!r}: it is above 1 (1 is Poisson)")
        if not 0 < self.interval_s <= _HOUR:
            raise ValueError(
                f"interval_s is {self.interval_s!r}: it takes seconds above 0, at most {_HOUR:g}"
            )


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests counted in each interval of ``interval_s`` seconds; repeated when it ends."""

    counts: tuple[float, ...]
    interval_s: float

    def __post_init__(self) -> None:
        if not self.counts or any(not 0 <= count < math.inf for count in self.counts):
            raise ValueError("counts: it takes at least one interval, and no negative number of requests")
        if not 0 < self.interval_s < math.inf:
            raise ValueError(f"interval_s is {self.interval_s!r}: it takes seconds above 0")

    @property
    def per_minute(self) -> float:
        return 60.0 * sum(self.counts) / (len(self.counts) * self.interval_s)

    @classmethod
    def from_csv(cls, path: Path) -> Trace:
        """Reads ``timestamp,value``: seconds or ISO times at equal steps, requests per step. Raises ``BadTrace``."""
        try:
            with path.open(newline="") as file:
                rows = [(n, row) for n, row in enumerate(csv.reader(file), 1) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BadTrace(f"{path}: cannot be read: {error}") from error
        if rows and [cell.strip() for cell in rows[0][1]] == ["timestamp", "value"]:
            rows = rows[1:]
        if len(rows) <= 1:
            raise BadTrace(f"{path}: it takes lines 'timestamp,value', at least two of them")
        read = [(n, *_trace_row(path, n, row)) for n, row in rows]
        step = read[1][1] - read[0][1]
        for (_, before, _), (n, now, _) in pairwise(read):
            if step <= 0 or abs(now - before - step) > 1e-6 * max(step, 1.0):
                raise BadTrace(f"{path}:{n}: timestamps must rise by equal steps, here {step:g} s")
        if not _LEAST_STEP <= step <= _MOST_STEP:
            raise BadTrace(f"{path}: steps of {step:g} s: it takes {_LEAST_STEP:g} s to {_MOST_STEP:,} s")
        for n, _, value in read:
            if value * 60 > HIGHEST_RATE * step:
                raise BadTrace(
                    f"{path}:{n}: {value:g} requests in {step:g} s: it takes up to {HIGHEST_RATE:,} a minute"
                )
        return cls(tuple(value for _, _, value in read), step)


def _trace_row(path: Path, n: int, row: list[str]) -> tuple[float, float]:
    try:
        stamp, count = (cell.strip() for cell in row)
    except ValueError:
        raise BadTrace(f"{path}:{n}: it takes two columns, timestamp,value") from None
    try:
        time = float(stamp)
    except ValueError:
        try:
            time = datetime.fromisoformat(stamp).timestamp()
        except ValueError:
            raise BadTrace(f"{path}:{n}: '{stamp}' is no timestamp: seconds or an ISO time") from None
    try:
        value = float(count)
    except ValueError:
        value = math.nan
    if not (math.isfinite(time) and 0 <= value < math.inf):
        raise BadTrace(f"{path}:{n}: '{row[1]}' is no count: requests per interval, not negative")
    return time, value


Arrivals = Poisson | Bursty | Trace


def interval_of(arrivals: Arrivals) -> float:
    """Seconds that one entry of the rate table lasts."""
    return _HOUR if isinstance(arrivals, Poisson) else arrivals.interval_s


def rate_table(arrivals: Arrivals, key: np.uint64) -> NDArray[np.float64]:
    """Requests per second of each interval; the bursts are drawn with ``key``, for about an hour."""
    match arrivals:
        case Poisson(per_minute):
            return np.array([per_minute / 60.0])
        case Trace(counts, interval_s):
            return np.array(counts) / interval_s
        case Bursty(per_minute, ratio, interval_s):
            n = math.ceil(_HOUR / interval_s)
            if per_minute == 0:
                return np.zeros(n)
            shape = per_minute / 60.0 * interval_s / (ratio - 1.0)
            draws = np.random.Generator(np.random.Philox(key=int(key))).standard_gamma(shape, n)
            return per_minute / 60.0 * draws / shape


@inlined
def gap_after(t: float, unit: float, factor: float, rates: NDArray[np.float64], interval: float) -> float:
    """Seconds from ``t`` until the rate times ``factor``, integrated, reaches ``unit``; infinite if it never does."""
    n = rates.shape[0]
    if n == 1:
        rate = rates[0] * factor
        return unit / rate if rate > 0.0 else math.inf
    k, begun, idle = int(t / interval), t, 0
    while idle < n:
        end = (k + 1) * interval
        rate = rates[k % n] * factor
        if rate > 0.0:
            idle = 0
            if unit <= (end - t) * rate:
                return (t - begun) + unit / rate
            unit -= (end - t) * rate
        else:
            idle += 1
        t = end
        k += 1
    return math.inf


@compiled
def units_between(
    t: float, until: float, factor: float, rates: NDArray[np.float64], interval: float
) -> float:
    """The rate, times ``factor``, integrated from ``t`` to ``until``."""
    n = rates.shape[0]
    k = int(t / interval)
    total = 0.0
    while t < until:
        end = min((k + 1) * interval, until)
        total += rates[k % n] * factor * (end - t)
        t = end
        k += 1
    return total
