"""One colour at the load balancer: its target groups, the test rule that reaches the one of probes, and its alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.edge.colour_alarms import colour_alarms
from infra.edge.rules import COLOUR_HEADER, FIRST_TEST_PRIORITY, TEST_HEADER
from infra.edge.tags import PROBE_GROUP, TRAFFIC_GROUP, traffic_tags
from infra.operations.alarms import create_alarms
from infra.operations.topics import Tier
from infra.stacks import Colour

# Seconds: the shortest interval that AWS offers, which is also the guide's while traffic is moved.
HEALTH_INTERVAL = 5
_HEALTH_TIMEOUT = 2
_THRESHOLD = 2


@dataclass(frozen=True, slots=True)
class ColourTargetArgs:
    """`prefix` begins the names; `deregistration_delay` is how long (seconds) a leaving target may finish requests.
    A request with any of the `test_secrets` is let in."""

    prefix: str
    environment: str
    colour: Colour
    vpc_id: pulumi.Input[str]
    listener_arn: pulumi.Input[str]
    load_balancer_suffix: pulumi.Input[str]
    target_port: int
    deregistration_delay: int
    test_secrets: Sequence[pulumi.Input[str]]
    topics: Mapping[Tier, pulumi.Input[str]]
    protect: bool


class ColourTarget(pulumi.ComponentResource):
    """Two target groups that the colour's TargetGroupBindings fill with the same pods: one for users, to which the traffic
    rule forwards, and one for probes and smoke tests, behind the test rule. So no metric of the users' group holds a probe.

    The health check is `/ready`, which checks nothing that the colours share: a short outage of the database would take
    all targets of both out of service. Without a healthy target the group sends to all of them (AWS's default, fail-open);
    that is left as it is, since refusing requests would show no more than failing ones do, and alarms and probes watch the
    targets themselves.
    """

    arn: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]
    group_name: pulumi.Output[str]
    probe_arn: pulumi.Output[str]
    probe_group_name: pulumi.Output[str]
    alarm_arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: ColourTargetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:edge:ColourTarget", name, None, opts)
        colour = args.colour
        group = self._group(f"{name}-group", f"{args.prefix}-{colour.value}", TRAFFIC_GROUP, args)
        probe = self._group(f"{name}-probe-group", f"{args.prefix}-{colour.value}-probe", PROBE_GROUP, args)
        aws.lb.ListenerRule(
            f"{name}-test",
            listener_arn=args.listener_arn,
            priority=FIRST_TEST_PRIORITY + list(Colour).index(colour),
            conditions=[
                _header(TEST_HEADER, *args.test_secrets),
                _header(COLOUR_HEADER, colour.value),
            ],
            actions=[aws.lb.ListenerRuleActionArgs(type="forward", target_group_arn=probe.arn)],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.alarm_arns = create_alarms(
            name,
            colour_alarms(colour, group.arn_suffix, args.load_balancer_suffix),
            prefix=f"{args.prefix}-{colour.value}",
            topics=args.topics,
            parent=self,
            tags={"colour": colour.value},
        )
        self.arn = group.arn
        self.arn_suffix = group.arn_suffix
        self.group_name = group.name
        self.probe_arn = probe.arn
        self.probe_group_name = probe.name
        self.register_outputs(
            {
                "arn": self.arn,
                "arnSuffix": self.arn_suffix,
                "name": self.group_name,
                "probeArn": self.probe_arn,
                "probeName": self.probe_group_name,
            }
        )

    def _group(self, resource: str, name: str, role: str, args: ColourTargetArgs) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            resource,
            name=name,
            vpc_id=args.vpc_id,
            target_type="ip",
            port=args.target_port,
            protocol="HTTP",
            protocol_version="HTTP1",
            deregistration_delay=args.deregistration_delay,
            load_balancing_algorithm_type="round_robin",
            # Sticky clients would ignore the weights.
            stickiness=aws.lb.TargetGroupStickinessArgs(type="lb_cookie", enabled=False),
            health_check=aws.lb.TargetGroupHealthCheckArgs(
                enabled=True,
                protocol="HTTP",
                path="/ready",
                port="traffic-port",
                matcher="200",
                interval=HEALTH_INTERVAL,
                timeout=_HEALTH_TIMEOUT,
                healthy_threshold=_THRESHOLD,
                unhealthy_threshold=_THRESHOLD,
            ),
            tags=traffic_tags(args.environment, role, args.colour),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )


def _header(name: str, *values: pulumi.Input[str]) -> aws.lb.ListenerRuleConditionArgs:
    return aws.lb.ListenerRuleConditionArgs(
        http_header=aws.lb.ListenerRuleConditionHttpHeaderArgs(http_header_name=name, values=[*values])
    )
