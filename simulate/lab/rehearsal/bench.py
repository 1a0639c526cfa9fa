"""``simulate lab bench``: how long a traffic update takes, beside a bare ModifyRule call in the same run; and undos under load."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rollout.journal.card import OTHER
from simulate.lab.errors import LabError
from simulate.lab.lab import Lab
from simulate.lab.rehearsal.release import ENVIRONMENT, Rig
from simulate.lab.rehearsal.run import interrupted_by_signals, reporter
from simulate.lab.rehearsal.stacks import last_words

LAB = "bench"
AIM_S = 3.0
#: The traffic stack needs the foundation, which needs the limits; the updates need no colours, the undos do.
LAYERS = ("limits", "", "traffic")
AFTER_S = 2.0  # a request that is sent so long after an undo is still counted with it
_PHASES = {
    "engine_s": "engine: start, lock, state",
    "language_host_s": "language host, started twice",
    "program_s": "program, until the provider is needed",
    "provider_start_s": "provider, its start",
    "provider_work_s": "provider: checks, refresh, ModifyRule",
    "engine_end_s": "engine: its end",
}


def bench(updates: int, undos: int, out: Path, console: Console) -> int:
    """Measures in a lab of its own and writes ``out``. ``undos`` may be 0. Raises :class:`LabError`."""
    lab = Lab(LAB, time_scale=10)
    report = reporter(console)
    logs = out.parent / "bench-logs"
    with interrupted_by_signals():
        lab.start(report, attached=True)
        try:
            rig = Rig.of(lab, logs.parent, report)
            for layer in LAYERS:
                rig.deploy(layer)
            report(f"measuring {updates} traffic updates")
            lines = measured("update", rig, updates, logs)
            figures = summarize(lines)
            if undos:
                figures["undos"] = undos_under_load(rig, undos, logs)
        finally:
            lab.stop()
    _write(out, figures)
    _show(figures, console)
    console.print(f"figures: {out}", soft_wrap=True)
    return 0


def measured(what: str, rig: Rig, number: int, logs: Path) -> list[dict[str, Any]]:
    """What ``bench_inside`` printed of so many updates or undos, line by line. Raises :class:`LabError` if it is not all of it."""
    logs.mkdir(parents=True, exist_ok=True)
    output, log = logs / f"{what}s.jsonl", logs / "bench.log"
    command = [sys.executable, "-m", "simulate.lab.rehearsal.bench_inside", what, ENVIRONMENT, str(number)]
    with output.open("w") as lines, log.open("w") as errors:
        process = rig.lab.popen(command, output=lines, errors=errors)
    rig.watch.wait(process, "the measurement", log)
    found = [json.loads(line) for line in output.read_text().splitlines()]
    if sum(line["kind"] == what for line in found) != number:
        raise LabError(f"the measurement is incomplete:\n{last_words(log)}", f"see {log}")
    return found


def undos_under_load(rig: Rig, number: int, logs: Path) -> dict[str, Any]:
    """Deploys both colours, sends requests, and undoes ``number`` promotions. Raises :class:`LabError`."""
    for layer in OTHER:
        rig.deploy(layer)
        rig.await_healthy(layer, int(rig.stacks.setting(layer, "replicas")))
    rig.clients.start()
    rig.report(f"measuring {number} undos under {rig.clients.rate} requests a second")
    lines = measured("undo", rig, number, logs)
    time.sleep(AFTER_S)
    rig.clients.stop()
    lost = [rig.clients.counted(line["began"], line["ended"] + AFTER_S) for line in lines]
    return summarize_undos(lines, [(counts.requests, counts.failed) for counts in lost])


def summarize_undos(lines: Sequence[Mapping[str, Any]], counted: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """By either way: how many, seconds until the load balancer followed, requests sent meanwhile and how many of them failed."""
    figures = {}
    for name, glass in (("stack_update", False), ("break_glass", True)):
        mine = [(line, c) for line, c in zip(lines, counted, strict=True) if line["break_glass"] is glass]
        figures[name] = {
            "undos": len(mine),
            "seconds": _figures([line for line, _ in mine], "took_s"),
            "requests": sum(requests for _, (requests, _) in mine),
            "failed": sum(failed for _, (_, failed) in mine),
        }
    return figures


def summarize(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``bench.json``: seconds from the decision until the weight was read back, and of the bare call."""
    done = [line for line in lines if line["kind"] == "update"]
    phases = next((line for line in lines if line["kind"] == "phases"), {})
    stack, bare = _figures(done, "total_s"), _figures(done, "modify_rule_s")
    return {
        "stack_update_s": stack,
        "modify_rule_s": bare,
        "ratio_of_medians": round(stack["median"] / bare["median"], 1),
        "updates": len(done),
        "increase_s": _figures([line for line in done if line["increase"]], "total_s"),
        "decrease_s": _figures([line for line in done if not line["increase"]], "total_s"),
        "read_back_s": _figures(done, "read_back_s"),
        "one_update_by_phase_s": {key: phases[key] for key in _PHASES if key in phases},
        "aim_s": AIM_S,
        "processors": os.cpu_count(),
    }


def _figures(lines: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    values = [float(line[key]) for line in lines]
    if not values:
        return {}
    return {"median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def _write(out: Path, figures: Mapping[str, Any]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_suffix(".json.new")
    scratch.write_text(json.dumps(figures, indent=2) + "\n")
    os.replace(scratch, out)


def _show(figures: Mapping[str, Any], console: Console) -> None:
    console.print(
        f"\n{figures['updates']} traffic updates, from the decision until the weight was read back:"
    )
    table = Table()
    table.add_column("")
    table.add_column("median", justify="right")
    table.add_column("worst", justify="right")
    rows = {
        "stack update": "stack_update_s",
        "  increases, previewed before": "increase_s",
        "  decreases, refreshed first": "decrease_s",
        "  of it, the read-back": "read_back_s",
        "bare ModifyRule": "modify_rule_s",
    }
    for name, key in rows.items():
        if figures[key]:
            table.add_row(name, *(f"{figures[key][figure]:.3f} s" for figure in ("median", "max")))
    table.add_row("ratio", f"{figures['ratio_of_medians']:g}", "")
    console.print(table)
    console.print("Where one more update's time went, from its engine's log:")
    where = Table()
    where.add_column("")
    where.add_column("seconds", justify="right")
    for key, name in _PHASES.items():
        if key in figures["one_update_by_phase_s"]:
            where.add_row(name, f"{figures['one_update_by_phase_s'][key]:.3f}")
    console.print(where)
    if "undos" in figures:
        _show_undos(figures["undos"], console)
    median = figures["stack_update_s"]["median"]
    verdict = "met" if median <= AIM_S else "[bold red]not met[/]"
    console.print(f"aim: {AIM_S:g} s or less; the median is {median:.2f} s: {verdict}")


def _show_undos(figures: Mapping[str, Any], console: Console) -> None:
    console.print("Undos of a promotion under load, from the command to the load balancer until it followed:")
    table = Table()
    for column in ("", "undos", "median", "worst", "requests meanwhile", "failed"):
        table.add_column(column, justify="right" if column else "left")
    for way, name in (("stack_update", "by stack update"), ("break_glass", "by break-glass")):
        found = figures[way]
        times = (
            [f"{found['seconds'][key]:.3f} s" for key in ("median", "max")] if found["undos"] else ["", ""]
        )
        table.add_row(name, str(found["undos"]), *times, f"{found['requests']:,}", f"{found['failed']:,}")
    console.print(table)
