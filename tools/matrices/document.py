"""The text of docs/matrices.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rollout.control.faulty.matrices import ACTIONS, Cell, Deaths

_HEAD = """\
# What fails, and what came of it

`make matrices` plays the real controller, effects and journal on a virtual clock against fakes and writes this page; `make soak` plays nights
by seed for as long as told (decision 92). On real parts none of these deaths and faults was
played yet; `simulate lab rehearse --fault` has its own.

Commit {commit}, {date}.
"""
_DEATHS = """
## The process is killed at every record

Each record of a rollout of two stages: the process dies before it and after it is in the journal, somebody resumes two seconds later. "On
stable instead": an increase whose result the crash swallowed is not begun again; nobody resumes the hold, so it ends as an abort.

| rollout | record | kills | ended as without | on stable instead | anything else |
|---|---|---|---|---|---|
"""
_FAULTS = """
## A fault of what moves traffic off the candidate

An operator's abort, a breach found in the metrics, and an undo of a promoted release, each while the fault stands. Seconds are from the decision
until the load balancer has no traffic on the candidate, with a stack update of 2.5 s. ELB throttled, credentials wrong and SNS down pass after
two minutes, the other faults never. "Stack out of line": the load balancer is right, the stack declares another weight, and a page says so.

"""
_NIGHTS = """
## Nights by seed

{nights}
"""


def deaths_table(rows: Iterable[Deaths]) -> str:
    return "".join(
        f"| {row.rollout} | {row.record} | {row.kills} | {row.same} | {row.stable} | {'; '.join(row.broken) or 0} |\n"
        for row in rows
    )


def faults_table(cells: Sequence[Cell]) -> str:
    lines = [f"| fault | {' | '.join(ACTIONS)} |", "|---" * (len(ACTIONS) + 1) + "|"]
    for fault in dict.fromkeys(cell.fault for cell in cells):
        words = [cell.words for cell in cells if cell.fault == fault]
        lines.append(f"| {fault} | {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def render(
    commit: str, date: str, rows: Iterable[Deaths], cells: Sequence[Cell], nights: Sequence[str]
) -> str:
    head = _HEAD.format(commit=commit, date=date)
    told = "\n".join(f"- {line}" for line in nights)
    return head + _DEATHS + deaths_table(rows) + _FAULTS + faults_table(cells) + _NIGHTS.format(nights=told)
