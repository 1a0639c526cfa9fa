"""Secrets Manager."""

from __future__ import annotations

from ..aws import ApiError
from ..spec import (
    INTEGER,
    Api,
    Call,
    Create,
    Describe,
    Field,
    Operation,
    ResourceType,
    TagCalls,
    Update,
    output,
)
from .rules import matches, table

_GONE = ("ResourceNotFoundException",)


def _delete_secret(operation: Operation) -> None:
    days = operation.inputs["recoveryWindowInDays"]
    how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    operation.aws.call("delete_secret", SecretId=operation.id, **how)


SECRET = ResourceType(
    token="aws:secretsmanager/secret:Secret",
    service="secretsmanager",
    fields=(
        Field(
            "name",
            "Name",
            required=True,
            replace=True,
            checks=(matches(r"[A-Za-z0-9/_+=.@-]{1,512}", "1 to 512 letters, digits and /_+=.@-"),),
        ),
        Field("description", "Description", default="Managed by Pulumi"),
        Field("kmsKeyId", "KmsKeyId"),
        Field(
            "recoveryWindowInDays",
            type=INTEGER,
            default=30,
            shown=False,
            checks=(
                lambda days: None if days == 0 or 7 <= days <= 30 else f"must be 0 or 7 to 30, is {days}",
            ),
        ),
        output("arn", "ARN"),
    ),
    create=Create("create_secret", id="ARN"),
    read=Describe(
        Call("describe_secret", {"SecretId": "{id}"}), "", gone=_GONE, absent=lambda api: "DeletedDate" in api
    ),
    update=(Update(Call("update_secret", {"SecretId": "{id}"}), ("description", "kmsKeyId")),),
    delete=_delete_secret,
    tags=TagCalls(
        add=Call("tag_resource", {"SecretId": "{id}"}),
        remove=Call("untag_resource", {"SecretId": "{id}"}),
        list=None,
        path="Tags",
    ),
    unique=("name",),
)


def _put_value(operation: Operation) -> str:
    secret, text = operation.inputs["secretId"], operation.inputs["secretString"]
    made = operation.aws.call("put_secret_value", SecretId=secret, SecretString=text)
    return f"{made['ARN']}|{made['VersionId']}"


def _read_value(operation: Operation) -> Api | None:
    secret, _, version = operation.id.partition("|")
    try:
        shown = operation.aws.call("get_secret_value", SecretId=secret, VersionId=version)
    except ApiError as error:
        # A secret that is to be deleted gives no values any more.
        if error.code in (*_GONE, "InvalidRequestException"):
            return None
        raise
    return shown | {"SecretId": operation.inputs.get("secretId", secret)}


SECRET_VERSION = ResourceType(
    token="aws:secretsmanager/secretVersion:SecretVersion",
    service="secretsmanager",
    fields=(
        Field("secretId", "SecretId", required=True, replace=True),
        Field(
            "secretString",
            "SecretString",
            required=True,
            replace=True,
            checks=(lambda text: None if 0 < len(text.encode()) <= 65536 else "must have 1 to 65536 bytes",),
        ),
        output("arn", "ARN"),
        output("versionId", "VersionId"),
        output("secretArn", "ARN"),
    ),
    create=_put_value,
    read=_read_value,
    # AWS has no call for it: a version stays until another takes its label and ends with its secret.
    delete=lambda operation: None,
)

TABLE = table(SECRET, SECRET_VERSION)
