"""The faults that a rehearsal on real parts can inject, as data.

A fault is in the release itself (environment of the candidate's backends), in a stack's configuration, or in the lab's
cloud (a switch of its AWS server or load balancer). The table ``FAULTS`` is what ``simulate`` lists and what
``FAULT=<name>`` names; ``Settings`` is how a backend reads its part.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

SWITCH_NAMES = ("metrics-missing", "metrics-failing", "targets-unreachable", "bad-rule")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be wrong with a release.

    ``risk`` is its number in the risk guide, ``None`` for one that is not in the register. ``env`` is added to the
    candidate's ``backendEnv``, ``config`` (stack layer -> key -> value) to the configuration of other stacks, and
    ``switch`` is turned on in the lab's cloud when the candidate gets its first traffic.
    """

    name: str
    sentence: str
    risk: int | None
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    config: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _NOTHING)
    switch: str | None = None


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            Fault(
                "errors-5pct",
                "5 % of the candidate's requests fail with 500",
                None,
                {"FAULT_ERROR_RATE": "0.05"},
            ),
            Fault(
                "slow-queries",
                "the candidate's queries take 2.5 s longer (pg_sleep), so its P95 is above 2 s",
                8,
                {"FAULT_PG_SLEEP_S": "2.5"},
            ),
            Fault(
                "failing-probe",
                "the candidate's deep health fails from its 20th request on",
                2,
                {"FAULT_PROBE": "deep", "FAULT_AFTER_REQUESTS": "20"},
            ),
            Fault(
                "pool-exhaustion",
                "every request of the candidate leaves 20 transactions open, so pgbouncer soon refuses connections",
                6,
                {"FAULT_LEAK_CONNECTIONS": "20"},
            ),
            Fault(
                "targets-unreachable",
                "users' requests cannot reach the candidate's targets, while health checks and the test route can",
                2,
                switch="targets-unreachable",
            ),
            Fault("metrics-missing", "no metrics are published any more", None, switch="metrics-missing"),
            Fault("metrics-failing", "every metrics query fails, throttled", None, switch="metrics-failing"),
            Fault(
                "memory-leak",
                "the candidate's backends leak 20 MB/s until their memory limit ends them",
                7,
                {"FAULT_MEMORY_LEAK_MB_PER_S": "20"},
            ),
            Fault(
                "websocket-drops",
                "the candidate drops 10 % of its websockets each second",
                5,
                {"FAULT_WS_DROP_RATE": "0.1"},
            ),
            Fault(
                "rate-limit",
                "the edge admits 100 requests a minute per client, too few for ordinary use",
                4,
                config={"limits": {"rateLimit": "100"}},
            ),
            Fault(
                "bad-rule",
                "the traffic rule stops matching, so users get the listener's 403 instead of a backend",
                2,
                switch="bad-rule",
            ),
        )
    }
)


class BadFault(ValueError):
    """A fault's name or setting that does not exist or is out of range; the message names it and what it takes."""


def fault(name: str) -> Fault:
    """Raises BadFault naming the faults that exist."""
    if name not in FAULTS:
        raise BadFault(f"unknown fault {name!r}: use one of {', '.join(FAULTS)}")
    return FAULTS[name]


@dataclass(frozen=True, slots=True)
class Settings:
    """The faults of one backend process, from its ``FAULT_*`` environment. All off unless set."""

    error_rate: float = 0.0
    pg_sleep_s: float = 0.0
    probe: str = ""
    leak_connections: int = 0
    memory_leak_mb_per_s: float = 0.0
    ws_drop_rate: float = 0.0
    after_requests: int = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Raises BadFault for an unknown ``FAULT_*`` variable or a value out of its range."""
        values: dict[str, Any] = {}
        for variable in sorted(name for name in environ if name.startswith("FAULT_")):
            if variable not in _SETTINGS:
                raise BadFault(f"{variable} is not a fault of the backend: use one of {', '.join(_SETTINGS)}")
            values[variable.removeprefix("FAULT_").lower()] = _SETTINGS[variable].parse(
                variable, environ[variable]
            )
        return cls(**values)

    def any(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True)
class _Setting:
    sentence: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    words: tuple[str, ...] = ()

    def parse(self, variable: str, text: str) -> float | int | str:
        if self.words:
            if text not in self.words:
                raise BadFault(f"{variable}={text!r}: use one of {', '.join(self.words)}")
            return text
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = float("nan")
        if not self.low <= value <= self.high:
            kind = "a whole number" if self.whole else "a number"
            raise BadFault(
                f"{variable}={text!r}: {self.sentence}; use {kind} from {self.low:g} to {self.high:g}"
            )
        return value


_SETTINGS: Mapping[str, _Setting] = MappingProxyType(
    {
        "FAULT_ERROR_RATE": _Setting("share of the business requests answered 500", 0, 1),
        "FAULT_PG_SLEEP_S": _Setting("seconds that each business query sleeps in PostgreSQL", 0, 600),
        "FAULT_PROBE": _Setting("the probe that fails", words=("health", "ready", "deep")),
        "FAULT_LEAK_CONNECTIONS": _Setting("transactions left open by each business request", 0, 1000, True),
        "FAULT_MEMORY_LEAK_MB_PER_S": _Setting("megabytes kept each second", 0, 1000),
        "FAULT_WS_DROP_RATE": _Setting("probability that a websocket is dropped in a second", 0, 1),
        "FAULT_AFTER_REQUESTS": _Setting(
            "business requests served before the faults begin", 0, 1_000_000, True
        ),
    }
)


class SwitchFailed(RuntimeError):
    """The lab's cloud did not take a fault switch; it says why."""


@dataclass(frozen=True, slots=True)
class Switchboard:
    """Turns the lab's fault switches on and off. ``endpoint`` is the lab's AWS server."""

    endpoint: str = "http://127.0.0.1:5000"

    def inject(self, name: str, settings: Mapping[str, Any] = _NOTHING) -> None:
        """``targets-unreachable`` needs ``{"target_group": ARN}``, ``metrics-failing`` takes ``{"code": ...}``."""
        self._send("PUT", name, json.dumps(dict(settings)).encode())

    def clear(self, name: str) -> None:
        self._send("DELETE", name, None)

    def clear_all(self) -> None:
        for name in SWITCH_NAMES:
            self.clear(name)

    def _send(self, method: str, name: str, body: bytes | None) -> None:
        request = urllib.request.Request(f"{self.endpoint}/lab/faults/{name}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10):
                pass
        except urllib.error.HTTPError as error:
            raise SwitchFailed(f"switch {name}: {error.read().decode(errors='replace')}") from None
        except OSError as error:
            raise SwitchFailed(
                f"switch {name}: the lab's AWS server at {self.endpoint} does not answer: {error}"
            ) from None
