"""Queues whose answers are known, to compare the simulator with. Rates per second, times in seconds.

Throughout, ``load`` is the offered load in erlangs: arrival rate times mean service time. Formulas are those of
L. Kleinrock, Queueing Systems I (1975), and C. Palm (1957) for abandonment, unless said otherwise.
"""

from __future__ import annotations

import math

from scipy.stats import binom, poisson


def erlang_b(servers: int, load: float) -> float:
    """Share of arrivals lost in M/G/c/c, whatever the law of the service times with that mean."""
    lost = 1.0
    for n in range(1, servers + 1):
        lost = load * lost / (n + load * lost)
    return lost


def erlang_c(servers: int, load: float) -> float:
    """Share of arrivals that wait in M/M/c; ``load < servers``."""
    lost = erlang_b(servers, load)
    return lost / (1.0 - load / servers * (1.0 - lost))


def mmc_response(servers: int, rate: float, service: float) -> float:
    """Mean time in the system of M/M/c."""
    load = rate * service
    return service + erlang_c(servers, load) * service / (servers - load)


def mmc_response_above(servers: int, rate: float, service: float, t: float) -> float:
    """Share of M/M/c's responses that take longer than ``t``; ``servers - load`` must not be 1."""
    load = rate * service
    waits, spare = erlang_c(servers, load), servers - load
    alone = math.exp(-t / service)
    # service alone, or an exponential wait of rate spare / service before it
    return alone + waits * (math.exp(-spare * t / service) - alone) / (1.0 - spare)


def two_exponentials_above(mean: float, t: float) -> float:
    """Share of sums of two independent exponential times, of that mean each, above ``t`` (Erlang's law of order 2)."""
    return math.exp(-t / mean) * (1.0 + t / mean)


def mmck(servers: int, places: int, load: float) -> tuple[float, float]:
    """M/M/c/K with ``places`` in all: share of arrivals turned away, mean number in the system."""
    weights = [1.0]
    for n in range(1, places + 1):
        weights.append(weights[-1] * load / min(n, servers))
    total = sum(weights)
    return weights[-1] / total, sum(n * w for n, w in enumerate(weights)) / total


def erlang_a(servers: int, rate: float, service: float, patience: float) -> tuple[float, float]:
    """M/M/c+M, exponential patience of that mean: share of arrivals that abandon, mean number waiting."""
    weights, n = [1.0], 0
    while n < servers or weights[-1] > 1e-16 * max(weights):
        n += 1
        weights.append(weights[-1] * rate / (min(n, servers) / service + max(n - servers, 0) / patience))
    total = sum(weights)
    waiting = sum((k - servers) * w for k, w in enumerate(weights) if k > servers) / total
    return waiting / patience / rate, waiting


def mg1_response(rate: float, mean: float, second_moment: float) -> float:
    """Mean time in the system of M/G/1: Pollaczek and Khinchine."""
    return mean + rate * second_moment / (2.0 * (1.0 - rate * mean))


def false_alarm(requests: float, error_share: float, limit: float) -> float:
    """Chance that a period with Poisson many requests (this mean) shows an error rate above ``limit`` (shares)."""
    alarm = 0.0
    for n in range(1, int(requests + 12 * math.sqrt(requests)) + 20):
        alarm += poisson.pmf(n, requests) * binom.sf(math.floor(limit * n + 1e-9), n, error_share)
    return float(alarm)
