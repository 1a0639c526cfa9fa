"""The candidate's error rate against stable's over the same periods: a test that may be looked at after every one.

Each metric period that both roles have is a block of two Bernoulli streams. Its e-value is that of Turner, Ly and
Gruenwald, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping" (2024). For an
alternative in which the candidate fails at rate c and stable at s < c, and m = (n_c c + n_s s) / (n_c + n_s):

    E = (c/m)^e_c ((1-c)/(1-m))^(n_c-e_c)  (s/m)^e_s ((1-s)/(1-m))^(n_s-e_s)

Whatever rate both roles share in that period, or if the candidate's is the lower one, its expectation is at most 1, so the
product over periods exceeds 1/alpha with a chance of at most alpha, however often it is looked at (Ville). The shared
rate may be another in each period: an incident that hits both roles alike does not set it off. ``s`` is estimated from the
periods before, ``c = s + delta``, and a tenth of the evidence is not staked on the next period; the evidence is the mean of
the products over deltas of 1, 2, 4, 8 ... times the difference that matters. Requests are taken as independent of each other: errors that come in bursts break that.

    >>> from rollout.plan import Rollback
    >>> rule = Comparison(false_alarms=0.1, difference=0.5, rollback=Rollback.ABORT)
    >>> healthy, bad = Pair(0, 60, 250, 0, 750, 1), Pair(60, 120, 250, 15, 750, 1)
    >>> compare(rule, [healthy]).beyond, compare(rule, [healthy, bad]).beyond
    (False, True)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log, log1p

from rollout.plan import Comparison
from rollout.plan.units import number

KEPT = 0.1  # of the evidence is not staked on the next period: one that misjudges stable's rate costs no more than the rest
_SHOWN = 1e9  # evidence above it is shown as this
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Pair:
    """One period (seconds from the start) that both roles have: requests and errors of candidate and stable."""

    start: float
    end: float
    requests: int
    errors: int
    stable_requests: int
    stable_errors: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What the periods come to: evidence against the candidate and its limit; the error rates of both, in percent."""

    evidence: float
    limit: float
    rate: float
    stable_rate: float
    beyond: bool
    sample: str  # what was compared, in words

    @property
    def in_words(self) -> str:
        return (
            f"error rate {number(self.rate, 3)} % against stable's {number(self.stable_rate, 3)} % ({self.sample}): "
            f"evidence {self.evidence:.0f} of {self.limit:.0f}"
        )


def compare(rule: Comparison, pairs: Sequence[Pair]) -> Finding:
    """The evidence of at least one pair. It is beyond its limit only if the difference is one that matters as well."""
    *_, last = logarithms(rule, pairs)
    limit = _PERCENT / rule.false_alarms
    requests, errors = sum(p.requests for p in pairs), sum(p.errors for p in pairs)
    its_requests, its_errors = sum(p.stable_requests for p in pairs), sum(p.stable_errors for p in pairs)
    rate, stable = _PERCENT * errors / requests, _PERCENT * its_errors / its_requests
    beyond = last >= log(limit) and rate - stable >= rule.difference
    periods = f"{len(pairs)} period{'' if len(pairs) == 1 else 's'}"
    sample = f"{errors:,} of {requests:,} requests and {its_errors:,} of {its_requests:,}, in {periods}"
    return Finding(exp(min(last, log(max(_SHOWN, limit)))), limit, rate, stable, beyond, sample)


def logarithms(rule: Comparison, pairs: Sequence[Pair]) -> Iterator[float]:
    """The natural logarithm of the evidence after each pair, in the order in which they were completed."""
    deltas = _deltas(rule.difference / _PERCENT)
    products = [0.0] * len(deltas)
    requests = errors = 0
    for pair in pairs:
        stable = _estimate(rule, requests, errors)
        for index, delta in enumerate(deltas):
            products[index] += _staked(_log_e(pair, min(stable + delta, (1 + stable) / 2), stable))
        requests, errors = requests + pair.stable_requests, errors + pair.stable_errors
        highest = max(products)
        yield highest + log(sum(exp(product - highest) for product in products) / len(products))


def _deltas(difference: float) -> list[float]:
    deltas = [difference]
    while 2 * deltas[-1] < 1:
        deltas.append(2 * deltas[-1])
    return deltas


def _estimate(rule: Comparison, requests: int, errors: int) -> float:
    """Stable's error rate after so many requests: as if half an error had been seen at a rate of the difference before."""
    return (errors + 0.5) / (requests + 0.5 * _PERCENT / rule.difference)


def _staked(logarithm: float) -> float:
    """The logarithm of the factor when a part of the stake is kept back, which is an e-value too."""
    if logarithm > 0:
        return logarithm + log(1 - KEPT + KEPT * exp(-logarithm))
    return log(KEPT + (1 - KEPT) * exp(logarithm))


def _log_e(pair: Pair, candidate: float, stable: float) -> float:
    """The logarithm of one pair's e-value against these two rates (shares, not percent)."""
    mine, its = pair.requests, pair.stable_requests
    both = (mine * candidate + its * stable) / (mine + its)
    return (
        pair.errors * log(candidate / both)
        + (mine - pair.errors) * log1p((both - candidate) / (1 - both))
        + pair.stable_errors * log(stable / both)
        + (its - pair.stable_errors) * log1p((both - stable) / (1 - both))
    )
