"""Probes as the kubelet judges them: thresholds, order of startup, liveness and readiness. Pure, without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """Kubernetes' probe with its defaults. Times in seconds, real ones whatever the lab's time scale."""

    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int
    action: Json

    @classmethod
    def of(cls, probe: Json | None) -> ProbeSpec | None:
        """From a container's probe, None if it has none."""
        if not probe:
            return None
        return cls(
            initial_delay_s=probe.get("initialDelaySeconds", 0),
            period_s=probe.get("periodSeconds", 10),
            timeout_s=probe.get("timeoutSeconds", 1),
            success_threshold=probe.get("successThreshold", 1),
            failure_threshold=probe.get("failureThreshold", 3),
            action=probe,
        )


class Streak:
    """The verdict of one probe: changes only after enough equal results in a row."""

    def __init__(self, settings: ProbeSpec, verdict: bool | None) -> None:
        """`verdict`: what holds before any result: False for readiness, True for liveness, None for startup."""
        self.verdict = verdict
        self._settings = settings
        self._last: bool | None = None
        self._length = 0

    def result(self, success: bool) -> bool | None:
        """Count one result; the verdict after it."""
        self._length = self._length + 1 if success is self._last else 1
        self._last = success
        threshold = self._settings.success_threshold if success else self._settings.failure_threshold
        if self._length >= threshold:
            self.verdict = success
        return self.verdict


class Backoff:
    """The kubelet's crash back-off: the first restart at once, then 10 s, doubled up to 5 min.

    A container that ran for 10 min starts anew. (kubelet.go: `MaxCrashLoopBackOff`, `backOffPeriod`.)
    """

    FIRST_S = 10.0
    LIMIT_S = 300.0
    FORGIVEN_AFTER_S = 600.0

    def __init__(self) -> None:
        self._next = 0.0

    def delay(self, ran_s: float) -> float:
        """Seconds to wait before the next start of a container that ran `ran_s` seconds."""
        if ran_s >= self.FORGIVEN_AFTER_S:
            self._next = 0.0
        delay = self._next
        self._next = min(self.LIMIT_S, max(self.FIRST_S, 2 * delay))
        return delay
