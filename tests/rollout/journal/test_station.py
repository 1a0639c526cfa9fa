"""One controller an environment, and how the operator talks to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rollout.journal import station as module
from rollout.journal.station import Station, StationError

HOLD = """
import sys
from pathlib import Path
from rollout.journal.station import Station
Station(Path(sys.argv[1]), "prod").take()
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_controller_is_refused_until_the_first_ends_however_it_ends(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout
    assert first.stdout.readline() == "taken\n"
    station = Station(tmp_path, "prod")
    assert f"process {first.pid} on" in (station.holder() or "")
    with pytest.raises(StationError, match=f"another controller is running: process {first.pid}"):
        station.take()
    Station(tmp_path, "staging").take()  # another environment is nobody's business
    first.kill()
    first.wait()
    assert station.holder() is None
    station.take()
    station.give_back()


def test_commands_are_answered(tmp_path: Path) -> None:
    station = Station(tmp_path, "prod")
    station.take()
    heard: list[str] = []

    async def operate(command: str) -> tuple[bool, str]:
        heard.append(command)
        return command != "resume", f"{command} heard"

    async def serve() -> list[tuple[bool, str]]:
        server = asyncio.create_task(station.serve(operate))
        asker = Station(tmp_path, "prod")
        answers = [await asyncio.to_thread(asker.ask, command) for command in ("pause", "resume")]
        server.cancel()
        return answers

    assert asyncio.run(serve()) == [(True, "pause heard"), (False, "resume heard")]
    assert heard == ["pause", "resume"]
    assert list((station.directory / "commands").iterdir()) == []


def test_a_command_to_a_controller_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    station = Station(tmp_path, "prod")
    station.take()
    threading.Timer(0.3, station.give_back).start()
    with pytest.raises(StationError, match="ended before it answered"):
        Station(tmp_path, "prod").ask("abort")


def test_a_controller_that_does_not_answer_is_named_and_the_question_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_LIMIT", 0.25)
    station = Station(tmp_path, "prod")
    station.take()
    with pytest.raises(
        StationError, match=rf"the controller \(process {os.getpid()} on .*\) did not answer within 0.25 s"
    ):
        Station(tmp_path, "prod").ask("abort")
    assert list((station.directory / "commands").iterdir()) == []
    station.give_back()


def test_a_file_that_is_no_command_does_not_stop_the_next(tmp_path: Path) -> None:
    station = Station(tmp_path, "prod")
    station.take()
    commands = station.directory / "commands"
    (commands / "1-1.json").write_text("{")
    (commands / "2-1.json").write_text("{}")
    (commands / "3-1.json").mkdir()

    async def operate(command: str) -> tuple[bool, str]:
        return True, command

    async def serve() -> tuple[bool, str]:
        server = asyncio.create_task(station.serve(operate))
        answer = await asyncio.to_thread(Station(tmp_path, "prod").ask, "pause")
        server.cancel()
        return answer

    assert asyncio.run(serve()) == (True, "pause")
    station.give_back()


@pytest.mark.parametrize("written", ["", "{", "{}", '{"pid": 1, "host": "h"}'])
def test_a_controller_that_has_not_written_who_it_is_still_is_one(tmp_path: Path, written: str) -> None:
    station = Station(tmp_path, "prod")
    assert station.holder() is None
    station.take()
    (station.directory / "controller.lock").write_text(written)
    assert Station(tmp_path, "prod").holder() == "a process that has just begun"
    station.give_back()
    station.give_back()
    assert station.holder() is None


def test_the_lock_names_the_last_controller_only_and_is_private(tmp_path: Path) -> None:
    station = Station(tmp_path, "prod")
    station.take()
    lock = station.directory / "controller.lock"
    assert oct(lock.stat().st_mode & 0o777) == "0o600"
    station.give_back()
    lock.write_text("x" * 1000)  # of one with a very long host name
    station.take()
    assert f"process {os.getpid()} on" in (station.holder() or "")
    station.give_back()


def test_a_new_controller_does_not_hear_what_was_said_to_the_last(tmp_path: Path) -> None:
    commands = tmp_path / ".rollout" / "prod" / "commands"
    commands.mkdir(parents=True)
    (commands / "1-1.json").write_text('{"command": "abort"}')
    Station(tmp_path, "prod").take()
    assert list(commands.iterdir()) == []


def test_journals_are_named_by_their_time_and_latest_points_at_one(tmp_path: Path) -> None:
    station = Station(tmp_path, "prod")
    assert station.latest() is None
    station.take()
    first = station.new_journal(1_766_196_000)
    assert first.name == "20251220T020000Z.jsonl"
    first.write_text("")
    assert station.new_journal(1_766_196_000).name == "20251220T020000Z-2.jsonl"
    (station.directory / "20251220T020000Z-2.jsonl").write_text("")
    assert station.new_journal(1_766_196_000).name == "20251220T020000Z-3.jsonl"
    (station.directory / "abort-20251220T020000Z.jsonl").write_text("")
    assert station.new_journal(1_766_196_000, "abort-").name == "abort-20251220T020000Z-2.jsonl"
    (station.directory / f".latest.{os.getpid()}").write_text("")  # left by a crash
    station.point_at(first)
    assert station.latest() == first
    assert os.readlink(station.directory / "latest") == first.name  # the directory may be moved
    elsewhere = tmp_path / "mine.jsonl"
    elsewhere.write_text("")
    station.point_at(elsewhere)
    assert station.latest() == elsewhere
    elsewhere.unlink()
    assert station.latest() is None
