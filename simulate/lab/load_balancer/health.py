"""Target health as an ALB decides it, without I/O: counts of passed and failed checks, draining and fail-open.

The checks themselves are made by ``checks``. All times are in real seconds of one clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from simulate.lab.load_balancer.model import Target


class State(StrEnum):
    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"
    DRAINING = "draining"


_REASONS = {
    State.INITIAL: ("Elb.InitialHealthChecking", "Initial health checks in progress"),
    State.UNUSED: (
        "Target.NotInUse",
        "Target group is not configured to receive traffic from the load balancer",
    ),
    State.DRAINING: ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
}


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """``passed`` and ``failed`` are checks in a row; ``until`` is when a draining target is gone."""

    state: State = State.INITIAL
    passed: int = 0
    failed: int = 0
    why: str = ""
    until: float = 0.0

    def after_check(self, failure: str, *, healthy_threshold: int, unhealthy_threshold: int) -> TargetHealth:
        """After one health check; ``failure`` is the reason, empty for a passed one.

        A new target is healthy after one passed check, whatever the threshold, as in AWS.
        """
        if failure:
            failed = self.failed + 1
            state = State.UNHEALTHY if failed >= unhealthy_threshold else self.state
            return TargetHealth(state, 0, failed, failure)
        passed = self.passed + 1
        enough = self.state is State.INITIAL or passed >= healthy_threshold
        return TargetHealth(State.HEALTHY if enough else self.state, passed, 0, "")

    def report(self) -> dict[str, str]:
        """In DescribeTargetHealth's words."""
        if self.state is State.UNHEALTHY:
            failed = "Target.Timeout" if "timed out" in self.why else "Target.FailedHealthChecks"
            return {"state": self.state, "reason": failed, "description": self.why}
        if self.state in _REASONS:
            reason, description = _REASONS[self.state]
            return {"state": self.state, "reason": reason, "description": description}
        return {"state": self.state}


def follow(
    known: Mapping[Target, TargetHealth],
    registered: Iterable[Target],
    *,
    now: float,
    deregistration_delay_s: float,
    in_use: bool,
) -> dict[Target, TargetHealth]:
    """The target group's targets after a change of registration.

    A target no longer registered drains until its delay is over, if it could have open requests; then it is forgotten.
    """
    current = set(registered)
    result: dict[Target, TargetHealth] = {}
    for target, health in known.items():
        if target in current:
            continue
        if health.state is State.DRAINING:
            if now < health.until:
                result[target] = health
        elif health.state is not State.UNUSED:
            result[target] = TargetHealth(State.DRAINING, until=now + deregistration_delay_s)
    for target in sorted(current, key=lambda t: (t.ip, t.port)):
        health = known.get(target, TargetHealth())
        if not in_use:
            health = TargetHealth(State.UNUSED)
        elif health.state in (State.UNUSED, State.DRAINING):
            health = TargetHealth()
        result[target] = health
    return result


def server_states(targets: Mapping[Target, TargetHealth]) -> dict[Target, str]:
    """HAProxy's state for each target.

    Fail-open: a target group with unhealthy targets and no healthy one sends to all of the unhealthy ones.
    """
    states = {health.state for health in targets.values()}
    fail_open = State.HEALTHY not in states and State.UNHEALTHY in states
    wanted = {
        State.HEALTHY: "ready",
        State.UNHEALTHY: "ready" if fail_open else "drain",
        State.INITIAL: "maint",
        State.UNUSED: "maint",
        State.DRAINING: "drain",
    }
    return {target: wanted[health.state] for target, health in targets.items()}
