"""Journals, lease, card and marks in S3 (emulated by moto), as two machines see them: two directories with one store."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from rollout.aws.store import BadStore, S3Store
from rollout.journal import read_journal, station, store, stored
from rollout.journal.card import Card
from rollout.journal.station import Station, StationError
from rollout.journal.store import Lease, LeaseHeld, LeaseLost, Shared, StoreError, order_of
from rollout.journal.stored import StoredJournal

CARD = Card(
    "prod",
    "us-east-1",
    "arn:rule",
    {"stable": "arn:blue", "candidate": "arn:green"},
    {"stable": "blue", "candidate": "green"},
)


class Flaky(S3Store):
    """A store that can be down, and whose answers to a write can be lost."""

    down = False
    lost_answers = 0

    def create(self, key: str, body: bytes) -> bool:
        if self.down:
            raise StoreError("the store is down")
        done = super().create(key, body)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreError("no answer")
        return done


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    for module, name, seconds in (
        (store, "TERM", 0.3),
        (store, "LOOK", 0.02),
        (store, "RENEWAL", 0.02),
        (station, "MARK_POLL", 0.02),
        (stored, "CLOSE_LIMIT", 1),
        (stored, "RETRY", 0.02),
    ):
        monkeypatch.setattr(module, name, seconds)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="releases")
        yield Flaky("s3://releases/simple378", "prod")


@pytest.fixture
def shared(s3: Flaky) -> Shared:
    return Shared(s3)


def machine(folder: Path, name: str, shared: Shared) -> Station:
    return Station(folder / name, "prod", shared)


# --- objects


def test_an_object_is_created_once_and_replaced_only_as_it_was_read(s3: Flaky) -> None:
    assert s3.read("a/b") is None
    assert s3.create("a/b", b"1")
    assert not s3.create("a/b", b"2")
    found = s3.read("a/b")
    assert found and found[0] == b"1"
    assert s3.replace("a/b", b"3", found[1])
    assert not s3.replace("a/b", b"4", found[1])
    assert not s3.replace("a/none", b"4", found[1])
    for key in ("a/d/e", "a/c", "ab/x"):
        s3.write(key, b"")
    assert s3.names("a") == ["b", "c", "d"]
    assert s3.names("a", after="b") == ["c", "d"]


@pytest.mark.parametrize(
    "url", ["releases", "s3://", "s3://x", "https://releases/x", "s3://releases//x", "s3://releases/a b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadStore, match="it takes s3://BUCKET or s3://BUCKET/PREFIX"):
        S3Store(url, "prod")


def test_a_bucket_that_is_not_there_is_named(s3: Flaky) -> None:
    with pytest.raises(StoreError, match=r"s3:PutObject of s3://nowhere/prod/x failed: NoSuchBucket"):
        S3Store("s3://nowhere", "prod").create("x", b"")


# --- the lease


def test_a_second_controller_is_refused_while_the_first_renews(s3: Flaky) -> None:
    first, second = Lease(s3, "/a"), Lease(s3, "/b")
    first.take()
    with pytest.raises(LeaseHeld, match=r"process \d+ on .*, since "):
        second.take()  # whoever does not wait
    ends = threading.Event()

    def renew() -> None:
        while not ends.wait(0.05):
            first.renew()

    renewing = threading.Thread(target=renew)
    renewing.start()
    told: list[str] = []
    try:
        with pytest.raises(LeaseHeld):
            second.take(told.append)
    finally:
        ends.set()
        renewing.join()
    assert "watching for 0.3 s whether it is renewed" in told[0]


def test_a_lease_that_stands_still_is_taken_over_whatever_the_clocks_say(
    s3: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_utc", lambda: "2099-01-01T00:00:00+00:00")
    first, second = Lease(s3, "/a"), Lease(s3, "/b")
    first.take()
    began = time.monotonic()
    second.take(lambda _: None)
    assert time.monotonic() - began >= 0.3
    with pytest.raises(LeaseLost, match="process"):
        first.renew()
    second.renew()
    first.give_back()  # not its any more
    second.renew()


def test_a_lease_that_was_given_back_or_is_of_this_directory_is_taken_at_once(s3: Flaky) -> None:
    first = Lease(s3, "/a")
    first.take()
    again = Lease(s3, "/a")  # the kernel's lock says that the process before is dead
    again.take()
    again.give_back()
    Lease(s3, "/b").take()


def test_a_lease_that_another_takes_at_the_same_moment_is_held(
    shared: Shared, s3: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by nights with two machines: it was a traceback, and the directory stayed locked."""
    other = Lease(s3, "there")

    def create(self: Flaky, key: str, body: bytes) -> bool:
        done = S3Store.create(self, key, body)
        if key == "lease.json" and not other._tag:
            monkeypatch.setattr(Flaky, "create", S3Store.create)
            other.take(lambda text: None)
        return done

    monkeypatch.setattr(Flaky, "create", create)
    here = machine(tmp_path, "here", shared)
    with pytest.raises(StationError, match="another controller is running"):
        here.take()
    other.give_back()
    here.take()
    here.give_back()


@pytest.mark.parametrize("other", ["another boot", ""])
def test_a_lease_of_another_machine_with_the_same_name_and_folder_is_not_ours(
    s3: Flaky, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Two containers may have both alike; and a machine that says nothing of itself is not known again."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(store, "machine", lambda: other)
        Lease(s3, "/a").take()
    if not other:
        monkeypatch.setattr(store, "machine", lambda: "")
    with pytest.raises(LeaseHeld):
        Lease(s3, "/a").take()


def test_a_machine_is_known_again_by_every_process_of_it() -> None:
    asked = [sys.executable, "-c", "from rollout.journal.store import machine; print(machine(), end='')"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == store.machine()


def test_the_answer_to_a_renewal_may_be_lost(s3: Flaky) -> None:
    lease = Lease(s3, "/a")
    lease.take()
    lease._tag = "an older one"
    lease.renew()
    lease.renew()


# --- the journal


def journal_of(path: Path, shared: Shared, *, resume: bool = False) -> StoredJournal:
    return StoredJournal(path, lambda: 1_766_196_000.0, shared, path.stem, resume=resume)


def fill(journal: StoredJournal, count: int) -> None:
    for number in range(count):
        journal.append("rollout" if journal._seq == 0 else "note", number, {"what": "x", "number": number})


def test_a_journal_is_the_same_in_the_store(shared: Shared, tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "one.jsonl", shared)
    fill(journal, 30)
    asyncio.run(journal.durable())
    assert shared.lines("one") == journal.path.read_bytes()
    journal.close()
    again = journal_of(tmp_path / "one.jsonl", shared, resume=True)
    fill(again, 2)
    again.close()
    assert shared.lines("one") == journal.path.read_bytes()
    assert shared.latest() == "one"


def test_nothing_waits_for_a_store_that_is_down_but_what_must_be_durable(
    shared: Shared, s3: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_of(tmp_path / "one.jsonl", shared)
    s3.down = True
    began = time.monotonic()
    fill(journal, 200)
    assert time.monotonic() - began < 0.15
    with monkeypatch.context() as short:
        short.setattr(stored, "SEND_LIMIT", 0.2)
        with pytest.raises(StoreError, match="the store is down"):
            asyncio.run(journal.durable())
    s3.down, s3.lost_answers = False, 3
    deadline = time.monotonic() + 20
    while shared.lines("one") != journal.path.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    asyncio.run(journal.durable())
    journal.close()


def test_whose_journal_another_goes_on_with_writes_no_more(shared: Shared, tmp_path: Path) -> None:
    journal = journal_of(tmp_path / "one.jsonl", shared)
    fill(journal, 1)
    asyncio.run(journal.durable())
    other = tmp_path / "other" / "one.jsonl"
    other.parent.mkdir()
    other.write_bytes(shared.lines("one"))
    successor = journal_of(other, shared, resume=True)
    successor.append("note", 5, {"what": "y"})
    asyncio.run(successor.durable())
    fill(journal, 2)
    for _ in range(2):
        with pytest.raises(StoreError, match="record 2 of one is another controller's"):
            asyncio.run(journal.durable())
    successor.close()
    journal.close()
    assert shared.lines("one") == other.read_bytes()


# --- the card


def test_a_card_that_the_store_did_not_get_outweighs_the_older_one_there(
    s3: Flaky, shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion during an outage: what is in the store would send everybody back to the old release."""
    a, b = machine(tmp_path, "a", shared), machine(tmp_path, "b", shared)
    a.write_card(CARD)
    with monkeypatch.context() as outage:

        def write(self: S3Store, key: str, body: bytes) -> None:
            raise StoreError("the store is down")

        outage.setattr(S3Store, "write", write)
        a.write_card(CARD.with_stable("green"))
    assert a.card() == CARD.with_stable("green")
    b.write_card(CARD)
    assert a.card() == CARD


@pytest.mark.parametrize("stored", [None, b"damaged", b'{"env": "prod", "written": "never"}'])
def test_without_a_card_of_the_store_the_local_one_counts(
    s3: Flaky, shared: Shared, tmp_path: Path, stored: bytes | None
) -> None:
    Station(tmp_path / "a", "prod").write_card(CARD)
    if stored:
        s3.write("card.json", stored)
    assert machine(tmp_path, "a", shared).card() == CARD


def test_a_card_of_before_it_had_a_time_is_older_than_any(shared: Shared, tmp_path: Path) -> None:
    a = machine(tmp_path, "a", shared)
    a.write_card(CARD.with_stable("green"))
    shared.write_card(CARD)
    assert a.card() == CARD.with_stable("green")


# --- two machines


def test_what_one_machine_began_another_sees_and_continues(shared: Shared, tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a", shared), machine(tmp_path, "b", shared)
    a.take()
    path = a.new_journal(1_766_196_000)
    journal = a.open_journal(path, lambda: 0.0)
    journal.append("rollout", 0, {"plan": ""})
    a.point_at(path)
    a.write_card(CARD)
    asyncio.run(journal.durable())
    b.fetch()
    found = b.latest()
    assert found and found.parent == b.directory
    assert read_journal(found) == read_journal(path)
    assert b.card() == CARD
    assert b.holder() is None
    assert "lease last renewed at" in (b.elsewhere() or "")
    with pytest.raises(StationError, match="another controller is running: process"):
        b.take()
    b.take(lambda _: None)  # nobody renews a's
    again = b.open_journal(found, lambda: 0.0, resume=True)
    again.append("note", 1, {"what": "resumed elsewhere"})
    asyncio.run(again.durable())
    journal.append("note", 2, {"what": "never sent"})
    journal.close()
    a._lease = None  # it died
    a.give_back()
    a.fetch()
    latest = a.latest()
    assert latest and latest.read_bytes() == found.read_bytes()
    assert b"never sent" in next(a.directory.glob("*.diverged-*")).read_bytes()
    again.close()
    b.give_back()
    assert b.elsewhere() is None


def test_what_was_not_sent_before_the_end_is_sent_by_a_resume(
    shared: Shared, s3: Flaky, tmp_path: Path
) -> None:
    a = machine(tmp_path, "a", shared)
    path = a.new_journal(1_766_196_000)
    journal = a.open_journal(path, lambda: 0.0)
    journal.append("rollout", 0, {})
    asyncio.run(journal.durable())
    a.point_at(path)
    s3.down = True
    journal.append("note", 1, {"what": "late"})
    journal.close()
    s3.down = False
    a.fetch()
    assert b"late" in path.read_bytes()
    a.open_journal(path, lambda: 0.0, resume=True).close()
    assert shared.lines(path.stem) == path.read_bytes()


def test_a_mark_from_any_machine_is_heard_as_an_abort(shared: Shared, s3: Flaky, tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a", shared), machine(tmp_path, "b", shared)
    heard: list[str] = []

    async def hear(station: Station, name: str, *order: str) -> None:
        told = asyncio.Event()

        async def operate(command: str) -> tuple[bool, str]:
            heard.append(command)
            told.set()
            return True, ""

        hearing = asyncio.create_task(station.hear_marks(name, operate))
        await asyncio.to_thread(b.mark, name, *order)
        await asyncio.wait_for(told.wait(), 10)
        hearing.cancel()

    asyncio.run(hear(a, "one"))
    asyncio.run(hear(b, "two"))  # on the machine itself also without the store
    ordered = "abort --stop --reason orders are lost"
    asyncio.run(hear(a, "three", ordered))
    asyncio.run(hear(b, "four", ordered))
    assert heard == ["abort", "abort", ordered, ordered]


def test_a_mark_beside_an_earlier_one_loses_nothing_of_both(shared: Shared, tmp_path: Path) -> None:
    a, b = machine(tmp_path, "a", shared), machine(tmp_path, "b", shared)
    shared.mark("one")  # the guardian
    a.mark("one", "abort --keep --reason slow pages")
    b.mark("one", "abort --stop")
    a.mark("one")
    b.mark("one", "abort --reason orders are lost")
    seen = [asyncio.run(station.marked("one")) for station in (a, b, machine(tmp_path, "c", shared))]
    assert seen == ["abort --stop --reason orders are lost"] * 3
    found = shared.store.read("aborted/one")
    assert found
    assert len(json.loads(found[0])["before"]) == 3  # a plain one adds nothing


def test_a_mark_in_the_directory_alone_loses_nothing_either(tmp_path: Path) -> None:
    station = Station(tmp_path, "prod")
    for order in ("abort", "abort --stop --reason slow pages", "abort", "abort --reason orders are lost"):
        station.mark("one", order)
    assert asyncio.run(station.marked("one")) == "abort --stop --reason orders are lost"
    station.mark("one", "abort --keep")  # as with a controller that lives, the last word counts
    assert asyncio.run(station.marked("one")) == "abort --keep --reason orders are lost"


def test_two_marks_at_one_moment_are_both_heard(
    shared: Shared, s3: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.mark("one")
    replace, others = s3.replace, ["abort --reason orders are lost"]

    def late(key: str, body: bytes, tag: str) -> bool:
        if others:
            shared.mark("one", others.pop())
        return replace(key, body, tag)

    monkeypatch.setattr(s3, "replace", late)
    shared.mark("one", "abort --stop")
    assert shared.marked("one") == "abort --stop --reason orders are lost"


def test_what_is_added_to_a_mark_is_heard_too(shared: Shared, tmp_path: Path) -> None:
    a = machine(tmp_path, "a", shared)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def operate(command: str) -> tuple[bool, str]:
        heard.put_nowait(command)
        return True, ""

    async def hear() -> list[str]:
        hearing = asyncio.create_task(a.hear_marks("one", operate))
        found = []
        async with asyncio.timeout(10):
            for order in ("abort", "abort --stop"):
                await asyncio.to_thread(shared.mark, "one", order)
                found.append(await heard.get())
        hearing.cancel()
        return found

    assert asyncio.run(hear()) == ["abort", "abort --stop"]


def test_a_mark_that_cannot_be_read_is_not_none(
    shared: Shared, s3: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = machine(tmp_path, "a", shared)
    assert asyncio.run(a.marked("one")) is None
    (a.directory / "aborted" / "unreadable").mkdir(parents=True)
    with pytest.raises(OSError, match="Is a directory"):
        asyncio.run(a.marked("unreadable"))
    shared.mark("unreadable", "abort --stop")
    assert asyncio.run(a.marked("unreadable")) == "abort --stop"

    def down(key: str) -> None:
        raise StoreError("the store is down")

    monkeypatch.setattr(s3, "read", down)
    with pytest.raises(StoreError, match=r"is not known whether .* resume.*the store is down"):
        asyncio.run(a.surely_marked("one"))


@pytest.mark.parametrize(
    "mark", [b"", b"{", b'{"host": "a", "pid": 1}', b'{"order": "resume"}', b'{"order": 3}']
)
def test_a_mark_is_an_abort_whatever_else_is_in_it(mark: bytes) -> None:
    assert order_of(mark) == "abort"


def test_a_controller_learns_that_its_lease_is_gone_or_the_store_is_down(
    shared: Shared, s3: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = machine(tmp_path, "a", shared)
    a.take()
    lost: list[str] = []
    down: list[str] = []

    async def keep() -> None:
        told = asyncio.Event()

        def tell(problem: str) -> None:
            down.append(problem)
            told.set()

        keeping = asyncio.create_task(a.keep_lease(lost.append, tell))
        with monkeypatch.context() as broken:

            def fail(*_: object) -> bool:
                raise StoreError("no answer")

            broken.setattr(s3, "replace", fail)
            await asyncio.wait_for(told.wait(), 10)
        taken = Lease(s3, "/b")
        found = s3.read("lease.json")
        assert found
        s3.write("lease.json", taken._body())
        await asyncio.wait_for(keeping, 10)

    asyncio.run(keep())
    assert down == ["no answer"]
    assert len(lost) == 1 and "process" in lost[0]
    a.give_back()


def test_what_a_machine_has_is_not_read_again_unless_it_is_another_journal(
    shared: Shared, s3: Flaky, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_of(tmp_path / "one.jsonl", shared)
    fill(journal, 10)
    asyncio.run(journal.durable())
    journal.close()
    whole = journal.path.read_bytes()
    begun = b"".join(whole.splitlines(keepends=True)[:7])
    read: list[str] = []
    plain = s3.read

    def count(key: str) -> tuple[bytes, str] | None:
        read.append(key)
        return plain(key)

    monkeypatch.setattr(s3, "read", count)
    assert shared.lines("one", begun) == whole
    assert sorted(key[-6] for key in read) == ["0", "7", "8", "9"]
    assert shared.lines("one", begun + b"of another machine\n") == whole
    assert shared.lines("one", whole + b"not sent\n") == whole
