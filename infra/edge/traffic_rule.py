"""The listener rule that divides the traffic between the colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.edge.rules import ORIGIN_HEADER, TRAFFIC_PRIORITY
from infra.edge.tags import TRAFFIC_RULE, traffic_tags
from infra.stacks import Colour


@dataclass(frozen=True, slots=True)
class TrafficRuleArgs:
    """`target_groups` are ARNs; `weights` are percentages, both by colour. A request with any of the `origin_secrets` is let in."""

    environment: str
    listener_arn: pulumi.Input[str]
    origin_secrets: Sequence[pulumi.Input[str]]
    target_groups: Mapping[Colour, pulumi.Input[str]]
    weights: Mapping[Colour, int]
    protect: bool


class TrafficRule(pulumi.ComponentResource):
    """Forwards what CloudFront sends to both target groups by weight."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TrafficRuleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:edge:TrafficRule", name, None, opts)
        rule = aws.lb.ListenerRule(
            f"{name}-rule",
            listener_arn=args.listener_arn,
            priority=TRAFFIC_PRIORITY,
            conditions=[
                aws.lb.ListenerRuleConditionArgs(
                    http_header=aws.lb.ListenerRuleConditionHttpHeaderArgs(
                        http_header_name=ORIGIN_HEADER, values=[*args.origin_secrets]
                    )
                )
            ],
            actions=[
                aws.lb.ListenerRuleActionArgs(
                    type="forward",
                    forward=aws.lb.ListenerRuleActionForwardArgs(
                        # A weight of 0 stays in the list: the group must be part of the load balancer, so that its
                        # targets are health-checked before they get traffic.
                        target_groups=[
                            aws.lb.ListenerRuleActionForwardTargetGroupArgs(
                                arn=args.target_groups[colour], weight=args.weights[colour]
                            )
                            for colour in Colour
                        ],
                        # Sticky clients would stay on a bad candidate whatever the weights are. The API requires
                        # a duration even so; 1 s is the shortest.
                        stickiness=aws.lb.ListenerRuleActionForwardStickinessArgs(enabled=False, duration=1),
                    ),
                )
            ],
            tags=traffic_tags(args.environment, TRAFFIC_RULE),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.arn = rule.arn
        self.register_outputs({"arn": rule.arn})
