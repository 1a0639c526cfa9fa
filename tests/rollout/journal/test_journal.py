"""The journal's file: order, durability, what a crash leaves, and what must never be in it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from rollout.journal import FileJournal, JournalError, read_journal

NOW = 1_766_196_005.12


def journal(path: Path, *, resume: bool = False, secrets: tuple[str, ...] = ()) -> FileJournal:
    return FileJournal(path, lambda: NOW, resume=resume, secrets=secrets)


def write(path: Path, count: int) -> None:
    file = journal(path)
    file.append("rollout", 0, {"plan": "p"})
    for number in range(1, count):
        file.append("event", number, {"t": number, "event": "tick"})
    file.close()


def test_records_come_back_in_order(tmp_path: Path) -> None:
    write(tmp_path / "j", 100)
    records = read_journal(tmp_path / "j")
    assert [record.seq for record in records] == list(range(1, 101))
    assert json.loads((tmp_path / "j").read_text().splitlines()[1]) == {
        "seq": 2,
        "at": "2025-12-20T02:00:05.120Z",
        "kind": "event",
        "t": 1,
        "body": {"t": 1, "event": "tick"},
    }


def test_durable_is_after_everything_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    file = journal(tmp_path / "j")
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((tmp_path / "j").read_bytes().count(b"\n")))

    async def append() -> None:
        for _ in range(3):
            file.append("note", 0, {})
        await file.durable()

    asyncio.run(append())
    assert synced == [3]
    file.close()


def test_a_new_journals_name_is_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    file = journal(tmp_path / "new" / "j")
    assert str(tmp_path / "new") in synced
    file.close()


def test_a_torn_line_is_left_out_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, 5)
    whole = path.read_bytes()
    # One cut at every byte of the last record, its line end included.
    for cut in range(whole.rstrip().rfind(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert len(read_journal(path)) == 4
        file = journal(path, resume=True)
        assert file.append("note", 9, {"what": "resumed"}) == 5
        file.close()
        assert [record.seq for record in read_journal(path)] == [1, 2, 3, 4, 5]


def test_a_journal_is_never_begun_over_another(tmp_path: Path) -> None:
    write(tmp_path / "j", 2)
    with pytest.raises(FileExistsError):
        journal(tmp_path / "j")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{}", "line 2: not a journal record"),
        ('{"seq":2,"at":"","kind":"gossip","t":0,"body":{}}', "kind 'gossip'"),
        ('{"seq":7,"at":"","kind":"note","t":0,"body":{}}', "record 7 .note. does not belong here"),
        ('{"seq":2,"at":"","kind":"rollout","t":0,"body":{}}', "does not belong here"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, problem: str) -> None:
    write(tmp_path / "j", 1)
    with (tmp_path / "j").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(JournalError, match=problem):
        read_journal(tmp_path / "j")


def test_a_full_disk_is_told_to_who_must_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = journal(tmp_path / "j")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)

    async def append() -> None:
        file.append("note", 0, {})
        with pytest.raises(OSError, match="No space left"):
            await file.durable()
        file.append("note", 1, {})  # a rollback goes on

    asyncio.run(append())
    file.close()


def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    file = journal(tmp_path / "j", secrets=("hunter2hunter2",))
    file.append("rollout", 0, {"error": "header X-Simple378-Test: hunter2hunter2"})
    file.close()
    assert "hunter2" not in (tmp_path / "j").read_text()
    assert oct((tmp_path / "j").stat().st_mode & 0o777) == "0o600"
