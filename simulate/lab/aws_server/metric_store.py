"""CloudWatch's storage and statistics, as plain data.

AWS's rules that the rollout's decisions depend on:

- a metric is its namespace, name and *exact* set of dimensions: a query that names fewer dimensions finds nothing;
- periods are aligned to the epoch, a datapoint carries the start of its period, the start of a query is rounded down
  to a period and its end is exclusive;
- a period without samples has no datapoint: never 0, never NaN;
- percentiles come from values (``Value``, or ``Values`` with ``Counts``); a ``StatisticValues`` set has one only where
  it can be known (a single sample, or equal minimum and maximum).

Times are whole seconds of the epoch. Percentiles are nearest rank, the smallest value with at least p percent of the
samples at or below it; AWS does not publish its own estimator.
"""

from __future__ import annotations

import bisect
import math
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


class UnknownStatistic(ValueError):
    """Not one of Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p95 or p99.9."""


@dataclass(frozen=True, slots=True)
class MetricKey:
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, namespace: str, name: str, dimensions: Mapping[str, str]) -> MetricKey:
        return cls(namespace, name, tuple(sorted(dimensions.items())))


@dataclass(frozen=True, slots=True)
class StatisticSet:
    """The ``StatisticValues`` form of a datum: what is left when the values themselves were not sent."""

    count: float
    total: float
    minimum: float
    maximum: float


@dataclass(slots=True)
class Samples:
    """All samples of one metric in some stretch of time."""

    values: dict[float, float] = field(default_factory=dict)
    sets: list[StatisticSet] = field(default_factory=list)

    def add(self, other: Samples) -> None:
        for value, count in other.values.items():
            self.values[value] = self.values.get(value, 0.0) + count
        self.sets.extend(other.sets)

    @property
    def count(self) -> float:
        return sum(self.values.values()) + sum(s.count for s in self.sets)

    @property
    def total(self) -> float:
        return sum(value * count for value, count in self.values.items()) + sum(s.total for s in self.sets)

    def statistic(self, name: str) -> float | None:
        """One statistic, or ``None`` where it cannot be known. Raises UnknownStatistic."""
        check_statistic(name)
        count = self.count
        if count <= 0:
            return None
        match name:
            case "SampleCount":
                return count
            case "Sum":
                return self.total
            case "Average":
                return self.total / count
            case "Minimum":
                return min([*self.values, *(s.minimum for s in self.sets)])
            case "Maximum":
                return max([*self.values, *(s.maximum for s in self.sets)])
        return self._percentile(float(name[1:]))

    def _percentile(self, percent: float) -> float | None:
        weighted = dict(self.values)
        for s in self.sets:
            if s.count != 1 and s.minimum != s.maximum:
                return None
            weighted[s.minimum] = weighted.get(s.minimum, 0.0) + s.count
        # The small subtraction keeps 0.95 * 20 at the 19th value where binary fractions would make it the 20th.
        rank = max(1.0, math.ceil(sum(weighted.values()) * percent / 100 - 1e-9))
        seen = 0.0
        for value in sorted(weighted):
            seen += weighted[value]
            if seen >= rank:
                return value
        return max(weighted)


def check_statistic(name: str) -> None:
    """Raises UnknownStatistic for a name that ``Samples.statistic`` does not know."""
    known = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
    if name not in known and not _PERCENTILE.fullmatch(name):
        raise UnknownStatistic(
            f"statistic {name!r}: use one of {', '.join(known)} or a percentile such as p95"
        )


@dataclass(slots=True)
class _Series:
    """One metric in one unit: samples by second, and the seconds in order."""

    by_second: dict[int, Samples] = field(default_factory=dict)
    seconds: list[int] = field(default_factory=list)

    def put(self, second: int, samples: Samples) -> None:
        kept = self.by_second.get(second)
        if kept is None:
            kept = self.by_second[second] = Samples()
            bisect.insort(self.seconds, second)
        kept.add(samples)


class MetricStore:
    """All metrics of one region, safe to use from several threads."""

    def __init__(self) -> None:
        self._series: dict[MetricKey, dict[str, _Series]] = {}
        self._lock = threading.Lock()

    def put(self, key: MetricKey, second: int, samples: Samples, unit: str = "None") -> None:
        with self._lock:
            self._series.setdefault(key, {}).setdefault(unit, _Series()).put(second, samples)

    def metrics(self) -> list[MetricKey]:
        with self._lock:
            return list(self._series)

    def query(
        self, key: MetricKey, *, start: int, end: int, period: int, unit: str | None = None
    ) -> dict[int, Samples]:
        """The samples of each period that has any, by the period's start, in order of time.

        A ``unit`` selects the samples put with that unit, so the wrong one finds nothing, as in AWS.
        """
        if period < 1:
            raise ValueError(f"period {period}: must be at least 1 second")
        first = start - start % period
        buckets: dict[int, Samples] = {}
        with self._lock:
            for series in self._in_unit(key, unit):
                lo = bisect.bisect_left(series.seconds, first)
                hi = bisect.bisect_left(series.seconds, end)
                for second in series.seconds[lo:hi]:
                    buckets.setdefault(second - second % period, Samples()).add(series.by_second[second])
        return dict(sorted(buckets.items()))

    def _in_unit(self, key: MetricKey, unit: str | None) -> Iterable[_Series]:
        by_unit = self._series.get(key, {})
        if unit is None:
            return by_unit.values()
        return [by_unit[unit]] if unit in by_unit else []
