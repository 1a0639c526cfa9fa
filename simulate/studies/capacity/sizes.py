"""The sizes: each the smallest with which the targets hold, found on the data plane.

They are judged with what may be missing missing: ``spare`` replicas and pgbouncers are down, and one colour carries all.
A size that is busy all the time is not tried: its queue grows without end, however late that shows in a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

from simulate.dataplane import Arrivals, Backend, Bursty, Clients, Constant, Model, Pool, RateLimit
from simulate.figures import plain
from simulate.studies.capacity.assumptions import AMPLE, Assumptions, share_of
from simulate.studies.capacity.measure import Case, Measured, Runner

MOST_REPLICAS = 100  # of a colour; the bound of the Pulumi program
SMALLEST_POOL, LARGEST_POOL = 50, 100  # of a pgbouncer; the guide's Risk 6
SMALLEST_LIMIT, LARGEST_LIMIT = 10, 2_000_000_000  # requests per window and client; AWS WAF
SUPERUSERS = 3  # PostgreSQL's superuser_reserved_connections
COLOURS = 2
SURGE = 1  # pgbouncers above their number while one colour's are replaced, as infra declares it
_HOUR = 60  # minutes in which a client is watched


class NoSize(Exception):
    """Nothing within the bounds meets the targets; the message says which bound, and what the best is."""


@dataclass(frozen=True, slots=True)
class Size:
    """The smallest that will do, what was measured with it, and with one fewer (``None``: that is always busy, or 0)."""

    needed: int
    measured: Measured
    fewer: Measured | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """What to set. ``replicas`` and ``pgbouncers`` are of a colour, ``pool_size`` of a pgbouncer."""

    assumptions: Assumptions
    for_load: Size  # replicas that carry the load
    pool_for_load: Size  # connections of a pgbouncer that do
    pool_for_hang: Size | None  # with which nothing fails by the hang that was asked for
    limit: Size  # requests per minute and client

    @property
    def spare(self) -> int:
        return int(self.assumptions.values["spare"])

    @property
    def replicas(self) -> int:
        return self.for_load.needed + self.spare

    @property
    def pgbouncers(self) -> int:
        return int(self.assumptions.values["pgbouncers"])

    @property
    def pool_size(self) -> int:
        hang = self.pool_for_hang.needed if self.pool_for_hang else 0
        return max(SMALLEST_POOL, self.pool_for_load.needed, hang)

    @property
    def max_connections(self) -> int:
        """As infra demands it: both colours at once, one pgbouncer more while they are replaced, and what no pool may take."""
        return (COLOURS * self.pgbouncers + SURGE) * self.pool_size + int(self.assumptions.values["reserve"])

    @property
    def rate_limit(self) -> int:
        return self.limit.needed

    @property
    def degraded(self) -> Model:
        """One colour with everything down that may be."""
        return self.assumptions.model(self.for_load.needed, self.pool_size * up(self.assumptions))

    @property
    def whole(self) -> Model:
        return self.assumptions.model(self.replicas, self.pool_size * self.pgbouncers)


def up(assumptions: Assumptions) -> int:
    """Of a colour's pgbouncers those that are left; one is, whatever may be down."""
    values = assumptions.values
    return max(int(values["pgbouncers"]) - int(values["spare"]), 1)


def size(assumptions: Assumptions, runner: Runner) -> Sizes:
    """Raises :class:`NoSize`."""
    values = assumptions.values
    runner.progress("replicas")
    replicas = _replicas(assumptions, runner)
    runner.progress("pools")
    pool = _pool(assumptions, replicas.needed, runner)
    runner.progress("rate limit")
    limit = _limit(assumptions, runner)
    sizes = Sizes(assumptions, replicas, pool, None, limit)
    if values["hang_s"]:
        runner.progress("pools for the hang")
        sizes = replace(sizes, pool_for_hang=_hang(assumptions, sizes.replicas, runner))
    return sizes


def smallest(lowest: int, highest: int, meets: Callable[[int], bool], guess: int | None = None) -> int | None:
    """The smallest number that meets, if all above one that does do so, too; ``None`` if the highest does not."""
    below, above, step = lowest - 1, highest + 1, 1
    first = min(max(lowest if guess is None else guess, lowest), highest)
    if meets(first):
        above = first
        while above > lowest:
            tried = max(above - step, lowest)
            if not meets(tried):
                below = tried
                break
            above, step = tried, 2 * step
    else:
        below = first
        while below < highest:
            tried = min(below + step, highest)
            if meets(tried):
                above = tried
                break
            below, step = tried, 2 * step
    while above - below > 1:
        middle = (below + above) // 2
        if meets(middle):
            above = middle
        else:
            below = middle
    return above if above <= highest else None


class _Search:
    """Measures each size once."""

    def __init__(
        self, what: str, runner: Runner, case: Callable[[int], Case], ok: Callable[[Measured], bool]
    ) -> None:
        self._what, self._runner, self._case, self._ok = what, runner, case, ok
        self._found: dict[int, Measured] = {}

    def at(self, size: int) -> Measured:
        if size not in self._found:
            self._found[size] = self._runner.one(self._case(size), f"{self._what} {size:,}")
        return self._found[size]

    def between(self, lowest: int, highest: int, guess: int | None = None) -> Size | None:
        needed = smallest(lowest, highest, lambda size: self._ok(self.at(size)), guess)
        if needed is None:
            return None
        return Size(needed, self.at(needed), self.at(needed - 1) if needed > lowest else None)


def _within(assumptions: Assumptions) -> Callable[[Measured], bool]:
    p95, losses = assumptions.values["p95_ms"] / 1000, assumptions.values["losses_percent"] / 100
    return lambda measured: measured.within(p95, losses)


def in_words(measured: Measured) -> str:
    """P95 and losses in words."""
    p95 = "nothing answered" if measured.p95 is None else f"P95 {plain(1000 * measured.p95.mean, 4)} ms"
    return f"{p95}, {plain(100 * measured.lost.mean)} % lost"


def _targets(assumptions: Assumptions) -> str:
    values = assumptions.values
    return f"P95 below {values['p95_ms']:g} ms and less than {values['losses_percent']:g} % lost"


def _stable(busy: float, each: float) -> int:
    """The smallest number of servers in groups of ``each`` that is more than what is busy in the mean."""
    return math.floor(busy / each) + 1


def _replicas(assumptions: Assumptions, runner: Runner) -> Size:
    values = assumptions.values
    per_s, parallel = assumptions.per_minute / 60, values["parallel_queries"]
    most = MOST_REPLICAS - int(values["spare"])
    queries = per_s * assumptions.query.mean
    if parallel and queries >= parallel:
        raise NoSize(
            f"parallel_queries is {parallel:g}, and {plain(queries, 4)} queries run at once in the mean: no number of replicas "
            f"or connections helps. The database carries less than {60 * parallel / assumptions.query.mean:.0f} "
            "requests/min: faster queries, or a larger database"
        )
    lowest = _stable(per_s * (assumptions.query.mean + assumptions.work.mean), values["slots"])
    search = _Search("replicas", runner, lambda n: Case(assumptions.model(n)), _within(assumptions))
    found = search.between(lowest, most) if lowest <= most else None
    if found is None:
        best = (
            f"{in_words(search.at(most))}"
            if lowest <= most
            else f"{lowest} would be needed not to be busy always"
        )
        raise NoSize(
            f"no number of replicas up to {most} ({MOST_REPLICAS} and {int(values['spare'])} down) meets "
            f"{_targets(assumptions)}: with {most}, {best}. {_why(assumptions, search, lowest, most)}"
        )
    return found


def _why(assumptions: Assumptions, search: _Search, lowest: int, most: int) -> str:
    """What bounds a load that no number of replicas carries."""
    if lowest > most:
        return "More slots a replica, or less work a request"
    measured = search.at(most)
    if assumptions.values["parallel_queries"]:
        return "The database bounds it: raise parallel_queries, or make queries faster"
    if measured.lost.mean == 0:
        return "Nobody waits any more: query_ms and work_ms themselves are longer than p95_ms allows"
    return "Time-outs bound it: timeout_s is too near to what a request takes"


def _pool(assumptions: Assumptions, replicas: int, runner: Runner) -> Size:
    left = up(assumptions)
    lowest = _stable(assumptions.per_minute / 60 * assumptions.query.mean, left)
    search = _Search(
        "poolSize", runner, lambda n: Case(assumptions.model(replicas, n * left)), _within(assumptions)
    )
    found = search.between(lowest, LARGEST_POOL) if lowest <= LARGEST_POOL else None
    if found is None:
        best = (
            in_words(search.at(LARGEST_POOL))
            if lowest <= LARGEST_POOL
            else f"always busy: it takes {lowest} not to be"
        )
        raise NoSize(
            f"no pool_size up to the guide's {LARGEST_POOL} meets {_targets(assumptions)} with {left} pgbouncer(s) left of a "
            f"colour: with {LARGEST_POOL}, {best}. Set more pgbouncers"
        )
    return found


def _hang(assumptions: Assumptions, replicas: int, runner: Runner) -> Size:
    """Of the whole deployment: that something is down while the database hangs is two misfortunes at once."""
    values = assumptions.values
    hang, pgbouncers = values["hang_s"], int(values["pgbouncers"])
    search = _Search(
        "poolSize for the hang",
        runner,
        lambda n: hang_case(assumptions.model(replicas, n * pgbouncers), hang),
        lambda measured: measured.worst == 0,
    )
    lowest = _stable(assumptions.per_minute / 60 * assumptions.query.mean, pgbouncers)
    found = search.between(lowest, LARGEST_POOL)
    if found is None:
        raise NoSize(
            f"no pool_size up to the guide's {LARGEST_POOL} survives a hang of {hang:g} s without a failed request: with "
            f"{LARGEST_POOL}, {plain(search.at(LARGEST_POOL).failed.mean, 4)} fail in the mean. More pgbouncers or replicas, or a "
            "longer pool_wait_s"
        )
    return found


def hang_case(model: Model, hang_s: float) -> Case:
    """The queries of the colour hang for so long; looked at till all who waited have ended."""
    return Case(model, hang_s=hang_s, minutes=1)


def _limit(assumptions: Assumptions, runner: Runner) -> Size:
    """The busiest address alone: requests of others do not count for it, and how they are answered does not, either."""
    values = assumptions.values
    share = values["busiest_percent"] / 100
    arrivals = share_of(assumptions.arrivals, share)
    losses = values["losses_percent"] / 100
    search = _Search(
        "rateLimit",
        runner,
        lambda n: Case(limit_model(assumptions, n), minutes=_HOUR),
        lambda measured: (measured.limited.high or 0.0) < losses,
    )
    lowest = min(max(SMALLEST_LIMIT, int(arrivals.per_minute)), LARGEST_LIMIT)
    found = search.between(lowest, LARGEST_LIMIT, limit_by_theory(arrivals, losses))
    if found is None:
        raise NoSize(f"no rate limit up to AWS WAF's {LARGEST_LIMIT} lets the busiest client pass")
    return found


def limit_by_theory(arrivals: Arrivals, share: float) -> int:
    """Requests that a minute has more of with that chance: the mean, and what a normal law adds for its variance."""
    mean = arrivals.per_minute
    ratio = arrivals.variance_to_mean if isinstance(arrivals, Bursty) else 1.0
    return math.ceil(mean + NormalDist().inv_cdf(1 - min(share, 0.5)) * math.sqrt(ratio * mean))


def limit_model(assumptions: Assumptions, limit: int) -> Model:
    """The busiest client alone, before a backend that answers at once."""
    backend = Backend(query=Constant(0.0), work=Constant(0.0), pool=Pool(AMPLE))
    return Model(
        arrivals=share_of(assumptions.arrivals, assumptions.values["busiest_percent"] / 100),
        clients=Clients(1),
        rate_limit=RateLimit(limit),
        stable=backend,
        candidate=backend,
    )
