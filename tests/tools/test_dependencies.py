"""What each room imports is what its part of the installation brings, and nothing is declared that no room imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
OURS = {"infra", "rollout", "simulate", "tools", "tests"}

# Folder -> the extras of whoever runs it; the longest folder that fits counts. What `pip install .` brings is always there.
NEEDS = {
    "rollout": [],
    "rollout/odds": ["simulate"],
    "infra": ["infra"],
    "infra/layers/traffic": [],
    "simulate": ["simulate"],
    "simulate/lab": ["lab"],
    "tools": ["all", "dev"],
    "tests": ["all", "dev"],
}
# Imported by nobody, needed all the same.
UNSEEN = {
    "ipykernel": "runs the notebooks",
    "import-linter": "a command",
    "mypy": "a command",
    "ruff": "a command",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "types-pyyaml": "types",
    "psycopg-binary": "psycopg's C library",
}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> set[str]:
    """The distributions of a list of requirements, those of our own extras included."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement).groups()  # type: ignore[union-attr]
        if name == PROJECT["project"]["name"]:
            found |= {each for extra in extras.split(",") for each in named(EXTRAS[extra])}
        else:
            found.add(canonical(name))
    return found


def brings(extras: list[str]) -> set[str]:
    groups = EXTRAS | PROJECT["dependency-groups"]
    lists = [PROJECT["project"]["dependencies"], *(groups[extra] for extra in extras)]
    return {name for requirements in lists for name in named(requirements)}


def extras_of(path: str) -> list[str]:
    room = max((room for room in NEEDS if path.startswith(f"{room}/")), key=len)
    return NEEDS[room]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@cache
def installed() -> dict[str, list[str]]:
    # `google` is a namespace of many.
    return {**packages_distributions(), "google": ["protobuf"]}


def distributions(top: str) -> set[str]:
    """Who brings a top-level package; one that is not installed is taken to be called as its package."""
    return {canonical(name) for name in installed().get(top, [top])}


def imports() -> Iterator[tuple[str, str]]:
    """Every module of ours with each foreign top-level package that it imports."""
    for room in sorted(OURS):
        for path in sorted((CHECKOUT / room).rglob("*.py")):
            tops = {name.split(".")[0] for name in imported(path)}
            for top in sorted(tops - OURS - sys.stdlib_module_names):
                yield str(path.relative_to(CHECKOUT)), top


def test_every_room_gets_what_it_imports() -> None:
    missing = [
        f"{path} imports {top}, which `pip install .{extras_of(path) or ''}` does not bring"
        for path, top in imports()
        if not distributions(top) & brings(extras_of(path))
    ]
    assert missing == []


def test_nothing_is_declared_that_no_room_imports() -> None:
    used = {name for _, top in imports() for name in distributions(top)}
    assert brings(["all", "dev"]) - used - set(UNSEEN) == set()


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_holds_what_its_own_rooms_import(extra: str) -> None:
    """What only the tests import does not belong into an extra."""
    used = {
        name
        for path, top in imports()
        if not path.startswith(("tests/", "tools/"))
        for name in distributions(top)
    }
    assert named(EXTRAS[extra]) - used - set(UNSEEN) == set()


def test_the_lock_has_every_dependency() -> None:
    locked = set(re.findall(r"^([\w.-]+)==", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE))
    assert brings(["all", "dev", "build"]) - locked == set()
