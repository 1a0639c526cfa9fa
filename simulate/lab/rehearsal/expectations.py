"""How each fault must end by the guide's criteria, and how a rollout differed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rollout.journal.account import Account
from simulate.lab.faults import FAULTS
from simulate.lab.rehearsal.client import Counts

PROMOTED, ABORTED = "promoted", "aborted"
#: Seconds at the end of a rollout that was taken back in which no request may fail.
SERVED_S = 5.0


@dataclass(frozen=True, slots=True)
class Expected:
    """The end of a rollout.

    ``criteria``: any of these must have taken the traffic back first (or, for a promotion, must have been acted on).
    ``verified``: stable was measured to be normal afterwards; ``None`` where the fault leaves nothing to measure.
    """

    outcome: str
    criteria: frozenset[str] = frozenset()
    verified: bool | None = True


def _aborted(*criteria: str, verified: bool | None = True) -> Expected:
    return Expected(ABORTED, frozenset(criteria), verified)


GOOD = Expected(PROMOTED)

EXPECTED: Mapping[str, Expected] = MappingProxyType(
    {
        "errors-5pct": _aborted("error_rate"),
        # The load balancer gives up first and answers 504, which is an error of the candidate.
        "hanging-requests": _aborted("error_rate"),
        "slow-queries": _aborted("latency_p95"),
        "failing-probe": _aborted("health"),
        # The deep probe needs a connection too, and probes are quicker than metrics.
        "pool-exhaustion": _aborted("db_connection_errors", "health"),
        # Health stays clean, so metrics alone must decide.
        "targets-unreachable": _aborted("error_rate"),
        # Missing data is not good data: the stage stays inconclusive, is held, and nobody resumes it.
        "metrics-missing": _aborted("hold_timeout", verified=None),
        "metrics-failing": _aborted("blind", verified=None),
        "memory-leak": _aborted("health", "error_rate"),
        # The guide alerts on dropped websockets, but no criterion of it moves traffic.
        "websocket-drops": GOOD,
        # Raised while it goes on; a 429 is no error.
        "rate-limit": Expected(PROMOTED, frozenset({"rate_limited"})),
        # Probes go round the rule, so only what takes the users' way notices.
        "bad-rule": _aborted("front_door"),
    }
)


def expected(fault: str | None) -> Expected:
    return GOOD if fault is None else EXPECTED[fault]


def differences(account: Account, wanted: Expected, client: Counts, *, good: bool) -> list[str]:
    """What was not as it must be, as sentences; none when all was. ``good``: the release had no fault."""
    found = []
    if account.outcome != wanted.outcome:
        found.append(f"ended {account.outcome}, expected {wanted.outcome}")
    if wanted.criteria and not wanted.criteria & (acted := _acted(account)):
        found.append(
            f"acted on {', '.join(sorted(acted)) or 'nothing'}, expected {' or '.join(sorted(wanted.criteria))}"
        )
    if wanted.outcome == ABORTED:
        found += [*_not_back(account, wanted), *_not_served(account, client)]
    if account.outcome == PROMOTED:
        found += [
            f"left {visit.weight:g} % before its window of {visit.window:g} s was over"
            for visit in account.stages
            if visit.seen_s is None or visit.left_s is None or visit.left_s - visit.seen_s < visit.window
        ]
    if good and client.failed:
        found.append(f"{client.failed} requests of the good release failed, as the client counts them")
    if good and client.rate_limited:
        found.append(f"{client.rate_limited} requests of the good release were rate limited")
    return found


def _acted(account: Account) -> set[str]:
    """The criteria that took traffic back first or changed a limit."""
    acted = {str(account.retreats[0].criterion)} if account.retreats else set()
    return acted | {str(d["criterion"]) for d in account.decisions if d["decision"] == "raise_rate_limit"}


def _not_back(account: Account, wanted: Expected) -> list[str]:
    found = []
    if account.final_weight:
        found.append(f"the candidate still had {account.final_weight:g} % of the traffic")
    finish = account.finish
    if wanted.verified is not None and finish and finish.get("verified") != wanted.verified:
        found.append("stable was not verified after the rollback")
    return found


def _not_served(account: Account, client: Counts) -> list[str]:
    moved = account.retreats[0].moved if account.retreats else None
    since = max(account.ended_s - SERVED_S, moved or 0.0)
    failed = client.failed_since(since)
    if not failed:
        return []
    what = "traffic is back, users are not served"
    return [f"{failed} of the requests sent in the last {account.ended_s - since:.3g} s failed: {what}"]


assert EXPECTED.keys() == FAULTS.keys(), "each fault needs its expected end"  # noqa: S101 - two tables that must agree
