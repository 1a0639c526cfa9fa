"""``simulate adopt``: puts a plan that ``simulate tune`` proposed in place of the tuned plan that ships."""

from __future__ import annotations

import difflib
import math
import sys
from importlib.resources import files
from pathlib import Path

from rollout.plan import BUILT_IN, Plan, parse_plan
from simulate.commands.errors import BadInput, Failed
from simulate.commands.inputs import check_output, read_plan
from simulate.commands.output import wrapped, writing
from simulate.commands.table import table
from simulate.figures import between, plain
from simulate.studies.tune import Value, differences
from simulate.studies.tune.tuned_plan import FALSE_ROLLBACKS, NAME, read_header

PROPOSED = Path("build/tuned.yaml")
ADOPTED = Path(str(files("rollout"))) / "plans" / f"{NAME}.yaml"


def adopt(file: Path, *, yes: bool) -> None:
    """Prints how the plan differs from the one that ships, and after a question replaces that.

    Raises :class:`BadInput`, or :class:`Failed` if the figures in its header do not show that it is better than the guide's plan.
    """
    if str(file) in BUILT_IN:
        raise BadInput(
            f"FILE: '{file}' is a plan that ships: give the file that `simulate tune` wrote, such as {PROPOSED}"
        )
    if not file.exists():
        out = "" if file == PROPOSED else f" --out {file}"
        raise BadInput(f"{file} does not exist; `simulate tune{out}` writes it")
    plan = read_plan(str(file), "FILE")
    text = file.read_text()
    figures = read_header(text)
    if FALSE_ROLLBACKS not in figures:
        raise BadInput(f"{file} has no figures in its header to judge it by: take a file of `simulate tune`")
    if plan.name != NAME:
        raise BadInput(f"{file}: name is '{plan.name}': the plan to adopt must be named '{NAME}'")
    check_output("FILE", ADOPTED)
    before = ADOPTED.read_text()
    if text == before:
        print(f"{file} is the plan that ships: nothing to do.")
        return
    _print_comparison(plan, text, before)
    _check_gain(*figures[FALSE_ROLLBACKS])
    if not yes:
        _ask()
    with writing("FILE", ADOPTED):
        ADOPTED.write_text(text)
    print(f"\nAdopted: {ADOPTED}")


def _print_comparison(plan: Plan, text: str, before: str) -> None:
    ships = read_header(before)
    rows = [
        (name, _cell(mine), _cell(guide), _cell(ships[name][0]) if name in ships else "-")
        for name, (mine, guide) in read_header(text).items()
    ]
    print("Figures from the headers, with 95 % intervals; the plan that ships by its own tuning\n")
    print("\n".join(table(("", "proposed", "phase-c", "ships now"), rows)))
    print("\nHow the proposed plan differs from the one that ships")
    for line in differences(plan, parse_plan(before, str(ADOPTED))) or ["in nothing but its header"]:
        print(wrapped(f"  {line}", 4))
    changed = difflib.unified_diff(_rules(before), _rules(text), "ships now", "proposed", lineterm="", n=1)
    print("\n" + "\n".join(changed))


def _rules(text: str) -> list[str]:
    """The lines of a plan file without its comments."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def _cell(value: Value) -> str:
    return f"{plain(value.mean)}\n{between(value.low, value.high)}"


def _check_gain(mine: Value, guide: Value) -> None:
    """Raises :class:`Failed` unless the plan takes fewer good releases back, beyond what chance explains.

    The interval of the difference is made of theirs by the MOVER of Zou and Donner 2008. The nights have the same luck, which makes
    it wider than needed.
    """
    gain = guide.mean - mine.mean
    unsure = math.hypot(guide.mean - guide.low, mine.high - mine.mean)
    if gain <= unsure:
        raise Failed(
            f"not adopted: {plain(gain)} percentage points fewer false rollbacks than phase-c, give or take {plain(unsure)}: that can "
            "be chance. Tune with more --replications"
        )


def _ask() -> None:
    if not sys.stdin.isatty():
        raise BadInput("stdin is not a terminal; pass --yes to skip the question")
    if input("\nReplace the plan that ships? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Failed("not adopted: nothing was changed")
