"""VPC, subnets, gateways and elastic addresses."""

from __future__ import annotations

from collections.abc import Iterator

from ..aws import ApiError
from ..spec import (
    BOOLEAN,
    Api,
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
    output,
)
from .rules import cidr, known, one_of, table


def ec2_tags(kind: str) -> TagCalls:
    return TagCalls(
        add=Call("create_tags", {"Resources": ["{id}"]}),
        remove=Call("delete_tags", {"Resources": ["{id}"]}),
        list=None,
        path="Tags",
        names="Tags",
        ec2_type=kind,
    )


def ec2_arn(kind: str, operation: Operation) -> str:
    return f"arn:aws:ec2:{operation.aws.region}:{operation.aws.account()}:{kind}/{operation.id}"


def _vpc_attribute(operation: Operation, member: str) -> bool:
    name = member[0].lower() + member[1:]
    result = operation.aws.call("describe_vpc_attribute", VpcId=operation.id, Attribute=name)
    return bool(result[member]["Value"])


def _vpc_more(operation: Operation, api: Api) -> Api:
    by_vpc = [{"Name": "vpc-id", "Values": [operation.id]}]
    default = [*by_vpc, {"Name": "group-name", "Values": ["default"]}]
    main = [*by_vpc, {"Name": "association.main", "Values": ["true"]}]
    group = operation.aws.call("describe_security_groups", Filters=default)["SecurityGroups"][0]
    routes = operation.aws.call("describe_route_tables", Filters=main)["RouteTables"][0]
    return {
        "Arn": ec2_arn("vpc", operation),
        "EnableDnsSupport": _vpc_attribute(operation, "EnableDnsSupport"),
        "EnableDnsHostnames": _vpc_attribute(operation, "EnableDnsHostnames"),
        "DefaultSecurityGroupId": group["GroupId"],
        "MainRouteTableId": routes["RouteTableId"],
    }


def _vpc_attributes(operation: Operation) -> None:
    # AWS takes one of them a call. A new VPC has support on and host names off.
    before = operation.olds or {"enableDnsSupport": True, "enableDnsHostnames": False}
    for name, member in (
        ("enableDnsSupport", "EnableDnsSupport"),
        ("enableDnsHostnames", "EnableDnsHostnames"),
    ):
        if operation.inputs[name] != before.get(name):
            operation.aws.call(
                "modify_vpc_attribute", VpcId=operation.id, **{member: {"Value": operation.inputs[name]}}
            )


def _vpc_rules(inputs: Props) -> Iterator[Failure]:
    block = inputs["cidrBlock"]
    if known(block) and not 16 <= int(block.rpartition("/")[2]) <= 28:
        yield Failure("cidrBlock", f"must be a /16 to a /28, is {block}")
    if inputs["enableDnsHostnames"] is True and inputs["enableDnsSupport"] is False:
        yield Failure("enableDnsHostnames", "needs enableDnsSupport")


VPC = ResourceType(
    token="aws:ec2/vpc:Vpc",
    service="ec2",
    fields=(
        Field("cidrBlock", "CidrBlock", required=True, replace=True, checks=(cidr,)),
        Field(
            "instanceTenancy",
            "InstanceTenancy",
            default="default",
            replace=True,
            checks=(one_of("default", "dedicated"),),
        ),
        Field("enableDnsSupport", "EnableDnsSupport", BOOLEAN, default=True, sent=False),
        Field("enableDnsHostnames", "EnableDnsHostnames", BOOLEAN, default=False, sent=False),
        output("arn", "Arn"),
        output("ownerId", "OwnerId"),
        output("dhcpOptionsId", "DhcpOptionsId"),
        output("defaultSecurityGroupId", "DefaultSecurityGroupId"),
        output("mainRouteTableId", "MainRouteTableId"),
    ),
    create=Create("create_vpc", id="Vpc.VpcId", then=_vpc_attributes),
    read=Describe(
        Call("describe_vpcs", {"VpcIds": ["{id}"]}), "Vpcs.0", gone=("InvalidVpcID.NotFound",), more=_vpc_more
    ),
    update=(_vpc_attributes,),
    delete=Call("delete_vpc", {"VpcId": "{id}"}),
    tags=ec2_tags("vpc"),
    rules=_vpc_rules,
)


def _subnet_public_ip(operation: Operation) -> None:
    before = operation.olds.get("mapPublicIpOnLaunch", False)
    if operation.inputs["mapPublicIpOnLaunch"] != before:
        value = {"Value": operation.inputs["mapPublicIpOnLaunch"]}
        operation.aws.call("modify_subnet_attribute", SubnetId=operation.id, MapPublicIpOnLaunch=value)


def _subnet_rules(inputs: Props) -> Iterator[Failure]:
    block = inputs["cidrBlock"]
    if known(block) and not 16 <= int(block.rpartition("/")[2]) <= 28:
        yield Failure("cidrBlock", f"must be a /16 to a /28, is {block}")


SUBNET = ResourceType(
    token="aws:ec2/subnet:Subnet",
    service="ec2",
    fields=(
        Field("vpcId", "VpcId", required=True, replace=True),
        Field("cidrBlock", "CidrBlock", required=True, replace=True, checks=(cidr,)),
        Field("availabilityZone", "AvailabilityZone", mode=Mode.EITHER, replace=True),
        Field("mapPublicIpOnLaunch", "MapPublicIpOnLaunch", BOOLEAN, default=False, sent=False),
        output("arn", "SubnetArn"),
        output("ownerId", "OwnerId"),
        output("availabilityZoneId", "AvailabilityZoneId"),
    ),
    create=Create("create_subnet", id="Subnet.SubnetId", then=_subnet_public_ip),
    read=Describe(
        Call("describe_subnets", {"SubnetIds": ["{id}"]}), "Subnets.0", gone=("InvalidSubnetID.NotFound",)
    ),
    update=(_subnet_public_ip,),
    delete=Call("delete_subnet", {"SubnetId": "{id}"}),
    tags=ec2_tags("subnet"),
    unique=("vpcId", "cidrBlock"),
    rules=_subnet_rules,
)


def _attach_gateway(operation: Operation) -> None:
    before = operation.olds.get("vpcId")
    after = operation.inputs.get("vpcId")
    if before and before != after:
        operation.aws.call("detach_internet_gateway", InternetGatewayId=operation.id, VpcId=before)
    if after and before != after:
        operation.aws.call("attach_internet_gateway", InternetGatewayId=operation.id, VpcId=after)


def _delete_gateway(operation: Operation) -> None:
    if operation.inputs.get("vpcId"):
        try:
            operation.aws.call(
                "detach_internet_gateway", InternetGatewayId=operation.id, VpcId=operation.inputs["vpcId"]
            )
        except ApiError as error:
            if error.code != "Gateway.NotAttached":
                raise
    operation.aws.call("delete_internet_gateway", InternetGatewayId=operation.id)


INTERNET_GATEWAY = ResourceType(
    token="aws:ec2/internetGateway:InternetGateway",
    service="ec2",
    fields=(
        Field("vpcId", "Attachments", sent=False, decode=lambda raw: raw[0]["VpcId"] if raw else None),
        output("arn", "Arn"),
        output("ownerId", "OwnerId"),
    ),
    create=Create("create_internet_gateway", id="InternetGateway.InternetGatewayId", then=_attach_gateway),
    read=Describe(
        Call("describe_internet_gateways", {"InternetGatewayIds": ["{id}"]}),
        "InternetGateways.0",
        gone=("InvalidInternetGatewayID.NotFound",),
        more=lambda operation, api: {"Arn": ec2_arn("internet-gateway", operation)},
    ),
    update=(_attach_gateway,),
    delete=_delete_gateway,
    tags=ec2_tags("internet-gateway"),
)


EIP = ResourceType(
    token="aws:ec2/eip:Eip",
    service="ec2",
    fields=(
        Field("domain", "Domain", default="vpc", replace=True, checks=(one_of("vpc"),)),
        output("allocationId", "AllocationId"),
        output("publicIp", "PublicIp"),
        output("associationId", "AssociationId"),
        output("arn", "Arn"),
    ),
    create=Create("allocate_address", id="AllocationId"),
    read=Describe(
        Call("describe_addresses", {"AllocationIds": ["{id}"]}),
        "Addresses.0",
        gone=("InvalidAllocationID.NotFound",),
        more=lambda operation, api: {"Arn": ec2_arn("eip-allocation", operation)},
    ),
    delete=Call("release_address", {"AllocationId": "{id}"}),
    tags=ec2_tags("elastic-ip"),
)


def _nat_state(operation: Operation) -> str:
    found = operation.aws.call("describe_nat_gateways", NatGatewayIds=[operation.id])["NatGateways"]
    return str(found[0]["State"]) if found else "deleted"


def _nat_deleted(operation: Operation) -> bool:
    try:
        return _nat_state(operation) == "deleted"
    except ApiError as error:
        if error.code == "NatGatewayNotFound":
            return True
        raise


def _nat_more(operation: Operation, api: Api) -> Api:
    first = (api.get("NatGatewayAddresses") or [{}])[0]
    return {"First": first, "AllocationId": first.get("AllocationId")}


def _nat_rules(inputs: Props) -> Iterator[Failure]:
    if inputs["connectivityType"] == "public" and "allocationId" not in inputs:
        yield Failure("allocationId", "is needed by a public NAT gateway")
    if inputs["connectivityType"] == "private" and "allocationId" in inputs:
        yield Failure("allocationId", "does not belong to a private NAT gateway")


NAT_GATEWAY = ResourceType(
    token="aws:ec2/natGateway:NatGateway",
    service="ec2",
    fields=(
        Field("subnetId", "SubnetId", required=True, replace=True),
        Field("allocationId", "AllocationId", replace=True),
        Field(
            "connectivityType",
            "ConnectivityType",
            default="public",
            replace=True,
            checks=(one_of("public", "private"),),
        ),
        output("networkInterfaceId", "First.NetworkInterfaceId"),
        output("privateIp", "First.PrivateIp"),
        output("publicIp", "First.PublicIp"),
    ),
    create=Create(
        "create_nat_gateway",
        id="NatGateway.NatGatewayId",
        ready=lambda operation: _nat_state(operation) == "available",
    ),
    read=Describe(
        Call("describe_nat_gateways", {"NatGatewayIds": ["{id}"]}),
        "NatGateways.0",
        gone=("NatGatewayNotFound",),
        absent=lambda api: api["State"] in ("deleting", "deleted", "failed"),
        more=_nat_more,
    ),
    delete=Call("delete_nat_gateway", {"NatGatewayId": "{id}"}),
    deleted=_nat_deleted,
    tags=ec2_tags("natgateway"),
    rules=_nat_rules,
)

TABLE = table(VPC, SUBNET, INTERNET_GATEWAY, EIP, NAT_GATEWAY)
