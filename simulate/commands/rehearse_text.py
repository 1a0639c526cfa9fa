"""Results of ``simulate rehearse`` as text: the timeline of one rehearsal, or the shares and times of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.plan.units import clock
from rollout.policy.events import Decision, DecisionKind
from simulate.commands.output import wrapped
from simulate.commands.table import table
from simulate.controlplane import RehearsalResult
from simulate.dataplane import CANDIDATE, STABLE
from simulate.figures import between, plain
from simulate.studies.replication import Estimate, Job, Summary

INTERVALS = (
    "Intervals are 95 %: Wilson's for shares, Student's t for means; durations and counts cannot be negative, so an interval of theirs "
    "that reaches below 0 is shown from 0. p95 is over the runs."
)
# Findings that every scenario has; those of its own are printed for one rehearsal, too.
_COMMON_FINDINGS = (
    "requests_candidate",
    "failed_requests_stable",
    "failed_requests_candidate",
    "given_up_requests",
    "rate_limited_requests",
    "error_budget_spent_percent",
    "duration_s",
    "held_s",
    "first_stage_s",
    "first_stage_extended_percent",
    "failed_requests_after_rollback",
    "candidate_drained_s",
)


def head(job: Job, replications: int) -> str:
    what = "one rehearsal" if replications == 1 else f"{replications:,} rehearsals"
    return f"{job.scenario} under {job.plan.name}, seed {job.seed}, {what}"


def print_one(job: Job, result: RehearsalResult, summary: Summary) -> None:
    print(head(job, 1) + "\n")
    for entry in timeline(result):
        since = "" if entry.since is None else f"T+{clock(entry.since, tenths=True)}"
        print(wrapped(f"{clock(entry.t, tenths=True):>8}  {since:>9}  {entry.text}", 21))
    print()
    for line in totals(result):
        print(line)
    spent = summary.findings.get("error_budget_spent_percent")
    if spent:
        print(f"error budget of 30 days at 0.1 %: {plain(spent.mean)} % spent")
    for name, found in summary.findings.items():
        if name not in _COMMON_FINDINGS:
            print(f"{named(name)}: {plain(found.mean, 4)}")


def print_summary(summary: Summary) -> None:
    print(head(summary.job, summary.replications) + "\n")
    for name, share in [*summary.outcomes.items(), ("rolled back", summary.rolled_back)]:
        low, high = (f"{100 * bound:.2f}" for bound in (share.low, share.high))
        print(
            f"{name:34}{100 * share.count / share.total:6.2f} %  ({low} to {high} %)  {share.count:,} of {share.total:,}"
        )
    rows = []
    for name, found in [*summary.figures.items(), *summary.findings.items()]:
        some = f" (of {found.n} runs)" if found and found.n < summary.replications else ""
        rows.append((named(name) + some, *row(found)))
    print("\n" + "\n".join(table(("", "mean", "95 % interval", "p95"), rows)))
    print("\n" + wrapped(INTERVALS))


def row(found: Estimate | None) -> tuple[str, str, str]:
    """Mean, interval and 95th percentile of a figure; the interval of a mean that is not negative is shown from 0 at the lowest."""
    if found is None:
        return "-", "in no run", ""
    low = found.low if found.low is None or found.mean < 0 else max(found.low, 0.0)
    return plain(found.mean, 4), between(low, found.high, 4), plain(found.p95, 4)


def named(name: str) -> str:
    """``detection_s`` as ``detection, s``."""
    words = name.split("_")
    if words[-1] in ("s", "percent", "kb", "mb"):
        unit = "%" if words[-1] == "percent" else words[-1]
        return f"{' '.join(words[:-1])}, {unit}"
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened at ``t`` (s from the start); ``since`` counts from the detection and is ``None`` before it."""

    t: float
    since: float | None
    text: str


def timeline(result: RehearsalResult) -> list[Entry]:
    """Everything that happened, in order."""
    entries: list[tuple[float, int, str]] = [(t, 0, text) for t, text in result.faults]
    entries += [(t, 1, f"alarm {name}") for t, name in result.alarms]
    if result.detected is not None and result.detected != result.decided:
        entries.append((result.detected, 1, "first failed probe round: the issue is detected"))
    entries += [(d.t, 2, _decided(d)) for d in result.decisions]
    for (_, before), (t, after) in result.steps:
        word = "rises" if after > before else "falls"
        entries.append((t, 3, f"the candidate's share of traffic {word} from {before:g} % to {after:g} %"))
    entries += [
        (t, 3, f"the rate limit is now {limit:,} requests per minute and client")
        for t, limit in result.limits
    ]
    t0 = result.detected
    ordered = sorted(entries, key=lambda entry: entry[:2])
    return [Entry(t, None if t0 is None or t < t0 else t - t0, text) for t, _, text in ordered]


def ending(result: RehearsalResult) -> str:
    """How a rehearsal ended, and why: ``rolled back: error rate 25 % (3 of 12 requests) is above 1 %``."""
    back = [d for d in result.decisions if d.decision is DecisionKind.SET_WEIGHT and not d.increase]
    held = [d for d in result.decisions if d.decision is DecisionKind.HOLD]
    if result.outcome == "promoted":
        return "promoted"
    if back:  # its reason ends with the weight, as the headline does not
        word = result.outcome if result.outcome in ("held", "undone") else "rolled back"
        return f"{word}: {back[0].reason.removesuffix(f': {back[0].weight:g} %')}"
    return f"held: {held[-1].reason}" if held else str(result.outcome)


def _decided(decision: Decision) -> str:
    weight = f"{decision.weight:g} %" if decision.weight is not None else ""
    match decision.decision:
        case DecisionKind.SET_WEIGHT:
            return f"decided: {weight} to the candidate ({decision.reason})"
        case DecisionKind.HOLD:
            return f"held at {weight}: a person decides ({decision.reason})"
        case DecisionKind.PREPARE_ROLLBACK:
            return f"rollback prepared ({decision.reason})"
        case DecisionKind.RAISE_RATE_LIMIT:
            return f"decided: raise the rate limit ({decision.reason})"
        case DecisionKind.ALERT:
            return f"{decision.severity or 'alert'}: {decision.reason}"
        case DecisionKind.BAKE:
            return f"bakes at {weight} ({decision.reason})"
        case DecisionKind.PROMOTE:
            return f"promoted ({decision.reason})"
        case DecisionKind.FINISH:
            return f"the rollout ends: {decision.outcome} ({decision.reason})"


def totals(result: RehearsalResult) -> Sequence[str]:
    """What the rehearsal cost, a line a colour."""
    lines = []
    for colour, role in ((STABLE, "stable"), (CANDIDATE, "candidate")):
        requests = sum(closed.sides[colour].requests for closed in result.periods)
        failed = sum(closed.sides[colour].errors for closed in result.periods)
        share = f" ({plain(100 * failed / requests, 2)} %)" if requests else ""
        lines.append(f"{role}: {requests:,} requests, {failed:,} failed{share}")
    limited = sum(closed.edge.rate_limited for closed in result.periods)
    if limited:
        lines.append(f"edge: {limited:,} requests rate limited")
    return lines
