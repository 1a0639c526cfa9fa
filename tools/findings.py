"""Compares the tables of docs/findings.md with the commands that make them, or fills them in.

A table belongs to the sentence "Every row is `simulate rehearse ...`" (or `rollout plan ...`) before it; a row adds the options in its
first cell. The head of a column names its figure in the command's JSON: ``rolled back``, ``promoted``, ``held``, ``aborted``
(shares), or a figure or finding by the name that `simulate rehearse` prints (``failed requests``, ``detection, s``), each with its 95 %
interval; of `rollout plan --rate N`, ``rolled back at 0.2 %`` of a healthy release and ``missed at 2 %`` of a bad one.

python -m tools.findings                    compares all rows (about half an hour on two cores); exit 1 if one differs
python -m tools.findings --requests 300000  only rows whose rehearsals have at most so many requests a minute in all
python -m tools.findings --write pool       runs the rows of the sections whose heading holds the word, and writes them
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulate.studies.replication import wilson

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "findings.md"
_BASE = re.compile(r"Every row is `((?:simulate rehearse|rollout plan)[^`]*)`")
_ODDS = re.compile(r"(rolled back|missed) at ([\d.]+) %")
_OPTIONS = re.compile(r"`([^`]*)`")
_OUTCOMES = ("promoted", "held", "aborted")
_MANY = 1000  # from here on digits after the point mean nothing


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its line number, the heading it stands under, its command and what its columns are."""

    line: int
    section: str
    command: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[str, ...]

    @property
    def requests(self) -> float:
        """Replications times requests per minute: what the command costs."""
        return float(self._option("--replications", 1)) * float(self._option("--rate", 1000))

    def _option(self, name: str, default: float) -> str:
        return self.command[self.command.index(name) + 1] if name in self.command else str(default)


def rows(text: str) -> Iterator[Row]:
    """All rows of the document that a command makes."""
    section = ""
    base: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines()):
        if line.startswith("#"):
            section, base, head = line.strip("# "), (), ()
        elif found := _BASE.search(line):
            base, head = tuple(shlex.split(found[1])), ()
        elif base and line.startswith("|"):
            cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
            if not head:
                head = cells
            elif not cells[0].startswith("-"):
                options = _OPTIONS.search(cells[0])
                command = (*base, *shlex.split(options[1] if options else ""))
                yield Row(number, section, command, head[1:], cells[1:])
        elif head:
            base, head = (), ()


def run(command: tuple[str, ...]) -> dict[str, Any]:
    """The JSON that a command of this checkout prints. Raises ``CalledProcessError``."""
    program, *words = command
    start = f"import sys; from {program}.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", start, *words, "--json"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cells(columns: tuple[str, ...], found: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_cell(column, found) for column in columns)


def _cell(column: str, found: dict[str, Any]) -> str:
    if asked := _ODDS.fullmatch(column):
        kind, key = ("healthy", "taken_back") if asked[1] == "rolled back" else ("bad", "promoted")
        line = next(one for one in found["odds"][kind] if one["error_percent"] == float(asked[2]))
        return _share(line[key]["count"], found["odds"]["rollouts"])
    if column == "rolled back":
        return _share(found["rolled_back"]["count"], found["replications"])
    if column in _OUTCOMES:
        return _share(found["outcomes"][column], found["replications"])
    key = column.replace(", %", " percent").replace(", s", " s").replace(" ", "_")
    figure = found[key] if key in found else found["findings"].get(key)
    if figure is None:
        return "-"
    if figure["low"] is None or figure["low"] == figure["high"]:
        return _number(figure["mean"])
    return f"{_number(figure['mean'])} ({_number(figure['low'])} to {_number(figure['high'])})"


def _share(count: int, total: int) -> str:
    share = wilson(count, total)
    percent, low, high = (_number(100 * value) for value in (count / total, share.low, share.high))
    return f"{percent} % ({low} to {high})"


def _number(value: float) -> str:
    if abs(value) >= _MANY:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"


def _write(row: Row, fresh: tuple[str, ...]) -> None:
    """Into the document as it is now: somebody may have written a sentence meanwhile."""
    lines = DOCUMENT.read_text().splitlines()
    for now in rows("\n".join(lines)):
        if (now.section, now.command) == (row.section, row.command):
            first = lines[now.line].strip("| ").split(" |")[0]
            lines[now.line] = f"| {first} | {' | '.join(fresh)} |"
    DOCUMENT.write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare docs/findings.md with its commands.")
    parser.add_argument("--write", action="store_true", help="write the commands' numbers")
    parser.add_argument(
        "--requests", type=float, default=float("inf"), help="only rows of at most so many requests"
    )
    parser.add_argument("section", nargs="?", default="", help="only sections whose heading holds this")
    asked = parser.parse_args()
    wrong = 0
    for row in rows(DOCUMENT.read_text()):
        if asked.section not in row.section or row.requests > asked.requests:
            continue
        fresh = cells(row.columns, run(row.command))
        if fresh == row.cells:
            continue
        wrong += 1
        print(f"{DOCUMENT.name}:{row.line + 1}: {shlex.join(row.command)}\n  {' | '.join(fresh)}", flush=True)
        if asked.write:
            _write(row, fresh)
    return 1 if wrong and not asked.write else 0


if __name__ == "__main__":
    sys.exit(main())
