"""The answer of ``simulate capacity`` as text: sizes with their reasons, the latency curve, hangs, what was assumed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulate.commands.output import wrapped
from simulate.commands.table import table
from simulate.dataplane import Trace
from simulate.figures import between, plain
from simulate.studies.capacity import PARAMETERS, Curve, Hangs, Runner, Sizes
from simulate.studies.capacity.assumptions import MINUTES
from simulate.studies.capacity.closed_forms import hang_limits, servers_for, square_root_staffing
from simulate.studies.capacity.curve import Point
from simulate.studies.capacity.sizes import (
    COLOURS,
    SMALLEST_LIMIT,
    SMALLEST_POOL,
    SUPERUSERS,
    Size,
    in_words,
    up,
)
from simulate.studies.replication import Estimate

_BAR = 24  # characters


@dataclass(frozen=True, slots=True)
class Answer:
    sizes: Sizes
    curve: Curve
    hangs: Hangs
    runner: Runner

    @property
    def targets(self) -> tuple[float, float]:
        """P95 (s) and losses (share) that must not be reached."""
        values = self.sizes.assumptions.values
        return values["p95_ms"] / 1000, values["losses_percent"] / 100

    @property
    def carries(self) -> Point | None:
        """The highest load of the curve up to which the targets hold."""
        return self.curve.last_within(*self.targets)


@dataclass(frozen=True, slots=True)
class Line:
    """One size: the key of the Pulumi program that sets it, its value, and why it is that."""

    key: str
    value: int
    why: str


def print_answer(answer: Answer) -> None:
    for line in head(answer):
        print(wrapped(line))
    print()
    _print_sizes(answer.sizes)
    print()
    for sentence in [*bounds(answer), theory(answer)]:
        print(wrapped(sentence))
    print()
    _print_curve(answer)
    print(
        "\n" + wrapped("Failed requests by how long all queries hang, nothing being down (mean of the runs):")
    )
    _print_hangs(answer)
    print("\nAssumed (--set):")
    for name, value, what in assumptions(answer):
        print(wrapped(f"  {name:18}{value:>9}  {what}", 31))


def print_known(runner: Runner, sizes: Sizes | None, curve: Curve | None) -> None:
    """What an interrupted search has found."""
    if sizes is None:
        for name, measured in runner.found.items():
            print(f"{name}: {in_words(measured)}, {plain(100 * measured.limited.mean, 2)} % rate limited")
        return
    _print_sizes(sizes)
    if curve is not None:
        print()
        _print_curve(Answer(sizes, curve, Hangs({}), runner))


def _print_sizes(sizes: Sizes) -> None:
    for line in lines(sizes):
        begin = f"{line.key:22}{line.value:>8,}  "
        print(wrapped(begin + line.why, len(begin)))


def head(answer: Answer) -> tuple[str, str]:
    """Which load is asked about, and which targets must hold."""
    sizes, runner = answer.sizes, answer.runner
    values = sizes.assumptions.values
    return (
        f"For {plain(sizes.assumptions.per_minute)} requests/min each colour alone carries all of them{_down(sizes)}.",
        (
            f"Targets: P95 below {plain(values['p95_ms'])} ms and less than {plain(values['losses_percent'])} % lost, with the upper "
            f"ends of 95 % intervals (seed {runner.seed}, {runner.replications} runs of {MINUTES} min)."
        ),
    )


def _down(sizes: Sizes) -> str:
    """What may be down meanwhile."""
    pgbouncers = sizes.pgbouncers - up(sizes.assumptions)
    counts = ((sizes.spare, "replicas"), (pgbouncers, "pgbouncers"))
    parts = [f"{down} of its {what}" for down, what in counts if down]
    if not parts:
        return ", nothing being down"
    only = ", but not its only pgbouncer" if sizes.pgbouncers == 1 else ""
    return f" with {' and '.join(parts)} down{only}"


def lines(sizes: Sizes) -> list[Line]:
    """The four sizes."""
    values, load, limit = sizes.assumptions.values, sizes.for_load, sizes.limit
    share = values["busiest_percent"]
    mean = sizes.assumptions.per_minute * share / 100
    carry = f"{load.needed} carry the load" if load.needed > 1 else "1 carries the load"
    limited = f"{plain(100 * limit.measured.limited.mean, 2)} % of its requests are answered 429"
    if limit.fewer:
        limited += f", {plain(100 * limit.fewer.limited.mean, 2)} % with one less"
    if limit.needed == SMALLEST_LIMIT:
        limited += f"; {SMALLEST_LIMIT} is AWS WAF's least"
    return [
        Line(
            "replicas",
            sizes.replicas,
            f"of each colour: {carry} ({in_words(load.measured)}), {sizes.spare} may be down{_fewer(load)}",
        ),
        Line("poolSize", sizes.pool_size, f"of each pgbouncer, {sizes.pgbouncers} a colour: {_pool(sizes)}"),
        Line(
            "databaseMaxConnections",
            sizes.max_connections,
            f"{COLOURS} colours x {sizes.pgbouncers} pgbouncer(s) x {sizes.pool_size}, and {values['reserve']:g} in "
            f"reserve ({SUPERUSERS} for superusers; migrations, monitoring, people)",
        ),
        Line(
            "rateLimit",
            sizes.rate_limit,
            f"requests a minute and address: the busiest sends {plain(mean)} a minute on average ({share:g} %); {limited}",
        ),
    ]


def _fewer(size: Size) -> str:
    if size.fewer:
        return f"; with one fewer {in_words(size.fewer)}"
    return "; with one fewer they would be busy all the time" if size.needed > 1 else ""


def _pool(sizes: Sizes) -> str:
    load, hang = sizes.pool_for_load, sizes.pool_for_hang
    text = f"the load takes {load.needed} ({in_words(load.measured)}{_fewer(load)})"
    if hang:
        text += f", a hang of {sizes.assumptions.values['hang_s']:g} s without a failed request takes {hang.needed}"
        if hang.fewer:
            text += f" (with one fewer {plain(hang.fewer.failed.mean)} fail)"
    if sizes.pool_size == SMALLEST_POOL:
        text += f"; {SMALLEST_POOL} is the guide's least"
    return text


def bounds(answer: Answer) -> list[str]:
    """What gives way first, where the knee is, and how far the load is from it."""
    curve, sizes = answer.curve, answer.sizes
    knee = f"the knee is at {curve.knee.percent:g} % ({curve.knee.per_minute:,.0f}/min)"
    parts = [f"{part} at {load:,.0f}/min" for part, load in curve.bounds.items()]
    rate, carries = sizes.assumptions.per_minute, answer.carries
    held = "the targets hold at none of the loads below"
    if carries:
        held = f"the targets hold up to {carries.percent:g} % ({carries.per_minute:,.0f}/min)"
    slots = sizes.whole.stable.replicas * sizes.whole.stable.concurrency
    found = [
        f"What bounds it: {', then '.join(parts)} (busy all the time, spares down).",
        f"Your load is {plain(100 * rate / curve.capacity)} % of the first; {held}; {knee}.",
    ]
    if slots <= sizes.whole.stable.pool.size:
        found.append(
            f"A colour has {slots} slots for {sizes.whole.stable.pool.size} connections: a larger pool is never filled."
        )
    return found


def theory(answer: Answer) -> str:
    """Closed forms, where they apply."""
    sizes = answer.sizes
    assumptions = sizes.assumptions
    if not assumptions.steady or assumptions.values["retries"]:
        return "Closed forms do not apply: they take Poisson traffic without retries."
    per_s, slots = assumptions.per_minute / 60, assumptions.values["slots"]
    service = assumptions.query.mean + assumptions.work.mean
    busy, queries = per_s * service, per_s * assumptions.query.mean
    replicas, connections = square_root_staffing(busy) / slots, square_root_staffing(queries)
    servers = servers_for(per_s, service, answer.targets[0], 0.95)
    by_erlang = f", Erlang C with that P95 {math.ceil(servers / slots)} replica(s)" if servers else ""
    return (
        f"Closed forms for the load: {plain(busy)} slots and {plain(queries)} connections are busy on average; square-root "
        f"staffing gives {math.ceil(replicas)} replica(s) and {math.ceil(connections)} connection(s){by_erlang}."
    )


CURVE = ("load", "requests/min", "P50", "P95", "95 % interval", "P99", "mean", "theory", "lost")


def curve_row(point: Point) -> tuple[str, ...]:
    """The cells of a load under ``CURVE``; times in ms."""
    measured = point.measured
    p95 = measured.p95
    return (
        f"{point.percent} %",
        f"{point.per_minute:,.0f}",
        _milliseconds(measured.p50),
        _milliseconds(p95),
        ""
        if p95 is None or p95.low is None or p95.high is None
        else between(1000 * p95.low, 1000 * p95.high, 4),
        _milliseconds(measured.p99),
        _milliseconds(measured.mean),
        "" if point.closed_form is None else plain(1000 * point.closed_form, 4),
        f"{plain(100 * measured.lost.mean)} %",
    )


def _milliseconds(found: Estimate | None) -> str:
    return "-" if found is None else plain(1000 * found.mean, 4)


def _print_curve(answer: Answer) -> None:
    print("Latency of one colour with all of the traffic and its spares down:")
    curve, (target, _) = answer.curve, answer.targets
    times = [point.measured.p95.mean for point in curve.points if point.measured.p95]
    low, high = min([*times, target]), max([*times, target])
    rows = []
    for point in curve.points:
        marks = [word for word, at in (("knee", curve.knee), ("targets hold", answer.carries)) if at is point]
        bar = _bar(point.measured.p95, low, high, target)
        rows.append((*curve_row(point), f"{bar}{', '.join(marks)}".rstrip()))
    last = len(CURVE)
    print("\n".join(table((*CURVE, "P95, log scale; ':' is the target"), rows, left=(0, last))))
    print(
        wrapped("Times in ms; theory: the mean by Allen and Cunneen; lost: requests that failed in the end.")
    )


def _bar(found: Estimate | None, low: float, high: float, target: float) -> str:
    """The P95 between the lowest and the highest, with the target in it."""
    if found is None or high <= low:
        return ""

    def place(seconds: float) -> int:
        return round((_BAR - 1) * math.log(seconds / low) / math.log(high / low))

    filled, mark = place(found.mean), place(target)
    return "".join(":" if k == mark else "#" if k <= filled else " " for k in range(_BAR)) + "  "


def hang_rows(hangs: Hangs) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table of pools and hangs."""
    heads = ["poolSize", *(f"{hang:g} s" for hang in next(iter(hangs.found.values()))), "none failed up to"]
    rows = [
        [f"{pool}", *(plain(found.failed.mean) for found in row.values()), f"{hangs.survived(pool):g} s"]
        for pool, row in hangs.found.items()
    ]
    return heads, rows


def _print_hangs(answer: Answer) -> None:
    print("\n".join(table(*hang_rows(answer.hangs), left=())))
    print(wrapped(hang_reasons(answer)))


def hang_reasons(answer: Answer) -> str:
    sizes = answer.sizes
    found = hang_limits(sizes.whole, sizes.assumptions.per_minute)
    return f"With {sizes.pool_size}: " + "; ".join(
        f"after {plain(seconds)} s {what}" for what, seconds in found.items()
    )


def assumptions(answer: Answer) -> list[tuple[str, str, str]]:
    """Name, value, and what it is; a trace has its own rate."""
    found = answer.sizes.assumptions
    shown = []
    for one in PARAMETERS:
        value = plain(found.values[one.name], 6)
        if isinstance(found.arrivals, Trace) and one.name in ("rate_per_minute", "variance_to_mean"):
            value = "trace"
        shown.append((one.name, value, f"{one.what} ({one.unit})"))
    return shown
