"""The rule with the weights: written back whole after a stranger's hand, and never slower for it."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.edge import rules
from rollout.aws import elb
from rollout.aws.elb import OriginSecret, RuleMissing, WeightedRule
from rollout.control.ports import TrafficError

GROUPS = {"stable": "arn:blue", "candidate": "arn:green"}
SECRET = "only CloudFront knows it"


def condition(value: str = SECRET, name: str = "X-Origin-Verify") -> dict[str, Any]:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": [value]}}


def denied(action: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, action)


class Balancer:
    """Stand-in for boto3's elbv2 client: one rule."""

    def __init__(self) -> None:
        forward = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": 50} for arn in GROUPS.values()]}
        self.rule: dict[str, Any] = {
            "Priority": "100",
            "Conditions": [condition()],
            "Actions": [{"Type": "forward", "ForwardConfig": forward}],
        }
        self.calls: list[str] = []
        self.failing: set[str] = set()

    def describe_rules(self, **request: Any) -> Any:
        assert request == {"RuleArns": ["arn:rule"]}
        return {"Rules": [copy.deepcopy(self.rule)]}

    def modify_rule(self, **request: Any) -> None:
        del request["RuleArn"]
        self.calls.append(" ".join(request))
        if self.failing & set(request):
            raise denied("ModifyRule")
        self.rule |= request

    def set_rule_priorities(self, **request: Any) -> None:
        ((one),) = request["RulePriorities"]
        self.calls.append("Priority")
        self.rule["Priority"] = str(one["Priority"])

    def weights(self) -> list[int]:
        return [group["Weight"] for group in self.rule["Actions"][0]["ForwardConfig"]["TargetGroups"]]


class Secrets:
    """Stand-in for boto3's client of Secrets Manager."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def get_secret_value(self, **request: Any) -> Any:
        assert request == {"SecretId": "simple378/prod/origin"}
        if self.failure:
            raise self.failure
        return {"SecretString": SECRET}


class World:
    def __init__(self) -> None:
        self.balancer, self.secrets = Balancer(), Secrets()
        self.rule = WeightedRule(self.balancer, "arn:rule", GROUPS, OriginSecret(self.secrets, "prod"))

    def whole(self) -> Any:
        return asyncio.run(self.rule.make_whole())


@pytest.fixture
def world() -> World:
    return World()


def test_the_names_are_the_programs() -> None:
    assert (elb.ORIGIN_HEADER, elb.PRIORITY) == (rules.ORIGIN_HEADER, rules.TRAFFIC_PRIORITY)


def test_a_rule_that_is_whole_is_left_alone(world: World) -> None:
    world.balancer.rule["Conditions"][0]["Values"] = []  # as some answers have it
    assert world.whole() == {}
    assert world.balancer.calls == []


@pytest.mark.parametrize(
    "conditions",
    [
        [condition("changed-by-hand")],
        [condition(name="X-Other")],
        [condition(), {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/nowhere"]}}],
        [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*"]}}],
        [{"Field": "source-ip", "SourceIpConfig": {"Values": ["0.0.0.0/0"]}}],
    ],
)
def test_changed_conditions_are_written_back(world: World, conditions: list[Any]) -> None:
    world.balancer.rule["Conditions"] = conditions
    assert world.whole() == {"written_back": "conditions"}
    assert world.balancer.rule["Conditions"] == [condition()]
    assert world.balancer.weights() == [50, 50]


def test_the_priority_is_written_back(world: World) -> None:
    world.balancer.rule["Priority"] = "200"
    world.balancer.rule["Conditions"] = []
    assert world.whole() == {"written_back": "conditions, priority"}
    assert world.balancer.rule["Priority"] == "100"


def test_weights_are_written_whatever_the_rule_does_now(world: World) -> None:
    world.balancer.rule["Actions"] = [
        {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403"}}
    ]
    with pytest.raises(TrafficError, match="does not forward"):
        asyncio.run(world.rule.read_weight())
    asyncio.run(world.rule.write_weight(5))
    assert asyncio.run(world.rule.read_weight()) == 5
    assert len(world.balancer.rule["Actions"]) == 1


def test_what_could_not_be_written_back_is_told(world: World) -> None:
    world.balancer.rule["Conditions"] = [condition("changed-by-hand")]
    world.secrets.failure = denied("GetSecretValue")
    assert world.whole() == {
        "not_written_back": "secretsmanager:GetSecretValue of simple378/prod/origin failed: access denied (no); "
        "the role of these credentials needs that right"
    }
    world.secrets.failure = None
    world.balancer.failing = {"Conditions"}
    assert "ModifyRule of rule arn:rule failed" in world.whole()["not_written_back"]


@pytest.mark.parametrize("how", ["an error", "an empty list"])
def test_a_rule_that_is_gone_is_told_apart(world: World, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    gone = ClientError({"Error": {"Code": "RuleNotFound", "Message": "not found"}}, "DescribeRules")

    def describe(**_: Any) -> Any:
        if how == "an error":
            raise gone
        return {"Rules": []}

    monkeypatch.setattr(world.balancer, "describe_rules", describe)
    with pytest.raises(RuleMissing, match="has no rule arn:rule; bring the traffic stack in line"):
        asyncio.run(world.rule.read_weight())


def test_a_rule_without_a_known_secret_is_left_alone(world: World) -> None:
    rule = WeightedRule(world.balancer, "arn:rule", GROUPS)
    world.balancer.rule["Conditions"] = []
    assert asyncio.run(rule.make_whole()) == {}


def test_a_secret_that_hangs_holds_nothing_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(elb, "WHOLE_LIMIT", 0.05)
    monkeypatch.setattr(world.secrets, "get_secret_value", lambda **_: waiting.wait(5))

    async def work() -> Any:
        found = await world.rule.make_whole()
        waiting.set()
        return found

    assert asyncio.run(work()) == {"not_written_back": "no answer within 0.05 s"}


def test_a_second_value_that_is_let_in_while_the_secret_is_rotated_is_left() -> None:
    world = World()
    both = condition()
    both["HttpHeaderConfig"]["Values"] = [SECRET, "the value that CloudFront sends next"]
    world.balancer.rule["Conditions"] = [both]
    assert world.whole() == {}
    assert world.balancer.calls == []
    both["HttpHeaderConfig"]["Values"] = ["neither", "of them"]
    assert world.whole() == {"written_back": "conditions"}
    assert world.balancer.rule["Conditions"] == [condition()]
