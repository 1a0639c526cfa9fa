"""One rehearsal told in plain sentences, with the guide's T+n from the moment the issue was detected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.policy.events import Decision, DecisionKind
from simulate.controlplane import Record
from simulate.dataplane import CANDIDATE, STABLE


@dataclass(frozen=True, slots=True)
class Sentence:
    """What happened at ``t`` (s from the start); ``since`` is from the detection, before it ``None``."""

    t: float
    since: float | None
    text: str


def tell(record: Record) -> list[Sentence]:
    """Everything that happened, in order."""
    said: list[tuple[float, int, str]] = [(t, 0, text) for t, text in record.faults]
    said += [(t, 1, f"alarm {name}") for t, name in record.alarms]
    if record.detected is not None and record.detected != record.decided:
        said.append((record.detected, 1, "the first failed probe round: the issue is detected"))
    said += [(d.t, 2, _decided(d)) for d in record.decisions]
    for (_, before), (t, after) in record.steps:
        word = "rises" if after > before else "falls"
        said.append((t, 3, f"the candidate's share of traffic {word} from {before:g} % to {after:g} %"))
    said += [
        (t, 3, f"the rate limit is {limit} requests per minute and client") for t, limit in record.limits
    ]
    t0 = record.detected
    ordered = sorted(said, key=lambda entry: entry[:2])
    return [Sentence(t, None if t0 is None or t < t0 else t - t0, text) for t, _, text in ordered]


def _decided(decision: Decision) -> str:
    weight = f"{decision.weight:g} %" if decision.weight is not None else ""
    match decision.decision:
        case DecisionKind.SET_WEIGHT:
            return f"decided: {weight} to the candidate ({decision.reason})"
        case DecisionKind.HOLD:
            return f"held at {weight}, a person decides ({decision.reason})"
        case DecisionKind.PREPARE_ROLLBACK:
            return f"rollback prepared ({decision.reason})"
        case DecisionKind.RAISE_RATE_LIMIT:
            return f"decided: raise the rate limit ({decision.reason})"
        case DecisionKind.ALERT:
            return f"{decision.severity or 'alert'}: {decision.reason}"
        case DecisionKind.PROMOTE:
            return f"promoted ({decision.reason})"
        case DecisionKind.FINISH:
            return f"the rollout ends: {decision.outcome} ({decision.reason})"


def totals(record: Record) -> Sequence[str]:
    """What it cost, in sentences."""
    lines = []
    for colour, role in ((STABLE, "stable"), (CANDIDATE, "candidate")):
        requests = sum(closed.sides[colour].requests for closed in record.periods)
        failed = sum(closed.sides[colour].errors for closed in record.periods)
        share = f" ({100 * failed / requests:.2g} %)" if requests else ""
        lines.append(f"{role}: {requests} requests, {failed} failed{share}")
    limited = sum(closed.edge.rate_limited for closed in record.periods)
    if limited:
        lines.append(f"edge: {limited} requests rate limited")
    return lines


def clock(seconds: float) -> str:
    """``m:ss.s``"""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
