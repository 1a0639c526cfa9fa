"""The alarms of the guide's Strategy 5 that a rehearsal can set off, as the foundation declares them for each colour.

They notify; only a plan that names one under ``alarms`` moves traffic for it. Their names here begin with the colour's role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rollout.events import TIERS
from simulate.controlplane.cloudwatch import ROLES, Closed, attribute
from simulate.dataplane import Period

IMMEDIATE, WARNING, _ = TIERS
EVALUATION_S = 60.0  # an alarm is looked at once a minute, some time after the datapoint


def _dropped(period: Period) -> float:
    """Percent of the open websockets that dropped in the period."""
    held = period.ws_open + period.ws_drops
    return 100.0 * period.ws_drops / held if held else 0.0


# suffix -> (tier, limit, value of a period)
_OF_A_SIDE: Mapping[str, tuple[str, float, Callable[[Period], float]]] = MappingProxyType(
    {
        "latency-p95": (IMMEDIATE, 2.0, lambda period: period.p95 or 0.0),
        "server-errors": (IMMEDIATE, 10, lambda period: period.server_errors + period.db_errors),
        "database-connection-errors": (IMMEDIATE, 5, lambda period: period.db_connection_errors),
        "websocket-drops": (IMMEDIATE, 10.0, _dropped),
        "memory": (WARNING, 85.0, lambda period: 100.0 * period.memory),
    }
)
_ERROR_RATE = 1.0  # percent
FRONTEND_ASSETS = "frontend-assets"  # a canary that loads the page; the scenarios of the frontend set it off

TIER: Mapping[str, str] = MappingProxyType(
    {f"{role}-{suffix}": tier for _, role in ROLES for suffix, (tier, _, _) in _OF_A_SIDE.items()}
    | {f"{role}-error-rate": IMMEDIATE for _, role in ROLES}
    | {FRONTEND_ASSETS: IMMEDIATE}
)


def beyond(closed: Closed) -> set[str]:
    """The alarms whose value is above its limit in a closed period."""
    found = set()
    for colour, role in ROLES:
        own = closed.sides[colour]
        requests, errors = attribute(own, closed.sides[1 - colour])
        if requests and 100.0 * errors > _ERROR_RATE * requests:
            found.add(f"{role}-error-rate")
        for suffix, (_, limit, value) in _OF_A_SIDE.items():
            if value(own) > limit:
                found.add(f"{role}-{suffix}")
    return found
