"""The checkout's virtual environment, from the lock file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.console import SetupError, run

OLDEST, NEWEST = (3, 11), (3, 14)  # what requirements.lock is made for
_NAMES = [f"python3.{minor}" for minor in range(OLDEST[1], NEWEST[1] + 1)]


def interpreter() -> str:
    """A Python that the lock file is made for: the one that runs set-up if it can be, else the oldest on PATH.

    Raises:
        SetupError: there is none.
    """
    code = f"import sys; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    for candidate in (sys.executable, *(shutil.which(name) for name in _NAMES), f"/usr/bin/{_NAMES[0]}"):
        if candidate and _answers(candidate, code):
            return candidate
    raise SetupError(
        f"Python {'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))} is needed and not installed: install {_NAMES[0]} and {_NAMES[0]}-venv"
    )


def venv_package(python: str) -> str:
    """The package that gives Debian's Python the means to make virtual environments."""
    code = "import sys; print(f'python{sys.version_info[0]}.{sys.version_info[1]}-venv')"
    return subprocess.run([python, "-c", code], capture_output=True, check=True, text=True).stdout.strip()


def can_make_environments(python: str) -> bool:
    return _answers(python, "import ensurepip, venv")


def _answers(python: str, code: str) -> bool:
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def create(python: str, folder: Path, lock: Path, logs: Path) -> None:
    """Make the environment anew and install exactly what the lock file says, hashes checked.

    Raises:
        SetupError: it failed.
    """
    run("creating .venv", [python, "-m", "venv", "--clear", str(folder)], log=logs / "venv.log", expected=5)
    pip(
        folder,
        "installing Python packages",
        ["--require-hashes", "-r", str(lock)],
        logs / "packages.log",
        expected=80,
    )


def install_project(folder: Path, checkout: Path, logs: Path) -> None:
    """Make the checkout importable and put its commands into the environment's bin. Needs no network."""
    arguments = ["--no-build-isolation", "--no-index", "--editable", str(checkout)]
    pip(folder, "installing the commands rollout and simulate", arguments, logs / "project.log", expected=3)


def pip(folder: Path, title: str, arguments: list[str], log: Path, expected: float) -> None:
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-deps"]
    run(
        title, [*command, "--disable-pip-version-check", "--no-input", *arguments], log=log, expected=expected
    )
