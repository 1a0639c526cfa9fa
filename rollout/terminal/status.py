"""How a rollout stands: from its journal, and from the load balancer."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.journal import Record
from rollout.journal.header import Header
from rollout.journal.resume import ResumeError, recall
from rollout.plan import PlanError
from rollout.plan.units import duration
from rollout.terminal.lines import awaited, describe_record
from rollout.terminal.traffic_now import TrafficNow

LAST = 6  # lines of what happened
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Status:
    """A rollout at its last record; ``now`` in epoch seconds, weights in percent."""

    journal: Path
    header: Header
    now: float
    plan: str
    phase: str
    t: float  # of the last record, in seconds from the start
    commanded: float
    seen: float
    awaits: str
    controller: str | None
    outcome: str | None
    last: tuple[str, ...]
    traffic: TrafficNow | None = None  # None: nobody asked the load balancer
    untold: tuple[str, ...] = ()  # messages that no service has accepted yet

    def to_json(self) -> str:
        traffic = self.traffic
        return json.dumps(
            {
                "journal": str(self.journal),
                "env": self.header.env,
                "plan": self.plan,
                "phase": self.phase,
                "t": self.t,
                "started": _utc(self.header.start),
                "now": _utc(self.now),
                "age_s": round(self.now - self.header.start),
                "awaits": self.awaits or None,
                "candidate_weight": {
                    "commanded": self.commanded,
                    "seen": self.seen,
                    "live": traffic.weight if traffic else None,
                    "live_unknown": (traffic.why or None) if traffic else None,
                },
                "controller": self.controller,
                "untold": self.untold,
                "outcome": self.outcome,
            }
        )

    def in_words(self) -> str:
        header, ended = self.header, self.outcome is not None
        age = f"{_utc(header.start)}, {_age(self.now - header.start)} ago"
        length = _age(self.t)
        lines = [
            f"{header.env}, plan {self.plan}: {self.outcome or self.phase}",
            f"started:     {age}" + (f"; it took {length}" if ended else ""),
            f"now:         {_utc(self.now)}",
            f"candidate:   {header.named('candidate')}, commanded {self.commanded:g} %, last seen {self.seen:g} %",
            f"stable:      {header.named('stable')}"
            + (" (before the promotion)" if self.outcome == "promoted" else ""),
        ]
        if self.traffic:
            lines.append(f"traffic now: {self.traffic.in_words()}")
        lines += [f"NOT SENT:    {message}; no service has accepted it yet" for message in self.untold]
        if self.awaits:
            lines.append(f"awaits:      {self.awaits}")
        lines += [f"controller:  {self.controller or 'none'}", f"journal:     {self.journal}"]
        if self.last:
            lines += [
                "",
                f"last records (seconds from the start; the last one is {_age(self.now - header.start - self.t)} old):",
            ]
            lines += self.last
        if not self.controller and not ended:
            lines += [
                "",
                "No controller is running: `rollout resume` continues, "
                + (
                    "`rollout undo` sends all traffic to stable."
                    if header.promoted
                    else "`rollout abort` sends all traffic to stable."
                ),
            ]
        return "\n".join(lines)


def _utc(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))


def _age(seconds: float) -> str:
    """``3 h 5 min``; shorter times to the second."""
    whole = round(max(seconds, 0))
    if whole < HOUR:
        return duration(whole)
    minutes = whole // 60
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def status_of(
    path: Path,
    records: Sequence[Record],
    controller: str | None,
    now: float,
    traffic: TrafficNow | None = None,
) -> Status:
    """Reads a journal. Raises :class:`rollout.journal.JournalError`.

    A journal that other rules decided is read as far as it says itself how things stand.
    """
    header = Header.read(records[0])
    plan_name, phase, awaits, outcome = "unknown", "unknown", "", None
    try:
        plan = header.plan
        plan_name = plan.name
        past = recall(plan, records)
        outcome = past.ended.outcome if past.ended else None
        phase = past.state.phase.value
        if controller and not outcome:  # without one nothing falls due
            awaits = awaited(plan, past.state, now - header.start)
    except (PlanError, ResumeError) as error:
        phase = f"unknown ({header.other_rules or error})"
    commanded = [
        r.body["weight"] for r in records if r.kind == "decision" and r.body["decision"] == "set_weight"
    ]
    seen = [r.body["weight"] for r in records if r.kind == "event" and r.body["event"] == "traffic"]
    lines = [line for record in records if (line := describe_record(record.kind, record.t, record.body))]
    return Status(
        journal=path,
        header=header,
        now=now,
        plan=plan_name,
        phase=phase,
        t=records[-1].t,
        commanded=commanded[-1] if commanded else 0,
        seen=seen[-1] if seen else 0,
        awaits=awaits,
        controller=controller,
        outcome=outcome,
        last=tuple(text for text, _ in lines[-LAST:]),
        traffic=traffic,
        untold=_untold(records),
    )


def _untold(records: Sequence[Record]) -> tuple[str, ...]:
    waiting: dict[int, str] = {}
    for body in (record.body for record in records if record.kind == "result"):
        if body.get("act") == "notify":
            waiting.pop(body["effect"], None)
            if not body["ok"]:
                waiting[body["effect"]] = f"{body['subject']} ({body['topic']})"
    return tuple(waiting.values())
