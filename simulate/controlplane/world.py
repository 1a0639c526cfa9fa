"""What a rehearsal is set in, as data: the data plane's model, what goes wrong and when, how late metrics are, who reacts.

Times are seconds from the start of the rollout. ``Law``s are drawn anew in each replication.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.policy import timing
from simulate.dataplane import SWITCHES, Constant, Law, LogNormal, Model

# A traffic update through the Pulumi engine until the rule is changed. Measured (`simulate lab measure`, quantiles in
# simulate/studies/validation/lab.json): p50 1.5 and p95 1.9 s in a lab that does nothing else, 3.7 and 5.9 s in rollouts beside 100
# requests a second on two busy processors. Between them, since nobody knows how busy the night's machine is.
STACK_UPDATE = LogNormal.from_quantiles(p50=2.5, p95=4.2)
# The load balancer's own API: 0.04 s at the median, 0.5 s at worst (`simulate lab bench`).
BREAK_GLASS = LogNormal.from_quantiles(p50=0.04, p95=0.2)
# From the end of a metric period to its datapoint in GetMetricData.
BALANCER_DELAY = LogNormal.from_quantiles(p50=timing.METRIC_DELAY_P50, p95=timing.METRIC_DELAY_P95)
# Custom metrics are put by the application itself and are readable sooner.
APPLICATION_DELAY = LogNormal.from_quantiles(p50=20.0, p95=60.0)


@dataclass(frozen=True, slots=True)
class Switch:
    """Faults of a colour (STABLE or CANDIDATE), by the names of ``simulate.dataplane.SWITCHES``."""

    colour: int
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        if unknown := [name for name in self.values if name not in SWITCHES]:
            raise ValueError(f"'{unknown[0]}' is not a switch: it is one of {', '.join(SWITCHES)}")


@dataclass(frozen=True, slots=True)
class Surge:
    """Users' requests come at ``factor`` times the usual rate."""

    factor: float


@dataclass(frozen=True, slots=True)
class Redeploy:
    """Another ``version`` runs in the place of a colour (STABLE or CANDIDATE)."""

    colour: int
    version: str


@dataclass(frozen=True, slots=True)
class TrafficRule:
    """The conditions of the load balancer's rule: while it is ``shut`` users get the listener's 403 and no colour gets a request."""

    shut: bool


Change = Switch | Surge | Redeploy | TrafficRule


@dataclass(frozen=True, slots=True)
class Fault:
    """Something happens to the world ``at_s``, and a random ``spread`` later.

    ``alarm`` goes off with it: one that watches what the data plane does not hold, such as the frontend's assets.
    ``place`` is that of its luck in the stream; by itself its place among the world's faults.
    """

    sentence: str
    at_s: float
    changes: tuple[Change, ...] = ()
    spread: Law = field(default_factory=lambda: Constant(0.0))
    alarm: str = ""
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Reaction:
    """What people or automation do about an alarm, ``delay`` after it went off; once. ``place`` as of a fault."""

    alarm: str
    sentence: str
    delay: Law
    changes: tuple[Change, ...]
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Updates:
    """How long traffic updates take until the rule is changed; ``failing``: the share that fails without effect."""

    stack: Law = STACK_UPDATE
    break_glass: Law = BREAK_GLASS
    failing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.failing <= 1:
            raise ValueError(f"Updates.failing is {self.failing!r}: it takes a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How metrics come: delays after the period's end, the share of periods that never come, and failing queries.

    ``outages`` are (from, to) in which every query fails.
    """

    balancer: Law = BALANCER_DELAY
    application: Law = APPLICATION_DELAY
    edge: Law = BALANCER_DELAY
    missing: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.missing <= 1:
            raise ValueError(f"Delivery.missing is {self.missing!r}: it takes a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class Habits:
    """What the operator does about a hold: ``command`` (resume or abort) after ``delay``, at most ``most`` times."""

    command: str
    delay: Law
    most: int = 3


@dataclass(frozen=True, slots=True)
class Absence:
    """Nobody watches from ``at_s`` on, for ``lasts_s``: the controller is dead and is resumed from its journal, or its machine is suspended."""

    at_s: float
    lasts_s: float
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The ``lasts_s`` after a promotion. Times are seconds from it, those of the ``faults`` too.

    ``watched_from_s``: when somebody starts `rollout watch`, which then runs to the end; ``None``: nobody does. ``undo``: how long after
    an immediate alarm of the release somebody types `rollout undo`; ``None``: nobody does.
    """

    lasts_s: float
    faults: tuple[Fault, ...] = ()
    watched_from_s: float | None = None
    undo: Law | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the policy. ``aftermath``: the night goes on after a promotion; else it ends with it.

    ``front_door``: the address that users take is probed; ``versions``: the approved ones of stable and candidate.

    ``warm_up_s``: how long traffic flows before the rollout begins. ``observe_s``: traffic is watched at least so long,
    even if the rollout ends sooner. ``horizon_s`` ends a rehearsal that does not end.
    """

    model: Model = field(default_factory=Model)
    faults: tuple[Fault, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    updates: Updates = field(default_factory=Updates)
    delivery: Delivery = field(default_factory=Delivery)
    operator: Habits | None = None
    absences: tuple[Absence, ...] = ()
    aftermath: Aftermath | None = None
    front_door: bool = True
    versions: tuple[str, str] = ("1.0.0", "2.0.0")
    warm_up_s: float = 10.0
    observe_s: float = 0.0
    horizon_s: float = 4 * 3600.0

    def __post_init__(self) -> None:
        for name, value in (("warm_up_s", self.warm_up_s), ("horizon_s", self.horizon_s)):
            if not 0 < value < math.inf:
                raise ValueError(f"World.{name} is {value!r}: it takes seconds above 0")
