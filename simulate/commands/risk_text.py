"""The risk register as text: each risk alone, all together, and what each mitigation is worth."""

from __future__ import annotations

from simulate.commands.output import wrapped
from simulate.commands.table import table
from simulate.figures import between, plain
from simulate.studies.replication import Estimate, Share
from simulate.studies.risk import NIGHT_S, Result
from simulate.studies.risk.result import ENDS, Night, Worth

NOTES = (
    (
        "Costs are beyond a night of the same luck without a risk. Hurt: requests that failed, were refused (429) or took more than "
        "2 s, pages that stayed blank or slow, websockets that dropped. Unsafe: minutes in which more than 1 % of the users' requests "
        "were hurt."
    ),
    "Noticed: T+0 of a bad release; of the other risks when their alarm went off or the limit was raised.",
    "Below each figure its 95 % interval: Wilson's for shares, Student's t for means.",
)
COLUMNS = ("promoted", "held", "rolled back", "noticed, s", "failed", "hurt", "unsafe, min")
WORTHS = ("hurt", "failed", "unsafe, min", "bad promoted", "false rollback")
Cell = tuple[str, str]  # a figure and its interval
_NONE: Cell = ("", "")


def print_result(result: Result) -> None:
    print(wrapped(head(result)))
    print("\nEach risk alone")
    rows = [_row("none", "", _ends(result.calm))]
    for one in result.alone:
        chance = f"  {one.probability:g} % of the nights"
        rows.append(_row(f"{one.number} {one.name}", chance, cells_of(one.night, one.detection_s)))
    print("\n".join(table(("risk", *COLUMNS), rows)))

    night = result.together
    worst = [plain(night.costs[name].p95) for name in ("failed_requests", "hurt", "unsafe_minutes")]
    print("\nTogether, each by its probability")
    heads = ("", *COLUMNS[:3], *COLUMNS[4:])
    rows = [
        _row("a night", f"  {result.risks.mean:.2f} risks in it", [*_ends(night), *_costs(night)]),
        ["  95th percentile", "", "", "", *worst],
        _row("bad release promoted", "", [share(result.bad_promoted)]),
        _row("good one rolled back", "", [share(result.false_rollback)]),
    ]
    print("\n".join(table(heads, rows)))

    print("\nWhat a night costs more without a mitigation, sorted by users hurt")
    rows = []
    for rank, worth in enumerate(result.worths, 1):
        name = f"{rank if worth.seen else '-'} {worth.mitigation.name}"
        cells = worth_of(worth) if worth.any_seen else [("no difference seen", "")]
        rows.append(_row(name, f"  {worth.mitigation.item}", cells))
    print("\n".join(table(("without", *WORTHS), rows)))
    for note in NOTES:
        print("\n" + wrapped(note))


def head(result: Result) -> str:
    job, rate = result.job, result.register.common["rate_per_minute"]
    return (
        f"The register under {job.plan.name} at {plain(rate)} requests/min, seed {job.seed}, "
        f"{result.replications:,} nights of {NIGHT_S / 60:g} minutes"
    )


def _row(name: str, below: str, cells: list[Cell]) -> list[str]:
    return [f"{name}\n{below}".rstrip(), *(f"{figure}\n{interval}".rstrip() for figure, interval in cells)]


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
    return figure, f"{100 * found.low:.1f} to {100 * found.high:.1f}"


def points(found: Estimate) -> Cell:
    """A difference of shares in percentage points."""
    interval = (
        "" if found.low is None or found.high is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"
    )
    return f"{100 * found.mean:+.1f} pp", interval


def amount(found: Estimate | None) -> Cell:
    return ("-", "") if found is None else (plain(found.mean), between(found.low, found.high))
