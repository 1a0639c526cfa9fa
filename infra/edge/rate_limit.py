"""The web ACL that limits how many requests a client may send."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.edge.managed_rules import Mode, managed_rules

# Seconds; the shortest that AWS WAF offers, and the guide's limit is per minute.
WINDOW = 60
TOO_MANY_REQUESTS = 429
RULE_NAME = "rate-per-client"
RATE_LIMIT_HEADER = "RateLimit-Policy"
_BODY_KEY = "too-many-requests"


def rate_limit_policy(requests_per_minute: int) -> str:
    """The header's value, as in the IETF's "RateLimit header fields for HTTP"."""
    return f'"client";q={requests_per_minute};w={WINDOW}'


@dataclass(frozen=True, slots=True)
class RateLimitArgs:
    """`name` is the ACL's, and its dimension in CloudWatch. `managed_rules`: see infra.edge.managed_rules."""

    name: str
    requests_per_minute: int
    managed_rules: Mode
    protect: bool


class RateLimit(pulumi.ComponentResource):
    """Answers 429 to a client address that sends more than its limit. On CloudFront: the load balancer behind it would
    see CloudFront's addresses, not the clients'."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, name: str, args: RateLimitArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:edge:RateLimit", name, None, opts)
        acl = aws.wafv2.WebAcl(
            f"{name}-acl",
            name=args.name,
            description=f"At most {args.requests_per_minute} requests a minute from one client address",
            scope="CLOUDFRONT",
            default_action=aws.wafv2.WebAclDefaultActionArgs(allow=aws.wafv2.WebAclDefaultActionAllowArgs()),
            custom_response_bodies=[
                aws.wafv2.WebAclCustomResponseBodyArgs(
                    key=_BODY_KEY,
                    content=json.dumps({"error": "too many requests", "retryAfterSeconds": WINDOW}),
                    content_type="APPLICATION_JSON",
                )
            ],
            rules=[
                aws.wafv2.WebAclRuleArgs(
                    name=RULE_NAME,
                    priority=0,
                    action=aws.wafv2.WebAclRuleActionArgs(
                        block=aws.wafv2.WebAclRuleActionBlockArgs(
                            custom_response=aws.wafv2.WebAclRuleActionBlockCustomResponseArgs(
                                response_code=TOO_MANY_REQUESTS,
                                custom_response_body_key=_BODY_KEY,
                                response_headers=[
                                    aws.wafv2.WebAclRuleActionBlockCustomResponseResponseHeaderArgs(
                                        name="Retry-After", value=str(WINDOW)
                                    ),
                                    aws.wafv2.WebAclRuleActionBlockCustomResponseResponseHeaderArgs(
                                        name=RATE_LIMIT_HEADER,
                                        value=rate_limit_policy(args.requests_per_minute),
                                    ),
                                ],
                            )
                        )
                    ),
                    statement=aws.wafv2.WebAclRuleStatementArgs(
                        rate_based_statement=aws.wafv2.WebAclRuleStatementRateBasedStatementArgs(
                            limit=args.requests_per_minute,
                            aggregate_key_type="IP",
                            evaluation_window_sec=WINDOW,
                        )
                    ),
                    visibility_config=aws.wafv2.WebAclRuleVisibilityConfigArgs(
                        cloudwatch_metrics_enabled=True, metric_name=RULE_NAME, sampled_requests_enabled=True
                    ),
                ),
                *managed_rules(args.managed_rules),
            ],
            visibility_config=aws.wafv2.WebAclVisibilityConfigArgs(
                cloudwatch_metrics_enabled=True, metric_name=args.name, sampled_requests_enabled=True
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.arn = acl.arn
        self.name = acl.name
        self.register_outputs({"arn": acl.arn, "name": acl.name})
