"""What CloudWatch shows of the data plane, and when the controller receives it.

The data plane knows everything at once; a load balancer publishes less, later, and not always. Here a closed period becomes
the ``metrics`` events that `rollout.aws.cloudwatch` would make of it: each source (load balancer, application, edge) has its
own delay, periods go missing, the controller polls several times a period (`rollout.policy.timing`), and a period is reported

- when the load balancer's numbers are there, and again when the application's come later than those;
- at once when it holds a database connection error;
- a poll later when it has no latency, because then two polls must agree;
- ``metric_delay`` after its end, whatever is there: without RequestCount as 0 requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.plan import Plan
from rollout.policy import timing
from rollout.policy.events import EdgeMetrics, Metrics
from simulate.controlplane.draws import Draws, Stream
from simulate.controlplane.world import Delivery
from simulate.dataplane import CANDIDATE, STABLE, EdgePeriod, Law, Period

NEVER = 1 << 60  # ms
ROLES = ((CANDIDATE, "candidate"), (STABLE, "stable"))  # in the order in which the controller reports them


@dataclass(frozen=True, slots=True)
class Closed:
    """One closed metric period: the sides by the data plane's colours, and the edge.

    ``start`` is in seconds from the start of the rollout, negative for the one in which it begins.
    """

    number: int
    start: float
    sides: tuple[Period, Period]
    edge: EdgePeriod


@dataclass(frozen=True, slots=True)
class Arrival:
    """When each source's numbers of one period can be read, in ms from the start; ``NEVER`` when they go missing."""

    balancer: int
    application: int
    edge: int


def attribute(own: Period, other: Period) -> tuple[int, int]:
    """Requests and errors of a colour from what the load balancer publishes; design: 'Metrics, exactly'.

    502, 503 and 504 are published for the load balancer as a whole, so a colour gets of them what it left unanswered,
    and all 503 if it had no usable target. HealthyHostCount is not published without registered targets, and its
    minimum over a period in which there were some for a while is that of the while.
    """
    unanswered = own.bad_gateway + own.timed_out
    gateway = min(unanswered + other.bad_gateway + other.timed_out, unanswered)
    unusable = own.unavailable > 0 and not routed(own)
    unavailable = own.unavailable + other.unavailable if unusable else 0
    errors = own.server_errors + own.db_errors + gateway + unavailable
    return own.answered + unanswered + unavailable, errors


def routed(period: Period) -> int:
    """RequestCount: the requests for which a target could be chosen."""
    return period.requests - period.unavailable


class CloudWatch:
    """The metrics source of one rollout that begins ``t0`` ms after the data plane."""

    def __init__(self, delivery: Delivery, plan: Plan, draws: Draws, t0: int) -> None:
        self._delivery, self._draws, self._t0 = delivery, draws, t0
        self.period = round(plan.metrics.period * 1000)
        self._overdue = round(plan.metrics.delay * 1000)
        self._poll = max(self.period // timing.POLLS_A_PERIOD, 1)
        self._outages = tuple((round(a * 1000), round(b * 1000)) for a, b in delivery.outages)
        self._reported: dict[tuple[str, int], tuple[object, ...]] = {}

    def copy(self) -> CloudWatch:
        other = object.__new__(CloudWatch)
        other.__dict__ |= self.__dict__ | {"_reported": dict(self._reported)}
        return other

    def end_of(self, n: int) -> int:
        """The end of the n-th period, in ms from the start of the rollout."""
        return (n + 1) * self.period - self._t0

    def poll_after(self, ms: int) -> int:
        """The first poll at ``ms`` or later whose query succeeds."""
        at = -(-max(ms, 0) // self._poll) * self._poll
        for begins, ends in self._outages:
            if begins <= at < ends:
                at = -(-ends // self._poll) * self._poll
        return at

    def failing_polls(self) -> list[int]:
        """When queries fail (ms)."""
        return [at for a, b in self._outages for at in range(-(-a // self._poll) * self._poll, b, self._poll)]

    def arrival(self, n: int) -> Arrival:
        """When the numbers of the n-th period come."""
        world, end = self._delivery, self.end_of(n)
        return Arrival(
            self._arrives(n, end, world.balancer, Stream.BALANCER_DELAY, Stream.BALANCER_MISSING),
            self._arrives(n, end, world.application, Stream.APPLICATION_DELAY, Stream.APPLICATION_MISSING),
            self._arrives(n, end, world.edge, Stream.EDGE_DELAY, Stream.EDGE_MISSING),
        )

    def _arrives(self, n: int, end: int, law: Law, delay: Stream, missing: Stream) -> int:
        share = self._delivery.missing
        if share and self._draws.uniform(missing, n) < share:
            return NEVER
        return end + round(1000 * self._draws.time(law, delay, n))

    def looks(self, closed: Closed, arrival: Arrival, *, edge: bool) -> list[int]:
        """The polls (ms) at which something about a closed period is new; about the edge only if that is asked for."""
        overdue = self.end_of(closed.number) + self._overdue
        found = {arrival.edge} if edge and closed.edge.attempts else set()
        for side in closed.sides:
            if routed(side) and arrival.balancer < NEVER:
                found.add(arrival.balancer + (self._poll if side.p95 is None else 0))
            if not routed(side) or arrival.balancer > overdue:
                found.add(overdue)
            if side.db_connection_errors or arrival.application > min(arrival.balancer, overdue):
                found.add(arrival.application)
        return sorted({self.poll_after(ms) for ms in found if ms < NEVER})

    def read(self, closed: Closed, arrival: Arrival, now: int) -> Sequence[Metrics | EdgeMetrics]:
        """What the poll at ``now`` (ms) reports of a closed period; nothing twice."""
        reports: list[Metrics | EdgeMetrics] = []
        end = self.end_of(closed.number)
        begin_s, end_s, t = (end - self.period) / 1000, end / 1000, now / 1000
        overdue = now >= end + self._overdue
        for colour, role in ROLES:
            own, other = closed.sides[colour], closed.sides[1 - colour]
            database = own.db_connection_errors if arrival.application <= now else None
            settled = arrival.balancer + (self._poll if own.p95 is None else 0) <= now
            values: tuple[int | None, int | None, float | None, int | None]
            published = arrival.balancer <= now
            if published and routed(own) and (settled or database or overdue):
                values = (*attribute(own, other), own.p95, database)
            elif published and own.unavailable and overdue:
                values = (*attribute(own, other), None, database)
            elif overdue:
                values = (0, None, None, database)
            elif database:
                values = (None, None, None, database)
            else:
                continue
            if self._reported.get((role, closed.number)) != values:
                self._reported[role, closed.number] = values
                reports.append(Metrics(t, role, begin_s, end_s, *values))
        if arrival.edge <= now and closed.edge.attempts and ("edge", closed.number) not in self._reported:
            self._reported["edge", closed.number] = ()
            limited = closed.edge.rate_limited
            reports.append(EdgeMetrics(t, begin_s, end_s, closed.edge.attempts - limited, limited))
        return reports
