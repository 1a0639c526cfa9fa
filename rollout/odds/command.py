"""What ``rollout plan`` prints: one plan explained or two compared, with their odds if a rate is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rollout.plan import Plan
from rollout.plan.explain import beside, earliest, explain, latest, table
from rollout.plan.units import number

if TYPE_CHECKING:
    from rollout.odds.odds import Odds

WIDEST = 110  # characters: longer lines are not read more easily


class BadRate(ValueError):
    """The odds cannot be asked for like this; the message names the flag and what it takes."""


def describe(
    plans: Sequence[Plan],
    rate: float | None = None,
    base_errors: float | None = None,
    *,
    time_scale: float = 1.0,
    as_json: bool = False,
    width: int = WIDEST,
) -> str:
    """One plan or two, already shortened by ``time_scale``. Raises :class:`BadRate`.

    ``rate`` is in requests per minute, ``base_errors`` in percent of the requests.
    """
    found = _odds(plans, rate, base_errors, time_scale)
    if as_json:
        return json.dumps(_to_json(plans, found))
    return "\n".join(_words(plans, found, min(width, WIDEST)))


def _odds(
    plans: Sequence[Plan], rate: float | None, base_errors: float | None, time_scale: float
) -> list[Odds]:
    if rate is None:
        if base_errors is not None:
            raise BadRate("--base-errors belongs to --rate: give both")
        return []
    from rollout.odds.odds import BASE_ERRORS, HIGHEST_RATE, WORST, odds  # noqa: PLC0415 -- numpy

    if not 0 < rate <= HIGHEST_RATE:
        raise BadRate(
            f"--rate {number(rate)}: it takes requests per minute, above 0 and up to {HIGHEST_RATE:,}"
        )
    if base_errors is not None and not 0 <= base_errors < WORST:
        raise BadRate(
            f"--base-errors {number(base_errors)}: it takes percent, from 0 to below {number(WORST)}"
        )
    base = BASE_ERRORS if base_errors is None else (base_errors,)
    return [odds(plan, rate, base, time_scale=time_scale) for plan in plans]


def _words(plans: Sequence[Plan], found: Sequence[Odds], width: int) -> Iterator[str]:
    if len(plans) == 1:
        yield from explain(plans[0], width)
    else:
        one, other = plans
        yield from table(beside(one, other), width)
    if found:
        from rollout.odds import text  # noqa: PLC0415 -- numpy

        yield ""
        yield from text.words(found[0], width) if len(found) == 1 else text.beside(found[0], found[1], width)


def _to_json(plans: Sequence[Plan], found: Sequence[Odds]) -> dict[str, Any]:
    described: list[dict[str, Any]] = [
        {"plan": asdict(plan), "earliest_s": earliest(plan), "latest_s": latest(plan)} for plan in plans
    ]
    if found:
        from rollout.odds import text  # noqa: PLC0415 -- numpy

        for one, odds in zip(described, found, strict=True):
            one["odds"] = text.to_json(odds)
    return described[0] if len(plans) == 1 else {"plans": described}
