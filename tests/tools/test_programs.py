"""How a program gets into the cache and from there into `.venv/bin`."""

from pathlib import Path

import pytest

from tools.console import SetupError
from tools.programs import (
    Download,
    Program,
    Unavailable,
    cache_folder,
    install,
    obtain,
    programs,
    remove_unfinished,
    required_version,
)

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module m\n\nrequire example.org/tool v1.2.3\n")
    (module / "go.sum").write_text("example.org/tool v1.2.3 h1:abc=\n")
    return Program(
        name="tool",
        version="1.2.3",
        module=module,
        package="example.org/tool",
        ldflags="-s",
        download=Download(url="https://example.org/tool", member=None, checksum=None),
        build_seconds=1,
    )


def closed(program: Program, folder: Path) -> None:
    (folder / program.name).write_text("half of i")
    raise Unavailable("no answer")


def test_every_program_is_pinned_and_has_two_ways() -> None:
    known = programs(CHECKOUT)
    assert {program.name for program in known} == {
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "pulumi",
        "pulumi-resource-kubernetes",
        "vegeta",
    }
    for program in known:
        assert program.version[0].isdigit()
        assert (program.module / "go.sum").is_file()
        assert program.download.url.startswith("https://")


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_a_changed_pin_is_another_cache_folder(program: Program, file: str) -> None:
    before = program.key()
    assert before == program.key()
    (program.module / file).write_text("changed")
    assert program.key() != before


def test_a_broken_download_falls_back_to_the_build(program: Program, tmp_path: Path) -> None:
    def build(program: Program, folder: Path) -> None:
        assert list(folder.iterdir()) == []  # nothing of the failed download
        (folder / program.name).write_text("built")

    cached = obtain(program, tmp_path / "cache", [closed, build])
    assert cached.read_text() == "built"
    assert cached.stat().st_mode & 0o111


def test_a_cached_program_is_not_got_again(program: Program, tmp_path: Path) -> None:
    def build(program: Program, folder: Path) -> None:
        (folder / program.name).write_text("built")

    first = obtain(program, tmp_path, [build])
    assert obtain(program, tmp_path, []) == first


def test_no_way_names_program_version_and_reasons(program: Program, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"tool 1\.2\.3: no answer") as caught:
        obtain(program, tmp_path, [closed])
    assert caught.value.exit_code == 1


def test_an_interrupted_way_leaves_nothing_that_looks_complete(program: Program, tmp_path: Path) -> None:
    def interrupted(program: Program, folder: Path) -> None:
        (folder / program.name).write_text("half")
        raise KeyboardInterrupt

    cache = tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        obtain(program, cache, [interrupted])
    assert list(cache.iterdir()) == []


def test_leftovers_of_a_killed_set_up_are_removed(tmp_path: Path) -> None:
    (tmp_path / "unfinished-1" / "complete").mkdir(parents=True)
    (tmp_path / "pulumi").mkdir()
    remove_unfinished(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pulumi"]


def test_install_replaces_at_once(tmp_path: Path) -> None:
    source, destination = tmp_path / "new", tmp_path / "bin"
    source.write_text("new")
    destination.write_text("old")
    with destination.open() as running:
        install(source, destination)
        assert running.read() == "old"
    assert destination.read_text() == "new"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bin", "new"]


def test_the_cache_is_outside_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "simple378"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("require (\n\texample.org/a v0.1.0 // indirect\n\texample.org/a/b v2.0.0\n)\n", "0.1.0"),
        ("require example.org/a v1.0.0-pre\n", "1.0.0-pre"),
        ("example.org/a==3.4 \\\n    --hash=sha256:0\n", "3.4"),
    ],
)
def test_versions_are_read_from_where_they_are_pinned(tmp_path: Path, text: str, version: str) -> None:
    file = tmp_path / "pins"
    file.write_text(text)
    assert required_version(file, "example.org/a") == version


def test_a_missing_pin_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "go.mod"
    file.write_text("module m\n")
    with pytest.raises(SetupError, match=r"go\.mod pins no version of example"):
        required_version(file, "example")
