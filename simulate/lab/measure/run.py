"""``simulate lab measure``: measurements that the simulator is compared with, in one file.

Three parts, each in a lab of its own: ``points`` of the data plane, stack ``updates``, and ``rollouts`` of releases with
faults. The file keeps the parts that are not measured anew.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from rollout.plan import plan_text
from simulate.lab.errors import bad_input
from simulate.lab.faults import FAULTS
from simulate.lab.lab import Lab, Progress
from simulate.lab.measure.machine import machine, versions
from simulate.lab.measure.points import POINTS, SHORT, Point
from simulate.lab.measure.sender import quantiles
from simulate.lab.rehearsal.bench import LAYERS, measured
from simulate.lab.rehearsal.release import FIRST_STABLE, Rig
from simulate.lab.rehearsal.run import WARM_UP_S, interrupted_by_signals, reporter
from simulate.lab.rehearsal.summary import ReleaseResult, summarize

LAB = "measure"
FORMAT = 1
TIME_SCALE = 10.0
PLAN = "phase-c"
UPDATES = 60
#: What releases are wrong with, and how often: the end of a metric period falls anywhere after the fault's begin, so one
#: single rollout shows little of its detection.
RELEASES: Mapping[str, int] = {
    "errors-5pct": 4,
    "slow-queries": 3,
    "failing-probe": 3,
    "targets-unreachable": 3,
}


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """``parts`` to measure, and of the data plane these ``points``; ``short``: few and short, to try the machinery."""

    out: Path
    parts: Sequence[str]
    points: Sequence[Point]
    short: bool = False

    @classmethod
    def checked(cls, out: Path, parts: Sequence[str], names: Sequence[str], *, short: bool) -> MeasureOptions:
        """Raises :class:`LabError` with exit code 2 before anything is touched."""
        if unknown := [part for part in parts if part not in PARTS]:
            raise bad_input(f"--part {unknown[0]}: not a part", f"use {', '.join(PARTS)}")
        if out.is_dir() or not out.parent.is_dir():
            raise bad_input(f"--out {out}: not a file in a directory", "give a file such as build/lab.json")
        if out.exists():
            _read(out)
        known = SHORT if short else POINTS
        for name in names:
            if not any(name in point.name for point in known):
                all_of_them = "; ".join(point.name for point in known)
                raise bad_input(
                    f"--point {name}: no point's name contains it", f"the points are: {all_of_them}"
                )
        if names and parts and "points" not in parts:
            raise bad_input("--point: the part 'points' is not measured", "leave out --part, or --point")
        points = tuple(p for p in known if not names or any(name in p.name for name in names))
        wanted = tuple(parts) or (("points",) if names else tuple(PARTS))
        return cls(out.resolve(), wanted, points, short)


def _read(out: Path) -> dict[str, Any]:
    """Reads an earlier measurement."""
    try:
        found: dict[str, Any] = json.loads(out.read_text())
        if found["format"] == FORMAT:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise bad_input(f"--out {out}: exists and is not a measurement of this version", "give a new file")


def measure(options: MeasureOptions, console: Console) -> int:
    """Measures and writes. Raises :class:`LabError`; parts that were finished before are kept."""
    report = reporter(console)
    for part in options.parts:
        found = _in_a_lab(part, options, report)
        document: dict[str, Any] = _read(options.out) if options.out.exists() else {"format": FORMAT}
        if part == "points":
            found["points"] = _merged(document.get(part, {}).get("points", []), found["points"])
        document |= {"machine": machine(), "versions": versions(), part: found}
        scratch = options.out.with_name(options.out.name + ".new")
        scratch.write_text(_text(document))
        os.replace(scratch, options.out)
        report(f"{part}: written to {options.out}")
    return 0


def _merged(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The points of an earlier measurement, those that were measured anew in the place of theirs."""
    by_name = {point["name"]: point for point in (*before, *now)}
    order = [point.name for point in POINTS]
    return sorted(
        by_name.values(), key=lambda point: order.index(point["name"]) if point["name"] in order else 0
    )


def _in_a_lab(part: str, options: MeasureOptions, report: Progress) -> dict[str, Any]:
    lab = Lab(LAB, time_scale=TIME_SCALE)
    report(f"{part}: starting a lab")
    with interrupted_by_signals():
        lab.start(attached=True)
        directory = lab.paths.root / "measure"
        try:
            (directory / "logs").mkdir(parents=True)
            found = PARTS[part](Rig.of(lab, directory, report), options)
        finally:
            lab.stop()
    return {"measured": time.strftime("%Y-%m-%d", time.gmtime()), "time_scale": TIME_SCALE, **found}


# --- the parts


def _points(rig: Rig, options: MeasureOptions) -> dict[str, Any]:
    rig.deploy_all()
    namespace = str(rig.stacks.outputs(FIRST_STABLE)["namespace"])
    replicas = int(rig.stacks.setting(FIRST_STABLE, "replicas"))
    found = []
    for point in options.points:
        rig.report(f"point '{point.name}': {point.rate:g}/s for {point.window_s:g} s")
        figures = _one_point(rig, namespace, point)
        rig.report(
            f"  p95 {figures['p95_s']:.3f} s, {figures['answered']} of {figures['sent']} answered,"
            f" processors {100 * figures['processors_busy']:.0f} % busy"
        )
        found.append(asdict(point) | figures)
    return {"replicas": replicas, "points": found}


def _one_point(rig: Rig, namespace: str, point: Point) -> dict[str, Any]:
    command = [sys.executable, "-m", "simulate.lab.measure.inside", namespace, json.dumps(asdict(point))]
    output, log = rig.directory / "logs" / "point.json", rig.directory / "logs" / "point.log"
    with output.open("w") as out, log.open("w") as errors:
        process = rig.lab.popen(command, output=out, errors=errors)
    rig.watch.wait(process, f"point '{point.name}'", log)
    figures: dict[str, Any] = json.loads(output.read_text())
    return figures


def _updates(rig: Rig, options: MeasureOptions) -> dict[str, Any]:
    for layer in LAYERS:
        rig.deploy(layer)
    updates = 10 if options.short else UPDATES
    rig.report(f"{updates} traffic updates")
    done = [
        line for line in measured("update", rig, updates, rig.directory / "logs") if line["kind"] == "update"
    ]
    return {
        name: _times([line[key] for line in done if increase in (None, line["increase"])])
        for name, key, increase in (
            ("stack_update_s", "total_s", None),
            ("increase_s", "total_s", True),
            ("decrease_s", "total_s", False),
            ("modify_rule_s", "modify_rule_s", None),
        )
    }


def _times(seconds: Sequence[float]) -> dict[str, Any]:
    return {"number": len(seconds), "quantiles": quantiles(seconds)} if seconds else {"number": 0}


def _rollouts(rig: Rig, options: MeasureOptions) -> dict[str, Any]:
    rig.plan = str(_short_plan(rig.directory / "plan.yaml"))
    rig.deploy_all()
    rig.clients.start()
    rig.report(f"load: {rig.clients.rate} requests per second")
    time.sleep(WARM_UP_S)
    results: list[ReleaseResult] = []
    wanted = {"failing-probe": 1} if options.short else RELEASES
    for name in (name for name, times in wanted.items() for _ in range(times)):
        number = len(results) + 1
        rig.report(f"release {number} onto {rig.candidate}, with the fault {name}")
        results.append(rig.perform(number, f"2.0.{number}", FAULTS[name]))
    rig.clients.stop()
    took = [effect.took for result in results for effect in result.account.stack_updates if effect.took]
    return {
        "plan": PLAN,
        "rate": rig.clients.rate,
        "replicas": int(rig.stacks.setting(FIRST_STABLE, "replicas")),
        "stack_update_s": _times(took),
        "load_average": round(os.getloadavg()[0], 2),
        "releases": [_release(result) for result in results],
    }


def _short_plan(path: Path) -> Path:
    """The plan as it is up to the first rollback; what comes after it is cut short, as nothing of it is compared."""
    document = yaml.safe_load(plan_text(PLAN)[0])
    document |= {"hold_timeout": "100s"}
    document["verification"] |= {"watch": "1m"}
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _release(result: ReleaseResult) -> dict[str, Any]:
    summary = summarize(result)
    kept = ("fault", "outcome", "fault_started_s", "first_breach_s", "decided_s", "traffic_moved_s")
    return {key: summary[key] for key in (*kept, "requests", "failed_requests")}


PARTS: Mapping[str, Callable[[Rig, MeasureOptions], dict[str, Any]]] = {
    "points": _points,
    "updates": _updates,
    "rollouts": _rollouts,
}


def _text(document: Mapping[str, Any]) -> str:
    """JSON in which a list of numbers is one line."""
    text = json.dumps(document, indent=1)
    return (
        re.sub(r"\[\s+(-?\d[^\[\]{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"
    )
