"""A plan in words, for whoever has to trust it at 2 a.m., alone or beside another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import Any

from rollout.plan.criteria import CRITERIA
from rollout.plan.marks import Duration, keys
from rollout.plan.plan import BackTo, Limit, Plan, Rollback
from rollout.plan.units import duration, number

WIDTH = 80  # characters of a line, unless a caller knows better
_UNIT, _TIED = re.compile(r"(?<=\d) (?=(%|ms|s|min|h)\b|%)"), "\N{NO-BREAK SPACE}"
_NARROWEST = 40  # below it two columns of words are not legible


def earliest(plan: Plan) -> float:
    """Seconds in which a release can be promoted: every window, the periods that it must hold, and the bake."""
    metrics = plan.metrics
    return sum(max(stage.window, metrics.min_periods * metrics.period) for stage in plan.stages) + plan.bake


def latest(plan: Plan) -> float:
    """Seconds after which it is promoted, held or aborted, when nobody pauses it and it was never held."""
    stages = sum(plan.apply_limit + stage.window + plan.metrics.max_extension for stage in plan.stages)
    return stages + plan.bake + plan.metrics.delay + plan.metrics.max_extension


def explain(plan: Plan, width: int = WIDTH) -> Iterator[str]:
    """The plan, line by line. No line is longer than ``width`` characters, unless a single word is."""
    for line in _explained(plan):
        indent = len(line) - len(line.lstrip())
        yield from wrapped(line.lstrip(), width, " " * indent, " " * (indent + 2 if indent else 0)) or [""]


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most ``width`` characters, none of which ends within a word or before a unit; ``first`` and ``rest`` indent them."""
    lines = wrap(
        _UNIT.sub(_TIED, text),
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_TIED, " ") for line in lines]


def _explained(plan: Plan) -> Iterator[str]:
    metrics, health, check, rate = plan.metrics, plan.health, plan.verification, plan.rate_limit
    yield f"Plan {plan.name}"
    yield ""
    yield "Stages (a window begins when the new weight is read back from the load balancer):"
    for stage in plan.stages:
        yield f"  {stage.weight:>3} % of the traffic to the candidate, watched for {duration(stage.window)}"
    if warm := plan.warm_up:
        yield (
            f"Before the first stage the candidate gets {warm.requests} requests for {warm.path} through the test route, "
            f"{warm.concurrency} at a time; if one fails, the release does not begin."
        )
    yield ""
    yield "A stage is passed when"
    yield "  - its window is over,"
    yield "  - the last health round was clean,"
    yield "  - no criterion was breached, and"
    yield (
        f"  - {_count(metrics.min_periods, 'whole metric period')} of {duration(metrics.period)} that began in the window had "
        f"{metrics.min_requests} or more requests and every value below its limit."
    )
    for row in CRITERIA:
        if row.rule(plan).breaches > 1:
            yield f"The {row.name} of the newest period must not be above its limit either, even if that is no breach yet."
    if plan.criteria.comparison:
        yield "Below 100 % a period counts only when it was compared with stable's."
    yield f"If these periods are missing, the stage waits up to {duration(metrics.max_extension)} longer; then it is held."
    yield (
        f"After the last stage the release bakes at {plan.stages[-1].weight} %{_for_so_long(plan)}. It is promoted when every metric period "
        f"that began in the last window{' or the bake' if plan.bake else ''} has arrived and is good; until then everything below applies. "
        f"It is held when a period has not arrived {duration(metrics.delay)} after its end, or is not good "
        f"{duration(metrics.delay + metrics.max_extension)} after the bake."
    )
    yield ""
    yield "What a breach does:"
    for name, text in breaches(plan).items():
        yield f"  {name} {text}"
    if against := plan.criteria.comparison:
        yield (
            f"  The comparison is made after each period. It rolls back at most {number(against.false_alarms)} % of the releases that "
            "are no worse than stable. It begins anew after a rollback to a smaller weight and after a resume; at 100 % there is no "
            "stable to compare with."
        )
    yield (
        f"  health rounds every {duration(health.interval)}, failed in a row: {health.alert_after} alerts, {health.prepare_after} prepares "
        f"the rollback and stops advancing, {health.abort_after} aborts"
    )
    yield (
        f"  the front door, where users go, {health.abort_after} times in a row while a colour itself passes: abort, and the traffic rule "
        "is written back whole"
    )
    yield "  another version than the approved one answers: hold; it cannot be resumed while that version answers"
    yield "  far fewer requests of both colours than before the release: hold"
    yield f"  no successful query of the candidate's metrics for {duration(metrics.blind_limit)}: abort"
    yield (
        f"  a period without data {duration(metrics.delay)} after its end counts as one without requests, with which no stage is passed"
    )
    yield (
        f"  a new weight not seen at the load balancer within {duration(plan.apply_limit)}: an increase is taken back and the rollout "
        "is held; a decrease is made through the load balancer's own API"
    )
    yield (
        f"  more than {number(rate.share)} % of the requests rate limited: the limit rises by {rate.step} from {rate.initial} "
        f"to at most {rate.cap} a minute"
    )
    yield ""
    yield (
        f"While a rollout is held, a person decides; after {duration(plan.hold_timeout)} it aborts. "
        "Paused by the operator, it waits without a time-out and sends reminders."
    )
    yield (
        f"After an abort, stable is watched for {duration(check.watch)}. It is verified when every metric period was measured, the errors "
        f"of all of them are below {number(check.error_rate)} %, each P95 is below {duration(check.latency_p95)}, the last health "
        f"round was clean and users get in. For late metrics it waits up to {duration(metrics.delay)} more."
    )
    yield ""
    yield f"Earliest end of a good release: {duration(earliest(plan))} (plus the stack updates, and until the last window's metrics have arrived)."
    yield f"Latest end without a hold or a pause: {duration(latest(plan))}."


def _for_so_long(plan: Plan) -> str:
    return f" for {duration(plan.bake)} more" if plan.bake else ""


def breaches(plan: Plan) -> dict[str, str]:
    """Each criterion's name, and in words what is a breach of it and what follows."""
    found = {
        row.name: f"above {row.shown(rule.limit)} in {_periods(rule)}: {consequence(rule.rollback)}"
        for row, rule in ((row, row.rule(plan)) for row in CRITERIA)
    }
    if against := plan.criteria.comparison:
        found["error rate beside stable's"] = (
            f"in the same periods, higher by {number(against.difference)} percentage points or more, and by more than chance: "
            f"{consequence(against.rollback)}"
        )
    return found | {f"alarm {name}:": consequence(action) for name, action in plan.alarms.items()}


def consequence(rollback: Rollback | BackTo) -> str:
    """What a breach does to the traffic."""
    match rollback:
        case BackTo(to):
            return f"back to {to} % and hold; to 0 % when measured at {to} % or less"
        case Rollback.PREVIOUS:
            return "back to the stage before the one it was measured at and hold; to 0 % from the first"
        case Rollback.ABORT:
            return "abort, all traffic to stable at once"
        case Rollback.HOLD:
            return "hold, traffic stays and a person decides"


def _periods(rule: Limit) -> str:
    enough = f" of {rule.min_requests} or more requests" if rule.min_requests > 1 else ""
    if rule.breaches == 1:
        return f"a period{enough}"
    if rule.breaches == rule.of:
        return f"{rule.of} periods{enough} in a row"
    return f"{rule.breaches} of the newest {rule.of} periods{enough}"


def _count(some: int, name: str) -> str:
    return f"{some} {name}{'s' if some > 1 else ''}"


# --- two plans side by side

Row = tuple[str, str, str]  # a name, and what the one and the other plan have there


def beside(one: Plan, other: Plan) -> Iterator[Row]:
    """Stages, criteria, every other key in which they differ, and how long each takes."""
    yield "(* differs)", one.name, other.name
    for index, stages in enumerate(zip_longest(one.stages, other.stages), start=1):
        both = [f"{stage.weight} % for {duration(stage.window)}" if stage else "-" for stage in stages]
        yield f"stage {index}", both[0], both[1]
    mine, its = breaches(one), breaches(other)
    for name in mine | its:
        yield name.rstrip(":"), mine.get(name, "-"), its.get(name, "-")
    for name, a, b in _others(one, other):
        yield name, a, b
    yield "earliest end", duration(earliest(one)), duration(earliest(other))
    yield "latest end", duration(latest(one)), duration(latest(other))


def _others(one: Any, other: Any, path: str = "") -> Iterator[Row]:
    for name, key in keys(type(one)).items():
        mine, its = getattr(one, name), getattr(other, name)
        if name in ("name", "stages", "criteria", "alarms") or mine == its:
            continue
        if mine is None or its is None:
            yield f"{path}{name}", _part(mine), _part(its)
        elif is_dataclass(mine):
            yield from _others(mine, its, f"{path}{name}.")
        else:
            words = duration if isinstance(key.mark, Duration) else number
            yield f"{path}{name}", words(mine), words(its)


def _part(part: Any) -> str:
    """An optional part that one of two plans lacks."""
    return "-" if part is None else ", ".join(f"{name} {getattr(part, name)}" for name in keys(type(part)))


def table(rows: Iterator[Row], width: int = WIDTH) -> Iterator[str]:
    """Rows in three columns, words wrapped within them; ``*`` marks a row in which the plans differ."""
    width = max(width, _NARROWEST)
    column = (width - 2) // 3
    for index, (name, *both) in enumerate(rows):
        mark = "* " if index and both[0] != both[1] else "  "
        cells = [wrapped(text, column - 1) for text in (name, *both)]
        for line, texts in enumerate(zip_longest(*cells, fillvalue="")):
            padded = "".join(f"{text:<{column}}" for text in texts)
            yield f"{mark if line == 0 else '  '}{padded}".rstrip()
