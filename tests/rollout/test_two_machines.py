"""One release and two machines: two folders, two processes, one store (S3 as moto serves it)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from rollout.journal import read_journal
from rollout.journal.station import Station
from tests.rollout.test_cli import PATIENT, command, project, start, wait_for_weight, weight
from tests.rollout.test_undo_cli import promoted

__all__ = ["project"]  # a fixture


@dataclass(frozen=True)
class Machines:
    """``b`` has the same files as ``a`` and the same load balancer, but none of its journals."""

    a: Path
    b: Path
    env: dict[str, str]


@pytest.fixture
def machines(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    b = tmp_path_factory.mktemp("b")
    for file in project.iterdir():
        (b / file.name).write_bytes(file.read_bytes())
    (project / "weight").write_text("0")
    (b / "weight").symlink_to(project / "weight")
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    env = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "SIMPLE378_STORE": f"s3://releases/{project.name.replace('_', '-')}",
        "LEASE_TERM": "3",
    }
    # moto keeps one world a process: a load balancer of another test would be found by its tags.
    httpx.post(f"{env['AWS_ENDPOINT_URL']}/moto-api/reset").raise_for_status()
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    client.create_bucket(Bucket="releases")
    try:
        yield Machines(project, b, env)
    finally:
        server.stop()


def test_the_other_machine_looks_is_refused_and_aborts(machines: Machines) -> None:
    controller = start(machines.a, *PATIENT, **machines.env)
    wait_for_weight(machines.a, 5)
    code, out = command(machines.b, "status", **machines.env)
    assert code == 0, out
    assert f"process {controller.pid} on" in out
    for words in (PATIENT, ("resume",)):
        code, out = command(machines.b, *words, **machines.env)
        assert code == 2, out
        assert f"another controller is running: process {controller.pid} on" in out
        assert "since" in out
    code, out = command(machines.b, "abort", **machines.env)
    assert code == 4, out
    assert weight(machines.b) == 0, out
    out, _ = controller.communicate(timeout=60)
    assert controller.returncode == 3, out
    assert "ordered by the operator" in out
    code, out = command(machines.b, "status", **machines.env)
    assert "aborted" in out


def test_the_other_machine_undoes_what_the_first_watches(machines: Machines) -> None:
    promoted(machines.a)
    rule = {"RULE": "", **machines.env}
    controller = start(machines.a, "watch", **rule)
    latest = machines.a / ".rollout/prod/latest"
    until = time.monotonic() + 60
    while '"kind":"watch"' not in (latest.read_text() if latest.exists() else ""):
        assert time.monotonic() < until and controller.poll() is None
        time.sleep(0.05)
    code, out = command(machines.b, "undo", "--reason", "orders are lost", "--stop", **rule)
    assert code == 4, out
    assert f"another controller is running: process {controller.pid} on" in out
    assert "back to blue 1.0.0: 2 of 2 targets are healthy" in out
    assert (
        "the mark of an undo is left: the watch acts on it within seconds and goes back to blue 1.0.0" in out
    )
    assert "traffic now: green 2.0.0 has 0 %, blue 1.0.0 has 100 % (load balancer" in out
    assert weight(machines.b) == 0, "seen before the command ended"
    out, _ = controller.communicate(timeout=60)
    assert controller.returncode == 3, out
    assert "undo: ordered by the operator: orders are lost" in out
    abort = next(r.body for r in read_journal(latest.resolve()) if r.body.get("event") == "operator")
    assert abort["stop"] is True


@pytest.mark.lab
def test_the_other_machine_goes_on_where_the_first_was_killed(machines: Machines) -> None:
    controller = start(machines.a, "run", "--yes", "--plan", "quick.yaml", **machines.env)
    wait_for_weight(machines.a, 5)
    controller.kill()
    controller.wait()
    code, out = command(machines.b, "resume", **machines.env)
    assert code == 0, out
    assert "watching for 3 s whether it is renewed" in out
    assert weight(machines.a) == 100
    code, out = command(machines.a, "status", **machines.env)
    assert "promoted" in out, out
    here, there = (Station(folder, "prod").latest() for folder in (machines.a, machines.b))
    assert here and there
    assert read_journal(here) == read_journal(there)


@pytest.mark.lab
def test_what_was_aborted_without_its_controller_is_aborted_by_a_resume(project: Path) -> None:
    controller = start(project, *PATIENT)
    wait_for_weight(project, 5)
    controller.kill()
    controller.wait()
    station = Station(project, "prod")
    path = station.latest()
    assert path
    station.mark(path.stem)
    code, out = command(project, "resume")
    assert code == 3, out
    assert weight(project) == 0
