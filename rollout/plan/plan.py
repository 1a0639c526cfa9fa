"""The rollout plan: stages, criteria, waiting times, and how a plan file is read.

A plan file is YAML; ``plans/phase-c.yaml`` is the guide to the letter. Durations are written ``2m``, ``90s``,
``500ms`` or ``1m30s`` and are seconds inside; weights and shares are percent. Reading is strict: an unknown or
repeated key, a weight that does not rise or a negative duration is a :class:`PlanError` that names the key.

    >>> load_plan("phase-c").stages[0]
    Stage(weight=5, window=120.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rollout.plan.form import PlanForm, first_problem, seconds
from rollout.plan.rules import (
    WHOLE,
    Comparison,
    Deadlines,
    HealthRule,
    Limit,
    RateLimitRule,
    Rollback,
    Stage,
    Verification,
)

__all__ = [
    "BUILT_IN",
    "WHOLE",
    "Comparison",
    "Deadlines",
    "HealthRule",
    "Limit",
    "Plan",
    "PlanError",
    "RateLimitRule",
    "Rollback",
    "Stage",
    "Verification",
    "load_plan",
    "parse_plan",
    "plan_text",
    "seconds",
]

BUILT_IN = ("phase-c", "tuned")


class PlanError(ValueError):
    """A plan cannot be used; the message names the file, the key and what it takes."""


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
    comparison: Comparison | None = None

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

        ``apply_limit`` stays, because a stack update takes the time it takes, and so do latencies, rates and minimum
        numbers of requests, because the traffic is real.
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
        raise PlanError(f"{source}: a plan is a mapping with the keys {', '.join(PlanForm.model_fields)}")
    try:
        form = PlanForm.model_validate(data)
    except ValidationError as error:
        raise PlanError(f"{source}: {first_problem(error)}") from None
    return _build(form)


def _build(form: PlanForm) -> Plan:
    health, limit, check = form.health, form.rate_limit, form.verification
    comparison = form.criteria.comparison
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
        comparison=comparison.build() if comparison else None,
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
