"""The form of a plan file: which keys it has, what each takes, and what must fit together."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from rollout.plan.rules import WHOLE, Comparison, Limit, Rollback

MOST_PERIODS = 20  # of one colour; the policy remembers as many of both colours and of the edge

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def seconds(text: object) -> float:
    """Reads ``1m30s``, ``500ms``, ``2m`` or a bare number of seconds. Raises ``ValueError`` with the fix."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        value = float(text)
    else:
        written = text.replace(" ", "") if isinstance(text, str) else ""
        amounts = written.removeprefix("-")
        if not amounts or _DURATION.sub("", amounts):
            raise ValueError(f"{text!r} is not a duration: write 2m, 90s, 500ms or 1m30s")
        value = sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION.findall(amounts))
        value = -value if written.startswith("-") else value
    if not 0 <= value < float("inf"):
        raise ValueError(f"{text!r} is negative or endless: a duration is 0 or more")
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("this duration must be more than 0")
    return value


Seconds = Annotated[float, BeforeValidator(seconds)]
PositiveSeconds = Annotated[float, BeforeValidator(lambda text: _positive(seconds(text)))]
Percent = Annotated[float, Field(ge=0, le=100, strict=False)]
Share = Annotated[float, Field(gt=0, lt=100)]
Count = Annotated[int, Field(ge=1, strict=True)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _StageForm(_Form):
    weight: Annotated[int, Field(ge=1, le=100, strict=True)]
    window: PositiveSeconds


def _rollback(value: object) -> object:
    """``previous``, ``abort``, ``hold`` or ``{to: WEIGHT}``."""
    if (
        isinstance(value, dict)
        and set(value) == {"to"}
        and type(value["to"]) is int
        and 0 <= value["to"] <= WHOLE
    ):
        return (Rollback.FIRST_STEP, value["to"])
    if value in ("previous", "abort", "hold"):
        return (Rollback(value), 0)
    raise ValueError("it takes previous, abort, hold or {to: WEIGHT}")


RollbackKey = Annotated[tuple[Rollback, int], BeforeValidator(_rollback)]


class _LimitForm(_Form):
    limit: Annotated[float, Field(ge=0)]
    rollback: RollbackKey

    def build(self) -> Limit:
        return Limit(self.limit, *self.rollback)


def _given(value: object) -> object:
    if value is None:
        raise ValueError("this key has no value; give one or remove it")
    return value


class _CountedForm(_LimitForm):
    breaches: Count = 1
    of: Annotated[Count | None, BeforeValidator(_given)] = None
    min_requests: Count = 1

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.of is not None and self.of < self.breaches:
            raise ValueError(
                f"breaches is {self.breaches} and of is {self.of}: so many of the newest "
                f"{self.of} periods can never be beyond the limit"
            )
        for key, value in (("breaches", self.breaches), ("of", self.of or 0)):
            if value > MOST_PERIODS:
                raise ValueError(f"{key} is {value}: it takes at most {MOST_PERIODS} periods")
        return self

    def build(self) -> Limit:
        return Limit(self.limit, *self.rollback, self.breaches, self.of or self.breaches, self.min_requests)


class _ErrorRateForm(_CountedForm):
    limit: Percent


class _LatencyForm(_CountedForm):
    limit: PositiveSeconds


class _ComparisonForm(_Form):
    false_alarms: Share
    difference: Share
    rollback: RollbackKey

    def build(self) -> Comparison:
        return Comparison(self.false_alarms, self.difference, *self.rollback)


class _CriteriaForm(_Form):
    error_rate: _ErrorRateForm
    latency_p95: _LatencyForm
    db_connection_errors: _LimitForm
    comparison: Annotated[_ComparisonForm | None, BeforeValidator(_given)] = None


class _MetricsForm(_Form):
    period: PositiveSeconds
    delay: Seconds
    min_periods: Count
    min_requests: Count
    max_extension: Seconds
    blind_limit: PositiveSeconds


class _HealthForm(_Form):
    interval: PositiveSeconds
    timeout: PositiveSeconds
    alert_after: Count
    prepare_after: Count
    abort_after: Count

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.alert_after <= self.prepare_after <= self.abort_after:
            raise ValueError("alert_after, prepare_after and abort_after must not fall")
        return self


class _RateLimitForm(_Form):
    initial: Annotated[int, Field(ge=10, strict=True)]  # AWS WAF refuses less than 10
    step: Count
    cap: Count
    share: Percent

    @model_validator(mode="after")
    def _cap_above(self) -> Self:
        if self.cap < self.initial:
            raise ValueError("cap must not be below initial")
        return self


class _DeadlinesForm(_Form):
    decided: PositiveSeconds
    moved: PositiveSeconds
    flowing: PositiveSeconds
    stable: PositiveSeconds


class _VerificationForm(_Form):
    error_rate: Percent
    latency_p95: PositiveSeconds
    watch: PositiveSeconds
    deadlines: _DeadlinesForm


class PlanForm(_Form):
    name: Annotated[str, Field(min_length=1)]
    stages: Annotated[list[_StageForm], Field(min_length=1)]
    criteria: _CriteriaForm
    metrics: _MetricsForm
    health: _HealthForm
    hold_timeout: PositiveSeconds
    apply_limit: PositiveSeconds
    rate_limit: _RateLimitForm
    verification: _VerificationForm
    alarms: dict[str, Literal["previous", "abort", "hold"]] = {}

    @model_validator(mode="after")
    def _rising(self) -> Self:
        weights = [stage.weight for stage in self.stages]
        for index, (low, high) in enumerate(pairwise(weights), start=1):
            if high <= low:
                raise ValueError(
                    f"stages.{index}.weight is {high} after {low}: weights must rise from stage to stage"
                )
        for name in ("error_rate", "latency_p95", "db_connection_errors", "comparison"):
            kind, to = getattr(getattr(self.criteria, name), "rollback", (Rollback.HOLD, 0))
            if kind is Rollback.FIRST_STEP and to not in (0, *weights):
                raise ValueError(f"criteria.{name}.rollback.to is {to}: it takes the weight of a stage, or 0")
        if weights[-1] != WHOLE:
            raise ValueError(f"stages.{len(weights) - 1}.weight is {weights[-1]}: the last stage must be 100")
        return self


def first_problem(error: ValidationError) -> str:
    """The problem to mend first, with its key, and how many more there are."""
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing one; what was written says more.
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its spelling"
    elif problem["type"] == "missing":
        message = "this key is missing"
    more = error.error_count() - 1
    return (f"{where}: " if where else "") + message + (f" (and {more} more)" if more else "")
