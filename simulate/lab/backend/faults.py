"""The faults of a backend, read from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from simulate.lab.faults import BadFault


@dataclass(frozen=True, slots=True)
class BackendFaults:
    """The faults of one backend process, from its ``FAULT_*`` environment. All off unless set."""

    error_rate: float = 0.0
    hang_rate: float = 0.0
    pg_sleep_s: float = 0.0
    probe: str = ""
    leak_connections: int = 0
    memory_leak_mb_per_s: float = 0.0
    ws_drop_rate: float = 0.0
    after_requests: int = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> BackendFaults:
        """Raises BadFault for an unknown ``FAULT_*`` variable or a value out of its range."""
        values: dict[str, Any] = {}
        for variable in sorted(name for name in environ if name.startswith("FAULT_")):
            if variable not in _VARIABLES:
                raise BadFault(
                    f"{variable} is not a fault of the backend: use one of {', '.join(_VARIABLES)}"
                )
            values[variable.removeprefix("FAULT_").lower()] = _VARIABLES[variable].parse(
                variable, environ[variable]
            )
        return cls(**values)

    def any(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True)
class _Variable:
    sentence: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    choices: tuple[str, ...] = ()

    def parse(self, variable: str, text: str) -> float | int | str:
        if self.choices:
            if text not in self.choices:
                raise BadFault(f"{variable}={text!r}: use one of {', '.join(self.choices)}")
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


_VARIABLES: Mapping[str, _Variable] = MappingProxyType(
    {
        "FAULT_ERROR_RATE": _Variable("share of the business requests answered 500", 0, 1),
        "FAULT_HANG_RATE": _Variable("share of the business requests that are never answered", 0, 1),
        "FAULT_PG_SLEEP_S": _Variable("seconds that each business query sleeps in PostgreSQL", 0, 600),
        "FAULT_PROBE": _Variable("the probe that fails", choices=("health", "ready", "deep")),
        "FAULT_LEAK_CONNECTIONS": _Variable("transactions left open by each business request", 0, 1000, True),
        "FAULT_MEMORY_LEAK_MB_PER_S": _Variable("megabytes kept each second", 0, 1000),
        "FAULT_WS_DROP_RATE": _Variable("probability that a websocket is dropped in a second", 0, 1),
        "FAULT_AFTER_REQUESTS": _Variable(
            "business requests served before the faults begin", 0, 1_000_000, True
        ),
    }
)
