"""A plan as the text of a plan file: what ``parse_plan`` reads back as the same plan.

>>> from rollout.plan import load_plan, parse_plan
>>> plan = load_plan("phase-c")
>>> parse_plan(as_yaml(plan)) == plan
True
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from rollout.plan import Limit, Plan, Rollback

_MINUTE = 60
_PLAIN = re.compile(r"[A-Za-z][\w-]*")
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")  # which YAML takes for something else


def as_yaml(plan: Plan) -> str:
    """The plan, every key that is not at its default written out."""
    return "\n".join(_lines(plan)) + "\n"


def duration(seconds: float) -> str:
    """``120`` as ``2m``, ``90`` as ``90s``, ``0.5`` as ``500ms``, and anything else so that it is read back exactly."""
    if seconds and seconds % _MINUTE == 0:
        return f"{seconds / _MINUTE:.0f}m"
    if seconds == int(seconds):
        return f"{seconds:.0f}s"
    if seconds * 1000 == int(seconds * 1000) and int(seconds * 1000) * 0.001 == seconds:
        return f"{seconds * 1000:.0f}ms"
    return _scalar(seconds)  # a bare number is seconds


def _lines(plan: Plan) -> Iterator[str]:
    yield f"name: {_text(plan.name)}"
    yield ""
    yield "stages:"
    for stage in plan.stages:
        yield f"  - {{weight: {stage.weight}, window: {duration(stage.window)}}}"
    yield ""
    yield "criteria:"
    yield f"  error_rate: {_limit(plan.error_rate, _number(plan.error_rate.limit))}"
    yield f"  latency_p95: {_limit(plan.latency_p95, duration(plan.latency_p95.limit))}"
    errors = plan.db_connection_errors
    yield f"  db_connection_errors: {_limit(errors, _number(errors.limit))}"
    if plan.comparison:
        rule = plan.comparison
        yield "  comparison: " + _flow(
            {
                "false_alarms": _number(rule.false_alarms),
                "difference": _number(rule.difference),
                "rollback": _rollback(rule.rollback, rule.to),
            }
        )
    yield ""
    yield "metrics:"
    yield f"  period: {duration(plan.period)}"
    yield f"  delay: {duration(plan.metric_delay)}"
    yield f"  min_periods: {plan.min_periods}"
    yield f"  min_requests: {plan.min_requests}"
    yield f"  max_extension: {duration(plan.max_extension)}"
    yield f"  blind_limit: {duration(plan.blind_limit)}"
    yield ""
    health = plan.health
    yield "health: " + _flow(
        {
            "interval": duration(health.interval),
            "timeout": duration(health.timeout),
            "alert_after": health.alert_after,
            "prepare_after": health.prepare_after,
            "abort_after": health.abort_after,
        }
    )
    yield f"hold_timeout: {duration(plan.hold_timeout)}"
    yield f"apply_limit: {duration(plan.apply_limit)}"
    limit = plan.rate_limit
    yield "rate_limit: " + _flow(
        {"initial": limit.initial, "step": limit.step, "cap": limit.cap, "share": _number(limit.share)}
    )
    check, at_most = plan.verification, plan.verification.deadlines
    yield ""
    yield "verification:"
    yield f"  error_rate: {_number(check.error_rate)}"
    yield f"  latency_p95: {duration(check.p95)}"
    yield f"  watch: {duration(check.watch)}"
    yield "  deadlines: " + _flow(
        {
            "decided": duration(at_most.decided),
            "moved": duration(at_most.moved),
            "flowing": duration(at_most.flowing),
            "stable": duration(at_most.stable),
        }
    )
    if plan.alarms:
        yield ""
        yield "alarms:"
        for name, action in plan.alarms.items():
            yield f"  {_text(name)}: {action}"


def _limit(rule: Limit, limit: str) -> str:
    values: dict[str, object] = {"limit": limit, "rollback": _rollback(rule.rollback, rule.to)}
    if (rule.breaches, rule.of) != (1, 1):
        values |= {"breaches": rule.breaches, "of": rule.of}
    if rule.min_requests != 1:
        values["min_requests"] = rule.min_requests
    return _flow(values)


def _rollback(rollback: Rollback, to: int) -> str:
    return f"{{to: {to}}}" if rollback is Rollback.FIRST_STEP else str(rollback)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else _scalar(value)


def _flow(values: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


def _text(text: str) -> str:
    """A plain word, or quoted."""
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if plain else _scalar(text, default_style='"', width=float("inf"))


def _scalar(value: str | float, **style: Any) -> str:
    return str(yaml.safe_dump(value, **style)).splitlines()[0]
