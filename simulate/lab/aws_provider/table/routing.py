"""Route tables with their routes, and which subnets use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..aws import ApiError
from ..convert import decode, encode, same
from ..spec import (
    Api,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Mode,
    Operation,
    Props,
    ResourceType,
    output,
)
from ..wire import has_unknown
from .network import ec2_arn, ec2_tags
from .rules import cidr, exactly_one, known, table

_GATEWAYS = (
    Field("gatewayId", "GatewayId"),
    Field("natGatewayId", "NatGatewayId"),
    Field("networkInterfaceId", "NetworkInterfaceId"),
    Field("transitGatewayId", "TransitGatewayId"),
    Field("vpcPeeringConnectionId", "VpcPeeringConnectionId"),
)
_ROUTE = Block((Field("cidrBlock", "DestinationCidrBlock", required=True, checks=(cidr,)), *_GATEWAYS))
_ROUTES = ListOf(_ROUTE, unordered=True, key="cidrBlock")
_GATEWAY_NAMES = tuple(field.name for field in _GATEWAYS)


def _shown_routes(raw: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the one to the VPC itself, which comes with the table."""
    return [
        decode(_ROUTE, route)
        for route in raw
        if route.get("GatewayId") != "local" and "DestinationCidrBlock" in route
    ]


def _put_routes(operation: Operation) -> None:
    before = {route["cidrBlock"]: route for route in operation.olds.get("routes") or ()}
    after = {route["cidrBlock"]: route for route in operation.inputs.get("routes") or ()}
    for block in before.keys() - after.keys():
        _delete_route(operation, block)
    for block, route in after.items():
        if not same(_ROUTE, before.get(block), route):
            op = "replace_route" if block in before else "create_route"
            operation.aws.call(op, RouteTableId=operation.id, **encode(_ROUTE, route))


def _delete_route(operation: Operation, block: str) -> None:
    try:
        operation.aws.call("delete_route", RouteTableId=operation.id, DestinationCidrBlock=block)
    except ApiError as error:
        if error.code != "InvalidRoute.NotFound":
            raise


def _route_table_rules(inputs: Props) -> Iterator[Failure]:
    routes = inputs.get("routes")
    for index, route in enumerate(routes if known(routes) else ()):
        if known(route):
            yield from exactly_one(route, _GATEWAY_NAMES, f"routes[{index}].")
    if known(routes) and not has_unknown(routes):
        blocks = [route["cidrBlock"] for route in routes]
        if len(set(blocks)) < len(blocks):
            yield Failure("routes", "has two routes to the same block")


ROUTE_TABLE = ResourceType(
    token="aws:ec2/routeTable:RouteTable",
    service="ec2",
    fields=(
        Field("vpcId", "VpcId", required=True, replace=True),
        Field("routes", "Routes", _ROUTES, mode=Mode.EITHER, sent=False, decode=_shown_routes),
        output("arn", "Arn"),
        output("ownerId", "OwnerId"),
    ),
    create=Create("create_route_table", id="RouteTable.RouteTableId", then=_put_routes),
    read=Describe(
        Call("describe_route_tables", {"RouteTableIds": ["{id}"]}),
        "RouteTables.0",
        gone=("InvalidRouteTableID.NotFound",),
        more=lambda operation, api: {"Arn": ec2_arn("route-table", operation)},
    ),
    update=(_put_routes,),
    delete=Call("delete_route_table", {"RouteTableId": "{id}"}),
    tags=ec2_tags("route-table"),
    rules=_route_table_rules,
)


def _find_association(operation: Operation) -> Api | None:
    by_id = [{"Name": "association.route-table-association-id", "Values": [operation.id]}]
    tables = operation.aws.call("describe_route_tables", Filters=by_id)["RouteTables"]
    for each in tables:
        for association in each["Associations"]:
            if association["RouteTableAssociationId"] == operation.id:
                return {"RouteTableId": each["RouteTableId"], "SubnetId": association.get("SubnetId")}
    return None


ROUTE_TABLE_ASSOCIATION = ResourceType(
    token="aws:ec2/routeTableAssociation:RouteTableAssociation",
    service="ec2",
    fields=(
        Field("subnetId", "SubnetId", required=True, replace=True),
        # The API can move an association but gives it a new id, which only a replacement can represent.
        Field("routeTableId", "RouteTableId", required=True, replace=True),
    ),
    create=Create("associate_route_table", id="AssociationId"),
    read=_find_association,
    delete=Call("disassociate_route_table", {"AssociationId": "{id}"}),
    delete_gone=("InvalidAssociationID.NotFound",),
    unique=("subnetId",),
)

TABLE = table(ROUTE_TABLE, ROUTE_TABLE_ASSOCIATION)
