"""The pods of a colour by stack update, on a fake engine: their number changes, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import CommandResult

from rollout.control.ports import TrafficError
from rollout.stacks import stackfile
from rollout.stacks.colours import StackColours, restart
from tests.rollout.stacks.test_traffic import command_error

STACK = "urn:pulumi:prod-blue::p::pulumi:pulumi:Stack::p-prod-blue"
BACKEND = "urn:pulumi:prod-blue::p::simple378:workload:Backend::backend"
DEPLOYMENT = (
    "urn:pulumi:prod-blue::p::simple378:workload:Backend$kubernetes:apps/v1:Deployment::backend-deployment"
)
POOL = "urn:pulumi:prod-blue::p::simple378:workload:ConnectionPool$kubernetes:apps/v1:Deployment::pool-deployment"
TYPE = "kubernetes:apps/v1:Deployment"
STATE: Mapping[str, Any] = {
    "deployment": {
        "resources": [
            {"urn": STACK, "type": "pulumi:pulumi:Stack"},
            {"urn": BACKEND, "type": "simple378:workload:Backend", "parent": STACK},
            {"urn": POOL, "type": TYPE, "parent": STACK},
            {"urn": DEPLOYMENT, "type": TYPE, "parent": BACKEND},
        ]
    }
}
FILE = "config:\n  simple378:replicas: 4  # as green\n  simple378:version: 1.0.0\n"


@dataclass
class Engine:
    project_dir: Path
    diff: Mapping[str, Any] = field(default_factory=lambda: {"spec.replicas": {}})
    runs: list[tuple[str, ...]] = field(default_factory=list)
    failure: Exception | None = None
    urn: str = DEPLOYMENT
    previewed: list[int] = field(default_factory=list)

    async def json(self, stack: str, *args: str) -> Any:
        assert stack == "prod-blue"
        if args[0] == "stack":
            return STATE
        self.runs.append(args)
        ahead = args[args.index("--config-file") + 1]
        self.previewed.append(stackfile.read_config(Path(ahead))["replicas"])
        return {"steps": [{"op": "update", "urn": self.urn, "detailedDiff": self.diff}]}

    async def run(self, stack: str, *args: str) -> CommandResult:
        self.runs.append(args)
        if self.failure:
            raise self.failure
        return CommandResult("", "", 0)


class Elb:
    def describe_target_health(self, **request: Any) -> Any:
        assert request == {"TargetGroupArn": "arn:blue"}
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": "10.0.0.1", "Port": 80}, "TargetHealth": {"State": state}}
                for state in ("healthy", "healthy", "unhealthy")
            ]
        }


@pytest.fixture
def colours(tmp_path: Path) -> StackColours:
    (tmp_path / "Pulumi.prod-blue.yaml").write_text(FILE)
    engine: Any = Engine(tmp_path)
    return StackColours(
        engine, "prod", Elb(), {"stable": "blue", "candidate": "green"}, {"stable": "arn:blue"}
    )


def engine_of(colours: StackColours) -> Engine:
    engine: Any = colours.engine
    return engine  # type: ignore[no-any-return]


def test_only_the_pods_are_updated(colours: StackColours) -> None:
    details = asyncio.run(colours.scale("stable", 0))
    engine = engine_of(colours)
    assert (details["stack"], details["replicas"], engine.previewed) == ("prod-blue", 0, [0])
    update = engine.runs[-1]
    assert update[0] == "up"
    assert [update[i + 1] for i, arg in enumerate(update) if arg == "--target"] == [
        STACK,
        BACKEND,
        DEPLOYMENT,
    ]
    assert "--refresh" in update, "a person may have scaled it with kubectl"
    config = stackfile.read_config(engine.project_dir / "Pulumi.prod-blue.yaml")
    assert (config["replicas"], config["version"]) == (0, "1.0.0")
    assert [path.name for path in engine.project_dir.iterdir()] == ["Pulumi.prod-blue.yaml"]


def test_an_update_that_would_change_more_is_refused(colours: StackColours) -> None:
    engine = engine_of(colours)
    engine.diff = {"spec.replicas": {}, "spec.template.spec.containers[0].image": {}}
    with pytest.raises(
        TrafficError, match=r"prod-blue to 4 replicas would change more: .*image\. Make Pulumi.prod-blue"
    ):
        asyncio.run(colours.scale("stable", 4))
    assert [run[0] for run in engine.runs] == ["preview"]
    assert (engine.project_dir / "Pulumi.prod-blue.yaml").read_text() == FILE


def test_what_fails_is_a_sentence(colours: StackColours) -> None:
    engine_of(colours).failure = command_error("error: the cluster does not answer")
    with pytest.raises(TrafficError, match="prod-blue to 4 replicas failed: the cluster does not answer"):
        asyncio.run(colours.scale("stable", 4))
    (engine_of(colours).project_dir / "Pulumi.prod-blue.yaml").unlink()
    with pytest.raises(TrafficError, match="cannot read this stack's configuration"):
        asyncio.run(colours.scale("stable", 4))


def test_targets_are_counted_and_what_is_wrong_is_said(colours: StackColours) -> None:
    assert asyncio.run(colours.targets("stable")) == (2, "10.0.0.1:80 is unhealthy")


@pytest.mark.parametrize(
    ("what", "urn", "key"),
    [("backend", DEPLOYMENT, "backendRestarts"), ("pgbouncer", POOL, "pgbouncerRestarts")],
)
def test_a_restart_replaces_the_pods_of_one_deployment(
    colours: StackColours, what: str, urn: str, key: str
) -> None:
    engine = engine_of(colours)
    engine.urn, engine.diff = urn, {'spec.template.metadata.annotations["simple378/restarts"]': {}}
    for count in (1, 2):
        asyncio.run(restart(colours.engine, "prod", "blue", what))
        assert engine.runs[-1][0] == "up"
        assert urn in engine.runs[-1]
        assert stackfile.read_config(engine.project_dir / "Pulumi.prod-blue.yaml")[key] == count
    engine.diff = {**engine.diff, "spec.template.spec.containers[0].image": {}}
    with pytest.raises(TrafficError, match=f"prod-blue to restart {what} would change more: .*image"):
        asyncio.run(restart(colours.engine, "prod", "blue", what))
    assert stackfile.read_config(engine.project_dir / "Pulumi.prod-blue.yaml")[key] == 2
