"""Buckets, and their settings as resources of their own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from ..aws import ApiError
from ..spec import (
    BOOLEAN,
    JSON,
    Api,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    Mode,
    Props,
    ResourceType,
    TagCalls,
    Target,
    Update,
    output,
)
from .rules import matches, one_of, table

_NAME = matches(
    r"(?!xn--|sthree-)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)",
    "3 to 63 lower-case letters, digits, dots and hyphens",
)
_GONE = ("404", "NoSuchBucket")


def _create_bucket(target: Target) -> str:
    name = target.inputs.get("bucket") or target.inputs["bucketPrefix"] + secrets.token_hex(13)
    elsewhere = {} if target.aws.region == "us-east-1" else {"LocationConstraint": target.aws.region}
    target.aws.call(
        "create_bucket", Bucket=name, **({"CreateBucketConfiguration": elsewhere} if elsewhere else {})
    )
    return str(name)


def _read_bucket(target: Target) -> Api | None:
    try:
        target.aws.call("head_bucket", Bucket=target.id)
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise
    region = target.aws.call("get_bucket_location", Bucket=target.id).get("LocationConstraint") or "us-east-1"
    try:
        pairs = target.aws.call("get_bucket_tagging", Bucket=target.id)["TagSet"]
    except ApiError as error:
        if error.code != "NoSuchTagSet":
            raise
        pairs = []
    return {
        "Bucket": target.id,
        "Region": region,
        "Arn": f"arn:aws:s3:::{target.id}",
        "DomainName": f"{target.id}.s3.amazonaws.com",
        "RegionalDomainName": f"{target.id}.s3.{region}.amazonaws.com",
        "TagSet": pairs,
    }


def _delete_bucket(target: Target) -> None:
    if target.inputs["forceDestroy"]:
        _empty_bucket(target)
    target.aws.call("delete_bucket", Bucket=target.id)


def _empty_bucket(target: Target) -> None:
    while True:
        page = target.aws.call("list_object_versions", Bucket=target.id)
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not found:
            return
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        errors = target.aws.call("delete_objects", Bucket=target.id, Delete={"Objects": objects}).get(
            "Errors"
        )
        if errors:
            raise ApiError("delete_objects", errors[0]["Code"], f"{errors[0]['Key']}: {errors[0]['Message']}")


def _bucket_rules(inputs: Props) -> Iterator[Failure]:
    if ("bucket" in inputs) == ("bucketPrefix" in inputs):
        yield Failure("bucket", "one of bucket and bucketPrefix is needed, and not both")


BUCKET = ResourceType(
    token="aws:s3/bucket:Bucket",
    service="s3",
    fields=(
        Field("bucket", "Bucket", mode=Mode.EITHER, replace=True, checks=(_NAME,)),
        Field(
            "bucketPrefix",
            replace=True,
            shown=False,
            checks=(
                matches(
                    r"[a-z0-9][a-z0-9.-]{0,36}", "at most 37 lower-case letters, digits, dots and hyphens"
                ),
            ),
        ),
        Field("forceDestroy", type=BOOLEAN, default=False, shown=False),
        output("arn", "Arn"),
        output("bucketDomainName", "DomainName"),
        output("bucketRegion", "Region"),
        output("bucketRegionalDomainName", "RegionalDomainName"),
    ),
    create=_create_bucket,
    read=_read_bucket,
    delete=_delete_bucket,
    delete_gone=_GONE,
    tags=TagCalls(
        add=Call("put_bucket_tagging", {"Bucket": "{id}"}),
        remove=Call("delete_bucket_tagging", {"Bucket": "{id}"}),
        list=None,
        path="TagSet",
        member="Tagging",
        on_create="",
        envelope="TagSet",
        whole=True,
    ),
    unique=("bucket",),
    rules=_bucket_rules,
)


def _versioning_off(target: Target) -> None:
    """AWS cannot unset it."""
    target.aws.call(
        "put_bucket_versioning", Bucket=target.id, VersioningConfiguration={"Status": "Suspended"}
    )


_BUCKET = Field("bucket", "Bucket", required=True, replace=True)

VERSIONING = ResourceType(
    token="aws:s3/bucketVersioning:BucketVersioning",
    service="s3",
    fields=(
        _BUCKET,
        Field(
            "versioningConfiguration",
            "VersioningConfiguration",
            Block((Field("status", "Status", required=True, checks=(one_of("Enabled", "Suspended"),)),)),
            required=True,
        ),
    ),
    create=Create("put_bucket_versioning", id="{bucket}"),
    read=Describe(
        Call("get_bucket_versioning", {"Bucket": "{id}"}),
        "",
        gone=_GONE,
        more=lambda target, api: {"Bucket": target.id, "VersioningConfiguration": {"Status": api["Status"]}},
    ),
    update=(
        Update(Call("put_bucket_versioning", {"Bucket": "{id}"}), ("versioningConfiguration",), whole=True),
    ),
    delete=_versioning_off,
    unique=("bucket",),
)

_ACCESS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

PUBLIC_ACCESS_BLOCK = ResourceType(
    token="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    service="s3",
    fields=(
        _BUCKET,
        *(
            Field(name, f"PublicAccessBlockConfiguration.{name[0].upper()}{name[1:]}", BOOLEAN, default=False)
            for name in _ACCESS
        ),
    ),
    create=Create("put_public_access_block", id="{bucket}"),
    read=Describe(
        Call("get_public_access_block", {"Bucket": "{id}"}),
        "",
        gone=(*_GONE, "NoSuchPublicAccessBlockConfiguration"),
        more=lambda target, api: {"Bucket": target.id},
    ),
    update=(Update(Call("put_public_access_block", {"Bucket": "{id}"}), _ACCESS, whole=True),),
    delete=Call("delete_public_access_block", {"Bucket": "{id}"}),
    unique=("bucket",),
)

POLICY = ResourceType(
    token="aws:s3/bucketPolicy:BucketPolicy",
    service="s3",
    fields=(_BUCKET, Field("policy", "Policy", JSON, required=True)),
    create=Create("put_bucket_policy", id="{bucket}"),
    read=Describe(
        Call("get_bucket_policy", {"Bucket": "{id}"}),
        "",
        gone=(*_GONE, "NoSuchBucketPolicy"),
        more=lambda target, api: {"Bucket": target.id},
    ),
    update=(Update(Call("put_bucket_policy", {"Bucket": "{id}"}), ("policy",), whole=True),),
    delete=Call("delete_bucket_policy", {"Bucket": "{id}"}),
    unique=("bucket",),
)

TABLE = table(BUCKET, VERSIONING, PUBLIC_ACCESS_BLOCK, POLICY)
