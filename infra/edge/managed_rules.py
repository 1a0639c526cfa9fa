"""AWS's managed rules against common attacks, in the web ACL of the rate limit.

They count what they would block until somebody has looked at the counts: a rule that blocks what the application needs (large
uploads, say) would be an outage made by the release.
"""

from __future__ import annotations

from typing import Literal

import pulumi_aws as aws

Mode = Literal["off", "count", "block"]
# 1,125 of the 1,500 capacity units that a web ACL has without a surcharge.
GROUPS = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesSQLiRuleSet",
    "AWSManagedRulesCommonRuleSet",
)
# The rate rule comes first.
_FIRST_PRIORITY = 10


def managed_rules(mode: Mode) -> list[aws.wafv2.WebAclRuleArgs]:
    """A rule for each group; its metric in CloudWatch has the group's name."""
    if mode == "off":
        return []
    return [_rule(group, _FIRST_PRIORITY + index, mode) for index, group in enumerate(GROUPS)]


def _rule(group: str, priority: int, mode: Mode) -> aws.wafv2.WebAclRuleArgs:
    override = (
        aws.wafv2.WebAclRuleOverrideActionArgs(count=aws.wafv2.WebAclRuleOverrideActionCountArgs())
        if mode == "count"
        # What the group's own rules say.
        else aws.wafv2.WebAclRuleOverrideActionArgs(none=aws.wafv2.WebAclRuleOverrideActionNoneArgs())
    )
    return aws.wafv2.WebAclRuleArgs(
        name=group,
        priority=priority,
        override_action=override,
        statement=aws.wafv2.WebAclRuleStatementArgs(
            managed_rule_group_statement=aws.wafv2.WebAclRuleStatementManagedRuleGroupStatementArgs(
                vendor_name="AWS", name=group
            )
        ),
        visibility_config=aws.wafv2.WebAclRuleVisibilityConfigArgs(
            cloudwatch_metrics_enabled=True, metric_name=group, sampled_requests_enabled=True
        ),
    )
