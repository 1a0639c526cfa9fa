"""A command whose optional part is not installed names the part."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from rollout import extras

REQUIREMENTS = [
    "pydantic<3,>=2.14",
    'pulumi-kubernetes<5,>=4.34; extra == "infra"',
    'numpy>=2.4; extra == "simulate"',
]


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("numpy", "simulate"),
        ("numpy.linalg", "simulate"),
        ("pulumi_kubernetes", "infra"),
        ("pydantic", None),
        ("rollout.gone", None),
    ],
)
def test_the_part_is_named(monkeypatch: pytest.MonkeyPatch, module: str, extra: str | None) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: REQUIREMENTS)
    sentence = extras.missing(ModuleNotFoundError("No module", name=module))
    top = module.partition(".")[0]
    expected = f"{top} is not installed; this command needs: pip install 'simple378[{extra}]'"
    assert sentence == (expected if extra else None)


def test_a_checkout_that_is_not_installed_has_no_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", absent)
    assert extras.missing(ModuleNotFoundError("No module", name="numpy")) is None


@pytest.mark.parametrize("command", ["rollout plan --rate 100", "simulate rehearse healthy"])
def test_a_command_without_its_part_ends_with_the_sentence(command: str) -> None:
    program, *words = command.split()
    code = f"""
import sys
from importlib import metadata
metadata.requires = lambda _: {REQUIREMENTS!r}
sys.modules["numpy"] = None
sys.argv = {[program, *words]!r}
from {program}.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "this command needs: pip install 'simple378[simulate]'" in ended.stderr
