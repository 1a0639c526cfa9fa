"""python -m tools.mutants [--number 400] [--seed 378] [--processes 2]: draws, tries, prints, and writes docs/mutants.md."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tools.mutants import ROOMS
from tools.mutants.document import Run, Survivor, explained, render, result, survivors
from tools.mutants.draw import Mutant, draw
from tools.mutants.trial import TestsFail, Trials

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs" / "mutants.md"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True
        ).stdout

    changed = " with changes" if git("status", "--porcelain", *ROOMS, "tests/rollout").strip() else ""
    return git("rev-parse", "--short", "HEAD").strip() + changed


def _room(mutant: Mutant) -> str:
    return next(room for room in ROOMS if mutant.module.startswith(f"{room}/"))


def main() -> int:
    """Exit code: 0 when all were tried; 1 when the tests fail on the unchanged code; 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--number", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=378)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    # Ended from outside, it ends what it runs, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    commit = _commit()
    mutants, places = draw(CHECKOUT, options.number, options.seed)
    print(
        f"seed {options.seed}: {len(mutants)} mutants drawn from {places:,} places; running the tests on the unchanged code",
        flush=True,
    )
    drawn: Counter[str] = Counter(dict.fromkeys(ROOMS, 0))
    killed: Counter[str] = Counter(dict.fromkeys(ROOMS, 0))
    alive: list[Survivor] = []

    def summary() -> Run:
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        return Run(commit, date, options.seed, places, drawn, killed)

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        try:
            for number, (mutant, dead) in enumerate(
                Trials(CHECKOUT, Path(folder), options.processes).run(mutants), 1
            ):
                drawn[_room(mutant)] += 1
                killed[_room(mutant)] += dead
                if not dead:
                    alive.append(Survivor(mutant.module, mutant.before, mutant.after))
                    print(
                        f"survives: {mutant.module}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}",
                        flush=True,
                    )
                if number % 20 == 0:
                    print(f"{number} of {len(mutants)} tried, {killed.total()} killed", flush=True)
        except TestsFail as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(
                f"\ninterrupted, docs/mutants.md stays as it was; so far:\n{result(summary())}"
                if drawn.total()
                else "\ninterrupted"
            )
            return 130
    alive.sort(key=lambda each: (each.module, each.before))
    earlier = survivors(DOCUMENT.read_text()) if DOCUMENT.exists() else []
    DOCUMENT.write_text(render(summary(), explained(alive, earlier)))
    print(f"{result(summary())}\nwritten to {DOCUMENT.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
