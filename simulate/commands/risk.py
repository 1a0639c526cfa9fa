"""``simulate risk``: the register as a Monte Carlo, as three tables, JSON, or a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from simulate.commands.errors import BadInput
from simulate.commands.inputs import check_output, read_plan, read_settings, with_rate, writing
from simulate.commands.rehearse import study
from simulate.scenarios import BadParameter
from simulate.studies.replication import Estimate, Job, Share
from simulate.studies.risk import NIGHT_S, Register, Result, measure, summarize
from simulate.studies.risk.result import ENDS, Night, Worth

WORDS = (
    "Costs are beyond a night of the same luck without a risk. Hurt: requests that failed, were refused (429) or took more than 2 s,\n"
    "pages that stayed blank or slow, websockets that dropped. Unsafe: minutes in which more than 1 % of the users' requests were hurt.\n"
    "Noticed: T+0 of a bad release; of the others when their alarm went off or the limit was raised.\n"
    "Below each figure its 95 % interval: Wilson's for shares, Student's t for means."
)


def register_of(plan: str, settings: Sequence[str], rate: float | None, seed: int) -> tuple[Job, Register]:
    """A register whose nights can be built, and the job that has its plan and seed."""
    try:
        register = Register.read(with_rate(read_settings(settings), rate))
    except BadParameter as error:
        raise BadInput(f"--set: {error}; see `simulate list SCENARIO`") from None
    except ValueError as error:
        raise BadInput(f"--set: {error}") from None
    return Job("healthy", read_plan(plan), seed, register.common), register


def risk(
    job: Job,
    register: Register,
    replications: int,
    *,
    workers: int,
    dask: str | None,
    as_json: bool,
    html: Path | None,
) -> None:
    check_output("--html", html)
    rows = study(job, replications, workers, dask, measure=partial(measure, register), what="nights")
    result = summarize(register, job, rows)
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        print("\n".join(told(result)))
    if html:
        from simulate.commands.risk_page import write_page  # noqa: PLC0415 -- matplotlib takes a second to import

        with writing("--html", html):
            write_page(html, result)


def head(result: Result) -> str:
    job, rate = result.job, result.register.common["rate_per_minute"]
    return (
        f"The register under {job.plan.name} at {rate:,g} requests/min, seed {job.seed}, "
        f"{result.replications:,} nights of {NIGHT_S / 60:g} minutes"
    )


Cell = tuple[str, str]  # a figure, and its interval below it
_NONE: Cell = ("", "")
_NIGHT = (24, 12, 12, 13, 12, 14, 15, 13)  # widths of the columns
_WORTH = (38, 15, 14, 13, 14, 16)


def told(result: Result) -> Iterable[str]:
    """The three tables, line by line."""
    yield head(result)
    yield "\nEach risk alone"
    columns = ("promoted", "held", "rolled back", "noticed, s", "failed", "hurt", "unsafe, min")
    yield _line(_NIGHT, "risk", columns)
    yield from _lines(_NIGHT, "  none", "", _ends(result.calm))
    for one in result.alone:
        chance = f"  {one.probability:g} % of the nights"
        yield from _lines(_NIGHT, f"{one.number} {one.name}", chance, cells_of(one.night, one.detection_s))

    night = result.together
    yield "\nTogether, each by its probability"
    yield _line(_NIGHT, "", (*columns[:3], "", *columns[4:]))
    mean = f"  {result.risks.mean:.2f} risks in it"
    yield from _lines(_NIGHT, "a night", mean, [*_ends(night), _NONE, *_costs(night)])
    worst = [_number(night.costs[name].p95) for name in ("failed_requests", "hurt", "unsafe_minutes")]
    yield _line(_NIGHT, "  95th percentile", ("", "", "", "", *worst))
    yield from _lines(_NIGHT, "bad release promoted", "", [share(result.bad_promoted)])
    yield from _lines(_NIGHT, "good one rolled back", "", [share(result.false_rollback)])

    yield "\nWhat a night costs more without a mitigation, sorted by users hurt"
    yield _line(_WORTH, "without", ("hurt", "failed", "unsafe, min", "bad promoted", "false rollback"))
    for rank, worth in enumerate(result.worths, 1):
        name = f"{rank if worth.seen else '-'} {worth.mitigation.name}"
        cells = worth_of(worth) if worth.any_seen else [("no difference seen", "")]
        yield from _lines(_WORTH, name, f"  {worth.mitigation.item}", cells)
    yield f"\n{WORDS}"


def _line(widths: Sequence[int], first: str, texts: Sequence[str]) -> str:
    pairs = zip(widths[1:], texts, strict=False)
    return (f"{first:{widths[0]}}" + "".join(f"{text:>{width}}" for width, text in pairs)).rstrip()


def _lines(widths: Sequence[int], name: str, below: str, cells: Sequence[Cell]) -> Iterable[str]:
    yield _line(widths, name, [figure for figure, _ in cells])
    yield _line(widths, below, [interval for _, interval in cells])


def worth_of(worth: Worth) -> list[Cell]:
    return [
        *(amount(worth.more[name]) for name in ("hurt", "failed_requests", "unsafe_minutes")),
        *(points(worth.more[name]) for name in ("bad_promoted", "false_rollback")),
    ]


def cells_of(night: Night, detection: Estimate | None) -> list[Cell]:
    return [*_ends(night), amount(detection), *_costs(night)]


def _ends(night: Night) -> list[Cell]:
    return [share(night.ends[end]) for end in ENDS.values()]


def _costs(night: Night) -> list[Cell]:
    return [amount(night.costs[name]) for name in ("failed_requests", "hurt", "unsafe_minutes")]


def share(found: Share) -> Cell:
    """In percent."""
    figure = f"{100 * found.count / found.total:.1f} %"
    return figure, f"{100 * found.low:.1f}..{100 * found.high:.1f}"


def points(found: Estimate) -> Cell:
    """A difference of shares in percentage points."""
    between = (
        "" if found.low is None or found.high is None else f"{100 * found.low:.1f}..{100 * found.high:.1f}"
    )
    return f"{100 * found.mean:+.1f} pp", between


def amount(found: Estimate | None) -> Cell:
    if found is None:
        return "-", ""
    if found.low is None or found.high is None:
        return _number(found.mean), ""
    return _number(found.mean), f"{_number(found.low)}..{_number(found.high)}"


def _number(value: float) -> str:
    """Three figures, or whole: 12,345, 123, 12.3, 1.23, 0."""
    digits = next(digits for digits, least in ((0, 100), (1, 10), (2, 0)) if abs(value) >= least)
    text = f"{value:,.{digits}f}"
    return text if text.strip("-0.") else "0"
