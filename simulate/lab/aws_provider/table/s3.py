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
    Operation,
    Props,
    ResourceType,
    TagCalls,
    Update,
    output,
)
from .rules import matches, one_of, table

_NAME = matches(
    r"(?!xn--|sthree-)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)",
    "3 to 63 lower-case letters, digits, dots and hyphens",
)
_GONE = ("404", "NoSuchBucket")


def _create_bucket(operation: Operation) -> str:
    name = operation.inputs.get("bucket") or operation.inputs["bucketPrefix"] + secrets.token_hex(13)
    elsewhere = {} if operation.aws.region == "us-east-1" else {"LocationConstraint": operation.aws.region}
    operation.aws.call(
        "create_bucket", Bucket=name, **({"CreateBucketConfiguration": elsewhere} if elsewhere else {})
    )
    return str(name)


def _read_bucket(operation: Operation) -> Api | None:
    try:
        operation.aws.call("head_bucket", Bucket=operation.id)
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise
    region = (
        operation.aws.call("get_bucket_location", Bucket=operation.id).get("LocationConstraint")
        or "us-east-1"
    )
    try:
        pairs = operation.aws.call("get_bucket_tagging", Bucket=operation.id)["TagSet"]
    except ApiError as error:
        if error.code != "NoSuchTagSet":
            raise
        pairs = []
    return {
        "Bucket": operation.id,
        "Region": region,
        "Arn": f"arn:aws:s3:::{operation.id}",
        "DomainName": f"{operation.id}.s3.amazonaws.com",
        "RegionalDomainName": f"{operation.id}.s3.{region}.amazonaws.com",
        "TagSet": pairs,
    }


def _delete_bucket(operation: Operation) -> None:
    if operation.inputs["forceDestroy"]:
        _empty_bucket(operation)
    operation.aws.call("delete_bucket", Bucket=operation.id)


def _empty_bucket(operation: Operation) -> None:
    while True:
        page = operation.aws.call("list_object_versions", Bucket=operation.id)
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not found:
            return
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        errors = operation.aws.call("delete_objects", Bucket=operation.id, Delete={"Objects": objects}).get(
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


def _versioning_off(operation: Operation) -> None:
    """AWS cannot unset it."""
    operation.aws.call(
        "put_bucket_versioning", Bucket=operation.id, VersioningConfiguration={"Status": "Suspended"}
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
        more=lambda operation, api: {
            "Bucket": operation.id,
            "VersioningConfiguration": {"Status": api["Status"]},
        },
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
        more=lambda operation, api: {"Bucket": operation.id},
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
        more=lambda operation, api: {"Bucket": operation.id},
    ),
    update=(Update(Call("put_bucket_policy", {"Bucket": "{id}"}), ("policy",), whole=True),),
    delete=Call("delete_bucket_policy", {"Bucket": "{id}"}),
    unique=("bucket",),
)

TABLE = table(BUCKET, VERSIONING, PUBLIC_ACCESS_BLOCK, POLICY)
