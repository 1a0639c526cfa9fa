"""Traffic by stack update, on a fake engine: what is refused, what is retried, what an update may touch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pulumi.automation import CommandError, CommandResult, ConcurrentUpdateError

from rollout.aws.elb import WeightedRule, target_health
from rollout.control.ports import TrafficError, TrafficRefused
from rollout.journal.card import bring_in_line
from rollout.stacks import stackfile, traffic
from rollout.stacks.traffic import Scope, StackLimits, StackTraffic, beyond, find_scope

STACK = "urn:pulumi:t::p::pulumi:pulumi:Stack::p-t"
COMPONENT = "urn:pulumi:t::p::simple378:edge:TrafficRule::traffic"
RULE = "urn:pulumi:t::p::simple378:edge:TrafficRule$aws:lb/listenerRule:ListenerRule::traffic-rule"
SCOPE = Scope(RULE, (STACK, COMPONENT))
FILE = """# Who serves.
config:
  aws:region: us-east-1
  simple378:stable: blue  # serves now
  simple378:candidateWeight: 0
  simple378:generation: 7
  simple378:protect: false
encryptionsalt: v1:abc
"""
WEIGHTS: Mapping[str, Any] = {
    "actions[0].forward.targetGroups[0].weight": {},
    "actions[0].forward.targetGroups[1].weight": {},
}


def update(urn: str = RULE, op: str = "update", diff: Mapping[str, Any] | None = WEIGHTS) -> dict[str, Any]:
    return {"op": op, "urn": urn, "detailedDiff": diff}


class FakeElb:
    """Stand-in for boto3's elbv2 client: one rule, and the health of targets."""

    def __init__(self) -> None:
        self.weights = {"arn:blue": 100, "arn:green": 0}
        self.arn = "arn:rule"
        self.modified: list[dict[str, Any]] = []
        self.targets: list[dict[str, Any]] = []

    def describe_rules(self, **request: Any) -> Any:
        groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in self.weights.items()]
        actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
        return {"Rules": [{"Actions": actions}] if request["RuleArns"] == [self.arn] else []}

    def modify_rule(self, **request: Any) -> None:
        self.modified.append(request)
        groups = request["Actions"][0]["ForwardConfig"]["TargetGroups"]
        self.weights = {group["TargetGroupArn"]: group["Weight"] for group in groups}

    def describe_target_health(self, **request: Any) -> Any:
        return {"TargetHealthDescriptions": self.targets}


@dataclass
class FakeEngine:
    """Stand-in for the engine: makes the weights of the stack file so. ``failures`` come first, one a run."""

    project_dir: Path
    elb: FakeElb
    failures: list[Exception] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=lambda: [update()])
    runs: list[tuple[str, ...]] = field(default_factory=list)
    deployed: dict[str, Any] = field(default_factory=lambda: {"stable": "blue", "generation": 7})
    killed: bool = False

    async def run(self, stack: str, *args: str) -> CommandResult:
        self.runs.append(args)
        if self.failures:
            raise self.failures.pop(0)
        config = stackfile.read_config(self.project_dir / f"Pulumi.{stack}.yaml")
        self.deployed = {"stable": config["stable"], "generation": config["generation"]}
        candidate = "green" if config["stable"] == "blue" else "blue"
        self.elb.weights = {
            f"arn:{candidate}": config["candidateWeight"],
            f"arn:{config['stable']}": 100 - config["candidateWeight"],
        }
        return CommandResult("", "", 0)

    async def json(self, stack: str, *args: str) -> Any:
        self.runs.append(args)
        if self.failures:
            raise self.failures.pop(0)
        return {"steps": self.steps}

    async def outputs(self, stack: str) -> Mapping[str, Any]:
        return self.deployed

    async def unlock(self, stack: str) -> bool:
        was, self.killed = self.killed, False
        return was


@dataclass
class World:
    traffic: StackTraffic
    engine: FakeEngine
    elb: FakeElb
    file: Path

    def updates(self) -> list[tuple[str, ...]]:
        return [run for run in self.engine.runs if run[0] == "up"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(traffic, "LOCK_WAIT", 0.001)
    monkeypatch.setattr(traffic, "DECREASE_LOCK_WAIT", 0.01)
    monkeypatch.setattr(traffic, "READ_BACK_LIMIT", 0.01)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "main.py").write_text("")
    file = tmp_path / "Pulumi.prod-traffic.yaml"
    file.write_text(FILE)
    elb = FakeElb()
    engine = FakeEngine(tmp_path, elb)
    rule = WeightedRule(elb, "arn:rule", {"stable": "arn:blue", "candidate": "arn:green"})
    colours = {"stable": "blue", "candidate": "green"}
    return World(StackTraffic(engine, "prod-traffic", rule, SCOPE, 7, colours), engine, elb, file)  # type: ignore[arg-type]


def command_error(text: str, kind: type[CommandError] = CommandError) -> CommandError:
    return kind(CommandResult("", text, 255))


LOCKED = command_error("the stack is currently locked by 1 lock(s)", ConcurrentUpdateError)


def test_an_update_declares_deploys_and_is_read_back(world: World) -> None:
    asyncio.run(world.traffic.set_weight(5, increase=True))
    assert world.elb.weights == {"arn:blue": 95, "arn:green": 5}
    assert world.file.read_text() == FILE.replace("Weight: 0", "Weight: 5").replace("tion: 7", "tion: 8")
    (args,) = world.updates()
    assert [args[i + 1] for i, arg in enumerate(args) if arg == "--target"] == [STACK, COMPONENT, RULE]
    assert world.traffic.generation == 8


def promoted(world: World) -> None:
    """The stack after a promotion: green is stable and has everything."""
    world.file.write_text(FILE.replace("stable: blue", "stable: green"))
    world.elb.weights = {"arn:green": 100, "arn:blue": 0}


def test_what_is_typed_to_bring_the_stack_in_line_names_who_is_stable(world: World) -> None:
    promoted(world)
    assert world.traffic.in_line_by_hand(5) == bring_in_line("prod-traffic", "blue", 5)


def test_an_undo_moves_the_traffic_and_exchanges_the_names_in_one_update(world: World) -> None:
    promoted(world)
    assert asyncio.run(world.traffic.read_weight()) == 100
    asyncio.run(world.traffic.set_weight(0, increase=False))
    assert world.elb.weights == {"arn:blue": 100, "arn:green": 0}
    assert len(world.updates()) == 1
    config = stackfile.read_config(world.file)
    assert (config["stable"], config["candidateWeight"], config["generation"]) == ("blue", 0, 8)


def test_after_an_undo_by_break_glass_the_stack_gets_the_names_too(world: World) -> None:
    promoted(world)
    asyncio.run(world.traffic.break_glass(0))
    asyncio.run(world.traffic.reconcile(0))
    assert world.elb.weights == {"arn:blue": 100, "arn:green": 0}
    assert stackfile.read_config(world.file)["stable"] == "blue"


def test_only_a_decrease_or_an_unclean_past_refreshes(world: World) -> None:
    for weight, increase in ((5, True), (25, True), (0, False)):
        asyncio.run(world.traffic.set_weight(weight, increase=increase))
    assert ["--refresh" in args for args in world.updates()] == [True, False, True]


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (update(urn=COMPONENT), "traffic"),
        (update(urn="urn:pulumi:t::p::aws:lb/listener:Listener::other"), "other"),
        (update(op="replace"), "replace traffic-rule"),
        (update(op="delete"), "delete traffic-rule"),
        (update(op="create", urn="urn:pulumi:t::p::aws:s3/bucket:Bucket::new"), "create new"),
        (update(diff={"conditions[0].httpHeader": {}}), "traffic-rule.conditions"),
        (update(diff=None), "traffic-rule.?"),
    ],
)
def test_an_increase_that_would_touch_more_than_the_weights_is_refused(
    world: World, step: dict[str, Any], named: str
) -> None:
    world.engine.steps.append(step)
    with pytest.raises(TrafficRefused, match=named.replace("?", r"\?")):
        asyncio.run(world.traffic.set_weight(5, increase=True))
    assert world.updates() == []
    assert world.file.read_text() == FILE
    asyncio.run(world.traffic.set_weight(0, increase=False))  # the engine's fence is enough for this


def test_what_a_preview_may_show() -> None:
    quiet = [update(op=op, urn=STACK) for op in ("same", "read", "refresh")]
    assert beyond({"steps": [*quiet, update()]}, SCOPE, ("actions",)) == []
    assert beyond({"steps": [update()]}, SCOPE, ()) == [
        "traffic-rule.actions[0].forward.targetGroups[0].weight",
        "traffic-rule.actions[0].forward.targetGroups[1].weight",
    ]


def test_a_preview_that_was_made_ahead_is_not_made_again(world: World) -> None:
    asyncio.run(world.traffic.foresee(5))
    asyncio.run(world.traffic.set_weight(5, increase=True))
    assert [run[0] for run in world.engine.runs] == ["preview", "up"]


def test_a_preview_is_made_again_when_the_program_changed_since(world: World) -> None:
    asyncio.run(world.traffic.foresee(5))
    (world.engine.project_dir / "infra" / "main.py").write_text("changed = True")
    world.engine.steps.append(update(op="create", urn="urn:pulumi:t::p::aws:s3/bucket:Bucket::new"))
    with pytest.raises(TrafficRefused):
        asyncio.run(world.traffic.set_weight(5, increase=True))


def test_an_increase_waits_for_somebody_elses_update(world: World) -> None:
    asyncio.run(world.traffic.foresee(5))
    world.engine.failures = [LOCKED, LOCKED, LOCKED]
    asyncio.run(world.traffic.set_weight(5, increase=True))
    assert len(world.updates()) == 4


def test_a_decrease_waits_only_a_little(world: World) -> None:
    world.engine.failures = [LOCKED] * 1000
    with pytest.raises(TrafficError, match="locked"):
        asyncio.run(world.traffic.set_weight(0, increase=False))


def test_the_lock_of_an_engine_that_was_killed_is_removed(world: World) -> None:
    world.engine.failures = [LOCKED]
    world.engine.killed = True
    asyncio.run(world.traffic.set_weight(0, increase=False))
    assert len(world.updates()) == 2


def test_nothing_but_a_lock_is_retried(world: World) -> None:
    world.engine.failures = [command_error("error: AccessDenied")]
    with pytest.raises(TrafficError, match="AccessDenied"):
        asyncio.run(world.traffic.set_weight(0, increase=False))
    assert len(world.updates()) == 1


def test_a_stale_generation_stops_an_increase_but_not_a_decrease(world: World) -> None:
    stale = command_error("error: refused, nothing was changed: the configuration is older")
    asyncio.run(world.traffic.foresee(5))
    world.engine.failures = [stale]
    with pytest.raises(TrafficError, match="refused, nothing was changed"):
        asyncio.run(world.traffic.set_weight(5, increase=True))
    world.engine.failures = [stale]
    world.engine.deployed = {"stable": "blue", "generation": 11}
    asyncio.run(world.traffic.set_weight(0, increase=False))
    assert stackfile.read_config(world.file)["generation"] == 12


def test_an_update_that_is_not_seen_at_the_load_balancer_has_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lies(stack: str, *args: str) -> CommandResult:
        return CommandResult("", "", 0)

    monkeypatch.setattr(world.engine, "run", lies)
    world.elb.weights = {"arn:blue": 50, "arn:green": 50}
    with pytest.raises(TrafficError, match="50 % is read back"):
        asyncio.run(world.traffic.set_weight(0, increase=False))


def test_a_rule_that_was_deleted_is_made_anew_and_found(world: World) -> None:
    world.elb.weights = {"arn:blue": 50, "arn:green": 50}
    world.elb.arn = "arn:made-anew"
    deploy = world.engine.run

    async def run(stack: str, *args: str) -> CommandResult:
        done = await deploy(stack, *args)
        world.engine.deployed["ruleArn"] = "arn:made-anew"
        return done

    world.engine.run = run  # type: ignore[method-assign]
    asyncio.run(world.traffic.set_weight(0, increase=False))
    assert asyncio.run(world.traffic.read_weight()) == 0


def test_a_rule_that_is_gone_is_said_to_be(world: World) -> None:
    world.elb.arn = "arn:another"
    world.engine.deployed["ruleArn"] = "arn:rule"
    with pytest.raises(TrafficError, match="has no rule arn:rule"):
        asyncio.run(world.traffic.read_weight())
    deploy = world.engine.run

    async def run(stack: str, *args: str) -> CommandResult:
        done = await deploy(stack, *args)
        world.engine.deployed["ruleArn"] = "arn:rule"
        return done

    world.engine.run = run  # type: ignore[method-assign]
    with pytest.raises(TrafficError, match="has no rule arn:rule"):
        asyncio.run(world.traffic.set_weight(0, increase=False))


def test_break_glass_and_reconciliation(world: World) -> None:
    world.elb.weights = {"arn:blue": 50, "arn:green": 50}
    asyncio.run(world.traffic.break_glass(0))
    (request,) = world.elb.modified
    assert request["Actions"][0]["ForwardConfig"]["TargetGroupStickinessConfig"] == {"Enabled": False}
    assert world.engine.runs == []
    asyncio.run(world.traffic.reconcile(0))
    (args,) = world.updates()
    assert "--refresh" in args


def test_promotion_swaps_the_roles_and_touches_nothing(world: World) -> None:
    world.elb.weights = {"arn:blue": 0, "arn:green": 100}
    world.engine.steps = []
    asyncio.run(world.traffic.promote())
    assert world.elb.weights == {"arn:blue": 0, "arn:green": 100}
    assert stackfile.read_config(world.file)["stable"] == "green"
    runs = len(world.engine.runs)
    assert asyncio.run(world.traffic.promote())["already"]
    assert len(world.engine.runs) == runs


def test_a_promotion_that_would_touch_the_rule_is_refused(world: World) -> None:
    with pytest.raises(TrafficRefused, match="must not touch the load balancer"):
        asyncio.run(world.traffic.promote())
    assert world.file.read_text() == FILE


def test_what_a_rollback_needs(world: World) -> None:
    world.elb.targets = [{"Target": {"Id": "10.0.0.1", "Port": 8000}, "TargetHealth": {"State": "healthy"}}]
    assert set(asyncio.run(world.traffic.check_rollback()).values()) == {""}
    world.engine.deployed = {"generation": 9}
    world.elb.targets = []
    checks = asyncio.run(world.traffic.check_rollback())
    assert checks["stable's targets"] == "no target is registered"
    assert checks["engine and state"] == "generation 9 is deployed, not 7"


def test_the_rate_limit(world: World) -> None:
    file = world.file.with_name("Pulumi.prod-limits.yaml")
    file.write_text(
        "config:\n  simple378:stable: blue\n  simple378:candidateWeight: 0\n  simple378:generation: 1\n"
    )
    # As `pulumi config set simple378:rateLimit 1000` writes it.
    file.write_text(file.read_text() + '  simple378:rateLimit: "1000"\n')
    limits = StackLimits(world.engine, "prod-limits", SCOPE)  # type: ignore[arg-type]
    asyncio.run(limits.set_rate_limit(1500))
    assert stackfile.read_config(file)["rateLimit"] == 1500
    assert asyncio.run(limits.set_rate_limit(1200)) == {"already": 1500}
    world.engine.deployed = {"rateLimit": 1500}
    assert asyncio.run(limits.read_rate_limit()) == 1500
    world.engine.failures = [command_error("error: throttled")]
    with pytest.raises(TrafficError, match="throttled"):
        asyncio.run(limits.set_rate_limit(2000))


def test_a_rate_limit_that_somebody_raised_further_is_not_lowered(world: World) -> None:
    """The file may be ahead of what is deployed, so the first update is made even when it declares enough."""
    file = world.file.with_name("Pulumi.prod-limits.yaml")
    file.write_text(FILE.replace("encryptionsalt: v1:abc\n", "  simple378:rateLimit: 2000\n"))
    asyncio.run(StackLimits(world.engine, "prod-limits", SCOPE).set_rate_limit(1500))  # type: ignore[arg-type]
    assert stackfile.read_config(file)["rateLimit"] == 2000
    assert len(world.updates()) == 1


# --- the state and the file


def test_the_target_is_found_in_the_state() -> None:
    resources = [
        {"type": "pulumi:pulumi:Stack", "urn": STACK},
        {"type": "simple378:edge:TrafficRule", "urn": COMPONENT, "parent": STACK},
        {"type": "aws:lb/listenerRule:ListenerRule", "urn": RULE, "parent": COMPONENT},
    ]
    kind = "aws:lb/listenerRule:ListenerRule"
    assert find_scope({"deployment": {"resources": resources}}, kind, "prod-traffic") == SCOPE
    with pytest.raises(TrafficRefused, match="prod-traffic has 0 resources"):
        find_scope({"deployment": {}}, kind, "prod-traffic")


@pytest.mark.parametrize("text", ["config: {simple378:stable: blue}\n", "[]", "config:\n\t- x"])
def test_a_file_that_cannot_be_edited_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "Pulumi.x.yaml"
    file.write_text(text)
    with pytest.raises(stackfile.StackFileError, match=r"Pulumi\.x\.yaml"):
        stackfile.changed(file, {"candidateWeight": 5})
    assert file.read_text() == text


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(stackfile.StackFileError, match="No such file"):
        stackfile.read_config(tmp_path / "Pulumi.x.yaml")


# --- the load balancer


def test_weights_are_read_as_shares() -> None:
    elb = FakeElb()
    rule = WeightedRule(elb, "arn:rule", {"stable": "arn:blue", "candidate": "arn:green"})
    elb.weights = {"arn:blue": 3, "arn:green": 1}
    assert asyncio.run(rule.read_weight()) == 25
    elb.weights = {"arn:blue": 3, "arn:pink": 1}
    with pytest.raises(TrafficError, match="and not to the target groups of stable and candidate alone"):
        asyncio.run(rule.read_weight())
    with pytest.raises(TrafficError, match="no rule gone;"):
        asyncio.run(WeightedRule(elb, "arn:listener-rule/app/gone", rule.groups).read_weight())


def test_target_health() -> None:
    elb = FakeElb()

    def target(number: int, state: str, **more: str) -> dict[str, Any]:
        return {"Target": {"Id": f"10.0.0.{number}", "Port": 8000}, "TargetHealth": {"State": state, **more}}

    elb.targets = [target(1, "healthy"), target(2, "draining")]
    assert asyncio.run(target_health(elb, "arn:blue")).problem == ""
    elb.targets.append(target(3, "unhealthy", Reason="Target.Timeout"))
    assert (
        asyncio.run(target_health(elb, "arn:blue")).problem == "10.0.0.3:8000 is unhealthy (Target.Timeout)"
    )
