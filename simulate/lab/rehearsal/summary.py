"""``summary.json``: one object a release, times in real seconds from the start of its rollout."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rollout.journal.account import Account
from simulate.lab.rehearsal.client import Counts


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """The result of one release. ``fault_started_s`` is from the rollout's start, like the account's times."""

    number: int
    version: str
    fault: str | None
    account: Account
    client: Counts
    fault_started_s: float | None
    differs: tuple[str, ...]


def summarize(result: ReleaseResult) -> dict[str, Any]:
    """The release's object. ``stages`` are the times at each stage, from the weight being seen to the decision that ended it."""
    account = result.account
    retreat = account.retreats[0] if account.retreats else None
    return {
        "release": result.version,
        "candidate": account.candidate,
        "fault": result.fault,
        "outcome": account.outcome,
        "final_candidate_weight": _whole(account.final_weight),
        "requests": result.client.requests,
        "failed_requests": result.client.failed,
        "failures": named(result.client.failures),
        "rate_limited_requests": result.client.rate_limited,
        "fault_started_s": _rounded(result.fault_started_s),
        "first_breach_s": _rounded(account.breach_s),
        "decided_s": _rounded(retreat.decided if retreat else None),
        "traffic_moved_s": _rounded(retreat.moved if retreat else None),
        "last_failure_after_moved_s": _rounded(
            _last_failure_after(result, retreat.moved if retreat else None)
        ),
        "deadlines_missed": account.deadlines_missed,
        "stack_updates": len(account.stack_updates),
        "stages": [
            {
                "weight": _whole(visit.weight),
                "seen_s": _rounded(visit.seen_s),
                "left_s": _rounded(visit.left_s),
            }
            for visit in account.stages
            if not visit.bake
        ],
        "time_scale": account.time_scale,
        "as_expected": not result.differs,
    }


def named(failures: Counter[int]) -> dict[str, int]:
    """Failures by their status in words, the most frequent first."""
    return {str(status) if status else "no answer": number for status, number in failures.most_common()}


def fault_start(account: Account, switched_at: float | None) -> float | None:
    """When the fault began: the switch's time, else when the candidate was first seen with traffic."""
    if switched_at is not None:
        return switched_at
    return next((t for t, weight in account.seen if weight > 0), None)


def _last_failure_after(result: ReleaseResult, moved: float | None) -> float | None:
    """From the move to the end of the last second in which a request was sent that failed; below 0: before the move."""
    failed = result.client.failed_by_second
    return max(failed) + 1 - moved if failed and moved is not None else None


def _rounded(t: float | None) -> float | None:
    return None if t is None else round(t, 3)


def _whole(weight: float) -> float | int:
    return int(weight) if weight == int(weight) else weight
