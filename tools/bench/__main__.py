"""``python -m tools.bench``: speeds of the simulator beside their aims; ``--profile`` adds what bounds them.

The first run compiles the simulator. Other work on the machine slows the Python parts a little, even in processor time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from simulate.studies.replication import measure
from tools.bench.measure import AIMS, PER_MINUTE, bench, rehearsals, request_costs
from tools.bench.sampling import sampled

_PROFILED = 400  # rehearsals
_SHOWN = 12  # functions
_KERNEL = "simulate/dataplane/plane.py:_run"
# where a sample fell -> part; the first that matches
_PARTS = (
    (_KERNEL, "data plane, compiled"),
    ("simulate/dataplane/", "data plane, Python around it"),
    ("rollout/", "policy"),
    ("simulate/controlplane/", "control plane"),
    ("simpy", "SimPy"),
    ("", "rows of results, the rest"),
)


def main(words: Sequence[str] | None = None) -> None:
    """Prints the tables, or with ``--json`` the five numbers."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench", description="Measure the simulator's speed."
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=_positive, default=5, help="report the best of so many runs (5)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--profile", action="store_true", help="also show where the time goes")
    output.add_argument("--json", action="store_true", help="print the five speeds as one JSON object")
    given = parser.parse_args(words)

    def progress(what: str) -> None:
        if sys.stderr.isatty():
            print(f"  {what}", file=sys.stderr)

    found = bench(seed=given.seed, repeats=given.repeats, progress=progress)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    _show(found, given.seed, given.repeats)
    if given.profile:
        progress("profile")
        _show_costs(request_costs(seed=given.seed, repeats=given.repeats))
        job = rehearsals(given.seed)
        _show_profile(sampled(lambda: measure(job, 0, _PROFILED)), found["rehearsals_per_s"])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _show(found: dict[str, float], seed: int, repeats: int) -> None:
    kernel, bare = found["kernel_requests_per_s"], found["bare_recursion_requests_per_s"]
    table = Table(
        "what",
        "speed",
        "aim",
        "of the aim",
        title=f"one core, processor time, best of {repeats}, seed {seed}",
    )
    for column in table.columns[1:]:
        column.justify = "right"

    def row(what: str, speed: str, name: str, aim: str) -> None:
        table.add_row(what, speed, aim, f"{found[name] / AIMS[name]:.2f}")

    row(
        "full rehearsals, 1,000/min",
        f"{found['rehearsals_per_s']:.0f}/s",
        "rehearsals_per_s",
        f"{AIMS['rehearsals_per_s']:.0f}/s",
    )
    row(
        f"kernel, {PER_MINUTE:,.0f}/min",
        f"{kernel / 1e6:.2f} M requests/s",
        "kernel_requests_per_s",
        f"{AIMS['kernel_requests_per_s'] / 1e6:.0f} M/s",
    )
    table.add_row("oracle, same model", f"{found['oracle_requests_per_s'] / 1e3:.1f} k requests/s", "", "")
    row("kernel / oracle", f"{found['ratio']:.0f} times", "ratio", f"{AIMS['ratio']:.0f} times")
    table.add_row("bare recursion, M/M/50", f"{bare / 1e6:.1f} M requests/s", "", "")
    table.add_row("bare recursion / kernel", f"{bare / kernel:.1f} times", "", "")
    Console().print(table)


def _show_costs(costs: dict[str, float]) -> None:
    table = Table("a request in the kernel", "ns", title=f"what bounds the kernel, at {PER_MINUTE:,.0f}/min")
    table.columns[1].justify = "right"
    for name, ns in costs.items():
        table.add_row(name, f"{ns:.0f}")
    Console().print(table)


def _show_profile(found: Counter[str], per_s: float) -> None:
    total = found.total()
    parts: Counter[str] = Counter()
    for place, samples in found.items():
        parts[next(part for begins, part in _PARTS if place.startswith(begins))] += samples
    table = Table("part", "share", "ms a rehearsal", title=f"what bounds a rehearsal: {total} samples")
    for column in table.columns[1:]:
        column.justify = "right"
    for part, samples in parts.most_common():
        table.add_row(
            part, f"{100 * samples / total:.1f} %", f"{1e3 * samples / total / per_s:.2f}", style="bold"
        )
    for place, samples in found.most_common(_SHOWN):
        table.add_row(f"  {place}", f"{100 * samples / total:.1f} %", f"{1e3 * samples / total / per_s:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
