"""The faults that a rehearsal on real parts can inject, as data.

A fault is in the release itself (environment of the candidate's backends), in a stack's configuration, in the lab's
cloud (a switch of its AWS server or load balancer), or is somebody else's doing in the account. ``FAULTS`` is the table that ``simulate lab rehearse --fault`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

SWITCH_NAMES = ("metrics-missing", "metrics-failing", "targets-unreachable", "calls-failing")

BREAK_RULE = "break-rule"

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be wrong with a release.

    ``risk`` is its number in the risk guide, ``None`` for one that is not in the register. ``env`` is added to the
    candidate's ``backendEnv``, ``config`` (stack layer -> key -> value) to the configuration of other stacks, and
    ``switch`` is turned on in the lab's cloud when the candidate gets its first traffic; ``by_hand`` is then done by
    somebody who knows nothing of the release.
    """

    name: str
    sentence: str
    risk: int | None
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    config: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _NOTHING)
    switch: str | None = None
    by_hand: str | None = None


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
                "hanging-requests",
                "10 % of the candidate's requests are never answered",
                None,
                {"FAULT_HANG_RATE": "0.1"},
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
                "somebody changes the traffic rule's conditions, so users get the listener's 403 instead of a backend",
                2,
                by_hand=BREAK_RULE,
            ),
        )
    }
)


DEFAULT_FAULT = "errors-5pct"


class BadFault(ValueError):
    """A fault's name or setting that does not exist or is out of range; the message names it and what it takes."""


def fault(name: str) -> Fault:
    """Raises BadFault naming the faults that exist."""
    if name not in FAULTS:
        meant = get_close_matches(name, FAULTS, n=1)
        near = f"did you mean {meant[0]}? It is " if meant else "use "
        raise BadFault(f"unknown fault {name!r}: {near}one of {', '.join(FAULTS)}")
    return FAULTS[name]
