"""docs/mutants.md: the result of the last run, with a person's explanation beside each survivor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_HEAD = """\
# Mutants

`make mutants` draws places in the code by seed, changes one at a time (`<` to `<=`, 3 to 4, `and` to `or`) and runs the quick tests
of these rooms, `explore`, `terminal` and the session that execute it. A mutant on which a test fails is killed. One that survives is a defect that the tests would
not notice, or a change that makes no difference; the last column says which, and is written by hand: a later run keeps
it where the change is the same. Decision 81 has the tool and how it draws.
"""
_RESULT = "Commit {commit}, {date}, seed {seed}: {killed} of {drawn} killed, {share} (95 % interval {low} to {high}); {places} places in all."
_CELL = re.compile(r"(?<!\\)\|")
UNEXPLAINED = "not explained yet"


@dataclass(frozen=True)
class Run:
    """`drawn` and `killed` are numbers of mutants by room."""

    commit: str
    date: str
    seed: int
    places: int
    drawn: Mapping[str, int]
    killed: Mapping[str, int]
    asked: int = 0  # to be drawn, when the time was over before


@dataclass(frozen=True)
class Survivor:
    module: str
    before: str
    after: str
    why: str = UNEXPLAINED


def share(killed: int, drawn: int) -> tuple[str, str, str]:
    """Percent with both ends of Wilson's 95 % interval."""
    from scipy.stats import binomtest

    interval = binomtest(killed, drawn).proportion_ci(method="wilson")
    percent, low, high = (f"{100 * value:.1f} %" for value in (killed / drawn, interval.low, interval.high))
    return percent, low, high


def result(run: Run) -> str:
    killed, drawn = sum(run.killed.values()), sum(run.drawn.values())
    percent, low, high = share(killed, drawn)
    text = _RESULT.format(
        commit=run.commit,
        date=run.date,
        seed=run.seed,
        places=f"{run.places:,}",
        killed=killed,
        drawn=drawn,
        share=percent,
        low=low,
        high=high,
    )
    if drawn < run.asked:
        text += f" These are the first {drawn} of the {run.asked} that are drawn: time was up."
    return text


def tried(text: str) -> int:
    """How many mutants the document is about."""
    found = re.search(r" of (\d+) killed", text)
    return int(found[1]) if found else 0


def counts(text: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many were drawn and killed, by room."""
    rows = re.findall(r"^\| (rollout/\w+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    return {room: int(drawn) for room, drawn, _ in rows}, {room: int(killed) for room, _, killed in rows}


def render(run: Run, survivors: Sequence[Survivor]) -> str:
    lines = [_HEAD, result(run), "", "| room | drawn | killed |", "|---|---|---|"]
    lines += [f"| {room} | {run.drawn[room]} | {run.killed[room]} |" for room in run.drawn]
    lines += ["", "## Survivors", "", "| module | line | changed to | why it survives |", "|---|---|---|---|"]
    lines += [_row(each) for each in survivors] or ["| none | | | |"]
    return "\n".join(lines) + "\n"


def _row(survivor: Survivor) -> str:
    before, after = (_code(line) for line in (survivor.before, survivor.after))
    return f"| {survivor.module} | {before} | {after} | {survivor.why} |"


def _code(line: str) -> str:
    return f"`` {line.replace('|', chr(92) + '|')} ``" if line else "removed"


def survivors(text: str) -> list[Survivor]:
    """The rows of the document."""
    found = []
    for line in text.partition("## Survivors")[2].splitlines():
        cells = [cell.strip() for cell in _CELL.split(line)[1:-1]]
        if cells and cells[0].endswith(".py"):
            module, before, after, why = cells
            found.append(Survivor(module, _line(before), _line(after), why))
    return found


def _line(cell: str) -> str:
    return "" if cell == "removed" else cell.strip("` ").replace("\\|", "|")


def explained(found: Sequence[Survivor], earlier: Sequence[Survivor]) -> list[Survivor]:
    """The survivors found, with the explanations that they had."""
    known = {(each.module, each.before, each.after): each.why for each in earlier}
    return [
        Survivor(
            each.module, each.before, each.after, known.get((each.module, each.before, each.after), each.why)
        )
        for each in found
    ]
