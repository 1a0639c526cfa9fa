"""The comparison is a test of its level however often it is looked at, and finds what it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import comb, exp, inf, log, sqrt

import numpy as np
import pytest

from rollout.plan import Comparison, Rollback
from rollout.policy import compare as module
from rollout.policy.compare import Pair, compare, logarithms

STRICT = Comparison(false_alarms=0.1, difference=0.5, rollback=Rollback.ABORT)
LEVEL = 5  # percent
STAGES = (5, 5, 25, 25, 25, 50, 50, 50)  # the candidate's weight (percent) minute by minute
HELD = (5,) * 30  # a release that is left at 5 %

Rates = Callable[[int], float]  # minute -> error rate (share)


def night(
    chance: np.random.Generator, weights: Sequence[int], candidate: Rates, stable: Rates, rate: int = 1000
) -> list[Pair]:
    """Pairs of a night at ``rate`` requests a minute to both together."""
    pairs = []
    for minute, weight in enumerate(weights):
        mine = max(int(chance.poisson(rate * weight / 100)), 1)
        its = max(int(chance.poisson(rate * (100 - weight) / 100)), 1)
        errors = int(chance.binomial(mine, candidate(minute))), int(chance.binomial(its, stable(minute)))
        pairs.append(Pair(60 * minute, 60 * minute + 60, mine, errors[0], its, errors[1]))
    return pairs


def alarms(level: float, nights: Iterator[list[Pair]]) -> tuple[int, int]:
    """How many nights had evidence beyond the level after any period, whatever the difference; and how many there were."""
    rule = Comparison(false_alarms=level, difference=0.5, rollback=Rollback.ABORT)
    found = [max(logarithms(rule, pairs)) >= log(100 / level) for pairs in nights]
    return sum(found), len(found)


HEALTHY: dict[str, tuple[Sequence[int], Rates]] = {
    "rare errors": (STAGES, lambda minute: 0.0005),
    "some errors": (STAGES, lambda minute: 0.005),
    "many errors": (STAGES, lambda minute: 0.05),
    "rare errors, held at 5 %": (HELD, lambda minute: 0.0005),
    "some errors, held at 5 %": (HELD, lambda minute: 0.005),
    "an incident of both": (STAGES, lambda minute: 0.2 if minute in (3, 4) else 0.002),
    "a drift of both": (STAGES, lambda minute: 0.0005 * 2**minute),
    "an incident of both at the start": (HELD, lambda minute: 0.3 if minute == 0 else 0.001),
}


@pytest.mark.parametrize("kind", HEALTHY)
def test_a_release_no_worse_than_stable_sets_it_off_in_no_more_nights_than_its_level(kind: str) -> None:
    """500 nights each, 4,000 in all, looked at after every minute, at a level of 5 %."""
    weights, rates = HEALTHY[kind]
    chance = np.random.default_rng(378)
    found, nights = alarms(LEVEL, (night(chance, weights, rates, rates) for _ in range(500)))
    assert found <= nights * LEVEL / 100 + 3 * sqrt(nights * LEVEL / 100 * (1 - LEVEL / 100))


def test_a_better_release_never_sets_it_off() -> None:
    chance = np.random.default_rng(378)
    made = (night(chance, STAGES, lambda minute: 0.001, lambda minute: 0.03) for _ in range(500))
    assert alarms(LEVEL, made) == (0, 500)


@pytest.mark.parametrize(
    ("burst", "least", "most"),
    [(1, 0, 0.003), (2, 0.003, 0.02), (3, 0.02, 0.08), (5, 0.08, 0.2), (10, 0.2, 0.35)],
)
def test_errors_in_bursts_break_its_level(burst: int, least: float, most: float) -> None:
    """What docs/decisions/0071 says of it: 0.5 % errors of both, 1,000 nights, a level of 0.1 %."""
    chance = np.random.default_rng(378)

    def rate(minute: int) -> float:
        return 0.005 / burst

    def in_bursts(pairs: list[Pair]) -> list[Pair]:
        return [
            replace(p, errors=min(burst * p.errors, p.requests), stable_errors=burst * p.stable_errors)
            for p in pairs
        ]

    found, nights = alarms(0.1, (in_bursts(night(chance, STAGES, rate, rate)) for _ in range(1000)))
    assert least <= found / nights <= most, found


def test_an_early_incident_of_both_hides_the_observed_difference() -> None:
    """What docs/theory.md says of it: 2 % against 0.1 % through the stages, after a minute in which both failed 10 %."""

    def found_after(first: tuple[float, float]) -> tuple[int | None, int | None]:
        """The period after which the evidence is beyond the limit, and the one after which it is a breach."""
        pairs = []
        for minute, weight in enumerate(STAGES):
            mine, its = 10 * weight, 1000 - 10 * weight
            rates = (0.02, 0.001) if minute else first
            pairs.append(
                Pair(60 * minute, 60 * minute + 60, mine, round(rates[0] * mine), its, round(rates[1] * its))
            )
        told = [compare(STRICT, pairs[:n]) for n in range(1, len(pairs) + 1)]
        sure = next((n for n, one in enumerate(told, start=1) if one.evidence >= one.limit), None)
        return sure, next((n for n, one in enumerate(told, start=1) if one.beyond), None)

    assert found_after((0.02, 0.001)) == (4, 4)
    assert found_after((0.1, 0.1)) == (6, None)


def chances(pair: Pair, mine: float, its: float) -> float:
    """How likely the pair's errors are at these rates."""
    return (
        comb(pair.requests, pair.errors)
        * mine**pair.errors
        * (1 - mine) ** (pair.requests - pair.errors)
        * comb(pair.stable_requests, pair.stable_errors)
        * its**pair.stable_errors
        * (1 - its) ** (pair.stable_requests - pair.stable_errors)
    )


def expectation(before: list[Pair], mine: int, its: int, rates: tuple[float, float]) -> float:
    """The expected factor by which one more pair changes the evidence, over everything that can happen."""
    known = list(logarithms(STRICT, before))[-1] if before else 0.0
    total = 0.0
    for errors, stable_errors in product(range(mine + 1), range(its + 1)):
        pair = Pair(600, 660, mine, errors, its, stable_errors)
        after = list(logarithms(STRICT, [*before, pair]))[-1]
        total += chances(pair, *rates) * exp(after - known)
    return total


SHARED = (0.0005, 0.01, 0.1, 0.3, 0.6, 0.9)
BEFORE: tuple[list[Pair], ...] = (
    [],
    [Pair(0, 60, 3, 0, 40, 0)],
    [Pair(0, 60, 5, 1, 7, 3), Pair(60, 120, 1, 1, 9, 0)],
)


@pytest.mark.parametrize("rate", SHARED)
def test_the_evidence_is_expected_to_fall_at_any_shared_rate(rate: float) -> None:
    for before, mine, its in product(BEFORE, (1, 2, 6), (1, 3, 12)):
        assert expectation(before, mine, its, (rate, rate)) <= 1 + 1e-9
        assert expectation(before, mine, its, (rate / 2, rate)) <= 1 + 1e-9


def test_an_estimate_from_the_period_itself_would_be_no_test() -> None:
    """Were stable's rate taken from the period that is judged, evidence would be expected to grow out of nothing."""
    rate, total = 0.3, 0.0
    for errors, stable_errors in product(range(13), range(13)):
        pair = Pair(0, 60, 12, errors, 12, stable_errors)
        peeked = (stable_errors + 0.5) / 13
        factors = [
            exp(module._log_e(pair, min(peeked + delta, (1 + peeked) / 2), peeked)) for delta in (0.04, 0.16)
        ]
        total += chances(pair, rate, rate) * sum(factors) / 2
    assert total > 1.1


def minutes(
    weights: Sequence[int], candidate: float, stable: float = 0.001, nights: int = 200
) -> list[float]:
    """After how many minutes each of the nights is beyond the limit."""
    chance = np.random.default_rng(378)
    found = []
    for _ in range(nights):
        pairs = night(chance, weights, lambda minute: candidate, lambda minute: stable)
        beyond = (n for n in range(1, len(pairs) + 1) if compare(STRICT, pairs[:n]).beyond)
        found.append(next(beyond, inf))
    return sorted(found)


def test_a_candidate_of_3_percent_at_50_requests_a_minute_is_found_within_minutes() -> None:
    found = minutes(HELD, 0.03)
    assert found[100] <= 4
    assert found[190] <= 9


def test_it_is_found_sooner_where_more_of_the_traffic_is_the_candidates() -> None:
    found = minutes(STAGES, 0.03)
    assert found[100] <= 3
    assert found[190] <= 4  # its second minute at 25 %


def test_an_incident_of_both_does_not_blind_it_to_what_comes_after() -> None:
    """Two minutes at 20 % of both, then 3 % against 0.1 %. Without what is not staked the median is 36 minutes."""
    chance = np.random.default_rng(378)
    found = []
    for _ in range(200):
        pairs = night(chance, (5,) * 40, lambda m: 0.2 if m < 2 else 0.03, lambda m: 0.2 if m < 2 else 0.001)
        logs = enumerate(logarithms(STRICT, pairs), start=1)
        found.append(next((n for n, value in logs if value >= log(1000)), inf))
    assert sorted(found)[100] <= 16


def test_it_learns_what_is_normal_for_stable() -> None:
    """0.6 % against 0.01 %: 12 minutes in the median, 18 without learning."""
    assert minutes((5,) * 30, 0.006, stable=0.0001)[100] <= 14


def test_a_difference_that_does_not_matter_is_no_breach_however_sure() -> None:
    pairs = [Pair(60 * n, 60 * n + 60, 30_000, 120, 30_000, 30) for n in range(8)]  # 0.4 % against 0.1 %
    found = compare(STRICT, pairs)
    assert found.evidence > found.limit
    assert not found.beyond
    assert found.rate - found.stable_rate == pytest.approx(0.3)


def test_evidence_is_said_in_words_and_never_endless() -> None:
    found = compare(STRICT, [Pair(0, 60, 100_000, 50_000, 100_000, 100)])
    assert found.in_words == (
        "error rate 50 % against stable's 0.1 % (50,000 of 100,000 requests and 100 of 100,000, in 1 period): "
        "evidence 1000000000 of 1000"
    )
    assert found.beyond


@pytest.mark.parametrize("errors", [(0, 0), (7, 7), (7, 0), (0, 7)])
def test_extreme_counts_are_no_trouble(errors: tuple[int, int]) -> None:
    rule = Comparison(false_alarms=0.001, difference=60, rollback=Rollback.HOLD)
    found = compare(rule, [Pair(0, 60, 7, errors[0], 7, errors[1])] * 3)
    assert 0 <= found.evidence < inf
    assert not found.beyond or errors == (7, 0)


def test_error_rates_in_words_have_three_digits() -> None:
    found = compare(STRICT, [Pair(0, 60, 30_000, 701, 30_000, 67)])
    assert found.in_words.startswith("error rate 2.34 % against stable's 0.223 % (701 of 30,000 requests")
