"""The headers that the distribution adds to every answer: the browser's safeguards, and the rate limit that clients are told."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.edge.rate_limit import RATE_LIMIT_HEADER, rate_limit_policy

# Seconds.
_YEAR = 31_536_000


class ResponseHeaders:
    """A response headers policy. A behaviour has one policy, so this one repeats what AWS's SecurityHeadersPolicy sets."""

    id: pulumi.Output[str]

    def __init__(self, name: str, prefix: str, requests_per_minute: int, parent: pulumi.Resource) -> None:
        policy = aws.cloudfront.ResponseHeadersPolicy(
            name,
            name=f"{prefix}-headers",
            comment="Security headers, and the rate limit that clients are told",
            security_headers_config=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigArgs(
                content_type_options=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigContentTypeOptionsArgs(
                    override=True
                ),
                frame_options=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigFrameOptionsArgs(
                    frame_option="SAMEORIGIN", override=False
                ),
                referrer_policy=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigReferrerPolicyArgs(
                    referrer_policy="strict-origin-when-cross-origin", override=False
                ),
                strict_transport_security=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigStrictTransportSecurityArgs(
                    access_control_max_age_sec=_YEAR, override=False
                ),
                xss_protection=aws.cloudfront.ResponseHeadersPolicySecurityHeadersConfigXssProtectionArgs(
                    protection=True, mode_block=True, override=False
                ),
            ),
            custom_headers_config=aws.cloudfront.ResponseHeadersPolicyCustomHeadersConfigArgs(
                items=[
                    aws.cloudfront.ResponseHeadersPolicyCustomHeadersConfigItemArgs(
                        header=RATE_LIMIT_HEADER, value=rate_limit_policy(requests_per_minute), override=True
                    )
                ]
            ),
            opts=pulumi.ResourceOptions(parent=parent),
        )
        self.id = policy.id
