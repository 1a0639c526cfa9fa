"""`rollout abort --stop` without a rollout to continue: the candidate's pods go by stack update, and by hand if that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.control.ports import TrafficError
from rollout.control.testing import FakeColours
from rollout.policy import timing
from rollout.stacks.engine import EngineMissing
from tests.rollout import driver
from tests.rollout.test_cli import Ran, project, rollout, weight
from tests.rollout.test_undo_cli import promoted

__all__ = ["project", "rollout"]  # fixtures
Run = Callable[..., Ran]
BY_HAND = "`pulumi config set simple378:replicas 0 -s prod-green` and `pulumi up -s prod-green`"


class Pods(driver.FileConnector):
    def __init__(self, *, broken: bool = False) -> None:
        self.pods = FakeColours(seconds=0, broken=broken)

    def colours(self, engine: object, environment: object) -> Any:
        return self.pods


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SETTLE_GAP", 0.01)


def test_the_pods_are_stopped_once_they_have_no_traffic(rollout: Run, project: Path) -> None:
    (project / "weight").write_text("25")
    connector = Pods()
    ran = rollout("abort", "--stop", connector=connector)
    assert (ran.code, weight(project)) == (4, 0), ran.err
    assert connector.pods.scaled == [("candidate", 0)]
    assert ran.out.splitlines()[-2:] == [
        "stopping the pods of green 2.0.0",
        "the candidate's pods are stopped",
    ]
    assert "pulumi config set" not in ran.out


@pytest.mark.parametrize("flag", ["--keep", None])
def test_only_when_it_is_ordered(rollout: Run, project: Path, flag: str | None) -> None:
    connector = Pods()
    ran = rollout("abort", *([flag] if flag else []), connector=connector)
    assert (ran.code, connector.pods.scaled) == (4, []), ran.err


def test_an_update_that_fails_is_told_with_the_lines(rollout: Run, project: Path) -> None:
    (project / "weight").write_text("25")
    ran = rollout("abort", "--stop", connector=Pods(broken=True))
    assert (ran.code, weight(project)) == (4, 0), ran.err
    assert "rollout: the stack update failed" in ran.err
    assert ran.out.splitlines()[-1] == f"the candidate's pods were left: {BY_HAND}"


def test_pods_that_have_traffic_are_never_stopped(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = Pods()

    async def some(self: object) -> float:
        return 5

    monkeypatch.setattr(driver.FileTraffic, "read_weight", some)
    ran = rollout("abort", "--stop", connector=connector)
    assert connector.pods.scaled == []
    assert "the candidate has 5 % of the traffic" in ran.err
    assert ran.out.splitlines()[-1] == f"the candidate's pods were left: {BY_HAND}"


def test_what_an_undo_goes_back_to_is_not_stopped(rollout: Run, project: Path) -> None:
    promoted(project)
    (project / "weight").write_text("0")  # the roles are exchanged, and so is what the weight is of
    connector = Pods()
    ran = rollout("abort", "--stop", connector=connector)
    assert (ran.code, connector.pods.scaled) == (4, []), ran.err
    assert "no pods were stopped: after a promotion the idle colour is what an undo goes back to" in ran.out


def test_without_an_engine_the_lines_are_printed(
    rollout: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoEngine(Pods):
        def engine(self, project_dir: Path, running: Path | None) -> Any:
            raise EngineMissing("pulumi is not on PATH")

        def rule(self, card: object) -> Any:
            raise TrafficError("no load balancer either")

    ran = rollout("abort", "--stop", connector=NoEngine())
    assert ran.code == 1, "traffic was not moved"
    assert "pods" not in ran.out
