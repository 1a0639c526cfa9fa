"""What the policy receives and what it answers, and their one-line JSON forms.

Events come in, decisions go out; both are values. ``t`` is in seconds from the start of the rollout, weights are
percent of the requests, latencies are seconds, shares (error rate, rate-limited share) are percent. The JSON key of a role
(candidate, stable) is ``colour``, as journals have had it from the first; the colours themselves are blue and green.

    >>> parse_event({"t": 1.2, "event": "traffic", "weight": 5})
    Traffic(t=1.2, weight=5)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from rollout.plan import WHOLE

PROBES = ("health", "ready", "deep", "targets")
COMMANDS = ("pause", "resume", "abort")
TIERS = ("immediate", "warning", "notice")
UNKNOWN = "UNKNOWN"  # of an alarm that cannot be read or does not exist; CloudWatch has no such state
ALARM_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA", UNKNOWN)
ROLES = ("candidate", "stable")
FRONT_DOOR = "front_door"  # the address that users take; it has health rounds as a role has
FRONT_DOOR_PROBES = ("health", "page")
_LONGEST = 60  # characters of a wrong value in a message


class BadEvent(ValueError):
    """The text of an event is not one of the forms of this module; the message names the key and what it takes."""


class Reason(StrEnum):
    """Why a decision was made."""

    STARTED = "started"
    STAGE_PASSED = "stage_passed"
    ERROR_RATE = "error_rate"
    LATENCY_P95 = "latency_p95"
    COMPARISON = "comparison"
    DB_CONNECTION_ERRORS = "db_connection_errors"
    HEALTH = "health"
    BLIND = "blind"
    INCONCLUSIVE = "inconclusive"
    HOLD_TIMEOUT = "hold_timeout"
    TRAFFIC = "traffic"
    RATE_LIMITED = "rate_limited"
    OPERATOR = "operator"
    ALARM = "alarm"
    PREFLIGHT = "preflight"
    IDENTITY = "identity"
    FRONT_DOOR = "front_door"
    TRAFFIC_MISSING = "traffic_missing"


class DecisionKind(StrEnum):
    SET_WEIGHT = "set_weight"
    PREPARE_ROLLBACK = "prepare_rollback"
    RAISE_RATE_LIMIT = "raise_rate_limit"
    ALERT = "alert"
    HOLD = "hold"
    BAKE = "bake"
    PROMOTE = "promote"
    FINISH = "finish"


class Severity(StrEnum):
    """How loud an ``alert`` is: a page wakes somebody, a warning escalates in working order."""

    PAGE = "page"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Started:
    """The rollout begins. ``rate_limit`` is the one deployed, in requests per minute and client; ``None``: the plan's.

    The versions are those approved: what the stacks of both roles deployed. ``baseline_rpm``: the users' requests a minute
    before. ``undo``: it takes back a promoted release, the candidate, which has all of the traffic; ``reason`` is the operator's.
    ``promoted``: the candidate was promoted, and is watched for ``watch_s`` seconds.
    """

    t: float
    rate_limit: int | None = None
    candidate_version: str | None = None
    stable_version: str | None = None
    undo: bool = False
    reason: str | None = None
    baseline_rpm: int | None = None
    promoted: bool = False
    watch_s: float | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """The candidate's weight as read back at the load balancer, in percent."""

    t: float
    weight: float


@dataclass(frozen=True, slots=True)
class Health:
    """One probe round of one role, or of the front door: the names of the probes that failed, none for a clean round.

    ``version`` has each version that answered, none when the application does not say it; ``why`` says why a probe failed,
    where that is known.
    """

    t: float
    role: str
    failed: tuple[str, ...]
    version: tuple[str, ...] = ()
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """One closed metric period of one role. A ``None`` is unmeasured, which is not zero.

    ``start`` and ``end`` are seconds from the start of the rollout (negative for a period before it).
    """

    t: float
    role: str
    start: float
    end: float
    requests: int | None = None
    errors: int | None = None
    p95: float | None = None
    db_connection_errors: int | None = None

    @property
    def error_rate(self) -> float | None:
        """Percent of the requests that failed; ``None`` without requests or when unmeasured."""
        if not self.requests or self.errors is None:
            return None
        return 100.0 * self.errors / self.requests


@dataclass(frozen=True, slots=True)
class EdgeMetrics:
    """One closed metric period of the rate limiter: requests let through and requests answered 429."""

    t: float
    start: float
    end: float
    requests: int
    rate_limited: int

    @property
    def share(self) -> float:
        """Percent of what arrived that was rate limited."""
        arrived = self.requests + self.rate_limited
        return 100.0 * self.rate_limited / arrived if arrived else 0.0


@dataclass(frozen=True, slots=True)
class MetricsError:
    """The candidate's metrics could not be queried."""

    t: float
    reason: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """The state of an alarm has changed; ``tier`` is that of the topic it notifies."""

    t: float
    name: str
    tier: str
    state: str


@dataclass(frozen=True, slots=True)
class Limit:
    """The deployed rate limit was read back: requests per minute and client."""

    t: float
    value: int


@dataclass(frozen=True, slots=True)
class Tick:
    t: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """Nobody watched from ``since`` until now: the controller was dead, or the machine was suspended."""

    t: float
    since: float


@dataclass(frozen=True, slots=True)
class Checked:
    """The checks before a rollout were made again, after a time in which nobody watched; ``failed``: what they found, in words."""

    t: float
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operator:
    """``stop``: whether the candidate's pods go once it has no traffic; ``None``: only after a verified end. The policy does not mind.

    ``reason`` is the operator's own, of an abort.
    """

    t: float
    command: str
    stop: bool | None = None
    reason: str | None = None


Event = (
    Started
    | Traffic
    | Health
    | Metrics
    | EdgeMetrics
    | MetricsError
    | Alarm
    | Limit
    | Tick
    | Resumed
    | Checked
    | Operator
)


@dataclass(frozen=True, slots=True)
class Breach:
    """One criterion found beyond its limit, and the weight it asks for (``None``: abort)."""

    criterion: Reason
    value: float
    limit: float
    target: float | None
    words: str  # with the sample: "error rate 25 % (1 of 4 requests) is above 1 %"
    periods: tuple[tuple[float, float], ...] = ()  # (start, end) of the candidate's periods that made it


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to do, with the criterion, measured value, limit and event that caused it.

    ``weight`` is the candidate's weight (percent) that the decision commands or leaves; ``rate_limit`` is in requests
    per minute and client; ``outcome`` and ``verified`` belong to ``finish``; ``break_glass`` asks for the load
    balancer's own API because a stack update did not arrive; ``increase``: a ``set_weight`` above both the weight commanded
    before and the one seen. Only an increase may be refused, and it is never tried twice.
    """

    t: float
    decision: DecisionKind
    criterion: Reason
    event: str
    reason: str
    weight: float | None = None
    value: float | None = None
    limit: float | None = None
    severity: Severity | None = None
    rate_limit: int | None = None
    break_glass: bool = False
    increase: bool = False
    outcome: str | None = None
    verified: bool | None = None
    breaches: tuple[Breach, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The decision as one JSON object; fields that say nothing are left out."""
        out: dict[str, Any] = {"t": number(self.t), "decision": self.decision.value}
        if self.weight is not None:
            out["weight"] = number(self.weight)
        out |= {"criterion": self.criterion.value, "value": number(self.value), "limit": number(self.limit)}
        if self.severity:
            out["severity"] = self.severity.value
        if self.rate_limit is not None:
            out["rate_limit"] = self.rate_limit
        if self.break_glass:
            out["break_glass"] = True
        if self.increase:
            out["increase"] = True
        if self.outcome:
            out |= {"outcome": self.outcome, "verified": self.verified}
        if self.breaches:
            out["breaches"] = [
                {"criterion": b.criterion.value, "value": number(b.value), "limit": number(b.limit)}
                | {"weight": number(b.target or 0)}
                for b in self.breaches
            ]
        return out | {"event": self.event, "reason": self.reason}


def comparable(decision: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON form of a decision without what may differ between equal ones: reasons are prose, old journals lack ``increase``."""
    return {key: value for key, value in decision.items() if key not in ("reason", "increase")}


def number(value: float | None) -> float | int | None:
    """A number for people: whole ones without a fraction, others with at most six digits after the point."""
    if value is None:
        return None
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded


# --- text to events -----------------------------------------------------------------------------------------------


def _finite(key: str, value: Any) -> float:
    # Compared, not converted: JSON has whole numbers that no float can hold.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise BadEvent(f"'{key}' is {_shown(value)}: it takes a finite number")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _time(key: str, value: Any) -> float:
    if _finite(key, value) < 0:
        raise BadEvent(f"'{key}' is {_shown(value)}: seconds from the start are not negative")
    return float(value) if not isinstance(value, int) else value


def _percent(key: str, value: Any) -> float:
    if not 0 <= _finite(key, value) <= WHOLE:
        raise BadEvent(f"'{key}' is {_shown(value)}: a weight is a percentage from 0 to 100")
    return float(value) if not isinstance(value, int) else value


def _count(key: str, value: Any) -> int:
    if _finite(key, value) < 0 or value != int(value):
        raise BadEvent(f"'{key}' is {_shown(value)}: it takes a whole number, not negative")
    return int(value)


def _maybe_count(key: str, value: Any) -> int | None:
    return None if value is None else _count(key, value)


def _maybe_seconds(key: str, value: Any) -> float | None:
    if value is None:
        return None
    if _finite(key, value) < 0:
        raise BadEvent(f"'{key}' is {_shown(value)}: seconds are not negative")
    return float(value)


def _maybe_flag(key: str, value: Any) -> bool | None:
    return None if value is None else _flag(key, value)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool) and value is not None:
        raise BadEvent(f"'{key}' is {_shown(value)}: it takes true or false")
    return bool(value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadEvent(f"'{key}' is {_shown(value)}: it takes a text")
    return value


def _maybe_text(key: str, value: Any) -> str | None:
    return None if value is None else _text(key, value)


def _texts(key: str, value: Any) -> tuple[str, ...]:
    """A text, or a list of texts."""
    found = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text for text in found):
        raise BadEvent(f"'{key}' is {_shown(value)}: it takes a text or a list of texts")
    return tuple(found)


def _one_of(*names: str) -> Callable[[str, Any], str]:
    def check(key: str, value: Any) -> str:
        if value not in names:
            raise BadEvent(f"'{key}' is {_shown(value)}: it takes one of {', '.join(names)}")
        return str(value)

    return check


def _probes(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadEvent(f"'{key}' is {_shown(value)}: it takes a list of failed probes, [] for a clean round")
    return tuple(_one_of(*PROBES, "page")(key, name) for name in value)


_Reader = Callable[[str, Any], Any]
_PERIOD: dict[str, _Reader] = {"t": _time, "start": _finite, "end": _finite}
# kind -> (class, required keys, keys that may be missing or null)
_ORDER: dict[str, _Reader] = {"stop": _maybe_flag, "reason": _maybe_text}
_FORMS: dict[str, tuple[Callable[..., Event], dict[str, _Reader], dict[str, _Reader]]] = {
    "started": (
        Started,
        {"t": _time},
        {
            "rate_limit": _maybe_count,
            "candidate_version": _maybe_text,
            "stable_version": _maybe_text,
            "undo": _flag,
            "reason": _maybe_text,
            "baseline_rpm": _maybe_count,
            "promoted": _flag,
            "watch_s": _maybe_seconds,
        },
    ),
    "traffic": (Traffic, {"t": _time, "weight": _percent}, {}),
    "health": (
        Health,
        {"t": _time, "colour": _one_of(*ROLES, FRONT_DOOR), "failed": _probes},
        {"version": _texts, "why": _maybe_text},
    ),
    "metrics": (
        Metrics,
        _PERIOD | {"colour": _one_of(*ROLES, "edge")},
        {
            "requests": _maybe_count,
            "errors": _maybe_count,
            "p95": _maybe_seconds,
            "db_connection_errors": _maybe_count,
        },
    ),
    "edge": (EdgeMetrics, _PERIOD | {"requests": _count, "rate_limited": _count}, {}),
    "metrics_error": (MetricsError, {"t": _time, "reason": _text}, {}),
    "alarm": (
        Alarm,
        {"t": _time, "name": _text, "tier": _one_of(*TIERS), "state": _one_of(*ALARM_STATES)},
        {},
    ),
    "limit": (Limit, {"t": _time, "value": _count}, {}),
    "tick": (Tick, {"t": _time}, {}),
    "resumed": (Resumed, {"t": _time, "since": _time}, {}),
    "checked": (Checked, {"t": _time, "failed": _texts}, {}),
    "operator": (Operator, {"t": _time, "command": _one_of(*COMMANDS)}, _ORDER),
}
_KINDS: dict[type, str] = {form[0]: kind for kind, form in _FORMS.items() if isinstance(form[0], type)}


def kind_of(event: Event) -> str:
    """The ``event`` word of an event's JSON form."""
    return "metrics" if isinstance(event, EdgeMetrics) else _KINDS[type(event)]


def parse_event(line: Mapping[str, Any]) -> Event:
    """Reads one event from its JSON object. Raises :class:`BadEvent` naming the key."""
    kind = line.get("event")
    if not isinstance(kind, str) or kind not in _FORMS or kind == "edge":
        raise BadEvent(
            f"'event' is {_shown(kind)}: it takes one of {', '.join(k for k in _FORMS if k != 'edge')}"
        )
    if kind == "metrics" and line.get("colour") == "edge":
        kind, line = ("edge", {key: value for key, value in line.items() if key != "colour"})
    build, required, optional = _FORMS[kind]
    values = {}
    for key, value in line.items():
        if key == "event":
            continue
        reader = required.get(key) or optional.get(key)
        if reader is None:
            raise BadEvent(
                f"'{key}' is not a key of a '{line['event']}' event: it takes {', '.join(required | optional)}"
            )
        values["role" if key == "colour" else key] = reader(key, value)
    if missing := [key for key in required if key not in line]:
        raise BadEvent(f"'{missing[0]}' is missing: a '{line['event']}' event needs {', '.join(required)}")
    return build(**values)


def event_to_json(event: Event) -> dict[str, Any]:
    """The JSON object that :func:`parse_event` reads back into an equal event."""
    out: dict[str, Any] = {"t": event.t, "event": kind_of(event)}
    if isinstance(event, EdgeMetrics):
        out["colour"] = "edge"
    for field in fields(event):
        value = getattr(event, field.name)
        said = value != field.default or not isinstance(event, Started | Operator)
        if field.name != "t" and said and (field.name not in ("version", "why") or value):
            key = "colour" if field.name == "role" else field.name
            out[key] = list(value) if isinstance(value, tuple) else value
    return out
