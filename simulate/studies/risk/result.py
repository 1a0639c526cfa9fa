"""From rows to the three tables: the register, the night together, and what each mitigation is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.studies.replication import Estimate, Job, Rows, Share, estimate, wilson
from simulate.studies.replication.job import OUTCOMES
from simulate.studies.risk.mitigations import Mitigation, mitigations_of
from simulate.studies.risk.nights import CALM, TOGETHER
from simulate.studies.risk.register import NIGHT_S, Register

ENDS = dict(zip(OUTCOMES, ("promoted", "held", "rolled_back"), strict=False))  # no risk is undone
COSTS = (
    "failed_requests",
    "hurt",
    "unsafe_minutes",
    "rate_limited_requests",
    "slow_requests",
    "spoiled_pages",
    "websocket_drops",
)
WORTH = ("failed_requests", "hurt", "unsafe_minutes", "bad_promoted", "false_rollback")


def leaves_out_0(found: Estimate) -> bool:
    return found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)


@dataclass(frozen=True, slots=True)
class Night:
    """How nights ended, and what they cost beyond nights of the same luck without a risk."""

    ends: Mapping[str, Share]
    costs: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class RiskAlone:
    name: str
    number: int
    probability: float
    night: Night
    detection_s: Estimate | None


@dataclass(frozen=True, slots=True)
class Worth:
    """What nights without a mitigation cost more than those with it. ``seen``: the interval of ``hurt`` leaves out 0."""

    mitigation: Mitigation
    more: Mapping[str, Estimate]

    @property
    def seen(self) -> bool:
        return leaves_out_0(self.more["hurt"])

    @property
    def any_seen(self) -> bool:
        """Whether any of its figures shows a difference."""
        return any(map(leaves_out_0, self.more.values()))


@dataclass(frozen=True, slots=True)
class Result:
    """``worths`` are sorted: those that were seen by worth, then the others."""

    job: Job
    register: Register
    replications: int
    calm: Night
    alone: tuple[RiskAlone, ...]
    together: Night
    risks: Estimate
    bad_promoted: Share
    false_rollback: Share
    worths: tuple[Worth, ...]

    def to_json(self) -> dict[str, Any]:
        """What ``simulate risk --json`` prints."""
        return {
            "plan": self.job.plan.name,
            "seed": self.job.seed,
            "replications": self.replications,
            "night_s": NIGHT_S,
            "rate_per_minute": self.register.common["rate_per_minute"],
            "calm": _night(self.calm),
            "risks": [
                {"name": one.name, "risk": one.number, "probability": one.probability}
                | _night(one.night)
                | {"detection_s": _figure(one.detection_s)}
                for one in self.alone
            ],
            "together": _night(self.together)
            | {
                "risks": _figure(self.risks),
                "bad_promoted": _share(self.bad_promoted),
                "false_rollback": _share(self.false_rollback),
            },
            "mitigations": [
                {"name": one.mitigation.name, "guide": one.mitigation.item, "seen": one.seen}
                | {name: _figure(found) for name, found in one.more.items()}
                for one in self.worths
            ],
        }


def summarize(register: Register, job: Job, rows: Rows) -> Result:
    """The tables of a study's rows."""
    total = len(rows.values)
    risks = [rows.column(f"{TOGETHER}/{one.name}") for one in register.risks]
    worths = [
        Worth(one, {name: _difference(rows, one.name, TOGETHER, name) for name in WORTH})
        for one in mitigations_of(job.plan)
    ]
    return Result(
        job=job,
        register=register,
        replications=total,
        calm=_ended(rows, CALM),
        alone=tuple(
            RiskAlone(
                one.name,
                one.number,
                one.probability,
                _ended(rows, one.name),
                estimate(rows.column(f"{one.name}/detection_s")),
            )
            for one in register.risks
        ),
        together=_ended(rows, TOGETHER),
        risks=_known(np.sum(risks, axis=0)),
        bad_promoted=wilson(int(rows.column(f"{TOGETHER}/bad_promoted").sum()), total),
        false_rollback=wilson(int(rows.column(f"{TOGETHER}/false_rollback").sum()), total),
        worths=tuple(sorted(worths, key=lambda one: (not one.seen, -one.more["hurt"].mean))),
    )


def _ended(rows: Rows, night: str) -> Night:
    outcome = rows.column(f"{night}/outcome")
    return Night(
        {end: wilson(int((outcome == k).sum()), len(outcome)) for k, end in enumerate(ENDS.values())},
        {name: _difference(rows, night, CALM, name) for name in COSTS},
    )


def _difference(rows: Rows, one: str, other: str, name: str) -> Estimate:
    """Of nights of the same luck, paired."""
    return _known(rows.column(f"{one}/{name}") - rows.column(f"{other}/{name}"))


def _known(values: NDArray[np.float64]) -> Estimate:
    found = estimate(values)
    if found is None:
        raise ValueError("a study has no rows")
    return found


def _night(night: Night) -> dict[str, Any]:
    return {
        "ends": {name: _share(share) for name, share in night.ends.items()},
        **{name: _figure(found) for name, found in night.costs.items()},
    }


def _share(share: Share) -> dict[str, Any]:
    return {"count": share.count, "low": share.low, "high": share.high}


def _figure(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
