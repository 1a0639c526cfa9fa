"""What ``simulate validate`` found, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from simulate.commands.output import wrapped
from simulate.commands.table import table
from simulate.figures import between, plain
from simulate.studies.validation import Check, Line, Measurement


def print_checks(checks: Sequence[Check], seed: int) -> None:
    print(f"Known answers, seed {seed}")
    rows = [
        (
            check.name,
            plain(check.known, 5),
            plain(check.simulated, 5),
            between(check.low, check.high, 5),
            check.unit,
            "agrees" if check.passed else "FAILS",
        )
        for check in checks
    ]
    heads = ("what", "known", "simulated", "99.9 % interval", "unit", "verdict")
    print("\n".join(table(heads, rows, left=(0, 4, 5))))


def print_lab(lines: Sequence[Line], measurement: Measurement) -> None:
    """A block of rows for each load or fault."""
    machine = measurement.machine
    print("\n" + wrapped(f"The lab on {machine['processors']} processors ({machine['processor']})"))
    rows: list[tuple[str, ...]] = []
    where = ""
    for line in lines:
        if line.where != where:
            where = line.where
            rows.append((f"{where} (not judged)" if line.excused else where,))
        unit = f" {line.unit}" if line.absolute else " %"
        rows.append(
            (
                f"  {line.what}, {line.unit}",
                plain(line.predicted, 4),
                between(line.low, line.high, 4),
                plain(line.measured, 4),
                f"{line.error:+.1f}{unit}",
                f"{line.aim:g}{unit}",
                "" if line.excused else "agrees" if line.passed else "FAILS",
            )
        )
    heads = ("", "predicted", "95 % of runs", "measured", "error", "aim", "verdict")
    print("\n".join(table(heads, rows, left=(0, 6))))
    for reason in dict.fromkeys(
        f"{line.where}: not judged: {line.excused}" for line in lines if line.excused
    ):
        print(wrapped(reason, 2))
