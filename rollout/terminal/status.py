"""How a rollout stands, from its journal alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.journal import Record
from rollout.journal.header import Header
from rollout.journal.resume import recall
from rollout.policy.state import State
from rollout.terminal.view import describe_record


@dataclass(frozen=True, slots=True)
class Status:
    """A rollout at its last record."""

    journal: Path
    env: str
    plan: str
    state: State
    controller: str | None
    outcome: str | None
    last: tuple[str, ...]

    def to_json(self) -> str:
        state = self.state
        return json.dumps(
            {
                "journal": str(self.journal),
                "env": self.env,
                "plan": self.plan,
                "phase": state.phase,
                "t": state.t,
                "candidate_weight": {"commanded": state.commanded, "seen": state.seen},
                "controller": self.controller,
                "outcome": self.outcome,
            }
        )

    def in_words(self) -> str:
        state = self.state
        lines = [
            f"{self.env}, plan {self.plan}: {self.outcome or state.phase} at {state.t:.0f} s",
            f"candidate: commanded {state.commanded:g} %, seen {state.seen:g} %",
            f"controller: {self.controller or 'none'}",
            f"journal: {self.journal}",
            *self.last,
        ]
        if not self.controller and not self.outcome:
            lines.append(
                "nobody watches it: `rollout resume` goes on, `rollout abort` sends all traffic to stable"
            )
        return "\n".join(lines)


def status_of(path: Path, records: Sequence[Record], controller: str | None) -> Status:
    """Reads a journal. Raises :class:`rollout.journal.resume.ResumeError`, :class:`rollout.plan.PlanError`."""
    header = Header.read(records[0])
    plan = header.plan
    past = recall(plan, records)
    lines = [line for record in records if (line := describe_record(record.kind, record.t, record.body))]
    return Status(
        journal=path,
        env=header.env,
        plan=plan.name,
        state=past.state,
        controller=controller,
        outcome=past.ended.outcome if past.ended else None,
        last=tuple(text for text, _ in lines[-6:]),
    )
