"""Security groups, and each of their rules as a resource of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..convert import encode, find
from ..spec import (
    INTEGER,
    Api,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    Operation,
    Props,
    ResourceType,
    output,
)
from .network import ec2_arn, ec2_tags
from .rules import cidr, exactly_one, known, matches, table, within

_TEXT = r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]"
_DESCRIPTION = matches(_TEXT + "{0,255}", "at most 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*")


def _revoke_default_egress(operation: Operation) -> None:
    """AWS gives a new group a rule that lets everything out; pulumi-aws takes it away, so that what is declared is all."""
    found = operation.aws.call("describe_security_groups", GroupIds=[operation.id])["SecurityGroups"][0]
    if found["IpPermissionsEgress"]:
        everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        operation.aws.call("revoke_security_group_egress", GroupId=operation.id, IpPermissions=[everything])


SECURITY_GROUP = ResourceType(
    token="aws:ec2/securityGroup:SecurityGroup",
    service="ec2",
    fields=(
        Field(
            "name",
            "GroupName",
            required=True,
            replace=True,
            checks=(
                matches(
                    f"(?!sg-){_TEXT}{{1,255}}",
                    "1 to 255 letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*, not from sg-",
                ),
            ),
        ),
        Field(
            "description", "Description", default="Managed by Pulumi", replace=True, checks=(_DESCRIPTION,)
        ),
        Field("vpcId", "VpcId", required=True, replace=True),
        output("arn", "Arn"),
        output("ownerId", "OwnerId"),
    ),
    create=Create("create_security_group", id="GroupId", then=_revoke_default_egress),
    read=Describe(
        Call("describe_security_groups", {"GroupIds": ["{id}"]}),
        "SecurityGroups.0",
        gone=("InvalidGroup.NotFound",),
        more=lambda operation, api: {"Arn": ec2_arn("security-group", operation)},
    ),
    delete=Call("delete_security_group", {"GroupId": "{id}"}),
    tags=ec2_tags("security-group"),
    unique=("name", "vpcId"),
)

_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")


def _permission(inputs: Props) -> dict[str, Any]:
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    if "fromPort" in inputs:
        permission |= {"FromPort": inputs["fromPort"], "ToPort": inputs["toPort"]}
    description = {"Description": inputs["description"]} if "description" in inputs else {}
    for name, list_name, member in (
        ("cidrIpv4", "IpRanges", "CidrIp"),
        ("cidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("prefixListId", "PrefixListIds", "PrefixListId"),
        ("referencedSecurityGroupId", "UserIdGroupPairs", "GroupId"),
    ):
        if name in inputs:
            permission[list_name] = [{member: inputs[name], **description}]
    return permission


def _modify(operation: Operation) -> None:
    if operation.changed(*(field.name for field in _RULE_FIELDS)):
        _write(operation)


def _write(operation: Operation) -> None:
    shown = encode(_INGRESS.block, operation.inputs)
    group = shown.pop("GroupId")
    if "ReferencedGroupInfo" in shown:
        shown["ReferencedGroupId"] = shown.pop("ReferencedGroupInfo")["GroupId"]
    if shown["IpProtocol"] == "-1":
        shown |= {"FromPort": -1, "ToPort": -1}  # what AWS shows for all protocols, and moto needs as input
    rule = {"SecurityGroupRuleId": operation.id, "SecurityGroupRule": shown}
    operation.aws.call("modify_security_group_rules", GroupId=group, SecurityGroupRules=[rule])


def _rule_rules(inputs: Props) -> Iterator[Failure]:
    yield from exactly_one(inputs, _SOURCES)
    protocol, first, last = inputs["ipProtocol"], inputs.get("fromPort"), inputs.get("toPort")
    if protocol == "-1":
        for name in ("fromPort", "toPort"):
            if name in inputs:
                yield Failure(name, "does not belong to a rule for all protocols (-1)")
    elif first is None or last is None:
        yield Failure("fromPort" if first is None else "toPort", f"is needed by a rule for {protocol}")
    elif known(first) and known(last) and first > last:
        yield Failure("toPort", f"must be at least fromPort {first}, is {last}")


def _rule_more(operation: Operation, api: Api) -> Api:
    arn = {"Arn": ec2_arn("security-group-rule", operation)}
    # All protocols have no ports; AWS shows -1 for them.
    return arn | ({"FromPort": None, "ToPort": None} if api["IpProtocol"] == "-1" else {})


_RULE_FIELDS = (
    Field("securityGroupId", "GroupId", required=True, replace=True),
    Field("ipProtocol", "IpProtocol", required=True),
    Field("fromPort", "FromPort", INTEGER, checks=(within(-1, 65535),)),
    Field("toPort", "ToPort", INTEGER, checks=(within(-1, 65535),)),
    Field("cidrIpv4", "CidrIpv4", checks=(cidr,)),
    Field("cidrIpv6", "CidrIpv6", checks=(cidr,)),
    Field("prefixListId", "PrefixListId"),
    Field("referencedSecurityGroupId", "ReferencedGroupInfo.GroupId"),
    Field("description", "Description", checks=(_DESCRIPTION,)),
    output("securityGroupRuleId", "SecurityGroupRuleId"),
    output("arn", "Arn"),
)


def _rule(direction: str, token: str) -> ResourceType:
    def create(operation: Operation) -> str:
        op = f"authorize_security_group_{direction}"
        permissions = [_permission(operation.inputs)]
        result = operation.aws.call(
            op, GroupId=operation.inputs["securityGroupId"], IpPermissions=permissions
        )
        made = str(find(result, "SecurityGroupRules.0.SecurityGroupRuleId"))
        if "description" in operation.inputs and not find(result, "SecurityGroupRules.0.Description"):
            _write(replace(operation, id=made))  # moto forgets the description of a group or prefix list
        return made

    def delete(operation: Operation) -> None:
        op = f"revoke_security_group_{direction}"
        operation.aws.call(
            op, GroupId=operation.inputs["securityGroupId"], SecurityGroupRuleIds=[operation.id]
        )

    return ResourceType(
        token=token,
        service="ec2",
        fields=_RULE_FIELDS,
        create=create,
        read=Describe(
            Call("describe_security_group_rules", {"SecurityGroupRuleIds": ["{id}"]}),
            "SecurityGroupRules.0",
            gone=("InvalidSecurityGroupRuleId.NotFound",),
            more=_rule_more,
        ),
        update=(_modify,),
        delete=delete,
        delete_gone=(
            "InvalidSecurityGroupRuleId.NotFound",
            "InvalidPermission.NotFound",
            "InvalidGroup.NotFound",
        ),
        tags=ec2_tags("security-group-rule"),
        rules=_rule_rules,
    )


_INGRESS = _rule("ingress", "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
_EGRESS = _rule("egress", "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")

TABLE = table(SECURITY_GROUP, _INGRESS, _EGRESS)
