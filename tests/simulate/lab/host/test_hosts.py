"""The lab's DNS: sections that do not disturb each other, in a file that keeps its inode."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from simulate.lab.host import hosts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    hosts.create(path)
    return path


def test_owners_replace_their_own_section_only(path: Path) -> None:
    hosts.set_section(path, "rds", {"db.rds": "10.78.0.5"})
    hosts.set_section(path, "alb", {"a.elb": "10.78.0.10", "b.elb": "10.78.0.10"})
    hosts.set_section(path, "rds", {"other.rds": "10.78.0.5"})
    assert path.read_text() == (
        "127.0.0.1 localhost\n"
        "# begin alb\n10.78.0.10 a.elb\n10.78.0.10 b.elb\n# end alb\n"
        "# begin rds\n10.78.0.5 other.rds\n# end rds\n"
    )


def test_a_removed_section_leaves_no_trace(path: Path) -> None:
    before = path.read_text()
    hosts.set_section(path, "rds", {"a-long-name-of-a-database.rds": "10.78.0.5"})
    hosts.set_section(path, "rds", {})
    assert path.read_text() == before


def test_the_file_keeps_its_inode_for_the_bind_mount(path: Path) -> None:
    inode = path.stat().st_ino
    hosts.set_section(path, "rds", {"db.rds": "10.78.0.5"})
    hosts.set_section(path, "rds", {})
    assert path.stat().st_ino == inode


@pytest.mark.parametrize(
    ("owner", "entries"),
    [
        ("RDS\n", {}),
        ("rds", {"two words": "10.78.0.5"}),
        ("rds", {"line\nbreak": "10.78.0.5"}),
        ("rds", {"db.rds": "nowhere"}),
    ],
)
def test_what_would_break_the_file_is_refused(path: Path, owner: str, entries: dict[str, str]) -> None:
    before = path.read_text()
    with pytest.raises(ValueError):
        hosts.set_section(path, owner, entries)
    assert path.read_text() == before


def test_owners_at_the_same_time_lose_nothing(path: Path) -> None:
    def write(owner: str) -> None:
        for number in range(20):
            hosts.set_section(path, owner, {f"{owner}-{number}": "10.78.0.5"})

    threads = [threading.Thread(target=write, args=(f"owner{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line for line in path.read_text().splitlines() if line.startswith("10.")] == [
        f"10.78.0.5 owner{n}-19" for n in sorted(range(4), key=lambda n: path.read_text().index(f"owner{n}-"))
    ]


def test_a_namespaces_copy_follows_the_source(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "hosts.blue"
    hosts.set_section(path, "rds", {"db.rds": "10.78.0.5"})
    hosts.copy_with(path, copy, "namespace", {"pgbouncer": "10.78.32.7"})
    inode = copy.stat().st_ino
    assert "10.78.0.5 db.rds\n" in copy.read_text()
    hosts.set_section(path, "rds", {})
    hosts.copy_with(path, copy, "namespace", {"pgbouncer": "10.78.32.8"})
    assert copy.read_text().splitlines() == [
        "127.0.0.1 localhost",
        "# begin namespace",
        "10.78.32.8 pgbouncer",
        "# end namespace",
    ]
    assert copy.stat().st_ino == inode
