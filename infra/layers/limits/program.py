"""The limits layer (`<env>-limits`): the web ACL with the rate rule.

A stack of its own, because a release may raise the limit but never changes the distribution that the ACL is attached to. The
foundation reads the ACL's ARN from here, so this layer is deployed first.
"""

from __future__ import annotations

import pulumi

from infra.edge.rate_limit import RateLimit, RateLimitArgs
from infra.layers.limits.settings import LimitsSettings
from infra.settings import CLOUDFRONT_REGION, REGION_KEY, SettingsError, region
from infra.stacks import StackName


async def deploy(stack: StackName) -> None:
    """Register the layer's resources and export its outputs."""
    settings = LimitsSettings.load()
    if region() != CLOUDFRONT_REGION:
        raise SettingsError(
            f"configuration of stack {stack.name}:\n  - {REGION_KEY} is {region()!r}, but CloudFront accepts web ACLs from "
            f"{CLOUDFRONT_REGION} only; set it with "
            f"`pulumi config set {REGION_KEY} {CLOUDFRONT_REGION} --stack {stack.name}`"
        )
    limit = RateLimit(
        "limit",
        RateLimitArgs(
            name=f"{stack.resource_prefix}-limits",
            requests_per_minute=settings.rate_limit,
            managed_rules=settings.managed_rules,
            protect=settings.protect,
        ),
    )
    pulumi.export("webAclArn", limit.arn)
    pulumi.export("webAclName", limit.name)
    pulumi.export("rateLimit", settings.rate_limit)
