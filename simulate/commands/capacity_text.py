"""The answer of ``simulate capacity`` in words: sizes with their reasons, the latency curve, hangs, what was assumed."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

from simulate.dataplane import Trace
from simulate.studies.capacity import PARAMETERS, Curve, Hangs, Runner, Sizes
from simulate.studies.capacity.assumptions import MINUTES
from simulate.studies.capacity.closed_forms import hang_limits, servers_for, square_root_staffing
from simulate.studies.capacity.curve import Point
from simulate.studies.capacity.sizes import COLOURS, SMALLEST_LIMIT, SMALLEST_POOL, SUPERUSERS, Size, said, up
from simulate.studies.replication import Estimate

_BAR = 24  # characters
_WIDE = 110


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
    print(head(answer) + "\n")
    for line in lines(answer):
        begin = f"{line.key:22}{line.value:>10,}   "
        print(textwrap.fill(line.why, _WIDE, initial_indent=begin, subsequent_indent=" " * len(begin)))
    print()
    for sentence in [*bounds(answer), theory(answer)]:
        print(textwrap.fill(sentence, _WIDE))
    print("\nLatency of one colour with all of the traffic and its spares down:")
    print_curve(answer)
    print("\nFailed requests by how long all queries hang, nothing being down (mean of the runs):")
    print_hangs(answer)
    print("\nAssumed (--set):")
    for name, value, what in assumptions(answer):
        print(f"  {name:20}{value:>10}  {what}")


def head(answer: Answer) -> str:
    sizes, runner = answer.sizes, answer.runner
    values = sizes.assumptions.values
    return (
        f"For {sizes.assumptions.per_minute:,.0f} requests/min each colour alone carries all of them{_down(sizes)}:\n"
        f"P95 < {values['p95_ms']:g} ms and less than {values['losses_percent']:g} % lost, with the upper ends of 95 % "
        f"intervals (seed {runner.seed}, {runner.replications} runs of {MINUTES} min)."
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


def lines(answer: Answer) -> list[Line]:
    """The four sizes."""
    sizes = answer.sizes
    values, load, limit = sizes.assumptions.values, sizes.for_load, sizes.limit
    share = values["busiest_percent"]
    mean = sizes.assumptions.per_minute * share / 100
    carry = f"{load.needed} carry the load" if load.needed > 1 else "1 carries the load"
    limited = f"{100 * limit.measured.limited.mean:.2g} % of its requests are answered 429"
    if limit.fewer:
        limited += f", {100 * limit.fewer.limited.mean:.2g} % with one less"
    if limit.needed == SMALLEST_LIMIT:
        limited += f"; {SMALLEST_LIMIT} is AWS WAF's least"
    return [
        Line(
            "replicas",
            sizes.replicas,
            f"of each colour: {carry} ({said(load.measured)}), {sizes.spare} may be down{_fewer(load)}",
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
            f"requests a minute and address: the busiest sends {many(mean)} in the mean ({share:g} %); {limited}",
        ),
    ]


def _fewer(size: Size) -> str:
    if size.fewer:
        return f"; with one fewer {said(size.fewer)}"
    return "; with one fewer they would be busy all the time" if size.needed > 1 else ""


def _pool(sizes: Sizes) -> str:
    load, hang = sizes.pool_for_load, sizes.pool_for_hang
    text = f"the load takes {load.needed} ({said(load.measured)}{_fewer(load)})"
    if hang:
        text += f", a hang of {sizes.assumptions.values['hang_s']:g} s without a failed request takes {hang.needed}"
        if hang.fewer:
            text += f" (with one fewer {hang.fewer.failed.mean:.3g} fail)"
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
        f"Your load is {100 * rate / curve.capacity:.3g} % of the first; {held}; {knee}.",
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
        f"Closed forms for the load: {busy:.3g} slots and {queries:.3g} connections are busy in the mean; square-root "
        f"staffing gives {math.ceil(replicas)} replica(s) and {math.ceil(connections)} connection(s){by_erlang}."
    )


def print_curve(answer: Answer) -> None:
    curve, (target, _) = answer.curve, answer.targets
    carried = answer.carries
    times = [point.measured.p95.mean for point in curve.points if point.measured.p95]
    low, high = min([*times, target]), max([*times, target])
    print(
        f"{'load':>6}{'requests/min':>14}{'P50':>8}{'P95':>8}{'95 % interval':>17}{'P99':>8}{'mean':>8}{'theory':>8}"
        f"{'lost':>9}  P95, logarithmic; ':' is the target"
    )
    for point in curve.points:
        measured = point.measured
        marks = [word for word, at in (("knee", curve.knee), ("targets hold", carried)) if at is point]
        print(
            f"{point.percent:>4} %{point.per_minute:>14,.0f}{milliseconds(measured.p50):>8}{milliseconds(measured.p95):>8}"
            f"{between(measured.p95):>17}{milliseconds(measured.p99):>8}{milliseconds(measured.mean):>8}"
            f"{'' if point.closed_form is None else f'{1000 * point.closed_form:.4g}':>8}"
            f"{100 * measured.lost.mean:>7.3g} %  {_bar(measured.p95, low, high, target)}{', '.join(marks)}".rstrip()
        )
    print("times in ms; theory: the mean by Allen and Cunneen; lost: requests that failed in the end")


def milliseconds(found: Estimate | None) -> str:
    return "-" if found is None else f"{1000 * found.mean:.4g}"


def between(found: Estimate | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    return f"{1000 * found.low:.4g}..{1000 * found.high:.4g}"


def _bar(found: Estimate | None, low: float, high: float, target: float) -> str:
    """The P95 between the lowest and the highest, with the target in it."""
    if found is None or high <= low:
        return ""

    def place(seconds: float) -> int:
        return round((_BAR - 1) * math.log(seconds / low) / math.log(high / low))

    filled, mark = place(found.mean), place(target)
    return "".join(":" if k == mark else "#" if k <= filled else " " for k in range(_BAR)) + "  "


def print_hangs(answer: Answer) -> None:
    hangs = answer.hangs
    columns = [*next(iter(hangs.found.values()))]
    print(
        f"{'poolSize':>10}"
        + "".join(f"{f'{hang:g} s':>10}" for hang in columns)
        + "   no failure in any run up to"
    )
    for pool, row in hangs.found.items():
        cells = "".join(f"{many(found.failed.mean):>10}" for found in row.values())
        print(f"{pool:>10}{cells}   {hangs.survived(pool):g} s")
    print(hang_reasons(answer))


def many(mean: float) -> str:
    """A mean of counts: small ones with their fraction."""
    return f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}"  # noqa: PLR2004


def hang_reasons(answer: Answer) -> str:
    sizes = answer.sizes
    found = hang_limits(sizes.whole, sizes.assumptions.per_minute)
    return f"with {sizes.pool_size}: " + "; ".join(
        f"after {seconds:.3g} s {what}" for what, seconds in found.items()
    )


def assumptions(answer: Answer) -> list[tuple[str, str, str]]:
    """Name, value, and what it is; a trace has its own rate."""
    found = answer.sizes.assumptions
    shown = []
    for one in PARAMETERS:
        value = f"{found.values[one.name]:g}"
        if isinstance(found.arrivals, Trace) and one.name in ("rate_per_minute", "variance_to_mean"):
            value = "trace"
        shown.append((one.name, value, f"{one.what} ({one.unit})"))
    return shown
