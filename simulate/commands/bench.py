"""``simulate bench``: how fast the simulator is here, beside its aims, and with ``--profile`` what bounds it."""

from __future__ import annotations

import json
from collections import Counter

from rich.console import Console
from rich.table import Table

from simulate.bench import AIMS, PER_MINUTE, bench, rehearsals, request_costs
from simulate.commands.errors import BadInput
from simulate.commands.progress import steps
from simulate.sampling import sampled
from simulate.studies.replication import measure

_PROFILED = 400  # rehearsals
_SHOWN = 12  # functions
_KERNEL = "simulate/dataplane/plane.py:_run"
# where a look fell -> part; the first that fits
_PARTS = (
    (_KERNEL, "data plane, compiled"),
    ("simulate/dataplane/", "data plane, what Python does for it"),
    ("rollout/", "policy"),
    ("simulate/controlplane/", "control plane"),
    ("simpy", "SimPy"),
    ("", "rows of results, the rest"),
)


def run(seed: int, repeats: int, *, profile: bool, as_json: bool) -> None:
    """Prints the table, or the five numbers. Raises :class:`BadInput` for a profile in JSON."""
    if profile and as_json:
        raise BadInput("--profile prints tables and --json five numbers: give one of them")
    told = steps()
    found = bench(seed=seed, repeats=repeats, progress=told)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    _show(found, seed, repeats)
    if profile:
        told("profile")
        _show_costs(request_costs(seed=seed, repeats=repeats))
        job = rehearsals(seed)
        _show_profile(sampled(lambda: measure(job, 0, _PROFILED)), found["rehearsals_per_s"])


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
    for place, looks in found.items():
        parts[next(part for begins, part in _PARTS if place.startswith(begins))] += looks
    table = Table("part", "share", "ms a rehearsal", title=f"what bounds a rehearsal: {total} looks")
    for column in table.columns[1:]:
        column.justify = "right"
    for part, looks in parts.most_common():
        table.add_row(
            part, f"{100 * looks / total:.1f} %", f"{1e3 * looks / total / per_s:.2f}", style="bold"
        )
    for place, looks in found.most_common(_SHOWN):
        table.add_row(f"  {place}", f"{100 * looks / total:.1f} %", f"{1e3 * looks / total / per_s:.2f}")
    Console().print(table)
