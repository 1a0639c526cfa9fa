"""Official downloads, from a server on this machine."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools import download as module
from tools.download import download
from tools.programs import Download, Program, Unavailable


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL that it is served under."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_silent_hosts", set())


def program(url: str, member: str | None = None, checksum: str | None = None) -> Program:
    source = Download(url=url, member=member, checksum=checksum)
    return Program("tool", "1.0", Path(), "tool", "", source, build_seconds=1)


def archive(path: Path, member: str, content: bytes) -> None:
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def test_an_archive_with_its_checksum(site: tuple[Path, str], target: Path) -> None:
    folder, url = site
    archive(folder / "tool.tgz", "release/tool", b"program")
    digest = hashlib.sha256((folder / "tool.tgz").read_bytes()).hexdigest()
    (folder / "sums").write_text(f"{'0' * 64}  other.tgz\n{digest}  tool.tgz\n")
    download(program(f"{url}/tool.tgz", "release/tool", f"{url}/sums"), target)
    assert (target / "tool").read_bytes() == b"program"


def test_a_plain_file_without_checksum_says_so(
    site: tuple[Path, str], target: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = site
    (folder / "tool").write_bytes(b"program")
    download(program(f"{url}/tool"), target)
    assert (target / "tool").read_bytes() == b"program"
    assert "TLS alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("member", "sums", "reason"),
    [
        ("release/tool", "0" * 64, "SHA-256"),
        ("release/tool", None, "404"),
        ("elsewhere/tool", "right", "holds no elsewhere/tool"),
    ],
)
def test_what_is_not_as_it_should_be_is_not_used(
    site: tuple[Path, str], target: Path, member: str, sums: str | None, reason: str
) -> None:
    folder, url = site
    archive(folder / "tool.tgz", "release/tool", b"program")
    if sums is not None:
        digest = hashlib.sha256((folder / "tool.tgz").read_bytes()).hexdigest()
        (folder / "sums").write_text(digest if sums == "right" else sums)
    with pytest.raises(Unavailable, match=reason):
        download(program(f"{url}/tool.tgz", member, f"{url}/sums"), target)
    assert not (target / "tool").exists()


def test_no_archive_at_all(site: tuple[Path, str], target: Path) -> None:
    folder, url = site
    (folder / "tool.tgz").write_text("a proxy's page of apologies")
    with pytest.raises(Unavailable):
        download(program(f"{url}/tool.tgz", "tool"), target)


def test_a_host_that_does_not_answer_is_asked_once(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def silent(url: str, timeout: float) -> None:
        asked.append(url)
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib.request.urlopen", silent)
    for name in ("a", "b"):
        with pytest.raises(Unavailable):
            download(program(f"https://example.org/{name}"), target)
    assert asked == ["https://example.org/a"]
