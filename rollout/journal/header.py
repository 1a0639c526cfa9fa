"""The first record of a journal: what the rollout was, when it began, and which rules decided it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Self

from rollout.journal.card import Card
from rollout.journal.journal import JournalError, Record, utc
from rollout.plan import Plan, parse_plan
from rollout.policy import RULES

FORMAT = 2  # of the journal; 1 had neither `format` nor `policy` in its header


@dataclass(frozen=True, slots=True)
class Header:
    """What the first record says. Maps are by role, ``stable`` and ``candidate``; '' and empty: the journal lacks it.

    ``kind`` is ``release``, or with the roles as they were before a promotion ``undo``, for ``reason``, or ``watch``, for ``watch_s``
    seconds. ``start`` is in epoch seconds; ``policy`` is the :data:`rollout.policy.RULES` that decided (0: unknown).
    """

    plan_text: str
    env: str
    stable: str  # colour
    candidate: str  # colour
    start: float
    time_scale: float = 1.0
    dry_run: bool = False
    region: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    generation: int | None = None  # of the traffic stack
    rule_arn: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)  # target group ARNs
    kind: str = "release"
    reason: str = ""
    watch_s: float | None = None
    stop: bool | None = (
        None  # the candidate's pods: True, as soon as it has no traffic; False: never; None: after a verified end
    )
    format: int = FORMAT
    policy: int = RULES

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises :class:`JournalError` when the record does not describe a rollout."""
        body = record.body
        try:
            return cls(
                plan_text=str(body["plan"]),
                env=str(body["env"]),
                stable=str(body["stable"]),
                candidate=str(body["candidate"]),
                start=_number(body, "start"),
                time_scale=_time_scale(body),
                dry_run=bool(body.get("dry_run")),
                region=str(body.get("region", "")),
                versions=_map(body, "versions"),
                replicas=_map(body, "replicas"),
                generation=body.get("generation"),
                rule_arn=str(body.get("rule_arn", "")),
                groups=_map(body, "groups"),
                kind=str(body.get("kind", "release")),
                reason=str(body.get("reason", "")),
                watch_s=_number(body, "watch_s") if "watch_s" in body else None,
                stop=None if body.get("stop") is None else bool(body["stop"]),
                format=body.get("format", 1),
                policy=body.get("policy", 0),
            )
        except KeyError as error:
            raise JournalError(f"record 1 does not describe a rollout: {error} is missing") from None
        except (TypeError, ValueError) as error:
            raise JournalError(f"record 1 does not describe a rollout: {error}") from None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "policy": self.policy,
            "plan": self.plan_text,
            "env": self.env,
            "region": self.region,
            "stable": self.stable,
            "candidate": self.candidate,
            "versions": dict(self.versions),
            "replicas": dict(self.replicas),
            "generation": self.generation,
            "rule_arn": self.rule_arn,
            "groups": dict(self.groups),
            "time_scale": self.time_scale,
            "start": self.start,
            "started_at": utc(self.start),
            "dry_run": self.dry_run,
            **({} if self.kind == "release" else {"kind": self.kind}),
            **({"reason": self.reason} if self.undo else {}),
            **({} if self.watch_s is None else {"watch_s": self.watch_s}),
            **({} if self.stop is None else {"stop": self.stop}),
        }

    @property
    def plan(self) -> Plan:
        """The plan as it ran, so scaled. Raises :class:`rollout.plan.PlanError`."""
        return parse_plan(self.plan_text, "the journal's plan").scaled(self.time_scale)

    @property
    def undo(self) -> bool:
        return self.kind == "undo"

    @property
    def promoted(self) -> bool:
        """The candidate had been promoted before this began."""
        return self.kind != "release"

    @property
    def roles(self) -> Mapping[str, str]:
        """Role to colour."""
        return {"stable": self.stable, "candidate": self.candidate}

    @property
    def card(self) -> Card:
        """What of this it takes to move traffic."""
        return Card(self.env, self.region, self.rule_arn, self.groups, self.roles, self.versions)

    def named(self, role: str) -> str:
        """``green 2.0.0``."""
        return self.card.named(role)

    @property
    def other_rules(self) -> str:
        """Why this version may decide differently, in words; '' when the same rules decided."""
        if self.format != FORMAT:
            return f"the journal has format {self.format}, this version of rollout writes format {FORMAT}"
        if self.policy != RULES:
            return f"the journal was decided by version {self.policy} of the policy's rules, this is version {RULES}"
        return ""


def _number(body: Mapping[str, Any], key: str) -> float:
    value = body[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < inf:
        raise TypeError(f"'{key}' is {value!r}: it takes a number")
    return float(value)


def _time_scale(body: Mapping[str, Any]) -> float:
    scale = _number({"time_scale": 1.0} | dict(body), "time_scale")
    if scale <= 0:
        raise ValueError(f"'time_scale' is {scale:g}: it takes a number above 0")
    return scale


def _map(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key) or {}
    if not isinstance(value, Mapping):
        raise TypeError(f"'{key}' is {value!r}: it takes an object with the keys stable and candidate")
    return value
