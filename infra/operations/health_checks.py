"""Route 53's health checks: the ways in, tried from outside, also while nobody uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# What is asked for: the API through load balancer and traffic rule, and the frontend from its bucket.
PATHS: Mapping[str, str] = {"api": "/health", "frontend": "/"}
# Seconds between the requests of one checker, and failures in a row that make it report one.
_INTERVAL = 30
_FAILURES = 3
# The fewest that Route 53 takes: every checker's requests are counted like a user's.
_REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-1"]


@dataclass(frozen=True, slots=True)
class HealthChecksArgs:
    """`host` is the name that users go to; `prefix` begins the checks' names."""

    prefix: str
    host: pulumi.Input[str]
    https: bool


class HealthChecks(pulumi.ComponentResource):
    """One check for each of `PATHS`; their metric is in us-east-1."""

    ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: HealthChecksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:HealthChecks", name, None, opts)
        self.ids = {}
        for what, path in PATHS.items():
            check = aws.route53.HealthCheck(
                f"{name}-{what}",
                type="HTTPS" if args.https else "HTTP",
                fqdn=args.host,
                port=443 if args.https else 80,
                resource_path=path,
                request_interval=_INTERVAL,
                failure_threshold=_FAILURES,
                regions=_REGIONS,
                tags={"Name": f"{args.prefix}-{what}"},
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.ids[what] = check.id
        self.register_outputs({"ids": self.ids})
