"""What the policy remembers: its phases, the table of transitions between them, and the state.

A *settled* weight is one that was read back at the load balancer after it was commanded; until then the old weight is
propagation, not a surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from rollout.plan import Plan
from rollout.policy.compare import Pair
from rollout.policy.events import EdgeMetrics, Metrics, Reason

if TYPE_CHECKING:
    from dataclasses import replace as changed

__all__ = [
    "AT_WORK",
    "INSTANT",
    "ON_STABLE",
    "REMEMBERED",
    "STOPPED",
    "TRANSITIONS",
    "Cause",
    "Foreign",
    "IllegalEvent",
    "Phase",
    "State",
    "changed",
]

INSTANT = 0.001  # s: times are kept in milliseconds, so that a period may seem that much shorter
REMEMBERED = 64  # periods of each role and of the edge, and weights, kept: more than any plan asks for, or any metric is late


class Phase(StrEnum):
    READY = "ready"  # nothing commanded yet
    MOVING = "moving"  # a higher weight is commanded, not yet seen
    WATCHING = "watching"  # a stage's window is open
    BAKING = "baking"  # 100 % after the last stage, not yet promoted
    HELD = "held"  # traffic stays, a person decides; times out
    PAUSED = "paused"  # held by the operator; reminds, never times out
    ABORTED = "aborted"  # 0 % commanded for good, not yet seen
    VERIFYING = "verifying"  # all traffic on stable, which is watched
    STEADY = "steady"  # after the promotion: all traffic on the candidate, whose health is watched
    FINISHED = "finished"


class Cause(StrEnum):
    STARTED = "started"
    SEEN = "commanded weight seen"
    PASSED = "stage passed"
    COMPLETED = "last stage passed"
    BAKED = "bake over"
    HOLD = "breach, inconclusive or traffic astray"
    PAUSE = "operator pauses"
    RESUME = "operator resumes, weight seen"
    RESUME_MOVING = "operator resumes, weight not yet seen"
    ABORT = "abort"
    LOST = "weight seen above 0 %"
    VERIFIED = "watch over"
    PROMOTED = "promoted before"
    WATCHED = "its time is over"


_HOLDABLE = {Cause.HOLD: Phase.HELD, Cause.PAUSE: Phase.PAUSED, Cause.ABORT: Phase.ABORTED}
_RESUMABLE = {Cause.RESUME: Phase.WATCHING, Cause.RESUME_MOVING: Phase.MOVING}
TRANSITIONS: Mapping[Phase, Mapping[Cause, Phase]] = {
    Phase.READY: {Cause.STARTED: Phase.MOVING, Cause.ABORT: Phase.ABORTED, Cause.PROMOTED: Phase.STEADY},
    Phase.MOVING: {Cause.SEEN: Phase.WATCHING, **_HOLDABLE},
    Phase.WATCHING: {Cause.PASSED: Phase.MOVING, Cause.COMPLETED: Phase.BAKING, **_HOLDABLE},
    Phase.BAKING: {Cause.BAKED: Phase.FINISHED, **_HOLDABLE},
    Phase.HELD: {**_RESUMABLE, **_HOLDABLE},
    Phase.PAUSED: {**_RESUMABLE, **_HOLDABLE, Cause.HOLD: Phase.PAUSED},  # whatever fails under it
    Phase.ABORTED: {Cause.SEEN: Phase.VERIFYING},
    Phase.VERIFYING: {Cause.LOST: Phase.ABORTED, Cause.VERIFIED: Phase.FINISHED},
    Phase.STEADY: {Cause.ABORT: Phase.ABORTED, Cause.WATCHED: Phase.FINISHED},
    Phase.FINISHED: {},
}
AT_WORK = (Phase.MOVING, Phase.WATCHING, Phase.BAKING)
STOPPED = (Phase.HELD, Phase.PAUSED)
ON_STABLE = (Phase.ABORTED, Phase.VERIFYING)


class IllegalEvent(ValueError):
    """The event cannot happen in this state; the state is unchanged and the message says why."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A version that answers for a role and was not approved; ``missed``: rounds in a row that met only others."""

    role: str
    version: str
    missed: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Everything the policy remembers. Weights in percent, times in seconds from the start."""

    phase: Phase = Phase.READY
    t: float = 0.0
    commanded: float = 0  # the candidate's weight last decided
    commanded_at: float = 0.0
    settled: bool = True  # the commanded weight was read back
    before: float = 0  # the weight seen when the commanded one was decided
    fallback: float = 0  # the commanded weight before this one
    seen: float = 0  # the weight last read back
    seen_history: tuple[tuple[float, float], ...] = ()  # (t, weight) at each change of what was read back
    window_start: float | None = None
    baking_since: float = 0.0
    held_since: float = 0.0
    reminded_at: float = 0.0
    periods: tuple[Metrics | EdgeMetrics, ...] = ()  # newest last
    raised_at: float | None = None  # end of the last edge period that raised the limit
    answered_at: float = 0.0  # last successful query of the candidate
    candidate_streak: int = 0  # failed health rounds in a row
    stable_streak: int = 0
    rate_limit: int | None = None  # requests per minute and client; None: the plan's initial one
    limit_read_at: float = 0.0  # when the deployed limit was last read back
    limit_awaited: bool = False  # a raise was not read back yet
    abort_criterion: Reason | None = None
    verification_paged: bool = False
    spent: tuple[tuple[float, float], ...] = ()  # (start, end) of the candidate's periods that count no more
    standing_alarms: tuple[str, ...] = ()  # names of alarms received in ALARM and not in OK since
    unread_alarms: tuple[str, ...] = ()  # names of the plan's alarms whose state nobody knows
    counted_to: float = -inf  # periods that began up to here led to a retreat or a resume, and count no more
    promoted: bool = False  # the candidate was promoted before this began
    watch_s: float | None = None  # how long it is watched in the steady state
    pairs: tuple[
        Pair, ...
    ] = ()  # what the comparison has of the periods since, in the order they were completed
    approved: tuple[tuple[str, str], ...] = ()  # (role, version)
    foreign: tuple[Foreign, ...] = ()
    front_streak: int = 0  # failed rounds in a row at the front door
    front_passed: bool = False  # it let somebody in before
    passing: tuple[str, ...] = ()  # roles whose last round was clean
    baseline_rpm: int = 0  # requests a minute before the rollout; 0: unknown
    few_since: float = 0.0  # periods that began before it do not count as ones with few requests
    few_reported: bool = False  # that users' requests are missing was said

    def raises(self, weight: float) -> bool:
        """Whether the newest command, to this weight, still raises the candidate's traffic: above the one before and what is seen."""
        return weight > max(self.fallback, self.seen)

    def window_end(self, plan: Plan) -> float | None:
        """When the open stage's window is over; ``None`` without an open window."""
        if self.phase is not Phase.WATCHING or self.window_start is None:
            return None
        return self.window_start + plan.window_at(self.commanded)


if not TYPE_CHECKING:
    # Typed as `dataclasses.replace`, which takes twice as long, and each event needs it. Most health rounds change nothing.
    _PLACES = {field.name: place for place, field in enumerate(fields(State))}
    _values = attrgetter(*_PLACES)

    def changed(state: State, **changes: Any) -> State:
        """The state with these changes; itself when they change nothing."""
        values = list(_values(state))
        new = False
        for name, value in changes.items():
            place = _PLACES[name]
            new = new or values[place] != value
            values[place] = value
        return State(*values) if new else state
