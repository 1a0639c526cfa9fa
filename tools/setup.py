"""`make setup`: everything that this checkout needs on this machine. Run as `python3 -m tools.setup`.

Runs with the system's Python before any environment exists, so it uses the standard library only. It does what is
missing, in this order, and nothing when nothing is: Debian packages, `.venv` from requirements.lock, the project's own
commands, and the programs of tools/programs.py, each from its official download where that answers, else built from
Go modules into a cache outside the checkout. What was done is noted in `.venv/set-up.json`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools import debian, environment
from tools.console import SetupError, report
from tools.download import download
from tools.golang import GoBuilder
from tools.programs import Program, cache_folder, install, obtain, programs, remove_unfinished


@dataclass(frozen=True)
class Step:
    """Something to do. `key` identifies what it was done for and is noted under `name`; None where the machine shows whether it is done."""

    name: str
    key: str | None
    do: Callable[[], None]


class Setup:
    def __init__(self, checkout: Path, cache: Path) -> None:
        self._checkout = checkout
        self._cache = cache
        self._environment = checkout / ".venv"
        self._bin = self._environment / "bin"
        self._record = self._environment / "set-up.json"
        self._logs = checkout / "build" / "set-up"

    def steps(self) -> list[Step]:
        """What is left to do, in order; empty when this machine is set up."""
        steps = []
        lock, project = self._checkout / "requirements.lock", self._checkout / "pyproject.toml"
        done = self._done()
        # The folder's own path counts: an environment that was moved runs another checkout's code, or none.
        packages = _hash(lock.read_bytes(), str(self._checkout).encode())
        rebuild = done.get("packages") != packages or not (self._bin / "python").exists()
        wanted = debian.missing()
        python = environment.interpreter() if rebuild else ""
        if rebuild and not environment.can_make_environments(python):
            wanted = [*wanted, environment.venv_package(python)]
        if wanted:
            log = self._logs / "debian.log"
            steps.append(Step("Debian packages", None, lambda: debian.install(wanted, log)))
        if rebuild:
            # It empties the folder, and so forgets all other notes.
            done = {}
            steps.append(
                Step(
                    "packages",
                    packages,
                    lambda: environment.create(python, self._environment, lock, self._logs),
                )
            )
        key = _hash(project.read_bytes(), packages.encode())
        if done.get("project") != key or not (self._bin / "rollout").exists():
            steps.append(
                Step(
                    "project",
                    key,
                    lambda: environment.install_project(self._environment, self._checkout, self._logs),
                )
            )
        builder = GoBuilder(self._checkout / "tools" / "go", self._cache, self._logs, self._bin / "python")
        steps.extend(
            Step(program.name, program.key(), self._provision(program, builder))
            for program in programs(self._checkout)
            if done.get(program.name) != program.key() or not (self._bin / program.name).exists()
        )
        return steps

    def _provision(self, program: Program, builder: GoBuilder) -> Callable[[], None]:
        def provision() -> None:
            install(obtain(program, self._cache, [download, builder.build]), self._bin / program.name)

        return provision

    def run(self) -> None:
        """Do what is left to do. A second set-up at the same time waits, then finds it done."""
        if not self.steps():
            return
        with self._locked():
            remove_unfinished(self._cache)
            for step in self.steps():
                step.do()
                if step.key is not None:
                    self._note(step.name, step.key)
        report(f"done; `rollout` and `simulate` are in {self._bin}")

    def _done(self) -> dict[str, str]:
        try:
            notes = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _note(self, name: str, key: str) -> None:
        temporary = self._record.with_suffix(".new")
        temporary.write_text(json.dumps({**self._done(), name: key}, indent=2) + "\n")
        os.replace(temporary, self._record)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            lock = (self._cache / "lock").open("w")
        except OSError as error:
            raise SetupError(
                f"cannot write the cache {self._cache} ({error}): set XDG_CACHE_HOME to a folder you own"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("another set-up is at work; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part + b"\0")
    return digest.hexdigest()[:16]


def main(arguments: Sequence[str] = ()) -> int:
    """Exit code: 0 set up; 1 something failed on the way; 2 the machine must change first; 130 interrupted."""
    if arguments:
        print("set-up takes no arguments", file=sys.stderr)
        return 2
    # Ended from outside, it ends what it runs, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        Setup(Path(__file__).resolve().parents[1], cache_folder()).run()
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nset-up: interrupted; run it again to go on where it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
