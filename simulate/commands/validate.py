"""`simulate validate`: is the simulator right? Known answers, and measurements of the lab, beside its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from simulate.commands.errors import BadInput, Failed
from simulate.studies import validation
from simulate.studies.validation import BadMeasurement, Check, Line, Measurement


def validate(seed: int, lab: Path | None, *, as_json: bool) -> None:
    """Prints the tables. ``lab``: another measurement than the shipped one. Raises :class:`Failed` if a line fails."""
    log = Console(stderr=True)

    def progress(name: str) -> None:
        log.print(f"  {name}", highlight=False)

    measurement, lines = _compared(lab, seed, progress)
    checks = validation.validate(seed=seed, progress=progress)
    if as_json:
        typer.echo(json.dumps(_document(seed, checks, measurement, lines), indent=1))
    else:
        out = Console()
        out.print(_known_answers(checks, seed))
        _show_lab(lines, measurement, out)
    failed = [check.name for check in checks if not check.passed]
    failed += [f"{line.where}: {line.what}" for line in lines if not line.passed]
    if failed:
        raise Failed(f"{len(failed)} of {len(checks) + len(lines)} lines fail: {', '.join(failed)}")


def _compared(lab: Path | None, seed: int, progress: validation.Progress) -> tuple[Measurement, list[Line]]:
    """First, as a bad file must not cost the time of the rest."""
    try:
        measurement = validation.shipped() if lab is None else validation.read(lab)
        return measurement, validation.compare(measurement, seed=seed, progress=progress)
    except BadMeasurement as error:
        raise BadInput(f"--lab: {error}; make one with `simulate lab measure`") from None


def _document(
    seed: int, checks: Sequence[Check], measurement: Measurement, lines: Sequence[Line]
) -> dict[str, object]:
    compared = [asdict(line) | {"error": line.error, "passed": line.passed} for line in lines]
    about = {"machine": measurement.machine, "versions": measurement.versions}
    return {"seed": seed, "checks": [asdict(check) for check in checks], "lab": about | {"lines": compared}}


def _known_answers(checks: Sequence[Check], seed: int) -> Table:
    table = Table(
        "what", "known", "simulated", "99.9 % interval", "unit", "", title=f"known answers, seed {seed}"
    )
    for check in checks:
        interval = f"{check.low:.5g} to {check.high:.5g}"
        verdict = "agrees" if check.passed else "[red]FAILS[/red]"
        table.add_row(
            check.name, f"{check.known:.5g}", f"{check.simulated:.5g}", interval, check.unit, verdict
        )
    return table


def _show_lab(lines: Sequence[Line], measurement: Measurement, out: Console) -> None:
    """A block a point or fault; 80 columns."""
    machine = measurement.machine
    out.print(f"the lab on {machine['processors']} processors ({machine['processor']})", style="italic")
    out.print(_row("", "predicted", "95 % of runs", "measured", "error", "aim"))
    where = ""
    for line in lines:
        if line.where != where:
            where = line.where
            excused = f", not judged: {line.excused}" if line.excused else ""
            out.print(f"[bold]{where}[/bold]{excused}", highlight=False)
        unit = f" {line.unit}" if line.absolute else " %"
        row = _row(
            f"{line.what}, {line.unit}",
            f"{line.predicted:.4g}",
            f"{line.low:.4g} to {line.high:.4g}",
            f"{line.measured:.4g}",
            f"{line.error:+.1f}{unit}",
            f"{line.aim:g}{unit}",
        )
        verdict = "" if line.excused else "agrees" if line.passed else "[red]FAILS[/red]"
        out.print(f"{row} {verdict}".rstrip(), highlight=False)


def _row(what: str, predicted: str, runs: str, measured: str, error: str, aim: str) -> str:
    return f"  {what:15}{predicted:>9} {runs:>20} {measured:>8} {error:>8} {aim:>4}"
