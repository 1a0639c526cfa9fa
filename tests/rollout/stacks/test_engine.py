"""Traffic on the real engine: what it moves, what it refuses, and that it can be ended at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.aws.elb import OriginSecret, WeightedRule
from rollout.aws.tagged import find
from rollout.control.ports import TrafficError, TrafficRefused
from rollout.procedure import drift
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine
from rollout.stacks.environment import read_environment
from rollout.stacks.project import EnvironmentProblem
from rollout.stacks.traffic import StackTraffic, find_scope
from tests.infra.test_engine import TRAFFIC, Project, project

__all__ = ["project"]  # a fixture

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture
def traffic(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StackTraffic]:
    """The traffic of the project, at 0 % of green."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    yield asyncio.run(_traffic(Engine(project.folder, tmp_path), project))
    file = stackfile.stack_file(project.folder, TRAFFIC)
    generation = project.outputs(TRAFFIC)["generation"] + 1
    values: dict[str, str | int] = {"stable": "blue", "candidateWeight": 0, "generation": generation}
    stackfile.write(file, stackfile.changed(file, values))
    project.pulumi("up", "--yes", "--skip-preview", "--refresh", "--stack", TRAFFIC)


async def _traffic(engine: Engine, project: Project) -> StackTraffic:
    state = await engine.json(TRAFFIC, "stack", "export")
    outputs = await engine.outputs(TRAFFIC)
    colours = {"stable": outputs["stable"], "candidate": outputs["candidate"]}
    groups = (await engine.outputs("local"))["targetGroups"]
    rule = WeightedRule(
        project.load_balancing(),
        outputs["ruleArn"],
        {role: groups[colour]["arn"] for role, colour in colours.items()},
        OriginSecret(project.aws("secretsmanager"), "local"),
    )
    scope = find_scope(state, "aws:lb/listenerRule:ListenerRule", TRAFFIC)
    return StackTraffic(engine, TRAFFIC, rule, scope, outputs["generation"], colours)


def test_stages_promotion_and_what_the_stack_says(traffic: StackTraffic, project: Project) -> None:
    async def release() -> None:
        for weight in (5, 100):
            await traffic.foresee(weight)
            await traffic.set_weight(weight, increase=True)
            assert project.weights() == {"blue": 100 - weight, "green": weight}
        await traffic.promote()

    asyncio.run(release())
    assert project.weights() == {"blue": 0, "green": 100}
    outputs = project.outputs(TRAFFIC)
    assert (outputs["stable"], outputs["candidateWeight"]) == ("green", 0)
    assert outputs["generation"] == traffic.generation
    project.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", TRAFFIC)


def test_break_glass_is_reconciled(traffic: StackTraffic, project: Project) -> None:
    async def act() -> None:
        await traffic.set_weight(50, increase=True)
        await traffic.break_glass(0)
        assert project.outputs(TRAFFIC)["candidateWeight"] == 50
        await traffic.reconcile(0)

    asyncio.run(act())
    assert project.outputs(TRAFFIC)["candidateWeight"] == 0
    assert project.weights() == {"blue": 100, "green": 0}
    project.pulumi("preview", "--expect-no-changes", "--stack", TRAFFIC)


def _conditions(project: Project) -> Any:
    arn = project.outputs(TRAFFIC)["ruleArn"]
    return project.load_balancing().describe_rules(RuleArns=[arn])["Rules"][0]["Conditions"]


@pytest.mark.parametrize("way", ["stack", "break-glass", "the rule alone"])
def test_a_strangers_conditions_are_taken_back(traffic: StackTraffic, project: Project, way: str) -> None:
    """By each way of a decrease; the origin's secret comes from Secrets Manager, where the foundation put it."""
    before = _conditions(project)
    nobody = {"HttpHeaderName": "X-Origin-Verify", "Values": ["changed-by-hand"]}
    broken = [{"Field": "http-header", "HttpHeaderConfig": nobody}]

    async def act() -> Mapping[str, Any]:
        await traffic.set_weight(50, increase=True)
        project.load_balancing().modify_rule(RuleArn=traffic.rule.arn, Conditions=broken)
        if way == "stack":
            return await traffic.set_weight(0, increase=False)
        if way == "break-glass":
            return await traffic.break_glass(0)
        await traffic.rule.write_weight(0)
        return await traffic.rule.make_whole()

    done = asyncio.run(act())
    assert _conditions(project) == before
    assert project.weights() == {"blue": 100, "green": 0}
    # The stack's update refreshes the rule first, so nothing is left to write back.
    assert done.get("written_back") == (None if way == "stack" else "conditions")
    assert "not_written_back" not in done


def test_a_deleted_rule_is_made_anew(traffic: StackTraffic, project: Project) -> None:
    before = _conditions(project)

    async def act() -> None:
        await traffic.set_weight(50, increase=True)
        project.load_balancing().delete_rule(RuleArn=traffic.rule.arn)
        await traffic.set_weight(0, increase=False)
        assert await traffic.read_weight() == 0

    asyncio.run(act())
    assert _conditions(project) == before
    assert project.weights() == {"blue": 100, "green": 0}


def test_what_was_changed_by_hand_in_the_foundation_is_named(traffic: StackTraffic, project: Project) -> None:
    def found() -> str:
        return asyncio.run(drift.problem(traffic.engine, "local"))

    assert found() == ""
    balancing = project.load_balancing()
    group = project.outputs("local")["targetGroups"]["green"]["arn"]
    balancing.modify_target_group(TargetGroupArn=group, HealthCheckPath="/nowhere")
    said = found()
    assert said.startswith(
        "local is not as its program declares, an update would update green-group (healthCheck"
    )
    assert said.endswith("then `pulumi up --refresh -s local`")
    project.pulumi("up", "--yes", "--skip-preview", "--refresh", "--stack", "local")
    assert found() == ""


def test_an_update_touches_the_rule_and_nothing_else(traffic: StackTraffic, project: Project) -> None:
    """A program that would do more is refused by the preview; the engine's fence holds without it."""
    infra = project.folder / "infra"
    real = infra.resolve()
    infra.unlink()
    shutil.copytree(real, infra)
    main = infra / "__main__.py"
    main.write_text(main.read_text() + "\nimport pulumi_aws\npulumi_aws.sns.Topic('stray', name='stray')\n")
    try:
        with pytest.raises(TrafficRefused, match="create stray"):
            asyncio.run(traffic.set_weight(5, increase=True))
        assert project.weights() == {"blue": 100, "green": 0}
        asyncio.run(traffic.set_weight(0, increase=False))
        state = json.loads(project.pulumi("stack", "export", "--stack", TRAFFIC).stdout)
        types = [resource["type"] for resource in state["deployment"]["resources"]]
        assert "aws:sns/topic:Topic" not in types
    finally:
        shutil.rmtree(infra)
        infra.symlink_to(real)


def test_an_increase_is_ended_at_any_moment_and_the_decrease_holds(
    traffic: StackTraffic, project: Project
) -> None:
    async def preempt(after: float) -> None:
        await traffic.foresee(50)
        increase = asyncio.create_task(traffic.set_weight(50, increase=True))
        await asyncio.sleep(after)
        began = time.monotonic()
        increase.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # an idle machine may have done it by then
            await increase
        assert time.monotonic() - began < 10
        assert _engines_in(project.folder) == []
        await traffic.set_weight(0, increase=False)
        assert await traffic.read_weight() == 0

    async def all_moments() -> None:
        for after in (0.05, 0.5, 0.9, 1.3, 1.7, 2.1):
            await preempt(after)

    asyncio.run(all_moments())
    assert project.outputs(TRAFFIC)["candidateWeight"] == 0


def test_rule_and_target_groups_are_found_by_their_tags(traffic: StackTraffic, project: Project) -> None:
    region = project.load_balancing().meta.region_name
    found = asyncio.run(find(project.load_balancing(), "local", region, "blue"))
    assert (found.rule_arn, found.groups) == (traffic.rule.arn, traffic.rule.groups)


def _engines_in(folder: Path) -> list[str]:
    """Processes at work in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (
                os.readlink(process / "cwd").startswith(str(folder))
                and "pulumi" in (process / "cmdline").read_text()
            ):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_the_engine_of_a_controller_that_died_is_ended_and_its_lock_removed(
    traffic: StackTraffic, project: Project, tmp_path: Path
) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from rollout.stacks.engine import Engine\n"
        "asyncio.run(Engine(Path('.'), Path(sys.argv[1])).run('local-traffic', 'up', '--yes', '--skip-preview'))"
    )

    async def die() -> None:
        controller = await asyncio.create_subprocess_exec(
            *("python", "-c", program, str(tmp_path)), cwd=project.folder, env=project.environment
        )
        locks = project.folder / "state" / ".pulumi" / "locks"
        await _until(lambda: any(locks.rglob("*.json")))
        controller.kill()
        await controller.wait()
        engine = Engine(project.folder, tmp_path)
        assert engine.end_left_over() == [TRAFFIC]
        assert _engines_in(project.folder) == []
        again = await _traffic(engine, project)
        await again.set_weight(0, increase=False)

    asyncio.run(die())


async def _until(condition: Callable[[], bool], limit: float = 30) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_a_stale_checkout_does_not_raise_traffic_but_a_rollback_goes_through(
    traffic: StackTraffic, project: Project
) -> None:
    async def other_machine() -> None:
        file = stackfile.stack_file(project.folder, TRAFFIC)
        mine = file.read_text()
        stackfile.write(
            file, stackfile.changed(file, {"candidateWeight": 25, "generation": traffic.generation + 5})
        )
        await asyncio.to_thread(project.up, TRAFFIC)
        stackfile.write(file, mine)
        with pytest.raises(TrafficError, match="refused"):
            await traffic.set_weight(50, increase=True)
        assert await traffic.read_weight() == 25
        await traffic.set_weight(0, increase=False)

    asyncio.run(other_machine())
    assert project.weights() == {"blue": 100, "green": 0}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("nowhere", "there is no stack nowhere: create it with `pulumi stack init nowhere`"),
        ("local", "there is no stack local-blue"),
    ],
)
def test_what_is_not_deployed_is_named(
    traffic: StackTraffic, project: Project, env: str, message: str
) -> None:
    work: Awaitable[object] = read_environment(traffic.engine, env)
    with pytest.raises(EnvironmentProblem, match=message):
        asyncio.run(work)  # type: ignore[arg-type]
