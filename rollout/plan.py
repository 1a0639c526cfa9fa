"""The rollout plan as data: stages, criteria, waiting times, and how a plan file is read.

A plan file is YAML; ``plans/phase-c.yaml`` is the guide to the letter. Durations are written ``2m``, ``90s``,
``500ms`` or ``1m30s`` and are seconds inside; weights and shares are percent. Reading is strict: an unknown or
repeated key, a weight that does not rise or a negative duration is a :class:`PlanError` that names the key.

    >>> load_plan("phase-c").stages[0]
    Stage(weight=5, window=120.0)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

BUILT_IN = ("phase-c",)
WHOLE = 100  # percent: where every plan ends


class PlanError(ValueError):
    """A plan cannot be used; the message names the file, the key and what it takes."""


class Rollback(StrEnum):
    """Where a breached criterion sends the traffic."""

    FIRST_STEP = "to"  # a fixed small weight; 0 when measured there already
    PREVIOUS = "previous"  # the stage before the one it was measured at; 0 from the first
    ABORT = "abort"
    HOLD = "hold"  # stay, a person decides


@dataclass(frozen=True, slots=True)
class Stage:
    """A candidate weight (percent) with its observation window (seconds)."""

    weight: int
    window: float


@dataclass(frozen=True, slots=True)
class Limit:
    """A criterion's limit and what a breach does; ``to`` is the weight of ``Rollback.FIRST_STEP`` (percent)."""

    limit: float
    rollback: Rollback
    to: int = 0


@dataclass(frozen=True, slots=True)
class HealthRule:
    """Probe rounds: seconds between them, and after how many failed ones in a row what happens."""

    interval: float
    timeout: float
    alert_after: int
    prepare_after: int
    abort_after: int


@dataclass(frozen=True, slots=True)
class RateLimitRule:
    """Requests per minute and client: where it starts, the step and the cap; the share (percent) that raises it."""

    initial: int
    step: int
    cap: int
    share: float


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The guide's rollback timeline, in seconds after the issue was detected (T+0)."""

    decided: float
    moved: float
    flowing: float
    stable: float


@dataclass(frozen=True, slots=True)
class Verification:
    """What stable must show after an abort: error rate (percent) and P95 (seconds) below, watched so many seconds."""

    error_rate: float
    p95: float
    watch: float
    deadlines: Deadlines


@dataclass(frozen=True, slots=True)
class Plan:
    """A rollout plan. All durations in seconds."""

    name: str
    stages: tuple[Stage, ...]
    error_rate: Limit
    latency_p95: Limit
    db_connection_errors: Limit
    period: float
    metric_delay: float
    min_periods: int
    min_requests: int
    max_extension: float
    blind_limit: float
    hold_timeout: float
    apply_limit: float
    health: HealthRule
    rate_limit: RateLimitRule
    verification: Verification
    alarms: Mapping[str, Rollback]

    def below(self, weight: float) -> int:
        """The weight of the stage before the one at ``weight``; 0 from the first."""
        return max((s.weight for s in self.stages if s.weight < weight), default=0)

    def above(self, weight: float) -> Stage | None:
        """The next stage above ``weight``; ``None`` from the last."""
        return next((s for s in self.stages if s.weight > weight), None)

    def window_at(self, weight: float) -> float:
        """The window (seconds) to watch at ``weight``: that of the highest stage not above it, else of the first."""
        return next((s.window for s in reversed(self.stages) if s.weight <= weight), self.stages[0].window)

    def scaled(self, factor: float) -> Plan:
        """The plan with its windows, periods, delays and probes shortened by ``factor``.

        ``apply_limit`` stays, because a stack update takes the time it takes, and so do latencies and rates, because
        the traffic is real.
        """
        health = replace(self.health, interval=self.health.interval / factor)
        deadlines = self.verification.deadlines
        deadlines = Deadlines(
            decided=deadlines.decided / factor,
            moved=deadlines.moved / factor,
            flowing=deadlines.flowing / factor,
            stable=deadlines.stable / factor,
        )
        return replace(
            self,
            stages=tuple(replace(stage, window=stage.window / factor) for stage in self.stages),
            period=self.period / factor,
            metric_delay=self.metric_delay / factor,
            max_extension=self.max_extension / factor,
            blind_limit=self.blind_limit / factor,
            hold_timeout=self.hold_timeout / factor,
            health=health,
            verification=replace(
                self.verification, watch=self.verification.watch / factor, deadlines=deadlines
            ),
        )


# --- reading ------------------------------------------------------------------------------------------------------

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


class _LimitForm(_Form):
    limit: Annotated[float, Field(ge=0)]
    rollback: Annotated[tuple[Rollback, int], BeforeValidator(_rollback)]

    def build(self) -> Limit:
        return Limit(self.limit, *self.rollback)


class _ErrorRateForm(_LimitForm):
    limit: Percent


class _LatencyForm(_LimitForm):
    limit: PositiveSeconds


class _CriteriaForm(_Form):
    error_rate: _ErrorRateForm
    latency_p95: _LatencyForm
    db_connection_errors: _LimitForm


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


class _PlanForm(_Form):
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
        for name in ("error_rate", "latency_p95", "db_connection_errors"):
            kind, to = getattr(self.criteria, name).rollback
            if kind is Rollback.FIRST_STEP and to not in (0, *weights):
                raise ValueError(f"criteria.{name}.rollback.to is {to}: it takes the weight of a stage, or 0")
        if weights[-1] != WHOLE:
            raise ValueError(f"stages.{len(weights) - 1}.weight is {weights[-1]}: the last stage must be 100")
        return self


class _StrictLoader(yaml.SafeLoader):
    """YAML without repeated keys: the second of two would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            plain = isinstance(key_node, yaml.ScalarNode)
            if not plain or key_node.value in seen:
                problem = f"the key '{key_node.value}' stands twice" if plain else "a key is a plain word"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def parse_plan(text: str, source: str = "plan") -> Plan:
    """Reads a plan from its YAML text. Raises :class:`PlanError`; ``source`` names the text in it."""
    try:
        data = yaml.load(text, _StrictLoader)  # noqa: S506 - a safe loader that is stricter still
    except (yaml.YAMLError, RecursionError) as error:
        raise PlanError(f"{source}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise PlanError(f"{source}: a plan is a mapping with the keys {', '.join(_PlanForm.model_fields)}")
    try:
        form = _PlanForm.model_validate(data)
    except ValidationError as error:
        raise PlanError(f"{source}: {_first_problem(error)}") from None
    return _build(form)


def _first_problem(error: ValidationError) -> str:
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


def _build(form: _PlanForm) -> Plan:
    health, limit, check = form.health, form.rate_limit, form.verification
    return Plan(
        name=form.name,
        stages=tuple(Stage(stage.weight, stage.window) for stage in form.stages),
        error_rate=form.criteria.error_rate.build(),
        latency_p95=form.criteria.latency_p95.build(),
        db_connection_errors=form.criteria.db_connection_errors.build(),
        period=form.metrics.period,
        metric_delay=form.metrics.delay,
        min_periods=form.metrics.min_periods,
        min_requests=form.metrics.min_requests,
        max_extension=form.metrics.max_extension,
        blind_limit=form.metrics.blind_limit,
        hold_timeout=form.hold_timeout,
        apply_limit=form.apply_limit,
        health=HealthRule(**health.model_dump()),
        rate_limit=RateLimitRule(**limit.model_dump()),
        verification=Verification(
            check.error_rate, check.latency_p95, check.watch, Deadlines(**check.deadlines.model_dump())
        ),
        alarms={name: Rollback(action) for name, action in form.alarms.items()},
    )


def plan_text(name_or_path: str) -> tuple[str, str]:
    """The YAML text of a plan file or of a plan that ships (``phase-c``), and the name to call it by in messages."""
    if name_or_path in BUILT_IN:
        return files("rollout").joinpath(f"plans/{name_or_path}.yaml").read_text(), f"{name_or_path}.yaml"
    try:
        return Path(name_or_path).read_text(), name_or_path
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(BUILT_IN)
        raise PlanError(
            f"{name_or_path}: cannot read this plan ({error}); give a file, or one of: {known}"
        ) from None


def load_plan(name_or_path: str) -> Plan:
    """Reads a plan file, or a plan that ships by its name. Raises :class:`PlanError`."""
    text, source = plan_text(name_or_path)
    return parse_plan(text, source)
