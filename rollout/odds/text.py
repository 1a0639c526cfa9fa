"""Odds in words and as JSON, with advice about the plan."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from rollout.odds.odds import Line, Odds, Share
from rollout.plan import WHOLE
from rollout.plan.units import duration

_OFTEN = 0.05  # a share of healthy releases taken back, or of bad ones missed, that is worth a sentence
_WIDTH = 110  # characters


def words(odds: Odds) -> Iterator[str]:
    """A table of two parts and the advice."""
    yield f"Odds at {odds.rate:,g} requests/min ({odds.rollouts:,} simulated rollouts a line, seed {odds.seed}; 95 % intervals):"
    yield f"  {'a healthy release':<28}{'is taken back':<26}{'after (median)':<16}of these, for lack of data"
    for line in odds.healthy:
        yield _row(line, line.taken_back, _percent(line.undecided))
    if odds.bad:
        yield f"  {'a bad release':<28}{'is missed (promoted)':<26}{'else back after (median)'}"
    for line in odds.bad:
        yield _row(line, line.promoted)
    yield ""
    yield from wrap(advice(odds), _WIDTH)


def _row(line: Line, share: Share, more: str = "") -> str:
    between = f"{_percent(share):>7}  ({100 * share.low:.1f} to {100 * share.high:.1f} %)"
    after = "-" if line.after is None else duration(round(line.after))
    return f"  {f'  {line.errors:g} % of requests fail':<28}{between:<26}{after:<16}{more}".rstrip()


def _percent(share: Share) -> str:
    return f"{100 * _share(share):.1f} %"


def advice(odds: Odds) -> str:
    """What the first stage can see at this rate, and what follows from it."""
    plan, healthy = odds.plan, odds.healthy[-1]
    limit, errors, back = (
        plan.criteria.error_rate.limit,
        f"{healthy.errors:g} % errors",
        _percent(healthy.taken_back),
    )
    seen, one = _first_stage(odds)
    if _share(healthy.undecided) >= _OFTEN:
        return (
            f"{seen}; that is too few to judge by, so {_percent(healthy.undecided)} of healthy releases end held. Lower "
            "min_requests or min_periods, allow a longer max_extension, or begin with a larger weight."
        )
    if _share(healthy.taken_back) >= _OFTEN and one > limit:
        return (
            f"{seen}, above the limit of {limit:g} %, so bad luck alone takes {back} of healthy releases back (at {errors}). "
            "Ask for more than one bad period (breaches, of), or for more requests in one (min_requests, or a larger first weight)."
        )
    if _share(healthy.taken_back) >= _OFTEN:
        return (
            f"{seen}, but the limit of {limit:g} % is near to {errors}: {back} of healthy releases are taken back. Ask for "
            "more than one bad period (breaches, of), or raise the limit."
        )
    missed = [line for line in odds.bad if _share(line.promoted) >= _OFTEN]
    if missed:
        worst = missed[-1]
        return (
            f"{seen}. {back} of healthy releases are taken back (at {errors}), but {_percent(worst.promoted)} of those that fail "
            f"{worst.errors:g} % of requests are promoted: lower the limit, or compare with stable (comparison)."
        )
    return (
        f"{seen}. {back} of healthy releases are taken back (at {errors}), and hardly a bad one is promoted."
    )


def _first_stage(odds: Odds) -> tuple[str, float]:
    """What a metric period of the first stage holds, in words, and how much (percent) a single error is of it."""
    plan, first = odds.plan, odds.plan.stages[0]
    requests = odds.rate * plan.metrics.period / 60 * first.weight / WHOLE
    where = (
        f"At {first.weight} % of {odds.rate:,g}/min a metric period of {duration(plan.metrics.period)} has"
    )
    if requests < 1:
        return f"{where} less than one request in the mean", WHOLE
    one = WHOLE / requests
    return f"{where} {requests:,.0f} requests: a single error is {one:.2g} %", one


def _share(share: Share) -> float:
    return share.count / share.total


def to_json(odds: Odds) -> dict[str, Any]:
    """Shares from 0 to 1, ``after_s`` in seconds."""
    return {
        "rate_per_minute": odds.rate,
        "rollouts": odds.rollouts,
        "seed": odds.seed,
        "healthy": [_line(line) for line in odds.healthy],
        "bad": [_line(line) for line in odds.bad],
        "advice": advice(odds),
    }


def _line(line: Line) -> dict[str, Any]:
    shares = {"promoted": line.promoted, "taken_back": line.taken_back, "undecided": line.undecided}
    told = {
        name: {"count": share.count, "low": share.low, "high": share.high} for name, share in shares.items()
    }
    return {"error_percent": line.errors, **told, "after_s": line.after}
