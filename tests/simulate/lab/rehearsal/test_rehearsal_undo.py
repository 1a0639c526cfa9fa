"""A promoted release is taken back on real parts: its predecessor's pods are brought back first, its own are stopped.

In the same lab one sample of the faults and one of the deaths that `make matrices REAL=1` plays.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.journal import read_journal
from rollout.journal.account import account_of
from rollout.plan import plan_text
from simulate.lab.lab import Lab
from simulate.lab.layout import EDGE
from simulate.lab.rehearsal.matrices import CRASHES, FAULTS, Player, held
from simulate.lab.rehearsal.release import ENVIRONMENT, Rig
from tests.simulate.lab.cluster import until

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.timeout(600)]

# What each of 20 clients' websockets is connected to, as a line of JSON whenever that changes.
SOCKETS = f"""
import asyncio, collections, json
from simulate.lab.load.websockets import WebSocketClients
async def main():
    last = None
    async with WebSocketClients("ws://{EDGE}/ws", 20) as clients:
        while True:
            now = dict(collections.Counter(clients.open.values()))
            if now != last:
                print(json.dumps(now), flush=True)
                last = now
            await asyncio.sleep(0.1)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    directory = tmp_path_factory.mktemp("undo")
    (directory / "logs").mkdir()
    plan, text = directory / "plan.yaml", plan_text("phase-c")[0]
    for stage in ("  - {weight: 25, window: 3m}\n", "  - {weight: 50, window: 3m}\n"):
        assert stage in text
        text = text.replace(stage, "")
    plan.write_text(text)
    lab = Lab(f"test-{os.getpid()}-undo", time_scale=10)
    lab.start(attached=True)
    try:
        rig = Rig.of(lab, directory, print, str(plan))
        rig.deploy_all()
        rig.clients.start()
        yield rig
    finally:
        lab.stop()
        shutil.rmtree(lab.paths.root, ignore_errors=True)
        lab.paths.lock.unlink(missing_ok=True)


def command(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    return rig.lab.run(["rollout", *arguments, "--env", ENVIRONMENT], check=False, timeout_s=240)


def test_a_promotion_is_taken_back(rig: Rig) -> None:
    rig.perform(1, "2.0.0", None)
    assert rig.stable == "green"
    # Somebody saved a few pods too early.
    rig.stacks.configure("blue", {"replicas": 0})
    rig.deploy("blue")
    watched = rig.directory / "sockets.jsonl"
    with watched.open("w") as output:
        sockets = rig.lab.popen([sys.executable, "-c", SOCKETS], output=output, errors=subprocess.STDOUT)
    try:
        until(lambda: told(watched) == {"green": 20}, 30)
        ran = command(rig, "undo", "--reason", "orders are lost", "--stop")
        assert ran.returncode == 3, ran.stdout + ran.stderr
        until(lambda: told(watched) == {"blue": 20}, 30)
    finally:
        sockets.terminate()
        sockets.wait()
    assert "blue: 0 of 2 targets are healthy; scaling it up by an update of local-blue" in ran.stdout
    assert "back to blue 1.0.0: 2 of 2 targets are healthy, after" in ran.stdout
    assert "the candidate's pods are stopped" in ran.stdout
    traffic = rig.stacks.outputs("traffic")
    assert (traffic["stable"], traffic["candidateWeight"], traffic["weights"]) == (
        "blue",
        0,
        {"blue": 100, "green": 0},
    )
    assert (rig.stacks.setting("green", "replicas"), rig.stacks.setting("blue", "replicas")) == (0, 2)
    account = account_of(
        read_journal((rig.lab.paths.project / ".rollout" / ENVIRONMENT / "latest").resolve())
    )
    assert account.outcome == "undone" and account.finish and account.finish["verified"]
    assert [e.act for e in account.effects if e.ok] == ["set_weight", "stop"]
    start = account.header.start
    counted = rig.clients.counted(start - 60, start + account.ended_s)
    assert counted.failed == 0, counted
    again = command(rig, "undo")
    assert again.returncode == 2
    assert "was undone" in again.stderr


def told(file: Path) -> dict[str, int]:
    lines = file.read_text().splitlines()
    found: dict[str, int] = json.loads(lines[-1]) if lines else {}
    return found


def test_the_next_release_is_told_what_is_missing(rig: Rig) -> None:
    ran = command(rig, "run", "--yes", "--plan", rig.plan)
    assert ran.returncode == 2
    assert (
        "candidate has 0 replicas, stable 2; `pulumi config set simple378:replicas 2 -s local-green`"
        in ran.stderr
    )
    result = rig.perform(2, "2.0.1", None)
    assert result.differs == ()
    assert rig.stable == "green"


def test_a_fault_of_what_moves_traffic_keeps_none_on_the_candidate(rig: Rig) -> None:
    cell = next(cell for cell in FAULTS if cell.fault == "engine missing")
    found = Player.of(rig).fault(cell)
    assert held(cell, found), found
    assert (found.exit, found.way, found.in_line, found.failed) == (4, "load balancer's API", False, 0), found


def test_a_controller_killed_inside_an_increase_leaves_a_rollout_that_an_abort_ends(rig: Rig) -> None:
    cell = next(cell for cell in CRASHES if cell.at == "inside the first increase")
    found = Player.of(rig).crash(cell)
    assert held(cell, found), found
    assert (found.outcome, found.in_line, found.failed) == ("aborted", True, 0), found
