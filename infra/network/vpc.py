"""The network: a public and a private subnet in each availability zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.network.subnets import plan_subnets

_EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True)
class VpcArgs:
    """`name` is the VPC's Name tag and the prefix of its parts' names."""

    name: str
    cidr: IPv4Network
    zones: Sequence[str]
    protect: bool


class Vpc(pulumi.ComponentResource):
    """Public subnets for the load balancer, private ones for the workload and the database. Each private subnet leaves
    through a NAT gateway of its own zone, so that losing a zone cuts off that zone only."""

    id: pulumi.Output[str]
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]

    def __init__(self, name: str, args: VpcArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:network:Vpc", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(args.cidr),
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": args.name},
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        gateway = aws.ec2.InternetGateway(
            f"{name}-gateway", vpc_id=vpc.id, tags={"Name": args.name}, opts=child
        )
        public_routes = aws.ec2.RouteTable(
            f"{name}-public",
            vpc_id=vpc.id,
            routes=[aws.ec2.RouteTableRouteArgs(cidr_block=_EVERYWHERE, gateway_id=gateway.id)],
            tags={"Name": f"{args.name}-public"},
            opts=child,
        )

        self.id = vpc.id
        self.public_subnet_ids = []
        self.private_subnet_ids = []
        for zone in plan_subnets(args.cidr, args.zones):
            tags = {
                kind: {"Name": f"{args.name}-{kind}-{zone.zone}"} for kind in ("public", "private", "nat")
            }
            public = aws.ec2.Subnet(
                f"{name}-public-{zone.zone}",
                vpc_id=vpc.id,
                availability_zone=zone.zone,
                cidr_block=str(zone.public),
                map_public_ip_on_launch=False,
                tags=tags["public"],
                opts=child,
            )
            private = aws.ec2.Subnet(
                f"{name}-private-{zone.zone}",
                vpc_id=vpc.id,
                availability_zone=zone.zone,
                cidr_block=str(zone.private),
                map_public_ip_on_launch=False,
                tags=tags["private"],
                opts=child,
            )
            address = aws.ec2.Eip(f"{name}-nat-{zone.zone}", domain="vpc", tags=tags["nat"], opts=child)
            nat = aws.ec2.NatGateway(
                f"{name}-nat-{zone.zone}",
                allocation_id=address.id,
                subnet_id=public.id,
                tags=tags["nat"],
                # AWS creates a NAT gateway only in a network that already has an internet gateway.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
            )
            private_routes = aws.ec2.RouteTable(
                f"{name}-private-{zone.zone}",
                vpc_id=vpc.id,
                routes=[aws.ec2.RouteTableRouteArgs(cidr_block=_EVERYWHERE, nat_gateway_id=nat.id)],
                tags=tags["private"],
                opts=child,
            )
            for kind, subnet, routes in (
                ("public", public, public_routes),
                ("private", private, private_routes),
            ):
                aws.ec2.RouteTableAssociation(
                    f"{name}-{kind}-{zone.zone}", subnet_id=subnet.id, route_table_id=routes.id, opts=child
                )
            self.public_subnet_ids.append(public.id)
            self.private_subnet_ids.append(private.id)
        self.register_outputs(
            {
                "id": vpc.id,
                "publicSubnetIds": self.public_subnet_ids,
                "privateSubnetIds": self.private_subnet_ids,
            }
        )
