"""Runs the tests that matter on each mutant, in copies of the checkout.

One run of all tests on the unchanged code records which test executes which line, and how long it takes. A mutant is tried
with the tests that execute its statement, quickest first, until one fails; where a statement runs at import, or in no
test, with all tests that execute anything of its module, and all that take less than a second, which may look at it without
executing it. Each trial is forked from a process that has loaded the libraries.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import itertools
import json
import math
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tools.mutants.draw import Mutant, modules

# Of the rooms themselves, and of what stands on them without processes and networks of its own: on a busy machine those
# fail for want of time, and a mutant would count as killed by that.
TESTS = (
    "tests/rollout/policy",
    "tests/rollout/plan",
    "tests/rollout/journal",
    "tests/rollout/control",
    "tests/rollout/explore",
    "tests/rollout/terminal",
    "tests/rollout/test_session.py",
    "tests/rollout/test_values.py",
)
_QUICK = "not lab and not engine and not compiled and not long"
_LIBRARIES = [
    "boto3", "httpx", "hypothesis.stateful", "jinja2", "numpy", "pulumi.automation", "pydantic", "pytest", "pytest_asyncio",
    "rich.live", "scipy.stats", "typer", "yaml",
]  # fmt: skip
_SLOWER = 5.0  # a mutant may take so many times as long as the tests took
_QUICKLY = 1.0  # seconds of a test that may as well be run
_OUT_OF_TIME = (
    99  # the exit code of a trial whose tests were ended: by the limit of CPU, if not by a mutant itself
)
_MEMORY = 4 << 30  # bytes of address space
_LEAST = 30.0  # seconds of CPU that every mutant gets
_PATIENCE = (
    20.0  # by the clock it may take so many times as long: the machine may be busy, and a test may hang
)
_FIRST = 50  # the quickest tests, collected and run before the others: most mutants do not survive them


class TestsFail(Exception):
    """The tests fail on the unchanged code."""


@dataclass(frozen=True)
class Baseline:
    """What the tests do on the unchanged code: seconds of CPU of each test, and the tests that execute each line of a module.

    Line 0 has the tests that execute anything of the module, but at import.
    """

    seconds: dict[str, float]
    tests: dict[str, dict[int, set[str]]]

    def selected(self, module: str, source: str, line: int) -> list[str]:
        """The tests for a change in that line of a module, quickest first."""
        by_line = self.tests.get(module, {})
        statement = _statement(source, line)
        found = {test for each in statement for test in by_line.get(each, set())}
        # The empty name is the import.
        if not found or "" in found:
            found = by_line.get(0, set()) | {test for test, taken in self.seconds.items() if taken < _QUICKLY}
        return sorted(found, key=lambda test: (self.seconds.get(test, 0.0), test))

    def within(self, tests: Sequence[str], budget: float) -> list[str]:
        """As many of them, in their order, as take no longer than so many seconds together; one at least."""
        ends = itertools.accumulate(self.seconds.get(test, 0.0) for test in tests)
        return [
            test
            for number, (test, end) in enumerate(zip(tests, ends, strict=True))
            if end <= budget or not number
        ]


def _statement(source: str, line: int) -> range:
    """The lines of the innermost statement around a line; of one with a body, those of its head."""
    best = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt):
            continue
        body = getattr(node, "body", None)
        end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
        found = range(node.lineno, max(end, node.lineno) + 1)
        if line in found and (len(best) == 1 or len(found) < len(best)):
            best = found
    return best


def copy(checkout: Path, folder: Path) -> None:
    """The files that git knows or would add, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=checkout, check=True, capture_output=True).stdout
    for name in listing.decode().split("\0"):
        if name and (checkout / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / name, folder / name)


def _digest(folder: Path) -> str:
    """Of everything on which it depends which test executes which line."""
    found = hashlib.sha256()
    for room in ("rollout", "tests"):
        for path in sorted((folder / room).rglob("*.*")):
            if path.is_file():
                found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


class Trials:
    """The checkout's copies, one for each process at a time. ``budget``: seconds of tests that a mutant gets, the quickest first.

    What the tests do on the unchanged code is kept in build/, for the next run on the same code and tests.

    Raises:
        TestsFail: on entering, when they do not pass on the unchanged code.
    """

    def __init__(self, checkout: Path, folder: Path, processes: int, budget: float = math.inf) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_LIBRARIES)
        self.late = 0  # mutants that ran out of time, which counts as killed
        self._copies = [folder / str(number) for number in range(processes)]
        for each in self._copies:
            copy(checkout, each)
        self._budget = budget
        self.baseline = self._baseline(checkout / "build" / "mutants" / f"{_digest(self._copies[0])}.json")

    def _baseline(self, result: Path) -> Baseline:
        if not result.exists():
            first = self._copies[0]
            result.parent.mkdir(parents=True, exist_ok=True)
            process = self._start(_record, first, result)
            process.join()
            if process.exitcode != 0:
                log = _log(first).read_text(errors="replace")
                raise TestsFail(f"the quick tests fail on the unchanged code:\n{log[-3000:]}")
        data = json.loads(result.read_text())
        tests: dict[str, dict[int, set[str]]] = {}
        for module, lines in data["tests"].items():
            tests[module] = {int(line): set(names) for line, names in lines.items()}
            tests[module][0] = set().union(*tests[module].values()) - {""}
        return Baseline(data["seconds"], tests)

    def _start(self, target: Any, *arguments: Any) -> BaseProcess:
        process = self._context.Process(target=target, args=arguments)
        process.start()
        return process

    def run(self, mutants: Sequence[Mutant], limit: float = math.inf) -> Iterator[tuple[Mutant, bool]]:
        """Each mutant with whether it was killed, as they end. All that runs is ended when the caller stops listening.

        After ``limit`` seconds none is begun, and those under way are finished: a survivor takes longest.
        """
        no_more = time.monotonic() + limit
        waiting = list(reversed(mutants))
        free = list(self._copies)
        running: dict[BaseProcess, tuple[Mutant, Path, float]] = {}
        try:
            while waiting or running:
                if time.monotonic() > no_more:
                    waiting.clear()
                while waiting and free:
                    mutant = waiting.pop()
                    folder = free.pop()
                    original = (folder / mutant.module).read_text()
                    tests = self.baseline.within(
                        self.baseline.selected(mutant.module, original, mutant.line), self._budget
                    )
                    if not tests:
                        free.append(folder)
                        yield mutant, False
                        continue
                    (folder / "original").write_text(original)
                    (folder / mutant.module).write_text(mutant.source)
                    longest = _LEAST + _SLOWER * sum(self.baseline.seconds.get(test, 0.0) for test in tests)
                    process = self._start(_try, folder, tests, longest)
                    running[process] = (mutant, folder, time.monotonic() + _PATIENCE * longest)
                connection.wait([process.sentinel for process in running], timeout=1.0)
                for process, (mutant, folder, deadline) in list(running.items()):
                    late = time.monotonic() > deadline
                    if process.exitcode is None and not late:
                        continue
                    self.late += late or process.exitcode == _OUT_OF_TIME
                    _end(process)
                    del running[process]
                    (folder / mutant.module).write_text((folder / "original").read_text())
                    free.append(folder)
                    yield mutant, late or process.exitcode != 0
        finally:
            for process in running:
                _end(process)


def _end(process: BaseProcess) -> None:
    """End a trial and whatever it started."""
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.join()


def _log(folder: Path) -> Path:
    return folder.with_suffix(".log")


def _enter(folder: Path) -> None:
    """In a forked process: work in the copy, in a group of its own, with output into its log."""
    os.setsid()
    os.chdir(folder)
    log = os.open(_log(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # A module that changes twice within a second would be taken from its compiled file.
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.path.insert(0, str(folder))
    # An endless loop may collect.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    shutil.rmtree(folder / ".hypothesis", ignore_errors=True)


def _pytest(arguments: Sequence[str], plugins: Sequence[object] = ()) -> int:
    import pytest

    options = [
        "-q",
        "-x",
        "-m",
        _QUICK,
        "--hypothesis-seed=0",
        "--timeout=0",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    return int(pytest.main([*options, *arguments], plugins=list(plugins)))


def _try(folder: Path, tests: Sequence[str], longest: float) -> None:
    _enter(folder)
    resource.setrlimit(resource.RLIMIT_CPU, (int(longest), int(longest)))
    for part in (tests[:_FIRST], tests[_FIRST:]):
        process = os.fork() if part else None
        if process == 0:
            os._exit(_pytest(part))
        if process and (code := os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])):
            os._exit(code if code > 0 else _OUT_OF_TIME)
    os._exit(0)


def _record(folder: Path, result: Path) -> None:
    _enter(folder)
    import coverage
    import pytest

    measured = coverage.Coverage(data_file=None, include=[f"{folder / module}" for module in modules(folder)])
    seconds: dict[str, float] = {}

    class Record:
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
            started = time.process_time()
            measured.switch_context(item.nodeid)
            try:
                return (yield)
            finally:
                measured.switch_context("")
                seconds[item.nodeid] = time.process_time() - started

    measured.start()
    code = _pytest(TESTS, [Record()])
    measured.stop()
    data = measured.get_data()
    tests = {module: data.contexts_by_lineno(str(folder / module)) for module in modules(folder)}
    if code == 0:
        result.write_text(json.dumps({"seconds": seconds, "tests": tests}))
    os._exit(code)
