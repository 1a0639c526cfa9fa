"""DescribeTargetHealth returns what the lab's load balancer measured; moto reports every registered target as healthy.

A target without a report is ``initial``, one that was deregistered stays listed as ``draining`` for as
long as the load balancer reports it so, as in AWS.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

STATES = ("initial", "healthy", "unhealthy", "unused", "draining", "unavailable")


@dataclass(frozen=True, slots=True)
class Health:
    """State, reason and description as DescribeTargetHealth words them."""

    state: str
    reason: str | None = None
    description: str | None = None


class BadReport(ValueError):
    """A report of the load balancer in an unexpected form."""


class MeasuredHealth:
    """What the load balancer measured: by target group, then by target id and port."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[str, dict[tuple[str, int], Health]] = {}

    def report(self, groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Replaces what is known of each named target group. Raises BadReport and changes nothing."""
        parsed: dict[str, dict[tuple[str, int], Health]] = {}
        for arn, targets in groups.items():
            parsed[arn] = {}
            for target in targets:
                try:
                    health = Health(target["state"], target.get("reason"), target.get("description"))
                    parsed[arn][(str(target["id"]), int(target["port"]))] = health
                except (KeyError, TypeError, ValueError) as error:
                    raise BadReport(f"target health of {arn}: {error!r} in {target!r}") from None
                if health.state not in STATES:
                    raise BadReport(
                        f"target health of {arn}: state {health.state!r}: use one of {', '.join(STATES)}"
                    )
        with self._lock:
            self._groups.update(parsed)

    def forget(self, arn: str, targets: Sequence[tuple[str, int]]) -> None:
        """Drops the measurements of these targets: they belong to a former registration."""
        with self._lock:
            for target in targets:
                self._groups.get(arn, {}).pop(target, None)

    def of(self, arn: str) -> dict[tuple[str, int], Health]:
        with self._lock:
            return dict(self._groups.get(arn, {}))


MEASURED = MeasuredHealth()


_register_targets = ELBv2Backend.register_targets


def install() -> None:
    """Replaces moto's answers in this process."""
    setattr(ELBv2Backend, "describe_target_health", _describe_target_health)  # noqa: B010
    setattr(ELBv2Backend, "register_targets", _register_anew)  # noqa: B010


def _register_anew(self: ELBv2Backend, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
    [group] = self.describe_target_groups(None, [target_group_arn], [])
    new = [(i["Id"], int(i.get("Port") or group.port)) for i in instances if i["Id"] not in group.targets]
    _register_targets(self, target_group_arn, instances)
    MEASURED.forget(target_group_arn, new)


def _describe_target_health(
    self: ELBv2Backend, target_group_arn: str, targets: list[dict[str, Any]]
) -> list[FakeHealthStatus]:
    [group] = self.describe_target_groups(None, [target_group_arn], [])
    registered = {(t["Id"], int(t["Port"])) for t in group.targets.values()}
    measured = MEASURED.of(target_group_arn)
    if targets:
        wanted = [(t["Id"], int(t.get("Port") or group.port)) for t in targets]
    else:
        # A measured target that is no longer registered is draining, also before the load balancer has noticed.
        wanted = sorted(registered | {t for t, health in measured.items() if health.state != "unused"})
    return [_status(group, target, target in registered, measured.get(target)) for target in wanted]


def _status(
    group: FakeTargetGroup, target: tuple[str, int], registered: bool, measured: Health | None
) -> FakeHealthStatus:
    if registered and measured is not None and measured.state != "draining":
        health = measured
    elif registered:
        health = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    elif measured is not None and measured.state != "unused":
        health = Health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
    else:
        health = Health("unused", "Target.NotRegistered", "Target is not registered to the target group")
    return FakeHealthStatus(
        target[0], str(target[1]), group.health_check_port, health.state, health.reason, health.description
    )
