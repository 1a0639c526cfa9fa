"""The alarms of what stands before the load balancer: distribution, web ACL, and the ways in that Route 53 tries.

Their metrics are in us-east-1, wherever the rest of an environment is.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.edge.rate_limit import RULE_NAME
from infra.operations.alarms import Alarm, Metric, Missing
from infra.operations.topics import Tier

EDGE_ERRORS_PERCENT = 1.0
# The frontend's own 404 are few; a release without its assets is nothing but.
REFUSED_PERCENT = 15.0
# Risk 4: "if > 5% of requests".
RATE_LIMITED_PERCENT = 5.0


def edge_alarms(
    distribution: pulumi.Input[str],
    web_acl: pulumi.Input[str],
    health_checks: Mapping[str, pulumi.Input[str]],
) -> tuple[Alarm, ...]:
    """`distribution` is its id, `web_acl` the ACL's name, `health_checks` the ids of Route 53's checks by what they ask."""
    cdn = {"DistributionId": distribution, "Region": "Global"}

    def acl(name: str, rule: str) -> Metric:
        return Metric("AWS/WAFV2", name, {"WebACL": web_acl, "Rule": rule}, "Sum")

    return (
        *(
            Alarm(
                suffix=f"{what}-down",
                description=f"From outside the {what} does not answer; silence of the checks counts as no answer",
                guide="72 hours: any service down; Risk 2: zero successful requests; Risk 3: UI unavailable",
                tier=Tier.IMMEDIATE,
                threshold=1,
                breaches=2,
                of=2,
                below=True,
                missing=Missing.BAD,
                metrics={
                    "passed": Metric("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": check}, "Minimum")
                },
            )
            for what, check in health_checks.items()
        ),
        Alarm(
            suffix="errors",
            description=f"More than {EDGE_ERRORS_PERCENT:g} % of what users ask for ends in 5xx at the edge",
            guide="72 hours: error rate > 1 %, as users see it",
            tier=Tier.IMMEDIATE,
            threshold=EDGE_ERRORS_PERCENT,
            breaches=2,
            of=3,
            metrics={"rate": Metric("AWS/CloudFront", "5xxErrorRate", cdn, "Average")},
        ),
        Alarm(
            suffix="refused",
            description=f"More than {REFUSED_PERCENT:g} % of what users ask for ends in 4xx at the edge: assets missing, or limited",
            guide="Risk 3: 404 errors for static assets; Risk 4: 429",
            tier=Tier.WARNING,
            threshold=REFUSED_PERCENT,
            breaches=3,
            of=5,
            metrics={"rate": Metric("AWS/CloudFront", "4xxErrorRate", cdn, "Average")},
        ),
        # A changed limit counts anew and limits nothing for up to a minute: one quiet minute ends no alarm.
        Alarm(
            suffix="rate-limited",
            description=f"The rate limit refuses more than {RATE_LIMITED_PERCENT:g} % of requests",
            guide="Risk 4: 429 errors, > 5 % of requests: increase rate limits",
            tier=Tier.WARNING,
            threshold=RATE_LIMITED_PERCENT,
            breaches=2,
            of=4,
            metrics={"limited": acl("BlockedRequests", RULE_NAME), "allowed": acl("AllowedRequests", "ALL")},
            expressions={"share": "100 * limited / (limited + allowed)"},
        ),
    )
