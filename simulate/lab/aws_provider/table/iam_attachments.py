"""Policies that are attached to roles."""

from __future__ import annotations

from ..aws import ApiError
from ..spec import Api, Field, Operation, ResourceType
from .rules import matches, table

_GONE = ("NoSuchEntity",)


def _attach(operation: Operation) -> str:
    role, policy = operation.inputs["role"], operation.inputs["policyArn"]
    operation.aws.call("attach_role_policy", RoleName=role, PolicyArn=policy)
    return f"{role}/{policy}"


def _read(operation: Operation) -> Api | None:
    role, _, policy = operation.id.partition("/")
    try:
        attached = operation.aws.call("list_attached_role_policies", RoleName=role)["AttachedPolicies"]
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise
    found = policy in {each["PolicyArn"] for each in attached}
    return {"RoleName": role, "PolicyArn": policy} if found else None


def _detach(operation: Operation) -> None:
    role, _, policy = operation.id.partition("/")
    operation.aws.call("detach_role_policy", RoleName=role, PolicyArn=policy)


ATTACHMENT = ResourceType(
    token="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    service="iam",
    global_service=True,
    fields=(
        Field("role", "RoleName", required=True, replace=True),
        Field(
            "policyArn",
            "PolicyArn",
            required=True,
            replace=True,
            checks=(matches(r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/.+", "the ARN of a policy"),),
        ),
    ),
    create=_attach,
    read=_read,
    delete=_detach,
    delete_gone=_GONE,
)

TABLE = table(ATTACHMENT)
