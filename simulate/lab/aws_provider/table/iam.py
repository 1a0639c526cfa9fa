"""Roles and the policies inside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..aws import ApiError
from ..spec import (
    BOOLEAN,
    INTEGER,
    JSON,
    Api,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    Operation,
    Props,
    ResourceType,
    TagCalls,
    Update,
    output,
)
from .rules import known, matches, table, within

_GONE = ("NoSuchEntity",)
_NAME = matches(r"[\w+=,.@-]{1,64}", "1 to 64 letters, digits and _+=,.@-")
_POLICY_LIMIT = 10_240  # characters of all policies inside a role, spaces not counted


def _document(value: Any) -> str | None:
    statements = json.loads(value).get("Statement")
    if not statements:
        return "needs a Statement"
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") not in ("Allow", "Deny"):
            return f"a statement's Effect is Allow or Deny, is {statement.get('Effect')}"
        if "Action" not in statement and "NotAction" not in statement:
            return "a statement needs an Action"
    return None


def _permissions(value: Any) -> str | None:
    statements = json.loads(value).get("Statement") or []
    for statement in statements if isinstance(statements, list) else [statements]:
        if "Principal" in statement:
            return "a policy inside a role names no Principal"
        if "Resource" not in statement and "NotResource" not in statement:
            return "a statement needs a Resource"
    size = len("".join(value.split()))
    return None if size <= _POLICY_LIMIT else f"has {size} characters, at most {_POLICY_LIMIT} are allowed"


def _trust(inputs: Props) -> Iterator[Failure]:
    document = inputs["assumeRolePolicy"]
    if known(document):
        for statement in json.loads(document)["Statement"]:
            if "Principal" not in statement:
                yield Failure("assumeRolePolicy", "a statement needs a Principal")


def _delete_role(operation: Operation) -> None:
    if operation.inputs["forceDetachPolicies"]:
        for name in operation.aws.call("list_role_policies", RoleName=operation.id)["PolicyNames"]:
            operation.aws.call("delete_role_policy", RoleName=operation.id, PolicyName=name)
    operation.aws.call("delete_role", RoleName=operation.id)


ROLE = ResourceType(
    token="aws:iam/role:Role",
    service="iam",
    global_service=True,
    fields=(
        Field("name", "RoleName", required=True, replace=True, checks=(_NAME,)),
        Field("path", "Path", default="/", replace=True),
        Field("description", "Description"),
        Field(
            "assumeRolePolicy",
            "AssumeRolePolicyDocument",
            JSON,
            required=True,
            checks=(_document,),
        ),
        Field(
            "maxSessionDuration", "MaxSessionDuration", INTEGER, default=3600, checks=(within(3600, 43_200),)
        ),
        Field("forceDetachPolicies", type=BOOLEAN, default=False, shown=False),
        output("arn", "Arn"),
        output("uniqueId", "RoleId"),
    ),
    create=Create("create_role", id="Role.RoleName"),
    read=Describe(Call("get_role", {"RoleName": "{id}"}), "Role", gone=_GONE),
    update=(
        Update(Call("update_role", {"RoleName": "{id}"}), ("description", "maxSessionDuration"), whole=True),
        lambda operation: (
            operation.aws.call(
                "update_assume_role_policy",
                RoleName=operation.id,
                PolicyDocument=operation.inputs["assumeRolePolicy"],
            )
            if operation.changed("assumeRolePolicy")
            else None
        ),
    ),
    delete=_delete_role,
    delete_gone=_GONE,
    tags=TagCalls(
        add=Call("tag_role", {"RoleName": "{id}"}),
        remove=Call("untag_role", {"RoleName": "{id}"}),
        list=Call("list_role_tags", {"RoleName": "{id}"}),
        path="Tags",
    ),
    unique=("name",),
    rules=_trust,
)


def _put_policy(operation: Operation) -> str:
    role, name = operation.inputs["role"], operation.inputs["name"]
    operation.aws.call(
        "put_role_policy", RoleName=role, PolicyName=name, PolicyDocument=operation.inputs["policy"]
    )
    return f"{role}:{name}"


def _read_policy(operation: Operation) -> Api | None:
    role, _, name = operation.id.partition(":")
    try:
        return operation.aws.call("get_role_policy", RoleName=role, PolicyName=name)
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise


def _delete_policy(operation: Operation) -> None:
    role, _, name = operation.id.partition(":")
    operation.aws.call("delete_role_policy", RoleName=role, PolicyName=name)


ROLE_POLICY = ResourceType(
    token="aws:iam/rolePolicy:RolePolicy",
    service="iam",
    global_service=True,
    fields=(
        Field("role", "RoleName", required=True, replace=True),
        Field(
            "name",
            "PolicyName",
            required=True,
            replace=True,
            checks=(matches(r"[\w+=,.@-]{1,128}", "1 to 128 letters, digits and _+=,.@-"),),
        ),
        Field("policy", "PolicyDocument", JSON, required=True, checks=(_document, _permissions)),
    ),
    create=_put_policy,
    read=_read_policy,
    update=(_put_policy,),
    delete=_delete_policy,
    delete_gone=_GONE,
    unique=("role", "name"),
)

TABLE = table(ROLE, ROLE_POLICY)
