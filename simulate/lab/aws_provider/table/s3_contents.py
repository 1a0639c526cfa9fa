"""What is in buckets: copies of objects, and the rules by which objects end."""

from __future__ import annotations

from collections.abc import Iterator

from ..aws import ApiError
from ..convert import encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    Api,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Operation,
    Props,
    ResourceType,
    Update,
    output,
)
from .rules import known, matches, one_of, table, within

_GONE = ("404", "NoSuchBucket", "NoSuchKey")
_COPIED = ("source", "cacheControl", "contentType", "metadataDirective")

_COPY_FIELDS = (
    Field("bucket", "Bucket", required=True, replace=True),
    Field("key", "Key", required=True, replace=True),
    Field(
        "source",
        "CopySource",
        required=True,
        shown=False,
        checks=(matches(r"[^/]+/.+", "a bucket, a slash and a key"),),
    ),
    Field("cacheControl", "CacheControl"),
    Field("contentType", "ContentType"),
    Field("metadataDirective", "MetadataDirective", shown=False, checks=(one_of("COPY", "REPLACE"),)),
    Field("forceDestroy", type=BOOLEAN, default=False, shown=False),
)


def _copy(operation: Operation) -> str:
    operation.aws.call("copy_object", **encode(Block(_COPY_FIELDS), operation.inputs))
    return str(operation.inputs["key"])


def _copy_again(operation: Operation) -> None:
    if operation.changed(*_COPIED):
        _copy(operation)


def _read_copy(operation: Operation) -> Api | None:
    bucket, key = operation.inputs["bucket"], operation.inputs["key"]
    try:
        shown = operation.aws.call("head_object", Bucket=bucket, Key=key)
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise
    return shown | {"Bucket": bucket, "Key": key, "Arn": f"arn:aws:s3:::{bucket}/{key}"}


def _delete_copy(operation: Operation) -> None:
    """With all its versions, as the official provider does."""
    bucket, key = operation.inputs["bucket"], operation.inputs["key"]
    page = operation.aws.call("list_object_versions", Bucket=bucket, Prefix=key)
    for each in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
        if each["Key"] == key:
            operation.aws.call("delete_object", Bucket=bucket, Key=key, VersionId=each["VersionId"])


OBJECT_COPY = ResourceType(
    token="aws:s3/objectCopy:ObjectCopy",
    service="s3",
    fields=(
        *_COPY_FIELDS,
        output("arn", "Arn"),
        output("etag", "ETag", decode=lambda raw: str(raw).strip('"')),
    ),
    create=_copy,
    read=_read_copy,
    update=(_copy_again,),
    delete=_delete_copy,
    delete_gone=_GONE,
    unique=("bucket", "key"),
)

_RULE = Block(
    (
        Field("id", "ID", required=True),
        Field("status", "Status", required=True, checks=(one_of("Enabled", "Disabled"),)),
        Field("filter", "Filter", Block((Field("prefix", "Prefix", default=""),)), required=True),
        Field(
            "expiration",
            "Expiration",
            Block(
                (
                    Field("days", "Days", INTEGER, checks=(within(1, 2**31 - 1),)),
                    Field("expiredObjectDeleteMarker", "ExpiredObjectDeleteMarker", BOOLEAN),
                )
            ),
        ),
        Field(
            "noncurrentVersionExpiration",
            "NoncurrentVersionExpiration",
            Block(
                (
                    Field(
                        "noncurrentDays",
                        "NoncurrentDays",
                        INTEGER,
                        required=True,
                        checks=(within(1, 2**31 - 1),),
                    ),
                    Field(
                        "newerNoncurrentVersions",
                        "NewerNoncurrentVersions",
                        INTEGER,
                        checks=(within(1, 100),),
                    ),
                )
            ),
        ),
        Field(
            "abortIncompleteMultipartUpload",
            "AbortIncompleteMultipartUpload",
            Block(
                (
                    Field(
                        "daysAfterInitiation",
                        "DaysAfterInitiation",
                        INTEGER,
                        required=True,
                        checks=(within(1, 2**31 - 1),),
                    ),
                )
            ),
        ),
    )
)
_ENDS = ("expiration", "noncurrentVersionExpiration", "abortIncompleteMultipartUpload")


def _lifecycle_rules(inputs: Props) -> Iterator[Failure]:
    for index, rule in enumerate(inputs["rules"] if known(inputs["rules"]) else ()):
        if known(rule) and not any(name in rule for name in _ENDS):
            yield Failure(f"rules[{index}]", "at least one action needs to be specified in a rule")


LIFECYCLE = ResourceType(
    token="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    service="s3",
    fields=(
        Field("bucket", "Bucket", required=True, replace=True),
        Field(
            "rules",
            "LifecycleConfiguration.Rules",
            ListOf(_RULE, unordered=True, key="id", at_least=1),
            required=True,
        ),
    ),
    create=Create("put_bucket_lifecycle_configuration", id="{bucket}"),
    read=Describe(
        Call("get_bucket_lifecycle_configuration", {"Bucket": "{id}"}),
        "",
        gone=(*_GONE, "NoSuchLifecycleConfiguration"),
        more=lambda operation, api: {
            "Bucket": operation.id,
            "LifecycleConfiguration": {"Rules": api["Rules"]},
        },
    ),
    update=(Update(Call("put_bucket_lifecycle_configuration", {"Bucket": "{id}"}), ("rules",), whole=True),),
    delete=Call("delete_bucket_lifecycle", {"Bucket": "{id}"}),
    unique=("bucket",),
    rules=_lifecycle_rules,
)

TABLE = table(OBJECT_COPY, LIFECYCLE)
