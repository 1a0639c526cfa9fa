"""The programs that set-up puts into `.venv/bin`: which, which version, and how each is had.

Every version has one place: that of a Go module is in its go.mod under tools/go, that of the official Kubernetes plugin
is the SDK's in requirements.lock. A program is kept in a cache outside the checkout, in a folder named by everything
that decides its content, so that a changed pin is another folder and an old checkout still finds its own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.console import SetupError

_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Download:
    """An official release. `member` is the file inside the tar archive, None when the URL is the program itself.

    `checksum` is the URL of a text that holds the SHA-256 of what `url` serves. Pulumi serves none beside its
    downloads, so those rest on TLS alone, as with Pulumi's own installer.
    """

    url: str
    member: str | None
    checksum: str | None


@dataclass(frozen=True)
class Program:
    name: str
    version: str
    module: Path  # folder with go.mod and go.sum
    package: str  # what `go build` builds there
    ldflags: str
    download: Download
    build_seconds: int  # measured on 2 cores with empty caches

    def key(self) -> str:
        """Names the cache folder: the version, and a hash of everything that decides the content."""
        digest = hashlib.sha256()
        for part in (self.package, self.ldflags, self.download.url, platform.machine()):
            digest.update(part.encode() + b"\0")
        for file in sorted(self.module.iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        return f"{self.version}-{digest.hexdigest()[:16]}"


class Unavailable(Exception):
    """This way to a program is closed; the next one may be open."""


# Puts the program as a file of its name into the folder, or raises Unavailable.
Way = Callable[[Program, Path], None]


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "simple378"


def required_version(file: Path, name: str) -> str:
    """Version of `name` in a go.mod (without its v) or in a lock file.

    Raises:
        SetupError: it is not pinned there.
    """
    match = re.search(rf"^(?:require)?\s*{re.escape(name)}(?: v|==)(\S+)", file.read_text(), re.MULTILINE)
    if not match:
        raise SetupError(f"{file} pins no version of {name}")
    return match.group(1)


def programs(checkout: Path) -> list[Program]:
    """All programs, the quickest to build first."""
    modules = checkout / "tools" / "go"
    machine = platform.machine()
    architecture = _GO_ARCHITECTURES.get(machine)
    if architecture is None or platform.system() != "Linux":
        raise SetupError(
            f"the lab runs on Linux on {' or '.join(_GO_ARCHITECTURES)}, not on {platform.system()} on {machine}"
        )
    return [
        _vegeta(modules / "vegeta", architecture),
        _pulumi(modules / "pulumi", architecture),
        *_kubernetes(modules / "kubernetes", architecture),
        _pulumi_kubernetes(modules / "pulumi-kubernetes", architecture, checkout / "requirements.lock"),
    ]


def _vegeta(module: Path, architecture: str) -> Program:
    version = required_version(module / "go.mod", "github.com/tsenart/vegeta/v12")
    releases = f"https://github.com/tsenart/vegeta/releases/download/v{version}"
    return Program(
        name="vegeta",
        version=version,
        module=module,
        package="github.com/tsenart/vegeta/v12",
        ldflags=f"-s -w -X main.Version=v{version}",
        download=Download(
            url=f"{releases}/vegeta_{version}_linux_{architecture}.tar.gz",
            member="vegeta",
            checksum=f"{releases}/vegeta_{version}_checksums.txt",
        ),
        build_seconds=20,
    )


def _pulumi(module: Path, architecture: str) -> Program:
    version = required_version(module / "go.mod", "github.com/pulumi/pulumi/pkg/v3")
    platform_name = {"amd64": "x64"}.get(architecture, architecture)
    return Program(
        name="pulumi",
        version=version,
        module=module,
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        # Without a version the Automation API refuses the command line.
        ldflags=f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{version}",
        download=Download(
            url=f"https://get.pulumi.com/releases/sdk/pulumi-v{version}-linux-{platform_name}.tar.gz",
            member="pulumi/pulumi",
            checksum=None,
        ),
        build_seconds=300,
    )


def _kubernetes(module: Path, architecture: str) -> list[Program]:
    version = required_version(module / "go.mod", "k8s.io/kubernetes")
    major, minor, _ = version.split(".")
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    ldflags = "-s -w " + " ".join(
        f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamps.items()
    )
    releases = f"https://dl.k8s.io/v{version}/bin/linux/{architecture}"
    return [
        Program(
            name=name,
            version=version,
            module=module,
            package=f"k8s.io/kubernetes/cmd/{name}",
            ldflags=ldflags,
            download=Download(url=f"{releases}/{name}", member=None, checksum=f"{releases}/{name}.sha256"),
            build_seconds=seconds,
        )
        for name, seconds in (
            ("kube-apiserver", 270),
            ("kube-controller-manager", 80),
            ("kube-scheduler", 20),
        )
    ]


def _pulumi_kubernetes(module: Path, architecture: str, lock: Path) -> Program:
    released = required_version(lock, "pulumi-kubernetes")
    return Program(
        name="pulumi-resource-kubernetes",
        version=required_version(module / "go.mod", "github.com/pulumi/pulumi-kubernetes/provider/v4"),
        module=module,
        package=".",
        ldflags="-s -w",
        download=Download(
            url=f"https://get.pulumi.com/releases/plugins/pulumi-resource-kubernetes-v{released}-linux-{architecture}.tar.gz",
            member="pulumi-resource-kubernetes",
            checksum=None,
        ),
        build_seconds=370,
    )


def obtain(program: Program, cache: Path, ways: Sequence[Way]) -> Path:
    """The program in the cache, put there by the first of `ways` that is open.

    The caller holds the cache's lock. A folder appears in the cache whole or not at all.

    Raises:
        SetupError: all ways are closed, or one failed.
    """
    folder = cache / program.name / program.key()
    if (folder / program.name).is_file():
        return folder / program.name
    closed: list[str] = []
    for way in ways:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=cache) as unfinished:
            try:
                way(program, Path(unfinished))
            except Unavailable as reason:
                closed.append(str(reason))
                continue
            (Path(unfinished) / program.name).chmod(0o755)
            complete = Path(unfinished) / "complete"
            complete.mkdir(mode=0o755)
            os.replace(Path(unfinished) / program.name, complete / program.name)
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(complete, folder)
            return folder / program.name
    raise SetupError(f"cannot get {program.name} {program.version}: {'; '.join(closed)}", exit_code=1)


def remove_unfinished(cache: Path) -> None:
    """Remove what an earlier set-up left when it was killed. The caller holds the cache's lock."""
    for leftover in cache.glob("unfinished-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def install(source: Path, destination: Path) -> None:
    """Put a cached program into `.venv/bin`, at once and whole.

    A hard link where the file systems allow it: the engine takes the language host beside itself for its own, without
    a warning at each run, only if its own file is really there.
    """
    temporary = destination.with_name(f".{destination.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    os.replace(temporary, destination)
