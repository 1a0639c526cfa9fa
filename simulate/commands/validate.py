"""``simulate validate``: the simulator beside known answers and beside measurements of the lab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from simulate.commands.errors import BadInput, Failed
from simulate.commands.output import print_json
from simulate.commands.progress import compiled, steps
from simulate.commands.validate_text import print_checks, print_lab
from simulate.studies import validation
from simulate.studies.validation import BadMeasurement, Check, Line, Measurement


def validate(seed: int, lab: Path | None, *, as_json: bool) -> None:
    """Prints the tables. ``lab``: another measurement than the shipped one. Raises :class:`Failed` if a line fails."""
    progress = steps()
    compiled()
    measurement, lines = _compared(lab, seed, progress)
    checks = validation.validate(seed=seed, progress=progress)
    if as_json:
        print_json(_document(seed, checks, measurement, lines))
    else:
        print_checks(checks, seed)
        print_lab(lines, measurement)
    failed = [check.name for check in checks if not check.passed]
    failed += [f"{line.where}: {line.what}" for line in lines if not line.passed]
    if failed:
        raise Failed(f"{len(failed)} of {len(checks) + len(lines)} lines fail: {', '.join(failed)}")


def _compared(lab: Path | None, seed: int, progress: validation.Progress) -> tuple[Measurement, list[Line]]:
    """Runs first, so that a bad file is reported before the rest takes its time."""
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
