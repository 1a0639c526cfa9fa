"""Official downloads, where this machine reaches them."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tools.console import Progress, report
from tools.programs import Download, Program, Unavailable

_TIMEOUT = 5.0  # seconds to connect, and for each read: a machine without a way out must not wait
_BLOCK = 1 << 20

# Hosts that did not answer: asked once a run.
_silent_hosts: set[str] = set()


def download(program: Program, folder: Path) -> None:
    """A `Way`: fetch the official release of `program` into `folder`.

    Raises:
        Unavailable: no answer, an error answer, or content that is not what its checksum says.
    """
    source = program.download
    host = urllib.parse.urlsplit(source.url).netloc
    if host in _silent_hosts:
        raise Unavailable(f"{host} does not answer")
    progress: Progress | None = None
    try:
        with urllib.request.urlopen(source.url, timeout=_TIMEOUT) as answer:
            progress = Progress(f"downloading {program.name} from {host}")
            file = folder / "download"
            with file.open("wb") as target:
                while block := answer.read(_BLOCK):
                    target.write(block)
                    progress.show()
        _verify(source, file)
        _unpack(source, file, folder / program.name)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{source.url} answers {error.code}") from error
    except (OSError, tarfile.TarError) as error:
        if progress is None:
            _silent_hosts.add(host)
            report(f"{host} does not answer ({_reason(error)})")
        else:
            progress.end(f"not usable ({_reason(error)})")
        raise Unavailable(f"{source.url}: {_reason(error)}") from error
    progress.end(
        "done" if source.checksum else "done, taken on TLS alone (no checksum is published beside it)"
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)


def _verify(source: Download, file: Path) -> None:
    if source.checksum is None:
        return
    with urllib.request.urlopen(source.checksum, timeout=_TIMEOUT) as answer:
        published = answer.read(_BLOCK).decode()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest not in published.split():
        raise OSError(f"its SHA-256 {digest} is not in {source.checksum}")


def _unpack(source: Download, file: Path, target: Path) -> None:
    if source.member is None:
        file.rename(target)
        return
    with tarfile.open(file) as archive:
        try:
            content = archive.extractfile(source.member)
        except KeyError as error:
            raise OSError(f"holds no {source.member}") from error
        if content is None:
            raise OSError(f"{source.member} in it is no file")
        with content, target.open("wb") as output:
            shutil.copyfileobj(content, output)
