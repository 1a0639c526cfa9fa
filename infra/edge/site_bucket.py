"""The bucket that holds the frontend."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, slots=True)
class SiteBucketArgs:
    """`prefix` starts the bucket's name, which must be globally unique; the provider adds a random suffix."""

    prefix: str
    protect: bool


class SiteBucket(pulumi.ComponentResource):
    """A private, versioned bucket. Only the distribution reads it: see its bucket policy."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    domain_name: pulumi.Output[str]

    def __init__(self, name: str, args: SiteBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:edge:SiteBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket_prefix=f"{args.prefix}-site-",
            # A bucket that is not empty may be deleted only in an environment that is not protected.
            force_destroy=not args.protect,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        self.name = bucket.bucket
        self.arn = bucket.arn
        self.domain_name = bucket.bucket_regional_domain_name
        self.register_outputs({"name": self.name, "arn": self.arn, "domainName": self.domain_name})
