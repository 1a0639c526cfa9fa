"""One controller an environment, and how the operator talks to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

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
    station.point_at(first)
    assert station.latest() == first
    elsewhere = tmp_path / "mine.jsonl"
    elsewhere.write_text("")
    station.point_at(elsewhere)
    assert station.latest() == elsewhere
