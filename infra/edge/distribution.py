"""The CloudFront distribution in front of everything: the frontend from its bucket, the API from the load balancer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws

from infra.edge.response_headers import ResponseHeaders
from infra.edge.rules import ORIGIN_HEADER
from infra.edge.site_layout import PAGE, RELEASES

# Policies that AWS manages, the same in every account; from "Use managed cache policies", "... origin request policies"
# and "... response headers policies" in the CloudFront Developer Guide.
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

# The paths that the load balancer serves; everything else is the frontend. Not /ready and /deep: the load balancer and the rollout
# reach them without CloudFront, and anybody could make the database work by asking for /deep.
API_PATHS = ("/api/*", "/ws", "/health")

# The frontend's files by release; none of them is a page.
RELEASE_PATHS = f"/{RELEASES}/*"
_DEEP_LINKS = Path(__file__).with_name("deep_links.js")

_SITE = "site"
_API = "api"
_READING = ["GET", "HEAD", "OPTIONS"]
_EVERYTHING = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
_CACHEABLE = ["GET", "HEAD"]
# The errors that CloudFront keeps for 10 s by default, whatever the origin's Cache-Control says: after a rollback users
# would still get the candidate's. From "How CloudFront processes HTTP 4xx and 5xx status codes from your origin".
CACHED_ERRORS = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
# Seconds that CloudFront waits for the load balancer's next byte. The load balancer must give up on a target first: then
# a hanging request is its own 504, which is counted. The other way round it is a 460, which no error rate contains.
READ_TIMEOUT = 30
_KEEPALIVE = 5


@dataclass(frozen=True, slots=True)
class DistributionArgs:
    """`api_domain` is the load balancer's DNS name; `api_over_https` needs a certificate for that name on it.
    `certificate_arn` (us-east-1) is the one for `aliases`; without it the distribution serves its own domain with CloudFront's certificate.
    `rate_limit` is the number of requests per minute and client that clients are told."""

    name: str
    bucket_name: pulumi.Input[str]
    bucket_arn: pulumi.Input[str]
    bucket_domain: pulumi.Input[str]
    api_domain: pulumi.Input[str]
    api_over_https: bool
    origin_secret: pulumi.Input[str]
    web_acl_arn: pulumi.Input[str]
    aliases: Sequence[str]
    certificate_arn: str | None
    viewer_protocol_policy: str
    rate_limit: int
    protect: bool


class Distribution(pulumi.ComponentResource):
    """Serves both origins; adds the secret header that opens the load balancer's listener."""

    id: pulumi.Output[str]
    domain_name: pulumi.Output[str]

    def __init__(self, name: str, args: DistributionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:edge:Distribution", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        access = aws.cloudfront.OriginAccessControl(
            f"{name}-access",
            name=f"{args.name}-site",
            description="The distribution's right to read the frontend's bucket",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=child,
        )
        headers = ResponseHeaders(f"{name}-headers", args.name, args.rate_limit, self)
        deep_links = aws.cloudfront.Function(
            f"{name}-deep-links",
            name=f"{args.name}-deep-links",
            comment="A page of the frontend for every path without an extension",
            runtime="cloudfront-js-2.0",
            code=_DEEP_LINKS.read_text(),
            publish=True,
            opts=child,
        )
        distribution = aws.cloudfront.Distribution(
            f"{name}-distribution",
            comment=args.name,
            enabled=True,
            is_ipv6_enabled=True,
            http_version="http2and3",
            price_class="PriceClass_All",
            aliases=list(args.aliases),
            default_root_object=PAGE,
            web_acl_id=args.web_acl_arn,
            origins=[
                aws.cloudfront.DistributionOriginArgs(
                    origin_id=_SITE, domain_name=args.bucket_domain, origin_access_control_id=access.id
                ),
                aws.cloudfront.DistributionOriginArgs(
                    origin_id=_API,
                    domain_name=args.api_domain,
                    custom_origin_config=aws.cloudfront.DistributionOriginCustomOriginConfigArgs(
                        http_port=80,
                        https_port=443,
                        origin_protocol_policy="https-only" if args.api_over_https else "http-only",
                        origin_ssl_protocols=["TLSv1.2"],
                        origin_read_timeout=READ_TIMEOUT,
                        origin_keepalive_timeout=_KEEPALIVE,
                    ),
                    custom_headers=[
                        aws.cloudfront.DistributionOriginCustomHeaderArgs(
                            name=ORIGIN_HEADER, value=args.origin_secret
                        )
                    ],
                ),
            ],
            default_cache_behavior=aws.cloudfront.DistributionDefaultCacheBehaviorArgs(
                target_origin_id=_SITE,
                viewer_protocol_policy=args.viewer_protocol_policy,
                allowed_methods=_READING,
                cached_methods=_CACHEABLE,
                # gzip and brotli, for clients that take them: the cache policy asks for both.
                compress=True,
                cache_policy_id=CACHING_OPTIMIZED,
                response_headers_policy_id=headers.id,
                function_associations=[
                    aws.cloudfront.DistributionDefaultCacheBehaviorFunctionAssociationArgs(
                        event_type="viewer-request", function_arn=deep_links.arn
                    )
                ],
            ),
            ordered_cache_behaviors=[
                aws.cloudfront.DistributionOrderedCacheBehaviorArgs(
                    path_pattern=RELEASE_PATHS,
                    target_origin_id=_SITE,
                    viewer_protocol_policy=args.viewer_protocol_policy,
                    allowed_methods=_READING,
                    cached_methods=_CACHEABLE,
                    compress=True,
                    cache_policy_id=CACHING_OPTIMIZED,
                    response_headers_policy_id=headers.id,
                ),
                *(
                    aws.cloudfront.DistributionOrderedCacheBehaviorArgs(
                        path_pattern=path,
                        target_origin_id=_API,
                        viewer_protocol_policy=args.viewer_protocol_policy,
                        allowed_methods=_EVERYTHING,
                        cached_methods=_CACHEABLE,
                        compress=True,
                        cache_policy_id=CACHING_DISABLED,
                        # All of the viewer's headers: websocket handshakes and the test route depend on headers.
                        origin_request_policy_id=ALL_VIEWER,
                        response_headers_policy_id=headers.id,
                    )
                    for path in API_PATHS
                ),
            ],
            custom_error_responses=[
                aws.cloudfront.DistributionCustomErrorResponseArgs(error_code=code, error_caching_min_ttl=0)
                for code in CACHED_ERRORS
            ],
            restrictions=aws.cloudfront.DistributionRestrictionsArgs(
                geo_restriction=aws.cloudfront.DistributionRestrictionsGeoRestrictionArgs(
                    restriction_type="none"
                )
            ),
            viewer_certificate=_viewer_certificate(args.certificate_arn),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.s3.BucketPolicy(
            f"{name}-bucket-policy",
            bucket=args.bucket_name,
            policy=pulumi.Output.all(args.bucket_arn, distribution.arn).apply(
                lambda arns: bucket_policy(*arns)
            ),
            opts=child,
        )
        self.id = distribution.id
        self.domain_name = distribution.domain_name
        self.register_outputs({"id": self.id, "domainName": self.domain_name})


def bucket_policy(bucket_arn: str, distribution_arn: str) -> str:
    """The bucket's policy as JSON: this distribution may read objects; requests without TLS are denied.

    Without the right to list, S3 answers 403 for what is missing instead of 404. No request of a viewer can list: the
    distribution forwards neither query strings nor the path `/`.
    """
    statements = [
        {
            "Sid": "DistributionReads",
            "Effect": "Allow",
            "Principal": {"Service": "cloudfront.amazonaws.com"},
            "Action": "s3:GetObject",
            "Resource": f"{bucket_arn}/*",
            "Condition": {"StringEquals": {"AWS:SourceArn": distribution_arn}},
        },
        {
            "Sid": "MissingIsNotFound",
            "Effect": "Allow",
            "Principal": {"Service": "cloudfront.amazonaws.com"},
            "Action": "s3:ListBucket",
            "Resource": bucket_arn,
            "Condition": {"StringEquals": {"AWS:SourceArn": distribution_arn}},
        },
        {
            "Sid": "NothingInClear",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket_arn, f"{bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _viewer_certificate(arn: str | None) -> aws.cloudfront.DistributionViewerCertificateArgs:
    if arn is None:
        return aws.cloudfront.DistributionViewerCertificateArgs(cloudfront_default_certificate=True)
    return aws.cloudfront.DistributionViewerCertificateArgs(
        acm_certificate_arn=arn, ssl_support_method="sni-only", minimum_protocol_version="TLSv1.2_2021"
    )
