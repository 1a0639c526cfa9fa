"""What chance does to a plan at a traffic rate: how often it takes a healthy release back, and how often it misses a bad one.

The policy itself is run, on event streams that chance makes: the requests of a metric period are Poisson at the weight
then in force, their errors binomial, and a period is published as late as CloudWatch publishes it. Nothing else goes wrong: probes
are clean, P95 is fine, commands are seen after :data:`LATENCY`, and nobody resumes a hold. A rollout is followed until its
weight falls or it is promoted; apart from it, the watch over a healthy stable after a rollback is followed to its verdict.

Left out is what changes nothing: clean health rounds, and stable's periods unless the plan compares with them. The rehearsal
(`simulate rehearse`) has queues, faults and an operator as well; a test holds these odds against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from statistics import NormalDist, median

import numpy as np

from rollout.odds.shares import Share, wilson
from rollout.plan import WHOLE, Plan
from rollout.policy import Phase, State, decide, due_times, timing
from rollout.policy.events import DecisionKind, Event, Metrics, Operator, Reason, Started, Tick, Traffic

BASE_ERRORS = (0.05, 0.2)  # percent of the requests that fail anyway
BAD_ERRORS = (1.5, 2.0, 3.0, 5.0, 10.0)  # percent of a bad release's
WORST = BAD_ERRORS[-1]
HIGHEST_RATE = 6_000_000  # requests per minute, as in a rehearsal
SEED = 1
ROLLOUTS = 1000  # a line
LATENCY = 3.0  # s from a command until its weight is read back; `make bench`: 2.1 s in the median, and up to 0.5 s to look
# Of the log-normal law of METRIC_DELAY, as in a rehearsal.
_SIGMA = math.log(timing.METRIC_DELAY_P95 / timing.METRIC_DELAY_P50) / NormalDist().inv_cdf(0.95)


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of release, which fails ``errors`` percent of its requests.

    ``undecided``: taken back because data was lacking and nobody decided, part of ``taken_back``. ``after``: the median time (s
    from the start) until the weight fell, of those whose did. ``verified``, of healthy ones: how often stable is, when it fails
    as often and a release is taken back.
    """

    errors: float
    promoted: Share
    taken_back: Share
    undecided: Share
    after: float | None
    verified: Share | None = None


@dataclass(frozen=True, slots=True)
class Odds:
    """``rate`` in requests per minute to both colours together; ``bad`` leaves out what is no worse than healthy."""

    plan: Plan
    rate: float
    rollouts: int
    seed: int
    healthy: tuple[Line, ...]
    bad: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """What a simulated rollout meets. Errors in percent, times in seconds."""

    rate: float
    errors: float
    stable_errors: float
    delay: float = timing.METRIC_DELAY_P50  # the median, from a period's end until its numbers can be read
    sigma: float = _SIGMA
    latency: float = LATENCY


def odds(
    plan: Plan, rate: float, base_errors: tuple[float, ...] = BASE_ERRORS, *, time_scale: float = 1.0
) -> Odds:
    """Odds of a plan (as ``plan.scaled(time_scale)`` shortened it); a bad release's stable side has the first base errors."""
    base = base_errors[0]
    kinds = [(errors, errors) for errors in base_errors]
    kinds += [(errors, base) for errors in BAD_ERRORS if errors > max(base_errors)]
    delay = timing.METRIC_DELAY_P50 / time_scale
    lines = [
        measure(plan, Release(rate, errors, stable, delay=delay), ROLLOUTS, (SEED, number))
        for number, (errors, stable) in enumerate(kinds)
    ]
    many = len(base_errors)
    healthy = tuple(
        replace(
            line, verified=watch(plan, Release(rate, errors, errors, delay=delay), ROLLOUTS, (SEED, number))
        )
        for number, (line, errors) in enumerate(zip(lines, base_errors, strict=False))
    )
    return Odds(plan, rate, ROLLOUTS, SEED, healthy, tuple(lines[many:]))


def measure(plan: Plan, release: Release, rollouts: int, seed: int | tuple[int, ...] = SEED) -> Line:
    """What so many rollouts of a release come to."""
    chance = np.random.default_rng(seed)
    fallen, undecided = [], 0
    for _ in range(rollouts):
        rollout = Rollout(plan, release, chance)
        rollout.run()
        if rollout.fell is not None:
            fallen.append(rollout.fell)
            undecided += rollout.why is Reason.HOLD_TIMEOUT and not rollout.breached
    back = len(fallen)
    return Line(
        release.errors,
        promoted=wilson(rollouts - back, rollouts),
        taken_back=wilson(back, rollouts),
        undecided=wilson(undecided, rollouts),
        after=median(fallen) if fallen else None,
    )


def watch(plan: Plan, release: Release, watches: int, seed: int | tuple[int, ...] = SEED) -> Share:
    """How often stable, which fails ``release.stable_errors``, is verified after a rollback."""
    chance = np.random.default_rng(seed)
    return wilson(sum(Watch(plan, release, chance).verified() for _ in range(watches)), watches)


class Rollout:
    """One rollout, until its weight falls (``fell``: when, in s from the start; ``why``) or it is promoted."""

    def __init__(self, plan: Plan, release: Release, chance: np.random.Generator) -> None:
        self.plan, self.release, self.chance = plan, release, chance
        self.state = State()
        self.fell: float | None = None
        self.why: Reason | None = None
        self.breached = False  # held for a breach
        self._due: list[tuple[float, int, Event]] = []
        self._made = 0
        self._weights = [(0.0, 0.0)]  # (t, the candidate's weight in force from then on)
        self._closes = plan.metrics.period * (1.0 - chance.random())  # the end of the open period
        self._woken = 0.0  # the newest wake that was planned

    def run(self) -> None:
        self._at(0.0, Started(0.0))
        self._at(0.0, Traffic(0.0, 0))
        while self.fell is None and self.state.phase is not Phase.FINISHED:
            while self._closes <= self._due[0][0]:
                self._close()
            self._receive(heappop(self._due)[2])

    def _at(self, t: float, event: Event) -> None:
        self._made += 1
        heappush(self._due, (t, self._made, event))

    def _receive(self, event: Event) -> None:
        before = self.state.commanded
        self.state, decisions = decide(self.plan, self.state, event)
        for decision in decisions:
            if decision.decision is DecisionKind.SET_WEIGHT:
                weight, seen = decision.weight or 0, event.t + self.release.latency
                if weight < before:
                    self.fell, self.why = seen, decision.criterion
                    return
                self._weights.append((seen, weight))
                self._at(seen, Traffic(seen, weight))
            elif decision.decision is DecisionKind.HOLD:
                self.breached |= decision.criterion is not Reason.INCONCLUSIVE
        self._wake()

    def _wake(self) -> None:
        """A tick when the next time-out of the policy falls due."""
        now = self.state.t
        due = min((at for at in due_times(self.plan, self.state) if at > now), default=now)
        if due not in (now, self._woken):
            self._woken = due
            self._at(due, Tick(due))

    def _close(self) -> None:
        """Closes the open metric period: what it held is drawn, and published when it can be known."""
        release, plan = self.release, self.plan
        end = self._closes
        start, self._closes = end - plan.metrics.period, end + plan.metrics.period
        share = sum(weight * lasts for weight, lasts in self._in_force(start, end)) / (
            WHOLE * plan.metrics.period
        )
        late = self.chance.lognormal(math.log(release.delay), release.sigma)
        for colour, part, errors in self._sides(share):
            requests = (
                int(self.chance.poisson(part * release.rate * plan.metrics.period / 60)) if part > 0 else 0
            )
            failed = int(self.chance.binomial(requests, errors / 100)) if requests else 0
            if not requests or late > plan.metrics.delay:  # no datapoint is received as no requests
                self._publish(end + plan.metrics.delay, colour, start, end, (0, None, None, None))
            if requests:
                fine = min(plan.criteria.latency_p95.limit, plan.verification.latency_p95) / 2
                self._publish(end + late, colour, start, end, (requests, failed, fine, 0))

    def _sides(self, share: float) -> list[tuple[str, float, float]]:
        """Who is told of at a candidate's share of the requests: role, share, errors (percent)."""
        sides = [("candidate", share, self.release.errors)]
        if self.plan.criteria.comparison is not None:
            sides.append(("stable", 1 - share, self.release.stable_errors))
        return sides

    def _publish(
        self,
        known: float,
        colour: str,
        start: float,
        end: float,
        values: tuple[int, int | None, float | None, int | None],
    ) -> None:
        poll = timing.poll_interval(self.plan)
        t = max(math.ceil(known / poll) * poll, end)
        self._at(t, Metrics(t, colour, start, end, *values))

    def _in_force(self, start: float, end: float) -> Iterator[tuple[float, float]]:
        """The weights (percent) between two times, each with how long (s) it was in force."""
        until = end
        for since, weight in reversed(self._weights):
            if since < until:
                yield weight, until - max(since, start)
                until = max(since, start)
            if since <= start:
                return


class Watch(Rollout):
    """The watch over stable after an abort, which has all the traffic from time 0 on."""

    def verified(self) -> bool:
        """Whether stable was verified to be back to normal."""
        begin: tuple[Event, ...] = (Started(0.0), Operator(0.0, "abort"), Traffic(0.0, 0))
        for event in begin:
            self.state, _ = decide(self.plan, self.state, event)
        self._wake()
        while True:
            while self._closes <= self._due[0][0]:
                self._close()
            self.state, decisions = decide(self.plan, self.state, heappop(self._due)[2])
            for decision in decisions:
                if decision.decision is DecisionKind.FINISH:
                    return bool(decision.verified)
            self._wake()

    def _sides(self, share: float) -> list[tuple[str, float, float]]:
        return [("stable", 1.0, self.release.stable_errors)]
