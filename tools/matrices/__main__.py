"""Plays the tables of deaths and faults and some nights by seed, and writes docs/matrices.md; with --real those on real parts.

python -m tools.matrices --nights 200 --seed 0
python -m tools.matrices --real
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rollout.control.faulty.matrices import cells, deaths
from simulate.lab.rehearsal.matrices import (
    CRASHES,
    FAULTS,
    THROTTLED_S,
    Crash,
    Ended,
    FaultCell,
    Player,
    held,
    play,
    played_in,
)
from tools.matrices.document import apart, render, render_real
from tools.soak.__main__ import Sum, tell

CHECKOUT = Path(__file__).parents[2]
LAB = "matrices"
DOCUMENT = CHECKOUT / "docs" / "matrices.md"


def _commit() -> str:
    git = ["git", "-C", str(CHECKOUT)]
    commit = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    )
    changed = subprocess.run(
        [*git, "status", "--porcelain", "rollout"], check=True, capture_output=True, text=True
    )
    return commit.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 when everything held, 1 when something did not; the document says what."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.matrices", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first night")
    parser.add_argument("--real", action="store_true", help="in a lab, which takes about 20 minutes")
    options = parser.parse_args(arguments)
    return _real() if options.real else _fakes(options)


def _real() -> int:
    with played_in(LAB, CHECKOUT / "build" / "matrices", lambda line: print(line, flush=True)) as player:
        crashes = [(crash, _played(player, crash)) for crash in CRASHES]
        faults = [(fault, _played(player, fault)) for fault in FAULTS]
    fakes, _ = apart(DOCUMENT.read_text())
    DOCUMENT.write_text(fakes + render_real(_commit(), _today(), crashes, faults, THROTTLED_S))
    good = all(held(cell, ended) for cell, ended in crashes) and all(
        held(cell, ended) for cell, ended in faults
    )
    return 0 if good else 1


def _played(player: Player, cell: Crash | FaultCell) -> Ended:
    name = cell.at if isinstance(cell, Crash) else f"{cell.fault}, {cell.action}"
    ended = play(player, cell)
    print(f"{name}: {ended.words}{'' if held(cell, ended) else ', NOT AS IT SHOULD'}", flush=True)
    return ended


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _fakes(options: argparse.Namespace) -> int:
    found = list(cells())
    for each in found:
        print(f"{each.fault}, {each.action}: {each.words}", flush=True)
    rows = list(deaths())
    for row in rows:
        print(f"{row.rollout}, {row.record}: {row.kills} kills, {len(row.broken)} broken", flush=True)
    total = Sum()
    for seed in range(options.seed, options.seed + options.nights):
        total.add(tell(seed))
    nights = [f"from seed {options.seed} on", *total.to_lines()]
    print("\n".join(nights))
    _, real = apart(DOCUMENT.read_text())
    DOCUMENT.write_text(render(_commit(), _today(), rows, found, nights) + real)
    good = all(cell.way and cell.told for cell in found) and not any(row.broken for row in rows)
    return 0 if good and not total.broken else 1


if __name__ == "__main__":
    sys.exit(main())
