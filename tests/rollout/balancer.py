"""AWS's load balancer, emulated in this process by moto: the two groups and the rule with the weights, as `infra/` tags them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

REGION = "eu-central-1"


@dataclass(slots=True)
class Balancer:
    """One environment's; ``groups`` are ARNs by colour."""

    elbv2: Any
    rule_arn: str
    groups: dict[str, str]

    @property
    def weights(self) -> dict[str, int]:
        """By colour."""
        (rule,) = self.elbv2.describe_rules(RuleArns=[self.rule_arn])["Rules"]
        shares = {
            group["TargetGroupArn"]: group["Weight"]
            for group in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
        }
        return {colour: shares[arn] for colour, arn in self.groups.items()}

    @weights.setter
    def weights(self, weights: dict[str, int]) -> None:
        self.elbv2.modify_rule(RuleArn=self.rule_arn, Actions=forward(self.groups, weights))


def forward(groups: dict[str, str], weights: dict[str, int]) -> list[dict[str, Any]]:
    shares = [{"TargetGroupArn": arn, "Weight": weights[colour]} for colour, arn in groups.items()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": shares}}]


def _tags(env: str, role: str, colour: str = "") -> list[dict[str, str]]:
    tags = {"simple378:environment": env, "simple378:role": role} | (
        {"simple378:colour": colour} if colour else {}
    )
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def build(env: str, weights: dict[str, int], region: str = REGION) -> Balancer:
    """A listener with the test rules' like and the rule with the weights. Needs :func:`emulated`."""
    elbv2 = boto3.client("elbv2", region_name=region)
    # moto's default network by its own backend: botocore takes a second to learn EC2's API.
    subnets = ec2_backends[DEFAULT_ACCOUNT_ID][region].describe_subnets()[:2]
    balancer = elbv2.create_load_balancer(Name=f"simple378-{env}", Subnets=[subnet.id for subnet in subnets])[
        "LoadBalancers"
    ][0]["LoadBalancerArn"]
    listener = elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "403"}}],
    )["Listeners"][0]["ListenerArn"]
    groups = {}
    for colour in ("blue", "green"):
        groups[colour] = elbv2.create_target_group(
            Name=f"simple378-{env}-{colour}",
            Protocol="HTTP",
            Port=8000,
            VpcId=subnets[0].vpc_id,
            TargetType="ip",
            Tags=_tags(env, "traffic-group", colour),
        )["TargetGroups"][0]["TargetGroupArn"]
        elbv2.register_targets(
            TargetGroupArn=groups[colour], Targets=[{"Id": f"10.0.0.{10 + len(groups)}", "Port": 8000}]
        )
        elbv2.create_rule(
            ListenerArn=listener,
            Priority=9 + len(groups),
            Conditions=[
                {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Test", "Values": [colour]}}
            ],
            Actions=[{"Type": "forward", "TargetGroupArn": groups[colour]}],
        )
    rule = elbv2.create_rule(
        ListenerArn=listener,
        Priority=100,
        Conditions=[
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Origin", "Values": ["secret"]}}
        ],
        Actions=forward(groups, weights),
        Tags=_tags(env, "traffic-rule"),
    )["Rules"][0]["RuleArn"]
    return Balancer(elbv2, rule, groups)


@contextmanager
def emulated() -> Iterator[None]:
    with mock_aws():
        yield
