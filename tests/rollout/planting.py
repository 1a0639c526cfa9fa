"""Runs tests on sources with a defect planted, each defect in a process of its own.

    python -m tests.rollout.planting < defects.json

Reads a list of objects with ``file``, ``old``, ``new`` (the text to replace, which is there once) and ``tests``; prints the
list of pytest's exit codes: 0 when the tests passed, 1 when one failed. What the tests import of others, and the
rooms below those with defects, is imported once and every process is a fork: a defect costs little more than its tests.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import boto3
import httpx
import pulumi.automation
import pytest
import rich
import typer

import rollout.journal.resume
import rollout.plan
import rollout.policy

ROOT = Path(__file__).parents[2]
LIMIT = 30  # seconds of CPU for one defect; a process that needs more is ended, which counts as not noticed
_IMPORTED = (
    boto3,
    httpx,
    pulumi.automation,
    rich,
    typer,
    rollout.journal.resume,
    rollout.plan,
    rollout.policy,
)
# Nobody reads what a failing test prints, and these tests need no plugin.
_WITHOUT = ("cacheprovider", "xdist", "asyncio", "timeout", "hypothesispytest", "terminalreporter")
_OPTIONS = (
    *("-x", "--noconftest", "--assert=plain", "--tb=no", "--import-mode=importlib"),
    *("-c", os.devnull, f"--rootdir={ROOT}"),
    *(f"-pno:{name}" for name in _WITHOUT),
)


def planted(file: str, old: str, new: str) -> str:
    """The source with the defect."""
    text = (ROOT / file).read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{file}: {old!r} is there {text.count(old)} times, not once")
    return text.replace(old, new)


def run(file: str, old: str, new: str, tests: list[str]) -> int:
    """Runs the tests in a fork; without ``file`` on the sources as they are. Returns pytest's exit code."""
    text = planted(file, old, new) if file else ""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    load = SourceFileLoader.get_code

    def get_code(self: Any, name: str) -> Any:
        if file and Path(self.path) == ROOT / file:
            return compile(text, self.path, "exec")
        return load(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[assignment, method-assign]
    if (
        file.removesuffix(".py").replace("/", ".") in sys.modules
    ):  # the defect is in what was imported before: once more
        for name in [name for name in sys.modules if name.partition(".")[0] == "rollout"]:
            del sys.modules[name]
    os._exit(pytest.main([*_OPTIONS, *(str(ROOT / test) for test in tests)]))


if __name__ == "__main__":
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    print(json.dumps([run(**defect) for defect in json.load(sys.stdin)]))
