"""A store and a load balancer on a clock that stands until it is told the time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from rollout.guardian.watchdog import Guardian
from rollout.journal import Record
from rollout.journal.guard import AFTER
from rollout.journal.store import LEASE, StoreError, record_name

RULE = "arn:rule"
BLUE, GREEN = "arn:blue", "arn:green"
NAME = "20251220T020000Z"
HEADER = {
    "plan": "",
    "env": "prod",
    "region": "us-east-1",
    "stable": "blue",
    "candidate": "green",
    "versions": {"stable": "1.0.0", "candidate": "2.0.0"},
    "rule_arn": RULE,
    "groups": {"stable": BLUE, "candidate": GREEN},
    "start": 0.0,
}


def denied(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)


@dataclass
class Clock:
    now: float = 0.0


@dataclass
class Objects:
    """A :class:`rollout.journal.store.Store` in memory."""

    clock: Clock
    where: str = "memory"
    down: bool = False
    held: dict[str, tuple[bytes, str, float]] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    _version: int = 0

    def _check(self) -> None:
        if self.down:
            raise StoreError("the store is down")

    def create(self, key: str, body: bytes) -> bool:
        self._check()
        if key in self.held:
            return False
        self.write(key, body)
        return True

    def replace(self, key: str, body: bytes, tag: str) -> bool:
        self._check()
        if key not in self.held or self.held[key][1] != tag:
            return False
        self.write(key, body)
        return True

    def write(self, key: str, body: bytes) -> None:
        self._check()
        self._version += 1
        self.held[key] = (body, str(self._version), self.clock.now)

    def read(self, key: str) -> tuple[bytes, str] | None:
        self._check()
        self.reads.append(key)
        found = self.held.get(key)
        return found[:2] if found else None

    def names(self, folder: str, after: str = "") -> list[str]:
        self._check()
        inside = {
            key.removeprefix(f"{folder}/").partition("/")[0]
            for key in self.held
            if key.startswith(f"{folder}/")
        }
        return sorted(name for name in inside if name > after)

    def age(self, key: str) -> float | None:
        self._check()
        return self.clock.now - self.held[key][2] if key in self.held else None


@dataclass
class Balancer:
    """One rule. ``weights`` by target group; ``healthy`` targets of each; ``broken``: operations that fail."""

    weights: dict[str, int]
    sticky: bool = True
    healthy: dict[str, int] = field(default_factory=lambda: {BLUE: 4, GREEN: 4})
    broken: set[str] = field(default_factory=set)
    modified: list[dict[str, Any]] = field(default_factory=list)
    deaf: bool = False

    def describe_rules(self, RuleArns: list[str]) -> dict[str, Any]:  # noqa: N803 -- as boto3 names it
        if "DescribeRules" in self.broken:
            raise denied("DescribeRules")
        assert RuleArns == [RULE]
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in self.weights.items()]
        forward = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": self.sticky}}
        return {"Rules": [{"RuleArn": RULE, "Actions": [{"Type": "forward", "ForwardConfig": forward}]}]}

    def modify_rule(self, **changes: Any) -> None:
        if "ModifyRule" in self.broken:
            raise denied("ModifyRule")
        self.modified.append(changes)
        if not self.deaf:
            forward = changes["Actions"][0]["ForwardConfig"]
            self.weights = {each["TargetGroupArn"]: each["Weight"] for each in forward["TargetGroups"]}
            self.sticky = forward["TargetGroupStickinessConfig"]["Enabled"]

    def describe_target_health(self, TargetGroupArn: str) -> dict[str, Any]:  # noqa: N803 -- as boto3 names it
        if "DescribeTargetHealth" in self.broken:
            raise denied("DescribeTargetHealth")
        healthy = {"TargetHealth": {"State": "healthy"}}
        return {"TargetHealthDescriptions": [healthy] * self.healthy[TargetGroupArn]}


class World:
    """A rollout at 25 % whose controller has just renewed its lease."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Objects(self.clock)
        self.balancer = Balancer({BLUE: 75, GREEN: 25})
        self.pages: list[tuple[str, str]] = []
        self.deaf = False  # nobody accepts a message
        self.begin(NAME)

    def begin(self, name: str, *bodies: tuple[str, dict[str, Any]], **header: Any) -> None:
        """A rollout whose journal has these records behind its first."""
        records: list[tuple[str, dict[str, Any]]] = [
            ("rollout", HEADER | header),
            ("event", {"event": "started"}),
        ]
        records += bodies
        self.write(name, [Record(n, "", kind, 0.0, body) for n, (kind, body) in enumerate(records, start=1)])
        self.renew()

    def write(self, name: str, records: Iterable[Record]) -> None:
        for record in records:
            self.store.write(f"journals/{name}/{record_name(record.seq)}", record.to_line().encode())

    def renew(self) -> None:
        self.store.write(LEASE, json.dumps({"renewed": self.clock.now}).encode())

    def tell(self, subject: str, text: str) -> None:
        if self.deaf:
            raise denied("Publish")
        self.pages.append((subject, text))

    @property
    def guardian(self) -> Guardian:
        return Guardian(
            self.store, self.balancer, self.tell, "prod", RULE, AFTER, lambda: f"{self.clock.now:g}"
        )

    def look(self, after: float) -> str:
        """What it finds so many seconds later."""
        self.clock.now += after
        return self.guardian.look().found

    @property
    def subjects(self) -> list[str]:
        return [subject for subject, _ in self.pages]
