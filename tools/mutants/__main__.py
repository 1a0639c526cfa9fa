"""Draws mutants, tries them, prints the share that is killed, and writes docs/mutants.md.

python -m tools.mutants            400 by seed 378, on two processes
python -m tools.mutants --minutes 60 --processes 1    as many of the 400 as are tried in an hour
python -m tools.mutants --again    after tests were added: only those that docs/mutants.md says survive
"""

from __future__ import annotations

import argparse
import math
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tools.mutants import EXCLUDED, ROOMS
from tools.mutants.document import Run, Survivor, explained, render, result, survivors, tried
from tools.mutants.draw import Mutant, draw
from tools.mutants.trial import TESTS, TestsFail, Trials

CHECKOUT = Path(__file__).parents[2]
DOCUMENT = CHECKOUT / "docs" / "mutants.md"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True
    ).stdout


def _commit() -> str:
    changed = " with changes" if _git("status", "--porcelain", *ROOMS, *TESTS).strip() else ""
    return _git("rev-parse", "--short", "HEAD").strip() + changed


def _survivors(text: str, mutants: Sequence[Mutant]) -> list[Mutant]:
    """Those of a document, made of the same code.

    Raises:
        ValueError: the code has changed since; it names the rooms.
    """
    commit = re.search(r"^Commit (\w+),", text, re.MULTILINE)
    changed = _git("diff", "--name-only", commit[1] if commit else "HEAD", "--", *ROOMS).split()
    changed = [module for module in changed if not module.startswith(EXCLUDED)]
    if commit is None or changed:
        raise ValueError(f"{DOCUMENT.name} is not of this code; changed since: {', '.join(changed)}")
    known = {(each.module, each.before, each.after) for each in survivors(text)}
    return [each for each in mutants if (each.module, each.before, each.after) in known]


def _room(mutant: Mutant) -> str:
    return next(room for room in ROOMS if mutant.module.startswith(f"{room}/"))


def main() -> int:
    """Exit code: 0 when all were tried; 1 when the tests fail on the unchanged code; 2 bad input; 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutants", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--number", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=378)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin none after so many minutes")
    parser.add_argument("--again", action="store_true", help="only those that docs/mutants.md says survive")
    options = parser.parse_args()
    # Ended from outside, it ends what it runs, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    commit = _commit()
    earlier = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    number = tried(earlier) if options.again else options.number
    everything, places = draw(CHECKOUT, number, options.seed)
    try:
        mutants = _survivors(earlier, everything) if options.again else everything
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"seed {options.seed}: {len(everything)} mutants drawn from {places:,} places, {len(mutants)} to try; "
        "running the tests on the unchanged code",
        flush=True,
    )
    drawn: Counter[str] = Counter(dict.fromkeys(ROOMS, 0))
    killed: Counter[str] = Counter(dict.fromkeys(ROOMS, 0))
    alive: list[Survivor] = []
    for mutant in everything:
        if mutant not in mutants:  # an earlier run killed it
            drawn[_room(mutant)] += 1
            killed[_room(mutant)] += 1

    def summary() -> Run:
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        return Run(commit, date, options.seed, places, drawn, killed, options.number)

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        try:
            trials = Trials(CHECKOUT, Path(folder), options.processes)
            for count, (mutant, dead) in enumerate(trials.run(mutants, 60 * options.minutes), 1):
                drawn[_room(mutant)] += 1
                killed[_room(mutant)] += dead
                if not dead:
                    alive.append(Survivor(mutant.module, mutant.before, mutant.after))
                    print(
                        f"survives: {mutant.module}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}",
                        flush=True,
                    )
                if count % 20 == 0:
                    print(f"{count} of {len(mutants)} tried, {killed.total()} killed", flush=True)
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
    DOCUMENT.write_text(render(summary(), explained(alive, survivors(earlier))))
    print(
        f"{result(summary())}\n{trials.late} of them ran out of time\nwritten to {DOCUMENT.relative_to(CHECKOUT)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
