"""The journal's file: order, durability, what a crash leaves, and what must never be in it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
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
    file = journal(tmp_path / "new" / "prod" / "j")
    assert str(tmp_path / "new" / "prod") in synced
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
        ("{}", "line 2: not a journal record .key 'seq' is missing."),
        ("{", "line 2: not a journal record"),
        ("3", "line 2: not a journal record"),
        ('{"seq":2,"at":"","kind":"note","t":0,"body":[]}', "line 2: not a journal record"),
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


def test_a_journal_begins_with_its_header(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"seq":1,"at":"","kind":"note","t":0,"body":{}}\n')
    with pytest.raises(JournalError, match=r"line 1: record 1 \(note\) does not belong here"):
        read_journal(tmp_path / "j")


def test_times_are_kept_to_the_millisecond(tmp_path: Path) -> None:
    file = journal(tmp_path / "j")
    file.append("rollout", 1.23456, {})
    file.close()
    assert read_journal(tmp_path / "j")[0].t == 1.235


def test_a_line_is_written_whole_however_little_the_disk_takes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    file = journal(tmp_path / "j")
    file.append("rollout", 0, {"plan": "p"})
    file.append("note", 1, {"what": "page"})
    file.close()
    assert [record.body for record in read_journal(tmp_path / "j")] == [{"plan": "p"}, {"what": "page"}]


def test_closing_waits_for_the_disk_and_may_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    file = journal(tmp_path / "j")
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((tmp_path / "j").read_bytes().count(b"\n")))
    file.append("rollout", 0, {})
    file.append("note", 1, {})
    file.close()
    file.close()
    assert synced == [2]


def test_a_journal_that_nobody_closes_does_not_keep_the_process(tmp_path: Path) -> None:
    file = journal(tmp_path / "j")
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "journal"] == [True]
    file.close()


def test_who_no_longer_waits_for_the_disk_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = threading.Event()
    wrong: list[object] = []
    file = journal(tmp_path / "j")
    monkeypatch.setattr(os, "fsync", lambda fd: written.wait(10))

    async def give_up() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: wrong.append(context))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(file.durable(), 0.01)
        written.set()
        await file.durable()

    asyncio.run(give_up())
    file.close()
    assert wrong == []


def test_after_a_failure_nothing_is_written_behind_the_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, failures = os.write, [OSError(errno.EIO, "Input/output error")]

    def once(fd: int, data: bytes) -> int:
        if b"lost" in data and failures:
            raise failures.pop()
        return write(fd, data)

    file = journal(tmp_path / "j")
    monkeypatch.setattr(os, "write", once)
    for what in ("kept", "lost", "after"):
        file.append("note" if what != "kept" else "rollout", 0, {"what": what})

    async def durable() -> None:
        with pytest.raises(OSError, match="Input/output"):
            await file.durable()

    asyncio.run(durable())
    file.close()
    assert [record.body["what"] for record in read_journal(tmp_path / "j")] == ["kept"]
    assert file.failure is not None and file.failure.errno == errno.EIO


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


@pytest.mark.parametrize("secret", ['with "quotes" in it', "with \\ a backslash", "a secret with é"])
def test_a_secret_that_json_escapes_never_reaches_the_file_either(tmp_path: Path, secret: str) -> None:
    file = journal(tmp_path / "j", secrets=(secret,))
    file.append("rollout", 0, {"error": f"the engine printed {secret}!"})
    file.close()
    record = json.loads((tmp_path / "j").read_text())
    assert record["body"]["error"] == "the engine printed [secret]!"
