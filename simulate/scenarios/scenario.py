"""What a scenario is: a world made of parameters, and the guide's words on the risk that it plays.

Parameters are numbers with a unit and a range. Those in ``COMMON`` exist in every scenario; a scenario may have other
defaults for them. ``--set name=value`` sets either kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from simulate.controlplane import Delivery, Fault, Habits, Reaction, RehearsalResult, Updates, World
from simulate.controlplane.world import APPLICATION_DELAY, BALANCER_DELAY, STACK_UPDATE
from simulate.dataplane import (
    HIGHEST_RATE,
    Arrivals,
    Backend,
    Bursty,
    Clients,
    Constant,
    Database,
    LogNormal,
    Model,
    Poisson,
    Pool,
    RateLimit,
    Retries,
    WebSockets,
)
from simulate.figures import plain

Values = Mapping[str, float]


MOST = 1e6  # of a parameter without a bound of its own; a time of 11 days


class BadParameter(ValueError):
    """A parameter that does not exist or a value out of its range; the message names it and what it takes."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that may be set. ``whole``: only whole ones; 0 and 1 of a ``flag`` are no and yes."""

    name: str
    default: float
    unit: str
    what: str
    low: float = 0.0
    high: float = MOST
    whole: bool = False

    def check(self, value: float) -> float:
        """Raises :class:`BadParameter`."""
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            kind = "a whole number" if self.whole else "a number"
            raise BadParameter(
                f"'{self.name}' is {plain(value, 6)}: it takes {kind} from {plain(self.low, 6)} to "
                f"{plain(self.high, 6)} ({self.unit})"
            )
        return value


def flag(name: str, default: int, what: str) -> Parameter:
    return Parameter(name, default, "1: yes, 0: no", what, 0, 1, whole=True)


_DAY = 86_400.0
COMMON = (
    Parameter("rate_per_minute", 1000, "requests/min", "users' requests in the mean", 0, HIGHEST_RATE),
    Parameter(
        "variance_to_mean", 1, "ratio", "of the requests of a minute; 1: Poisson, real traffic: 22-41", 1, 1e6
    ),
    Parameter("base_error_percent", 0.05, "%", "share of responses that fail even without a fault", 0, 100),
    Parameter("clients", 1000, "clients", "addresses that the rate limit distinguishes", 1, 1e6, whole=True),
    Parameter("retries", 0, "attempts", "retries of a client after a failure", 0, 7, whole=True),
    Parameter("retry_budget", 0.2, "retries/request", "most retries of all clients together", 0, 100),
    Parameter("timeout_s", 30, "s", "longest wait of a client for an answer", 0.001, 3600),
    Parameter("sticky_s", 0, "s", "target group stickiness; 0: off", 0, 604_800),
    Parameter("replicas", 3, "replicas", "of each colour", 1, 1000, whole=True),
    Parameter("slots", 40, "requests", "most requests in work at once in a replica", 1, 100_000, whole=True),
    Parameter("query_ms", 20, "ms", "of a request in the database, at the median", 0.001, 3.6e6),
    Parameter("work_ms", 30, "ms", "of a request in the backend, at the median", 0.001, 3.6e6),
    Parameter("pool_size", 50, "connections", "of each colour's pgbouncer", 1, 100_000, whole=True),
    # as query_wait_timeout in the pgbouncer.ini that the program writes
    Parameter("pool_wait_s", 5, "s", "longest wait of a request for a connection", 0.001, 3600),
    Parameter("max_connections", 200, "connections", "of PostgreSQL, for both colours", 1, 1e6, whole=True),
    Parameter(
        "parallel_queries",
        0,
        "queries",
        "most queries at once in PostgreSQL; 0: any number",
        0,
        1e6,
        whole=True,
    ),
    Parameter("websockets", 0, "connections", "connections kept open by clients", 0, 1e6, whole=True),
    Parameter(
        "metric_delay_s",
        75,
        "s",
        "from a period's end to the load balancer's numbers, at the median",
        0,
        _DAY,
    ),
    Parameter("missing_percent", 0, "%", "of the metric periods that are never published", 0, 100),
    Parameter("update_s", 2.5, "s", "of a traffic update, at the median", 0.001, 3600),
    Parameter("update_failures_percent", 0, "%", "of the traffic updates that fail without effect", 0, 100),
    Parameter("resume_after_s", 0, "s", "after which the operator resumes a hold; 0: never", 0, _DAY),
    Parameter("abort_after_s", 0, "s", "after which the operator aborts a hold; 0: never", 0, _DAY),
)

Build = Callable[[Values, World], World]
Findings = Callable[[Values, RehearsalResult], Mapping[str, float]]
Count = Callable[[Values, RehearsalResult], float]


def _nothing(values: Values, result: RehearsalResult) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. ``build`` changes the ordinary world of the values; ``findings`` are named with their unit.

    ``risk`` is the number in the guide's register and ``probability`` its percentage; ``None`` where it has none.
    ``bad_release``: the guide answers it with a rollback. The others are noticed by ``alarm``, if at all.
    ``spoiled_pages`` counts page loads that users had in vain or slowly, which no server sees.
    """

    name: str
    sentence: str
    symptom: str
    mitigation: str
    build: Build
    risk: int | None = None
    probability: float | None = None
    parameters: tuple[Parameter, ...] = ()
    defaults: Mapping[str, float] = field(default_factory=dict)
    findings: Findings = _nothing
    bad_release: bool = False
    alarm: str = ""
    spoiled_pages: Count = lambda values, result: 0.0

    def all_parameters(self) -> tuple[Parameter, ...]:
        """Its own and the common ones, with this scenario's defaults."""
        common = (replace(one, default=self.defaults.get(one.name, one.default)) for one in COMMON)
        return (*self.parameters, *common)

    def values(self, given: Mapping[str, float]) -> dict[str, float]:
        """All parameters, the given ones set. Raises :class:`BadParameter`."""
        known = {one.name: one for one in self.all_parameters()}
        for name in given:
            if name not in known:
                own = [one.name for one in self.parameters]
                shared = [one.name for one in COMMON]
                raise BadParameter(
                    f"'{name}' is not a parameter of {self.name}: it has {', '.join(own + shared)}"
                )
        return {name: one.check(given[name]) if name in given else one.default for name, one in known.items()}

    def world(self, values: Values, arrivals: Arrivals | None = None) -> World:
        """The world of these values; ``arrivals`` (a trace) takes the place of their rate."""
        return self.build(values, ordinary(values, arrivals))


def with_faults(
    world: World, *faults: Fault, reactions: tuple[Reaction, ...] = (), observe_s: float = 0.0
) -> World:
    """The world with these faults and reactions added, watched for at least ``observe_s``."""
    return replace(
        world,
        faults=(*world.faults, *faults),
        reactions=(*world.reactions, *reactions),
        observe_s=max(world.observe_s, observe_s),
    )


def ordinary(values: Values, arrivals: Arrivals | None = None) -> World:
    """A healthy world of the common parameters."""
    rate, ratio = values["rate_per_minute"], values["variance_to_mean"]
    backend = Backend(
        replicas=int(values["replicas"]),
        concurrency=int(values["slots"]),
        query=LogNormal(values["query_ms"] / 1000, 0.5),
        work=LogNormal(values["work_ms"] / 1000, 0.5),
        error_share=values["base_error_percent"] / 100,
        pool=Pool(int(values["pool_size"]), wait=Constant(values["pool_wait_s"])),
    )
    model = Model(
        arrivals=arrivals or (Bursty(rate, ratio) if ratio > 1 else Poisson(rate)),
        clients=Clients(int(values["clients"])),
        rate_limit=RateLimit(),
        retries=Retries(most=int(values["retries"]), budget=values["retry_budget"]),
        stable=backend,
        candidate=backend,
        database=Database(int(values["max_connections"]), int(values["parallel_queries"])),
        websockets=WebSockets(int(values["websockets"])),
        timeout_s=values["timeout_s"],
        sticky_s=values["sticky_s"],
    )
    delay = values["metric_delay_s"]
    balancer = LogNormal(delay, BALANCER_DELAY.sigma) if delay else Constant(0.0)
    return World(
        model=model,
        updates=Updates(
            stack=LogNormal(values["update_s"], STACK_UPDATE.sigma),
            failing=values["update_failures_percent"] / 100,
        ),
        delivery=Delivery(balancer, APPLICATION_DELAY, balancer, missing=values["missing_percent"] / 100),
        operator=_operator(values),
    )


def _operator(values: Values) -> Habits | None:
    for command in ("abort", "resume"):
        if after := values[f"{command}_after_s"]:
            return Habits(command, Constant(after))
    return None
