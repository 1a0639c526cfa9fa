"""Nights of the controller on a virtual clock, in a world that fails by seed, until the time is over or a night breaks an invariant.

python -m tools.soak --for 10m             new seeds each time; the first is printed
python -m tools.soak --seed 4711           one night again, with what was to happen in it
python -m tools.soak --seed 0 --for 1m --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, takewhile

from rollout.control.faulty.draw import draw_night
from rollout.control.faulty.night import play
from rollout.plan.units import seconds as read_duration

_MOST_BROKEN = 20  # nights after which it is clear that something is wrong


@dataclass(frozen=True, slots=True)
class Told:
    """What one night came to."""

    seed: int
    exit: str
    processes: int
    records: int
    faults: Counter[str]
    violations: tuple[str, ...]
    met: Counter[str] = field(default_factory=Counter)  # between machines, and after a promotion


@dataclass(slots=True)
class Sum:
    """What many came to."""

    began: float = field(default_factory=time.monotonic)
    nights: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    processes: int = 0
    records: int = 0
    broken: list[int] = field(default_factory=list)

    def add(self, told: Told) -> None:
        self.nights += 1
        self.exits[told.exit] += 1
        self.faults += told.faults
        self.met += told.met
        self.processes += told.processes
        self.records += told.records
        if told.violations:
            self.broken.append(told.seed)

    def to_lines(self) -> Iterator[str]:
        took = time.monotonic() - self.began
        exits = ", ".join(f"{number:,} {name}" for name, number in self.exits.most_common())
        yield f"{self.nights:,} nights in {took:.0f} s ({self.nights / max(took, 1e-9):.1f} a second): {exits}"
        yield (
            f"{self.records:,} records, {self.processes - self.nights:,} times a process died or left, "
            f"{self.faults.total():,} faults of {len(self.faults)} kinds"
        )
        if self.met:
            yield "; ".join(f"{name} ({number:,})" for name, number in sorted(self.met.items()))
        yield f"{len(self.broken)} nights broke an invariant" + (f": {self.broken}" if self.broken else "")


def tell(seed: int) -> Told:
    """Plays one night. An exception is a violation, too: no night may end in one."""
    try:
        played = play(seed)
    except Exception as error:  # noqa: BLE001 -- see above
        return Told(seed, "exception", 1, 0, Counter(), (f"{type(error).__name__}: {error}",))
    name = played.exit.name.lower().replace("_", " ") if played.exit is not None else "no end"
    violations = tuple(str(violation) for violation in played.violations)
    return Told(seed, name, played.processes, len(played.records), played.faults, violations, played.met)


def _print_broken(told: Told) -> None:
    print(f"seed {told.seed} ({told.exit}):")
    for violation in told.violations:
        print(f"  {violation}")
    print(f"  again: python -m tools.soak --seed {told.seed}", flush=True)


def soak(first: int, seconds: float, workers: int) -> Sum:
    """Plays nights from the seed ``first`` on."""
    total, deadline = Sum(), time.monotonic() + seconds
    seeds = takewhile(lambda seed: time.monotonic() < deadline, count(first))
    with multiprocessing.Pool(workers, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        # A few at a time: the pool would read all seeds in advance, and there is no last one.
        while block := list(islice(seeds, 4 * workers)):
            for told in pool.imap(tell, block):
                total.add(told)
                if told.violations:
                    _print_broken(told)
            if len(total.broken) >= _MOST_BROKEN:
                break
    return total


def one(seed: int) -> bool:
    """Plays one night and shows what was to happen in it. True when everything held."""
    print("\n".join(draw_night(seed).to_lines()))
    told = tell(seed)
    print(f"{told.exit} after {told.processes} processes and {told.records} records")
    for violation in told.violations:
        print(f"VIOLATION {violation}")
    return not told.violations


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 when everything held, 1 when a night broke an invariant, 2 bad input, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--for", dest="time", default="", metavar="TIME", help="such as 90s or 10m; without it one night"
    )
    parser.add_argument("--seed", type=int, help="the first night; drawn from the clock when left out")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time")
    options = parser.parse_args(arguments)
    seed = int(time.time()) if options.seed is None else options.seed
    if not options.time:
        return 0 if one(seed) else 1
    try:
        seconds = read_duration(options.time)
    except ValueError as error:
        parser.error(f"--for: {error}")
    if options.workers < 1:
        parser.error(f"--workers: {options.workers} is not at least 1")
    print(f"from seed {seed} on, for {options.time}", flush=True)
    try:
        total = soak(seed, seconds, options.workers)
    except KeyboardInterrupt:
        print("interrupted")
        return 130
    print("\n".join(total.to_lines()))
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
