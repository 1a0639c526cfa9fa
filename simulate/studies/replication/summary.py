"""From rows to a summary: outcome shares, times and requests with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rollout.odds.shares import Share, wilson
from simulate.studies.replication.intervals import Estimate, estimate
from simulate.studies.replication.job import OUTCOMES, Job, Rows

FIGURES = ("detection_s", "rollback_s", "failed_requests", "requests")
_COUNTED = ("outcome", "rolled_back")


@dataclass(frozen=True, slots=True)
class Summary:
    """Many rehearsals of one job. A figure is ``None`` when no run had it."""

    job: Job
    replications: int
    outcomes: Mapping[str, Share]
    rolled_back: Share
    figures: Mapping[str, Estimate | None]
    findings: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """What `simulate rehearse --json` prints."""
        rolled = self.rolled_back
        return {
            "scenario": self.job.scenario,
            "plan": self.job.plan.name,
            "seed": self.job.seed,
            "replications": self.replications,
            "outcomes": {name: share.count for name, share in self.outcomes.items()},
            "rolled_back": {"count": rolled.count, "low": rolled.low, "high": rolled.high},
            **{name: _figure(found) for name, found in self.figures.items()},
            "findings": {name: _figure(found) for name, found in self.findings.items()},
        }


def _figure(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {key: value for key, value in asdict(found).items() if key != "n"}


def summarize(job: Job, rows: Rows) -> Summary:
    n = len(rows.values)
    ended = rows.column("outcome")
    # Most nights end with the promotion: no share of them could be undone.
    possible = OUTCOMES if job.world().aftermath else OUTCOMES[:-1]
    estimates = {name: estimate(rows.column(name)) for name in rows.names if name not in _COUNTED}
    return Summary(
        job=job,
        replications=n,
        outcomes={name: wilson(int((ended == k).sum()), n) for k, name in enumerate(possible)},
        rolled_back=wilson(int(rows.column("rolled_back").sum()), n),
        figures={name: estimates.get(name) for name in FIGURES},
        findings={name: found for name, found in estimates.items() if found and name not in FIGURES},
    )
