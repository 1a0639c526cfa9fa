"""Odds in words and as JSON, with advice about the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rollout.odds.odds import Line, Odds
from rollout.odds.shares import Share
from rollout.plan import WHOLE
from rollout.plan.explain import WIDTH, Row, table, wrapped
from rollout.plan.units import duration, number

_OFTEN = 0.05  # a share of healthy releases rolled back, or of bad ones promoted, that is worth a sentence
_NEAR = 1 / 3  # of the limit: base errors above it are near the limit


def words(odds: Odds, width: int = WIDTH) -> Iterator[str]:
    """A table of two parts and the advice, in lines of at most ``width`` characters (80 or more)."""
    yield from wrapped(title(odds), width)
    yield f"  {'healthy, % that fail':<22}{'rolled back':<26}{'after':<14}held, no decision"
    for line in odds.healthy:
        yield _row(line, line.taken_back, _percent(line.undecided))
    if odds.bad:
        yield f"  {'bad, % that fail':<22}{'missed (promoted)':<26}else rolled back after"
    for line in odds.bad:
        yield _row(line, line.promoted)
    yield f"  {'stable, % that fail':<22}verified after a rollback"
    for line in odds.healthy:
        if line.verified:
            yield f"  {f'  {number(line.errors)} %':<22}{_interval(line.verified)}"
    yield ""
    yield from wrapped(advice(odds), width)


def beside(one: Odds, other: Odds, width: int = WIDTH) -> Iterator[str]:
    """The odds of two plans at the same rate, and advice about each."""
    yield from wrapped(title(one), width)
    yield from table(_rows(one, other), width)
    for odds in (one, other):
        yield ""
        yield from wrapped(f"{odds.plan.name}: {advice(odds)}", width)


def _rows(one: Odds, other: Odds) -> Iterator[Row]:
    yield "(* differs)", one.plan.name, other.plan.name
    for mine, its in zip(one.healthy, other.healthy, strict=True):
        name = f"healthy, {number(mine.errors)} % fail: rolled back"
        yield name, _interval(mine.taken_back), _interval(its.taken_back)
    for mine, its in zip(one.bad, other.bad, strict=True):
        yield (
            f"bad, {number(mine.errors)} % fail: promoted",
            _interval(mine.promoted),
            _interval(its.promoted),
        )
        yield "- else rolled back after", _after(mine), _after(its)
    for mine, its in zip(one.healthy, other.healthy, strict=True):
        if mine.verified and its.verified:
            name = f"stable, {number(mine.errors)} % fail: verified after a rollback"
            yield name, _interval(mine.verified), _interval(its.verified)


def title(odds: Odds) -> str:
    """What was simulated."""
    return (
        f"Odds at {odds.rate:,.10g} requests/min ({odds.rollouts:,} simulated rollouts a line, seed {odds.seed}; "
        "medians, and shares with 95 % intervals):"
    )


def _row(line: Line, share: Share, more: str = "") -> str:
    return f"  {f'  {number(line.errors)} %':<22}{_interval(share):<26}{_after(line):<14}{more}".rstrip()


def _interval(share: Share) -> str:
    return f"{_percent(share)} ({100 * share.low:.1f} to {100 * share.high:.1f} %)"


def _after(line: Line) -> str:
    return "-" if line.after is None else duration(round(line.after))


def _percent(share: Share) -> str:
    return f"{100 * _share(share):.1f} %"


def _share(share: Share) -> float:
    return share.count / share.total


# --- advice


def advice(odds: Odds) -> str:
    """What the first stage can see at this rate, what goes wrong how often, and which keys of this plan to change."""
    found = [*_too_strict(odds)] or [*_held(odds), *_rolled_back(odds)]
    found += _missed(odds)
    found += _red(odds)
    return " ".join([_first_stage(odds), *(found or [_fine(odds)])])


def _too_strict(odds: Odds) -> Iterator[str]:
    """Healthy releases that fail as many requests as the limit allows: no chance is at work."""
    line, criteria = odds.healthy[-1], odds.plan.criteria
    if line.errors < criteria.error_rate.limit or _share(line.taken_back) < _OFTEN:
        return
    compare = "" if criteria.comparison else ", and compare with stable (criteria.comparison)"
    yield (
        f"{_percent(line.taken_back)} of healthy releases are rolled back, and not by bad luck: their {number(line.errors)} % errors "
        f"are not below the limit of {number(criteria.error_rate.limit)} %. Raise the limit above what fails anyway{compare}."
    )


def _fine(odds: Odds) -> str:
    line = odds.healthy[-1]
    seldom = "hardly a bad one is promoted" if odds.bad else "no bad release was asked about"
    return f"{_percent(line.taken_back)} of healthy releases are rolled back (at {number(line.errors)} % errors), and {seldom}."


def _requests(odds: Odds) -> float:
    """The mean number of requests in a metric period of the first stage."""
    plan = odds.plan
    return odds.rate * plan.metrics.period / 60 * plan.stages[0].weight / WHOLE


def _first_stage(odds: Odds) -> str:
    plan, requests = odds.plan, _requests(odds)
    where = f"At {plan.stages[0].weight} % of {odds.rate:,.10g}/min a metric period of {duration(plan.metrics.period)} has"
    if requests < 1:
        return f"{where} less than one request on average."
    return f"{where} {requests:,.0f} requests, of which a single error is {number(WHOLE / requests, 2)} %."


def _held(odds: Odds) -> Iterator[str]:
    """Healthy releases that end held because a stage never had enough good periods."""
    line, plan, requests = odds.healthy[-1], odds.plan, _requests(odds)
    if _share(line.undecided) < _OFTEN:
        return
    rule, metrics = plan.criteria.error_rate, plan.metrics
    often = f"{_percent(line.undecided)} of healthy releases end held, without a decision"
    if requests < max(metrics.min_requests, 1):
        fix = ["begin with a larger weight"]
        if metrics.min_requests > 1:
            fix.append(f"lower metrics.min_requests, which is {metrics.min_requests}")
        yield f"That is too few requests to judge by: {often}. {_sentence(fix)}"
    elif requests * rule.limit < WHOLE:
        fix = ["begin with a larger weight", "allow a longer metrics.max_extension"]
        yield f"A period with a single error is not good, even where it is no breach: {often}. {_sentence(fix)}"
    else:
        fix = ["allow a longer metrics.max_extension"]
        if metrics.min_periods > 1:
            fix.append(f"lower metrics.min_periods, which is {metrics.min_periods}")
        yield f"Good periods come too late: {often}. {_sentence(fix)}"


def _rolled_back(odds: Odds) -> Iterator[str]:
    """Healthy releases that a breach takes back."""
    line, plan, requests = odds.healthy[-1], odds.plan, _requests(odds)
    often = (line.taken_back.count - line.undecided.count) / line.taken_back.total
    if often < _OFTEN:
        return
    rule, against = plan.criteria.error_rate, plan.criteria.comparison
    back = f"{100 * often:.1f} % of healthy releases are rolled back"
    errors, limit = f"{number(line.errors)} % errors", f"the limit of {number(rule.limit)} %"
    fix = []
    if rule.breaches == 1:
        fix.append("ask for more than one bad period (breaches: 2, of: 3)")
    if requests * rule.limit < WHOLE:
        least = math.ceil(WHOLE / rule.limit) if rule.limit else 0
        if rule.limit and rule.min_requests < least:
            fix.append(f"judge the error rate only in periods of {least} or more requests (min_requests)")
        if plan.stages[0].weight < WHOLE:
            fix.append("begin with a larger weight")
        if against is None:
            fix.append("raise the limit and compare with stable (criteria.comparison)")
        fix = fix or ["there is too little traffic for this limit: raise it"]
        yield f"A single error is above {limit}, so by bad luck alone {back} (at {errors}). {_sentence(fix)}"
        return
    if against is None:
        fix.append("compare with stable (criteria.comparison) and raise the limit")
    else:
        fix.append("raise the limit")
    near = (
        f"{limit} is near {errors}"
        if line.errors > _NEAR * rule.limit
        else "there are many periods, each with a chance of its own"
    )
    yield f"{back}: {near}. {_sentence(fix)}"


def _missed(odds: Odds) -> Iterator[str]:
    """Bad releases that are promoted."""
    missed = [line for line in odds.bad if _share(line.promoted) >= _OFTEN]
    if not missed:
        return
    worst, plan, requests = missed[-1], odds.plan, _requests(odds)
    rule, against = plan.criteria.error_rate, plan.criteria.comparison
    fix = []
    if worst.errors <= rule.limit:
        fix.append(f"lower the limit, which is {number(rule.limit)} %")
    if requests < max(rule.min_requests, 1):
        fix.append("begin with a larger weight")
    if rule.min_requests > max(requests, 1):
        fix.append(f"lower criteria.error_rate.min_requests, which is {rule.min_requests}")
    if rule.breaches > 1:
        fix.append(f"ask for fewer bad periods than {rule.breaches} of {rule.of}")
    if against is None:
        fix.append("compare with stable (criteria.comparison)")
    elif worst.errors - odds.healthy[0].errors < against.difference:
        fix.append(f"lower the comparison's difference, which is {number(against.difference)} points")
    if not fix:
        fix.append("watch longer (windows, min_periods)")
    yield (
        f"Of the releases that fail {number(worst.errors)} % of their requests, {_percent(worst.promoted)} are promoted. {_sentence(fix)}"
    )


def _red(odds: Odds) -> Iterator[str]:
    """Rollbacks to a healthy stable that end as not verified."""
    check = odds.plan.verification
    for line in odds.healthy[:1]:
        if line.verified is None or _share(line.verified) >= 1 - _OFTEN or line.errors >= check.error_rate:
            continue
        few = odds.rate * check.watch / 60 * check.error_rate < WHOLE
        why = (
            "in so few requests a single error is not below" if few else "chance alone takes its errors above"
        )
        often = f"{100 - 100 * _share(line.verified):.1f} % of rollbacks"
        yield (
            f"After {often} stable, at {number(line.errors)} % errors, is not verified: in {duration(check.watch)} {why} "
            f"{number(check.error_rate)} %. Such an end is red, but changes no traffic; a longer verification.watch is surer."
        )


def _sentence(fixes: list[str]) -> str:
    """``Do this, or that.``"""
    *others, last = fixes
    text = ", ".join(others) + (", or " if others else "") + last
    return f"{text[0].upper()}{text[1:]}."


# --- JSON


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
    if line.verified:
        shares["verified"] = line.verified
    found = {
        name: {"count": share.count, "low": share.low, "high": share.high} for name, share in shares.items()
    }
    return {"error_percent": line.errors, **found, "after_s": line.after}
