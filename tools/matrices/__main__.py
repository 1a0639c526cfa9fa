"""Plays the tables of deaths and faults and some nights by seed, and writes docs/matrices.md.

python -m tools.matrices --nights 200 --seed 0
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rollout.control.faulty.matrices import cells, deaths
from tools.matrices.document import render
from tools.soak.__main__ import Sum, tell

CHECKOUT = Path(__file__).parents[2]
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
    options = parser.parse_args(arguments)
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
    DOCUMENT.write_text(render(_commit(), f"{datetime.now(UTC):%Y-%m-%d}", rows, found, nights))
    good = all(cell.way and cell.told for cell in found) and not any(row.broken for row in rows)
    return 0 if good and not total.broken else 1


if __name__ == "__main__":
    sys.exit(main())
