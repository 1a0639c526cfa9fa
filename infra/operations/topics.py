"""Where alarms go: a topic for each tier of the guide's Strategy 5, and who is told by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import pulumi
import pulumi_aws as aws


class Tier(Enum):
    """How urgent an alarm is: immediate ones notify at once, warnings escalate, notices are logged."""

    IMMEDIATE = "immediate"
    WARNING = "warning"
    NOTICE = "notice"


# Notices are not sent by mail.
_MAILED = (Tier.IMMEDIATE, Tier.WARNING)


@dataclass(frozen=True, slots=True)
class TopicsArgs:
    """`prefix` begins the topics' names; `email` receives immediate alarms and warnings; `urls` are HTTPS addresses of services by
    tier, with their keys. The topics are in `region`, if not in the stack's."""

    prefix: str
    email: str | None
    urls: Mapping[str, Sequence[pulumi.Output[str]]] = field(default_factory=dict)
    region: str | None = None


class Topics(pulumi.ComponentResource):
    """One topic a tier. Not encrypted with AWS's own key: CloudWatch may not publish to such a topic, and an alarm
    carries no secret."""

    arns: dict[Tier, pulumi.Output[str]]

    def __init__(self, name: str, args: TopicsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:Topics", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.arns = {}
        for tier in Tier:
            topic = aws.sns.Topic(
                f"{name}-{tier.value}", name=f"{args.prefix}-{tier.value}", region=args.region, opts=child
            )
            if args.email and tier in _MAILED:
                aws.sns.TopicSubscription(
                    f"{name}-{tier.value}-email",
                    topic=topic.arn,
                    protocol="email",
                    endpoint=args.email,
                    region=args.region,
                    opts=child,
                )
            for number, url in enumerate(args.urls.get(tier.value, ()), start=1):
                aws.sns.TopicSubscription(
                    f"{name}-{tier.value}-url-{number}",
                    topic=topic.arn,
                    protocol="https",
                    endpoint=url,
                    # On-call services answer AWS's request to confirm by themselves.
                    endpoint_auto_confirms=True,
                    region=args.region,
                    opts=child,
                )
            self.arns[tier] = topic.arn
        self.register_outputs({"arns": {tier.value: arn for tier, arn in self.arns.items()}})
