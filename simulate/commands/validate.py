"""`simulate validate`: is the simulator right? A table of known answers beside its own."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from simulate import validation
from simulate.commands.errors import Failed


def validate(seed: int, *, as_json: bool) -> None:
    """Prints the table. Raises :class:`Failed` if a line fails."""
    log = Console(stderr=True)
    checks = validation.validate(seed=seed, progress=lambda name: log.print(f"  {name}", highlight=False))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        table = Table("what", "known", "simulated", "99.9 % interval", "unit", "", title=f"seed {seed}")
        for check in checks:
            interval = f"{check.low:.5g} to {check.high:.5g}"
            verdict = "agrees" if check.passed else "[red]FAILS[/red]"
            table.add_row(
                check.name, f"{check.known:.5g}", f"{check.simulated:.5g}", interval, check.unit, verdict
            )
        Console().print(table)
    if failed := [check.name for check in checks if not check.passed]:
        raise Failed(f"{len(failed)} of {len(checks)} lines fail: {', '.join(failed)}")
