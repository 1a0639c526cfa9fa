"""docs/guide-map.md names only what exists: files, names in them, tests, faults, make's targets and our commands."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import rollout.cli
from simulate.lab.faults import FAULTS
from tests.simulate.lab.rehearsal.test_rehearsal_faults import MUST_SHOW

CHECKOUT = Path(__file__).parents[1]
ROOMS = ("docs", "infra", "rollout", "simulate", "tests", "tools")
TEXT = (CHECKOUT / "docs/guide-map.md").read_text()
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
REFERENCE = re.compile(r"[\w./-]+\.(?:py|yaml|md)(?:::[\w.:-]+)?|[\w./-]+/")


@cache
def files() -> tuple[str, ...]:
    found = [
        path for room in ROOMS for path in (CHECKOUT / room).rglob("*") if "__pycache__" not in path.parts
    ]
    found += CHECKOUT.glob("*.*")
    return tuple(f"/{path.relative_to(CHECKOUT)}" for path in found if path.is_file())


@cache
def names(path: str) -> frozenset[str]:
    """The names that a file defines: of a module ``name`` and ``Class.name``, of a YAML file the paths of its keys."""
    text = (CHECKOUT / path).read_text()
    if path.endswith(".py"):
        return frozenset(_defined(ast.parse(text).body))
    return frozenset(_keys(yaml.safe_load(text)))


def _defined(body: list[ast.stmt], prefix: str = "") -> list[str]:
    found = []
    for node in body:
        match node:
            case ast.ClassDef():
                found += [prefix + node.name, *_defined(node.body, f"{prefix}{node.name}.")]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found.append(prefix + node.name)
            case ast.Assign():
                found += [prefix + target.id for target in node.targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.append(prefix + name)
    return found


def _keys(data: Any, prefix: str = "") -> list[str]:
    if not isinstance(data, dict):
        return []
    return [
        name for key, value in data.items() for name in (f"{prefix}{key}", *_keys(value, f"{prefix}{key}."))
    ]


@cache
def commands() -> frozenset[str]:
    return frozenset(getattr(typer.main.get_command(rollout.cli.app), "commands", {}))


def problem(span: str) -> str:
    """What is wrong with a name of the map; '' when it is right, or when it is no name of ours."""
    words = span.split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
        return "" if words[1] in targets else f"`{span}`: make has no such target"
    if words[0] == "rollout":
        command = typer.main.get_command(rollout.cli.app)
        return (
            "" if words[1] in getattr(command, "commands", {}) else f"`{span}`: rollout has no such command"
        )
    if not REFERENCE.fullmatch(span):
        return ""
    path, _, name = span.partition("::")
    if path.endswith("/"):
        return "" if (CHECKOUT / path).is_dir() else f"`{span}`: there is no such directory"
    fitting = [file[1:] for file in files() if file.endswith(f"/{path}")]
    if len(fitting) != 1:
        return f"`{span}`: fits {len(fitting)} files {fitting}; name one"
    return "" if not name or name in names(fitting[0]) else f"`{span}`: {fitting[0]} has no {name}"


def test_the_map_names_only_what_exists() -> None:
    assert [found for span in SPANS if (found := problem(span))] == []
    assert len([span for span in SPANS if "::test_" in span]) > 50, "the map was not read"


def test_the_map_names_nothing_private() -> None:
    assert [span for span in SPANS if REFERENCE.fullmatch(span) and re.search(r"(?:::|\.)_", span)] == []


def test_the_map_opens_with_what_is_not_there() -> None:
    opening = TEXT.split("\n\n")[2]
    assert opening.startswith("- ") and len(opening.splitlines()) <= 10


def test_the_maps_faults_exist_and_those_that_it_says_are_tested_are() -> None:
    assert set(re.findall(r"FAULT=([\w-]+)", TEXT)) == FAULTS.keys()
    assert set(re.findall(r"faults test `FAULT=([\w-]+)`", TEXT)) == set(MUST_SHOW)
    for row in TEXT.partition("# Risk register")[2].partition("\n## ")[0].splitlines():
        risk = int(row[2]) if row[2:3].isdigit() else None
        for name in re.findall(r"FAULT=([\w-]+)", row):
            assert FAULTS[name].risk == risk, row


@pytest.mark.parametrize(
    "span",
    [
        "policy.py::decides",
        "test_policy.py::test_that_never_was",
        "policies.py",
        "test_cli.py::test_bad_input",  # two files have this name
        "phase-c.yaml::criteria.error_rates",
        "docs/decisions/9999-nothing.md",
        "rooms/",
        "make coffee",
        "rollout forward",
    ],
)
def test_a_wrong_name_is_found(span: str) -> None:
    assert span in problem(span)
