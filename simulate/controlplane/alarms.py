"""The alarms of the guide's Strategy 5 that a rehearsal can set off, as the foundation declares them for each colour.

They notify; only a plan that names one under ``alarms`` moves traffic for it. Their names here begin with the colour's role.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rollout.policy.events import TIERS
from simulate.controlplane.cloudwatch import ROLES, Closed, attribute
from simulate.dataplane import Period

IMMEDIATE, WARNING, _ = TIERS
EVALUATION_S = 60.0  # an alarm is looked at once a minute, some time after the datapoint


def _error_rate(own: Period, other: Period) -> float:
    """Percent."""
    requests, errors = attribute(own, other)
    return 100.0 * errors / requests if requests else 0.0


def _dropped(period: Period) -> float:
    """Drops of the period, in percent of the websockets open at its end."""
    return 100.0 * period.ws_drops / period.ws_open if period.ws_open else 0.0


# suffix -> (tier, limit, value of a period beside the other side's)
_OF_A_SIDE: Mapping[str, tuple[str, float, Callable[[Period, Period], float]]] = MappingProxyType(
    {
        "error-rate": (IMMEDIATE, 1.0, _error_rate),
        "latency-p95": (IMMEDIATE, 2.0, lambda own, other: own.p95 or 0.0),
        "server-errors": (IMMEDIATE, 10, lambda own, other: own.server_errors + own.db_errors),
        "database-connection-errors": (IMMEDIATE, 5, lambda own, other: own.db_connection_errors),
        "websocket-drops": (IMMEDIATE, 10.0, lambda own, other: _dropped(own)),
        "memory": (WARNING, 85.0, lambda own, other: 100.0 * own.memory),
    }
)
FRONTEND_ASSETS = "frontend-assets"  # a canary that loads the page; the scenarios of the frontend set it off

TIER: Mapping[str, str] = MappingProxyType(
    {f"{role}-{suffix}": tier for _, role in ROLES for suffix, (tier, _, _) in _OF_A_SIDE.items()}
    | {FRONTEND_ASSETS: IMMEDIATE}
)
PLACE: Mapping[str, int] = MappingProxyType({name: k for k, name in enumerate(TIER)})  # of an alarm's luck


def beyond(closed: Closed) -> set[str]:
    """The alarms whose value is above its limit in a closed period."""
    found = set()
    for colour, role in ROLES:
        own, other = closed.sides[colour], closed.sides[1 - colour]
        for suffix, (_, limit, value) in _OF_A_SIDE.items():
            if value(own, other) > limit:
                found.add(f"{role}-{suffix}")
    return found
