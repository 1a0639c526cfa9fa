"""Draws mutants by seed: cosmic-ray's operators, places in the code each as likely as another.

An addition has eleven mutants and a number two, so drawing among all mutants would mostly change operators. Here a place
is drawn first, then one of its mutants; no place is drawn twice.
"""

from __future__ import annotations

import random
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.mutants import EXCLUDED, ROOMS

# They need the names to put in.
_WITH_ARGUMENTS = {"core/VariableReplacer", "core/VariableInserter"}


@dataclass(frozen=True)
class Mutant:
    """One changed place. `module` is relative to the checkout, `line` counts from 1, `source` is the whole changed module;
    `before` and `after` are the changed line, `after` empty where it was removed.
    """

    module: str
    line: int
    before: str
    after: str
    source: str = field(repr=False)


@dataclass(frozen=True, order=True)
class _Place:
    module: str
    start: tuple[int, int]  # line and column
    end: tuple[int, int]


def modules(checkout: Path) -> list[str]:
    """The modules to change, relative to the checkout."""
    found = (str(path.relative_to(checkout)) for room in ROOMS for path in (checkout / room).rglob("*.py"))
    return sorted(module for module in found if not module.startswith(EXCLUDED))


def draw(checkout: Path, number: int, seed: int) -> tuple[list[Mutant], int]:
    """That many mutants, fewer if there are not as many places, and the number of places."""
    places: dict[_Place, list[tuple[str, int]]] = defaultdict(list)
    for module in modules(checkout):
        for place, operator, occurrence in _mutations(module, (checkout / module).read_text()):
            places[place].append((operator, occurrence))
    chance = random.Random(seed)
    mutants: list[Mutant] = []
    for place in chance.sample(sorted(places), len(places)):
        if len(mutants) == number:
            break
        mutant = _mutant(checkout, place, chance.sample(places[place], len(places[place])))
        if mutant is not None:
            mutants.append(mutant)
    return mutants, len(places)


def _mutations(module: str, source: str) -> Iterator[tuple[_Place, str, int]]:
    """Every change that an operator can make: where, the operator's name and how many of it come before."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    nodes = list(ast_nodes(get_ast(source)))
    annotations = {id(node) for node in nodes if _is_annotation(node)}
    for name in operator_names():
        if name in _WITH_ARGUMENTS or _mixes_identity(name):
            continue
        operator = get_operator(name)()
        found = [(node, start, end) for node in nodes for start, end in operator.mutation_positions(node)]
        for occurrence, (node, start, end) in enumerate(found):
            # In a signature `*` and `/` are no operators.
            if id(node) not in annotations and getattr(node.parent, "type", "") != "parameters":
                yield _Place(module, start, end), name, occurrence


def _mixes_identity(operator: str) -> bool:
    """`==` for `is` and the like: for None, enums and short strings no difference."""
    return len({name in {"Is", "IsNot"} for name in operator.split("_")[1:]}) > 1


def _is_annotation(node: Any) -> bool:
    """Whether a parso node is part of a type annotation: types are mypy's business, Python does not evaluate them."""
    while node.parent is not None:
        parent = node.parent
        if parent.type in {"annassign", "tfpdef"}:
            value = next((child for child in parent.children if getattr(child, "value", "") == "="), None)
            return value is None or node.start_pos < value.start_pos
        if parent.type in {"funcdef", "param"} and node is parent.annotation:
            return True
        node = parent
    return False


def _mutant(checkout: Path, place: _Place, mutations: Sequence[tuple[str, int]]) -> Mutant | None:
    """The first of the changes that is still Python."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    original = (checkout / place.module).read_text()
    for operator, occurrence in mutations:
        try:
            source = mutate_code(original, get_operator(operator)(), occurrence)
        except AttributeError:  # cosmic-ray's replacement of exceptions, for `except (a.B, C)`
            continue
        if source is None or not _compiles(source):
            continue
        line = place.start[0]
        before, after = original.splitlines(), source.splitlines()
        changed = after[line - 1] if len(before) == len(after) else ""
        return Mutant(place.module, line, before[line - 1].strip(), changed.strip(), source)
    return None


def _compiles(source: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True
