"""What each metric period of the candidate is judged by: one row a criterion.

Judge, view, report, explanation and studies read names, units and values here. `Criteria` in :mod:`rollout.plan.plan` holds
what a plan says about them. (Health rounds, alarms and the comparison with stable are not values of one period.)

    >>> ERROR_RATE.shown(25.0), LATENCY_P95.shown(2.41), DB_CONNECTION_ERRORS.shown(2)
    ('25 %', '2.41 s', '2')
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rollout.plan import Limit, Plan
from rollout.plan.units import number


class Period(Protocol):
    """What is read of a metric period (:class:`rollout.policy.events.Metrics` is one); ``None`` is unmeasured."""

    @property
    def requests(self) -> int | None: ...
    @property
    def errors(self) -> int | None: ...
    @property
    def error_rate(self) -> float | None: ...
    @property
    def p95(self) -> float | None: ...
    @property
    def db_connection_errors(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row. ``key`` names it in a plan file and as a decision's ``criterion``; ``unit`` follows a value, with its space."""

    key: str
    name: str
    unit: str
    value: Callable[[Period], float | None]
    sample: Callable[[Period], str]  # what the value was measured on, in words; '' when nobody knows
    count: bool = False  # a whole number of events: at its limit, which may be 0, it is as good as it can be

    def rule(self, plan: Plan) -> Limit:
        """What a plan says about it."""
        rule: Limit = getattr(plan.criteria, self.key)
        return rule

    def normal(self, plan: Plan) -> float:
        """What stable must be below after an abort; only of the rows in ``VERIFIED``."""
        limit: float = getattr(plan.verification, self.key)
        return limit

    def is_good(self, plan: Plan, period: Period) -> bool:
        """Measured and below its limit: equal is no breach, but not good either (of a count it is)."""
        value, limit = self.value(period), self.rule(plan).limit
        return value is not None and (value < limit or (self.count and value == limit))

    def is_beyond(self, plan: Plan, period: Period) -> bool:
        """Measured and above its limit."""
        value = self.value(period)
        return value is not None and value > self.rule(plan).limit

    def shown(self, value: float) -> str:
        return f"{number(value, 4)}{self.unit}"

    def measured(self, period: Period) -> str:
        """The value with its sample: ``error rate 25 % (1 of 4 requests)``, ``2 database connection errors``. It is there."""
        value, sample = self.value(period) or 0, self.sample(period)
        words = f"{self.name} {self.shown(value)}"
        if self.count:
            words = f"{number(value)} {self.name.removesuffix('s') if value == 1 else self.name}"
        return f"{words} ({sample})" if sample else words

    def beyond(self, period: Period, limit: float) -> str:
        """That it is above its limit: ``error rate 25 % (1 of 4 requests) is above 1 %``."""
        many = self.count and self.value(period) != 1
        return f"{self.measured(period)} {'are' if many else 'is'} above {self.shown(limit)}"


def requests(count: int) -> str:
    """``1 request``, ``1,200 requests``."""
    return f"{count:,} request{'' if count == 1 else 's'}"


def _errors(period: Period) -> str:
    return f"{period.errors:,} of {requests(period.requests)}" if period.requests else ""


def _requests(period: Period) -> str:
    return f"in {requests(period.requests)}" if period.requests else ""


ERROR_RATE = Criterion("error_rate", "error rate", " %", lambda period: period.error_rate, _errors)
LATENCY_P95 = Criterion("latency_p95", "P95 latency", " s", lambda period: period.p95, _requests)
DB_CONNECTION_ERRORS = Criterion(
    "db_connection_errors",
    "database connection errors",
    "",
    lambda period: period.db_connection_errors,
    _requests,
    count=True,
)
CRITERIA = (ERROR_RATE, LATENCY_P95, DB_CONNECTION_ERRORS)
VERIFIED = (ERROR_RATE, LATENCY_P95)  # what stable must show after an abort
