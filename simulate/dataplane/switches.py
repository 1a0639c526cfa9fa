"""The faults of one colour that a control plane can switch while time runs, and the range each takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

_SHARE, _FLAG, _TIME = (0.0, 1.0), (0.0, 1.0), (0.0, 1e9)

# name -> (what it is, lowest, highest)
SWITCHES: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "error_share": ("share of the finished requests answered 500", *_SHARE),
        "query_factor": ("times by which queries take longer", 0.0, 1e6),
        "query_added_s": ("seconds added to every query (pg_sleep)", *_TIME),
        "slow_share": ("share of the queries that are slow", *_SHARE),
        "slow_added_s": ("seconds that a slow query takes longer", *_TIME),
        "work_factor": ("times by which the backend's own work takes longer", 0.0, 1e6),
        "hung": ("1: queries stand still and go on later; 0: they run", *_FLAG),
        "database_refuses": ("1: connections break and none is had", *_FLAG),
        "pool_size": ("connections of the pool; a change restarts pgbouncer", 0.0, 1e6),
        "pool_leak": ("connections that each query leaves lost to the pool", 0.0, 1e6),
        "unreachable_share": ("share of users' connections to the colour that fail; probes do not", *_SHARE),
        "connect_s": ("seconds until such a connection fails (0: refused at once)", *_TIME),
        "no_targets": ("1: the colour has no registered target, its requests get 503", *_FLAG),
        "health_fails": ("1: the liveness probe fails", *_FLAG),
        "ready_fails": ("1: the readiness probe fails", *_FLAG),
        "deep_fails": ("1: the deep probe fails", *_FLAG),
        "targets_fails": ("1: the load balancer sees an unhealthy target", *_FLAG),
        "ws_drops_per_s": ("drops per second of each websocket, beyond its own lifetime", 0.0, 1e6),
        "memory_mb_per_s": ("MB that each replica grows a second", 0.0, 1e6),
        "memory_mb_per_request": ("MB that a replica grows with each request it starts", 0.0, 1e6),
    }
)


def check(name: str, value: float) -> None:
    """Raises ``ValueError`` for an unknown switch or a value out of its range, naming it and what it takes."""
    if name not in SWITCHES:
        raise ValueError(f"'{name}' is not a switch: it is one of {', '.join(SWITCHES)}")
    what, low, high = SWITCHES[name]
    if not low <= value <= high or (high == 1.0 and "1:" in what and value not in (0, 1)):
        raise ValueError(f"'{name}' is {value!r}: {what}; it takes {low:g} to {high:g}")
    if name == "pool_size" and not math.isclose(value, round(value)):
        raise ValueError(f"'pool_size' is {value!r}: it takes a whole number")
