"""Draws mutants, tries them, prints the share that is killed, and writes docs/mutants.md.

python -m tools.mutants            400 by seed 378, on two processes
python -m tools.mutants --minutes 60 --budget 20    as many of the 400 as are tried in an hour, each with 20 s of tests at most
python -m tools.mutants --more     goes on after those of docs/mutants.md
python -m tools.mutants --again    after tests were added, or with all tests: only those that docs/mutants.md says survive
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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tools.mutants import EXCLUDED, ROOMS
from tools.mutants.document import Run, Survivor, counts, explained, render, result, survivors, tried
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
    """Those of a document, made of the same code."""
    known = {(each.module, each.before, each.after) for each in survivors(text)}
    return [each for each in mutants if (each.module, each.before, each.after) in known]


def _check(text: str) -> None:
    """Raises ValueError when the code has changed since the document's commit; it names the modules."""
    commit = re.search(r"^Commit (\w+),", text, re.MULTILINE)
    changed = _git("diff", "--name-only", commit[1] if commit else "HEAD", "--", *ROOMS).split()
    changed = [module for module in changed if not module.startswith(EXCLUDED)]
    if commit is None or changed:
        raise ValueError(f"{DOCUMENT.name} is not of this code; changed since: {', '.join(changed)}")


def _room(mutant: Mutant) -> str:
    return next(room for room in ROOMS if mutant.module.startswith(f"{room}/"))


@dataclass
class Tally:
    """What came of the mutants that were tried, by room."""

    drawn: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ROOMS, 0)))
    killed: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ROOMS, 0)))
    alive: list[Survivor] = field(default_factory=list)

    def add(self, mutant: Mutant, *, dead: bool) -> None:
        self.drawn[_room(mutant)] += 1
        self.killed[_room(mutant)] += dead
        if not dead:
            self.alive.append(Survivor(mutant.module, mutant.before, mutant.after))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutants", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--number", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=378)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin none after so many minutes")
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds of tests for a mutant")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--more", action="store_true", help="go on after those of docs/mutants.md")
    which.add_argument("--again", action="store_true", help="only those that docs/mutants.md says survive")
    return parser.parse_args()


def _to_try(
    everything: Sequence[Mutant], text: str, options: argparse.Namespace
) -> tuple[Sequence[Mutant], Tally]:
    """The mutants to try, and what the document says of the others. Raises ValueError, see :func:`_check`."""
    tally = Tally()
    if not (options.again or options.more):
        return everything, tally
    _check(text)
    if options.more:
        drawn, killed = counts(text)
        return everything[tried(text) :], Tally(Counter(drawn), Counter(killed), survivors(text))
    mutants = _survivors(text, everything[: tried(text)])
    for mutant in everything[: tried(text)]:
        if mutant not in mutants:  # an earlier run killed it
            tally.add(mutant, dead=True)
    return mutants, tally


def _try(trials: Trials, mutants: Sequence[Mutant], minutes: float, tally: Tally) -> None:
    """Tries mutants and says what survives."""
    for count, (mutant, dead) in enumerate(trials.run(mutants, 60 * minutes), 1):
        tally.add(mutant, dead=dead)
        if not dead:
            print(
                f"survives: {mutant.module}:{mutant.line}\n  - {mutant.before}\n  + {mutant.after}",
                flush=True,
            )
        if count % 20 == 0:
            print(f"{count} of {len(mutants)} tried, {tally.killed.total()} killed", flush=True)


def main() -> int:
    """Exit code: 0 when all were tried; 1 when the tests fail on the unchanged code; 2 bad input; 130 interrupted."""
    options = _options()
    # Ended from outside, it ends what it runs, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    commit = _commit()
    earlier = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    everything, places = draw(CHECKOUT, options.number, options.seed)
    try:
        mutants, tally = _to_try(everything, earlier, options)
    except ValueError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    print(
        f"seed {options.seed}: {len(everything)} mutants drawn from {places:,} places, {len(mutants)} to try; "
        "running the tests on the unchanged code",
        flush=True,
    )

    def summary() -> Run:
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        return Run(commit, date, options.seed, places, tally.drawn, tally.killed, options.number)

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        try:
            trials = Trials(CHECKOUT, Path(folder), options.processes, options.budget)
            _try(trials, mutants, options.minutes, tally)
        except TestsFail as error:
            print(f"mutants: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            so_far = (
                f"docs/mutants.md stays as it was; so far:\n{result(summary())}"
                if tally.drawn.total()
                else ""
            )
            print(f"\ninterrupted{so_far and ', '}{so_far}")
            return 130
    alive = explained(sorted(tally.alive, key=lambda each: (each.module, each.before)), survivors(earlier))
    DOCUMENT.write_text(render(summary(), alive))
    print(
        f"{result(summary())}\n{trials.late} of them ran out of time\nwritten to {DOCUMENT.relative_to(CHECKOUT)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
