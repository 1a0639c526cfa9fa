"""Series for each alarm, by its name without the environment's prefix: (those that must fire it, those that must not).

A series is the values of its metrics by id, one a period, oldest first, None where there is no datapoint. What has no entry has no
data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Values = Mapping[str, Sequence[float | None]]
NOTHING: Values = {}

Cases = tuple[tuple[Values, ...], tuple[Values, ...]]


def above(key: str, limit: float, of: int = 1) -> Cases:
    """Above the limit for `of` periods; at it; above it for one period less."""
    beyond = limit * 1.01 or 1
    short: tuple[Values, ...] = ({key: [beyond] * (of - 1) + [limit]},) if of > 1 else ()
    return ({key: [beyond] * of},), ({key: [limit] * of}, *short)


def below(key: str, limit: float, of: int) -> Cases:
    beyond = limit * 0.99
    return ({key: [beyond] * of},), ({key: [limit] * of}, {key: [beyond] * (of - 1) + [limit]})


def most_of(key: str, limit: float, breaches: int, of: int) -> Cases:
    """In `breaches` of the newest `of` periods; in one less."""
    beyond, calm = limit * 1.01 or 1, of - breaches
    return (
        ({key: [beyond] * breaches + [0] * calm}, {key: [0] * calm + [beyond] * breaches}),
        ({key: [beyond] * (breaches - 1) + [limit] * (calm + 1)},),
    )


def users(each: float) -> Values:
    return {"usersBlue": [each] * 5, "usersGreen": [each] * 5}


def requests(blue: float, green: float, errors: float, balancer: float | None = None, of: int = 1) -> Values:
    return {
        "requestsBlue": [blue] * of,
        "requestsGreen": [green] * of,
        "errorsGreen": [errors] * of,
        "balancer": [balancer] * of,
    }


def rate(*percent: float) -> Values:
    return {
        "requestsBlue": [30_000.0] * len(percent),
        "errorsBlue": [300 * value for value in percent],
    }


def burn(percent: float) -> Cases:
    return (
        # Of the colours together, and of what the load balancer answers by itself.
        (requests(90_000, 10_000, 1_010 * percent), requests(99_000, 0, 0, 1_020 * percent)),
        (requests(90_000, 10_000, 990 * percent), requests(90_000, 10_000, 0), {"requestsBlue": [10.0]}),
    )


def error_rates(limit: float) -> Cases:
    usual = {"answered2xx": [980.0], "healthy": [2.0], "routed": [1000.0]}
    return (
        (
            {**usual, "answered5xx": [10 * limit + 1]},
            # Its targets refuse, and the load balancer answers for them.
            {"routed": [1000.0], "answered2xx": [900.0], "balancer502": [100.0], "healthy": [2.0]},
            {"balancer503": [20.0], "healthy": [0.0]},
        ),
        (
            {**usual, "answered5xx": [10 * limit]},
            usual,
            # The other colour's.
            {"routed": [1000.0], "answered2xx": [1000.0], "balancer503": [500.0], "healthy": [2.0]},
        ),
    )


def drops(limit: float) -> Cases:
    return (
        ({"drops": [limit + 1], "open": [99 - limit]}, {"drops": [20], "open": [0]}, {"drops": [20]}),
        (
            {"drops": [limit], "open": [100 - limit]},
            {"drops": [0], "open": [100]},
            {"drops": [0], "open": [0]},
        ),
    )


CASES: Mapping[str, Cases] = {
    # The service.
    "service-down": (
        (
            {"healthyBlue": [0, 0, 0], "healthyGreen": [0, 0, 0]},
            {"healthyBlue": [0, 0, 0]},
            {"healthyBlue": [2, 0, 0, 0]},
        ),
        (
            {"healthyBlue": [4, 4, 4], "healthyGreen": [0, 0, 0]},
            {"healthyGreen": [1, 1, 1]},
            # One round of checks that failed.
            {"healthyBlue": [4, 4, 0]},
        ),
    ),
    "authentication-failures": (
        ({"failuresBlue": [11]}, {"failuresBlue": [6], "failuresGreen": [5]}),
        ({"failuresBlue": [10]}, {"failuresBlue": [5], "failuresGreen": [5]}, {"failuresBlue": [0]}),
    ),
    "client-retries": (
        ({"retriesGreen": [60] * 3, "requestsBlue": [900] * 3, "requestsGreen": [100] * 3},),
        (
            {"retriesBlue": [50] * 3, "requestsBlue": [1000] * 3},
            {"retriesBlue": [200, 0, 0], "requestsBlue": [1000] * 3},
            {"requestsBlue": [1000] * 3},
        ),
    ),
    "sessions": (
        (users(1001), {"usersBlue": [2001] * 5}),
        (users(1000), {"usersBlue": [5000, 5000, 5000, 5000, 1900]}),
    ),
    "latency-trend": (
        ({"p95": [0.30, 0.33, 0.36, 0.40]},),
        (
            {"p95": [0.30, 0.30, 0.30, 0.30]},
            # Noise, a step, and a fall.
            {"p95": [0.30, 0.33, 0.29, 0.32]},
            {"p95": [0.30, 0.30, 0.60, 0.60]},
            {"p95": [0.60, 0.50, 0.40, 0.30]},
        ),
    ),
    "error-rate-trend": (
        (rate(0.02, 0.05, 0.09, 0.14),),
        (
            rate(0.05, 0.05, 0.05, 0.05),
            rate(0.02, 0.09, 0.03, 0.08),
            rate(0.02, 0.03, 0.04, 0.05),
            rate(1, 0.5, 0.2, 0.1),
        ),
    ),
    "burn-fast-hour": burn(0.72),
    "burn-fast-now": burn(0.72),
    "burn-slow-hours": burn(0.3),
    "burn-slow-now": burn(0.3),
    # The ways in.
    "edge-api-down": (
        ({"passed": [0, 0]}, {"passed": [None, None]}),
        ({"passed": [1, 1]}, {"passed": [1, 0]}),
    ),
    "edge-frontend-down": (
        ({"passed": [0, 0]}, {"passed": [None, None]}),
        ({"passed": [1, 1]}, {"passed": [1, 0]}),
    ),
    "edge-errors": most_of("rate", 1, 2, 3),
    "edge-refused": most_of("rate", 15, 3, 5),
    "edge-rate-limited": (
        ({"limited": [60] * 4, "allowed": [940] * 4},),
        (
            {"limited": [50] * 4, "allowed": [950] * 4},
            {"limited": [60, 0, 0, 0], "allowed": [940] * 4},
            {"allowed": [1000] * 4},
        ),
    ),
    "server-errors": above("errors", 10),
    # A colour.
    "green-error-rate": error_rates(1),
    "green-error-rate-elevated": error_rates(0.5),
    "green-latency-p95": above("p95", 2),
    "green-latency-p95-elevated": above("p95", 1),
    "green-server-errors": above("errors", 10),
    "green-database-connection-error": above("errors", 0),
    "green-database-connection-errors": above("errors", 5),
    "green-unhealthy-hosts": above("unhealthy", 0),
    "green-down": (
        ({"healthy": [0, 0], "unhealthy": [2, 2]}, {"unhealthy": [2, 2]}),
        # Whole, half of it, stopped, and a moment.
        (
            {"healthy": [2, 2], "unhealthy": [0, 0]},
            {"healthy": [1, 1], "unhealthy": [1, 1]},
            {"healthy": [0, 0], "unhealthy": [0, 0]},
            {"healthy": [0, 2], "unhealthy": [2, 0]},
        ),
    ),
    "green-websocket-drops": drops(10),
    "green-websocket-drops-elevated": drops(5),
    "green-application-silent": (
        ({"routed": [100] * 5}, {"routed": [100] * 5, "reports": [0] * 5}),
        (
            {"routed": [100] * 5, "reports": [2] * 5},
            # The newest minutes are late; no traffic, so nothing to report.
            {"routed": [100] * 5, "reports": [2, 2, 2, None, None]},
            {"reports": [2] * 5},
        ),
    ),
    "green-pool-usage": above("used", 80, 3),
    "green-pool-waiting": most_of("waiting", 0, 2, 3),
    "green-slow-dashboard": above("p95", 5, 2),
    "green-slow-search": above("p95", 2, 2),
    "green-slow-report": above("p95", 20, 2),
    # The cluster.
    "cluster-node-cpu": most_of("used", 80, 3, 5),
    "cluster-node-memory": most_of("used", 85, 3, 5),
    "cluster-node-disk": most_of("used", 80, 3, 5),
    "cluster-unobserved": (
        ({"nodes": [None] * 5}, {"nodes": [0] * 5}),
        ({"nodes": [1] * 5}, {"nodes": [3, 3, None, None, None]}),
    ),
    "cluster-green-cpu": (
        # Percent of a node: 5 of the 6 that are requested.
        ({"used": [5] * 5, "requested": [6] * 5},),
        (
            {"used": [4] * 5, "requested": [6] * 5},
            {"used": [5, 5, 1, 1, 1], "requested": [6] * 5},
            {"used": [5] * 5},
        ),
    ),
    "cluster-green-memory-warning": most_of("used", 80, 3, 5),
    "cluster-green-memory": above("used", 85),
    "cluster-green-memory-trend": (
        ({"used": [40, 42, 44, 46, 48, 50, 52]}, {"used": [40, 42, 44, 43.5, 46, 48, 50]}),
        (
            {"used": [40] * 7},
            # Fills its caches, then stands; breathes.
            {"used": [20, 40, 50, 50.2, 50.3, 50.2, 50.3]},
            {"used": [40, 45, 40, 45, 40, 45, 40]},
        ),
    ),
    "cluster-green-restarts": (
        ({"restarts": [0, 1]}, {"restarts": [3, 5]}),
        # A pod that was replaced counts from 0.
        ({"restarts": [3, 3]}, {"restarts": [3, 0]}, {"restarts": [None, 4]}),
    ),
    "cluster-green-pool-down": (({"running": [0, 0]},), ({"running": [1, 1]}, {"running": [2, 0]})),
    # The database.
    "database-cpu": above("cpu", 75),
    "database-disk-io": (
        ({"reads": [1500], "writes": [700]}, {"reads": [2200]}),
        ({"reads": [1400], "writes": [700]}, {"reads": [100], "writes": [100]}),
    ),
    "database-unreachable": (
        ({"connections": [None] * 3}, {"connections": [None] * 6}),
        ({"connections": [0] * 3}, {"connections": [90, 90, None]}),
    ),
    "database-connections-high": above("connections", 350, 15),
    "database-connections-near-maximum": above("connections", 425, 3),
    "database-response-time": (
        ({"read": [0.021] * 5, "write": [0.001] * 5}, {"write": [0.03] * 5}),
        ({"read": [0.02] * 5, "write": [0.02] * 5}, {"read": [0.5, 0.5, 0.5, 0.5, 0.001]}),
    ),
    "database-load": above("load", 1, 5),
    # 10 % of 8 GiB, 5 % of 100 GiB.
    "database-memory": below("free", 858_993_459, 5),
    "database-storage": below("free", 5_368_709_120, 5),
    "backup-backup": above("failed", 0),
    "backup-copy": above("failed", 0),
    "backup-restore-test": above("failed", 0),
    # The logs.
    "log-errors": most_of("lines", 10, 3, 5),
    "log-errors-unknown": (
        ({"lines": [6] * 5}, {"lines": [20] * 5, "knownTimeOuts": [10] * 5}),
        ({"lines": [5] * 5}, {"lines": [20] * 5, "knownTimeOuts": [10] * 5, "knownSqlErrors": [5] * 5}),
    ),
    "log-too-many-connections": above("lines", 0),
    "log-time-outs": most_of("lines", 5, 2, 3),
    "log-sql-errors": above("lines", 0),
    "log-out-of-memory": above("lines", 0),
    "log-websockets-closed": most_of("lines", 10, 2, 3),
    "log-slow-statements": above("lines", 20, 2),
    "log-connections-refused": above("lines", 0),
    "log-statement-time-outs": above("lines", 0),
    "log-logins-refused": above("lines", 0),
}
