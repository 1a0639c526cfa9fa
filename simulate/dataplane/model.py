"""What is simulated, as data: who asks how often, what stands behind the load balancer, and how long things take.

Durations are seconds, rates per minute where the name says so, memory MB, shares from 0 to 1, weights percent. The
defaults are a small healthy deployment; every value is checked and a bad one is a ``ValueError`` naming it.

One attempt of a request passes: rate limit -> weighted routing -> a backend slot (held to the end) -> a pool connection
(held for the query) -> the query -> the backend's own work -> the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simulate.dataplane.arrivals import Arrivals, Poisson
from simulate.dataplane.laws import Constant, Law, LogNormal

STABLE, CANDIDATE = 0, 1
COLOURS = ("stable", "candidate")
MAX_RETRIES = 7  # attempts of a request are distinguished by three bits of a stream's counter


def _check(holder: object, **ranges: tuple[float, float]) -> None:
    """Raises ``ValueError`` for the first named field outside its [low, high]."""
    for name, (low, high) in ranges.items():
        value = getattr(holder, name)
        if not low <= value <= high:
            where = type(holder).__name__
            raise ValueError(f"{where}.{name} is {value!r}: it takes a number from {low:g} to {high:g}")


_POSITIVE = (1e-9, math.inf)
_TIME = (0.0, math.inf)
_SHARE = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Clients:
    """Who asks: ``count`` addresses, of which the first ``heavy`` ones send ``heavy_share`` of all requests.

    Within each group all are alike. A heavy client is an office behind one address or a dashboard that polls.
    """

    count: int = 1000
    heavy: int = 0
    heavy_share: float = 0.0

    def __post_init__(self) -> None:
        _check(self, count=(1, 10_000_000), heavy=(0, self.count - 1), heavy_share=_SHARE)
        if (self.heavy == 0) != (self.heavy_share == 0.0):
            raise ValueError("Clients.heavy and Clients.heavy_share: set both or neither")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """WAF's rate rule: ``per_window`` requests per client in the last ``window_s``, looked at each ``check_s``.

    Whoever was above it at the last look is answered 429; refused requests count too. Changing the limit starts the
    counts again.
    """

    per_window: float = 1000.0
    window_s: float = 60.0
    check_s: float = 10.0

    def __post_init__(self) -> None:
        _check(self, per_window=_POSITIVE, check_s=_POSITIVE, window_s=(self.check_s, 600.0))
        if not math.isclose(self.window_s / self.check_s, round(self.window_s / self.check_s)):
            raise ValueError("RateLimit.window_s: it takes a multiple of check_s")


@dataclass(frozen=True, slots=True)
class Retries:
    """What a client does after a failure, 429 included: up to ``most`` further attempts.

    The n-th comes ``backoff_s`` * ``factor`` ** (n - 1), times a number uniform in [0.5, 1.5), after the failure.
    The budget is shared by all clients: each request earns ``budget`` retries, of which at most ``burst`` are saved.
    """

    most: int = 0
    backoff_s: float = 0.5
    factor: float = 2.0
    budget: float = 0.2
    burst: float = 10.0

    def __post_init__(self) -> None:
        _check(self, most=(0, MAX_RETRIES), backoff_s=_POSITIVE, factor=(1.0, 10.0), budget=(0.0, 100.0))
        _check(self, burst=_TIME)


@dataclass(frozen=True, slots=True)
class Pool:
    """pgbouncer of one colour: at most ``size`` connections to PostgreSQL, opened when needed and kept.

    A request waits first come, first served, for at most ``wait`` (query_wait_timeout); then, and when there are
    ``max_clients`` requests already or no connection can be had at all, it has a database connection error.
    """

    size: int = 50
    max_clients: int = 1000
    wait: Law = field(default_factory=lambda: Constant(15.0))

    def __post_init__(self) -> None:
        _check(self, size=(0, 100_000), max_clients=(1, 10_000_000))


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of each replica in MB: what it starts with, a step from replica to replica, and the limit that ends it."""

    base_mb: float = 200.0
    spread_mb: float = 0.0
    limit_mb: float = 512.0

    def __post_init__(self) -> None:
        _check(self, base_mb=_TIME, spread_mb=_TIME, limit_mb=(self.base_mb, math.inf))


@dataclass(frozen=True, slots=True)
class Backend:
    """One colour: ``replicas`` of ``concurrency`` slots each, one queue of ``backlog`` requests before them.

    ``query`` is a request's time in the database, ``work`` the backend's own; ``error_share`` of the answers are
    5xx. A replica that dies is back after ``restart_s``; for ``detect_s`` the load balancer still sends to it.
    """

    replicas: int = 3
    concurrency: int = 40
    backlog: int = 2048
    query: Law = field(default_factory=lambda: LogNormal(0.02, 0.5))
    work: Law = field(default_factory=lambda: LogNormal(0.03, 0.5))
    error_share: float = 0.0
    pool: Pool = field(default_factory=Pool)
    memory: Memory = field(default_factory=Memory)
    restart_s: float = 30.0
    detect_s: float = 10.0

    def __post_init__(self) -> None:
        _check(
            self, replicas=(1, 1000), concurrency=(1, 100_000), backlog=(0, 10_000_000), error_share=_SHARE
        )
        _check(self, restart_s=_POSITIVE, detect_s=_TIME)


@dataclass(frozen=True, slots=True)
class Database:
    """PostgreSQL, shared by both colours: ``max_connections`` for them; queries that run at once (0: unlimited).

    Queries beyond ``parallel`` wait first come, first served, whichever colour they are of, with their connection.
    """

    max_connections: int = 200
    parallel: int = 0

    def __post_init__(self) -> None:
        _check(self, max_connections=(0, 1_000_000), parallel=(0, 1_000_000))


@dataclass(frozen=True, slots=True)
class WebSockets:
    """``connections`` that clients keep open; each ends by itself after ``lifetime_s`` in the mean (exponential).

    A lost one comes again after ``reconnect_s`` times a number uniform in [0.5, 1.5), as often as needed.
    """

    connections: int = 0
    lifetime_s: float = 3600.0
    reconnect_s: float = 2.0

    def __post_init__(self) -> None:
        _check(self, connections=(0, 1_000_000), lifetime_s=_POSITIVE, reconnect_s=_POSITIVE)


@dataclass(frozen=True, slots=True)
class Model:
    """The whole data plane.

    ``timeout_s``: how long a client (or the load balancer) waits for an answer. ``sticky_s``: target group stickiness,
    renewed by each request (0: off). ``period_s``: metric periods begin at multiples of it. ``probe_timeout_s``: a
    probe that is not answered in this time has failed.
    """

    arrivals: Arrivals = field(default_factory=lambda: Poisson(1000.0))
    clients: Clients = field(default_factory=Clients)
    rate_limit: RateLimit | None = field(default_factory=RateLimit)
    retries: Retries = field(default_factory=Retries)
    stable: Backend = field(default_factory=Backend)
    candidate: Backend = field(default_factory=Backend)
    database: Database = field(default_factory=Database)
    websockets: WebSockets = field(default_factory=WebSockets)
    timeout_s: float = 30.0
    sticky_s: float = 0.0
    period_s: float = 60.0
    probe_timeout_s: float = 2.0

    def __post_init__(self) -> None:
        _check(
            self, timeout_s=_POSITIVE, sticky_s=_TIME, period_s=(1e-3, 86_400.0), probe_timeout_s=_POSITIVE
        )

    @property
    def colours(self) -> tuple[Backend, Backend]:
        """Stable and candidate, in the order of ``STABLE`` and ``CANDIDATE``."""
        return self.stable, self.candidate
