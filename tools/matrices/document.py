"""The text of docs/matrices.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rollout.control.faulty.matrices import ACTIONS, Cell, Deaths
from simulate.lab.rehearsal.matrices import Crash, Ended, FaultCell

_HEAD = """\
# What fails, and what came of it

`make matrices` plays the real controller, effects and journal on a virtual clock against fakes and writes this page; `make soak` plays nights
by seed for as long as told (decision 92). `make matrices REAL=1` plays some of the deaths and faults on real parts; they are at the end.

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
With the disk full the journal cannot be written here; on real parts, below, the stack's file cannot be either.

"""
_NIGHTS = """
## Nights by seed

Half of the nights have a store whose calls fail and a second machine from which somebody resumes or aborts; versions change; a promotion may be
watched, break, and be undone (decision 92).

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


_REAL = "\n## On real parts: the process is killed\n"
_REAL_DEATHS = """
The real command, engine, HAProxy and Kubernetes API of a lab at time scale 10, under 100 requests a second. `rollout` is killed with SIGKILL at
a record of its journal, and the command beside it is typed at once. "Inside": the engine holds the lock of the stack. Seconds are from
typing that command until the candidate answered its last request; none where it ends on the candidate.

Commit {commit}, {date}.

| killed | then | traffic ends on | seconds | end | requests failed |
|---|---|---|---|---|---|
"""
_REAL_FAULTS = """
## On real parts: a fault of what moves traffic off the candidate

In the same lab. Seconds are from typing `rollout abort` or `rollout undo`, or from the decision after a breach, until the candidate answered its
last request or a request failed for the last time. The breach is that no request of users reaches the candidate's targets, so requests fail before
the front door's rounds or the metrics find it. ModifyRule is throttled until {throttled:g} s after the decision; "disk full": the controller can write no
file. A stack update gives way to break-glass after 20 s, which it needs on a busy machine without any fault.
"Exit" is of `rollout abort` or `rollout undo`, after a breach of `rollout run`. Whether people were told is not looked at here, as it is above.

| fault | action | moved by | traffic ends on | seconds | end | requests failed |
|---|---|---|---|---|---|---|
"""


def apart(document: str) -> tuple[str, str]:
    """What a document says of fakes, and of real parts."""
    fakes, _, real = document.partition(_REAL)
    return fakes, _REAL + real if real else ""


def render_real(
    commit: str,
    date: str,
    crashes: Sequence[tuple[Crash, Ended]],
    faults: Sequence[tuple[FaultCell, Ended]],
    throttled: float,
) -> str:
    deaths = "".join(
        f"| {cell.at} | `rollout {cell.then}` | {_where(found)} | {_seconds(found)} | {_end(found)} |\n"
        for cell, found in crashes
    )
    table = "".join(
        f"| {cell.fault} | {cell.action} | {found.way} | {_where(found)} | {_seconds(found)} | {_end(found)} |\n"
        for cell, found in faults
    )
    head = _REAL + _REAL_DEATHS.format(commit=commit, date=date)
    return head + deaths + _REAL_FAULTS.format(throttled=throttled) + table


def _where(found: Ended) -> str:
    return (found.serves or "BOTH") + ("" if found.in_line else ", stack out of line")


def _seconds(found: Ended) -> str:
    return "" if found.off_s is None else f"{found.off_s:.1f}"


def _end(found: Ended) -> str:
    outcome = found.outcome or "no end in the journal"
    return f"{outcome}, exit {found.exit} | {found.failed:,} of {found.requests:,}"
