"""The checkout's virtual environment, from the lock file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tools.console import SetupError, run

VERSION = (3, 11)
_NAME = f"python{VERSION[0]}.{VERSION[1]}"
# The package that gives Debian's Python the means to make virtual environments.
VENV_PACKAGE = f"{_NAME}-venv"


def interpreter() -> str:
    """A Python of the version that the lock file is made for.

    Raises:
        SetupError: there is none.
    """
    for candidate in (sys.executable, shutil.which(_NAME), f"/usr/bin/{_NAME}"):
        if candidate and _answers(candidate, f"import sys; sys.exit(sys.version_info[:2] != {VERSION})"):
            return candidate
    raise SetupError(f"{_NAME} is needed and not here: install {_NAME} and {VENV_PACKAGE}")


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
