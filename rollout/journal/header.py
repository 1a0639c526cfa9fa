"""The first record of a journal: what the rollout was, and when it began."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.journal.journal import Record
from rollout.plan import Plan, parse_plan


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first record of a journal, as it is needed to run."""

    plan_text: str
    env: str
    time_scale: float
    start: float  # epoch seconds
    stable: str
    candidate: str
    dry_run: bool

    @property
    def plan(self) -> Plan:
        return parse_plan(self.plan_text, "the journal's plan").scaled(self.time_scale)

    @staticmethod
    def of(record: Record) -> Beginning:
        body = record.body
        return Beginning(
            plan_text=body["plan"],
            env=body["env"],
            time_scale=body["time_scale"],
            start=body["start"],
            stable=body["stable"],
            candidate=body["candidate"],
            dry_run=bool(body.get("dry_run")),
        )
