"""Lists in documents that would otherwise be kept by hand: the index of decisions, the secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import rollout.cli
import simulate.cli
from infra.layers.colour.settings import ColourSettings
from infra.layers.foundation.settings import FoundationSettings
from infra.layers.limits.settings import LimitsSettings
from infra.layers.traffic.settings import TrafficSettings

CHECKOUT = Path(__file__).parents[2]
MANUALS = ("README.md", "SECURITY.md", "docs/runbook.md")
DECISIONS = CHECKOUT / "docs" / "decisions"
STATUS = re.compile(r"accepted|(?:amended|superseded) by (\d+)")


def test_the_index_has_every_decision_with_its_title_and_status() -> None:
    rows = re.findall(
        r"^\| \[(\d+)\]\(([^)]+)\) \| (.+?) \| (.+?) \| .+ \|$",
        (DECISIONS / "README.md").read_text(),
        re.MULTILINE,
    )
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    numbers = [int(record.name[:4]) for record in records]
    assert len(set(numbers)) == len(numbers)
    assert [(number, name, title) for number, name, title, _ in rows] == [
        (str(number), record.name, record.read_text().splitlines()[0].removeprefix(f"# {number}. "))
        for number, record in zip(numbers, records, strict=True)
    ]
    for number, _, _, status in rows:
        found = STATUS.fullmatch(status)
        assert found, f"decision {number}: status {status!r}"
        assert found[1] is None or int(found[1]) in numbers


def test_security_names_every_secret_setting() -> None:
    text = (CHECKOUT / "SECURITY.md").read_text()
    secrets = {
        field.alias
        for settings in (FoundationSettings, ColourSettings, TrafficSettings, LimitsSettings)
        for field in settings.model_fields.values()
        if "SecretStr" in str(field.annotation)
    }
    assert secrets
    assert {name for name in secrets if f"`simple378:{name}`" not in text} == set()
    assert set(re.findall(r"`simple378:(\w+)`", text)) >= secrets


def test_security_names_every_right_that_rollout_uses() -> None:
    """A failed call names its action, so the actions are in the code."""
    text = (CHECKOUT / "SECURITY.md").read_text()
    used = {
        action
        for path in (CHECKOUT / "rollout").rglob("*.py")
        for action in re.findall(r'"([a-z]\w+:[A-Z]\w+)"', path.read_text())
    }
    assert len(used) > 5
    assert {action for action in used if f"`{action}`" not in text} == set()


def test_security_says_the_rights_of_every_command() -> None:
    rows = re.findall(r"^\| ([^|]+) \|.*\|$", (CHECKOUT / "SECURITY.md").read_text(), re.MULTILINE)
    named = {name for who in rows for name in re.findall(r"`(?:rollout )?([a-z]+)", who)}
    assert set(typer.main.get_group(rollout.cli.app).commands) - named == set()


def commands(text: str) -> Iterator[list[str]]:
    """What a document tells people to type of ours, as words: spans of code, and indented blocks without comments."""
    blocks = re.findall(r"^    (\S.*?)(?:  +#.*|   +.*)?$", text, re.MULTILINE)
    for line in [*re.findall(r"`([^`\n]+)`", text), *blocks]:
        for command in line.split(" && "):
            words = command.split()
            if words and words[0] in {"make", "rollout", "simulate"}:
                yield words


def problem(words: list[str]) -> str:
    """What is wrong with a command; '' when it can be typed."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
        return "" if rest[0] in targets else f"{' '.join(words)}: no such target"
    command = typer.main.get_command(rollout.cli.app if program == "rollout" else simulate.cli.app)
    while rest and not rest[0].startswith("-") and hasattr(command, "commands"):
        if rest[0] not in command.commands:
            return f"{' '.join(words)}: no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    wrong = [word for word in rest if word.startswith("-") and word not in known]
    return f"{' '.join(words)}: no option {', '.join(wrong)}" if wrong else ""


@pytest.mark.parametrize("manual", MANUALS)
def test_commands_of_a_manual_can_be_typed(manual: str) -> None:
    found = list(commands((CHECKOUT / manual).read_text()))
    assert found
    assert [each for words in found if len(words) > 1 and (each := problem(words))] == []


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("make coffee", "no such target"),
        ("rollout forward", "no command forward"),
        ("rollout plan --rate 5 --rats 6", "no option --rats"),
        ("simulate lab dance", "no command dance"),
        ("simulate risk --html x.html", ""),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(typed: str, wrong: str) -> None:
    assert wrong in problem(typed.split()) and bool(wrong) == bool(problem(typed.split()))
