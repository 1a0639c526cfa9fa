"""The security group of the workload's pods or nodes."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, slots=True)
class WorkloadAccessArgs:
    """`name` is the group's."""

    name: str
    vpc_id: pulumi.Input[str]


class WorkloadAccess(pulumi.ComponentResource):
    """A group with open egress that admits only its own members; the load balancer and the database refer to it in
    their own rules. The cluster's nodes (or its pods, by a SecurityGroupPolicy) carry it."""

    security_group_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: WorkloadAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("simple378:network:WorkloadAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=args.name,
            description="Pods of Simple378: reached by the load balancer, reach the database",
            vpc_id=args.vpc_id,
            tags={"Name": args.name},
            opts=child,
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-out",
            security_group_id=group.id,
            description="Images, the APIs of AWS, third parties",
            ip_protocol="-1",
            cidr_ipv4="0.0.0.0/0",
            opts=child,
        )
        # All ports, not pgbouncer's alone: DNS, the kubelet and webhooks use others between nodes, and a list of ports
        # would depend on the cluster's add-ons.
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-within",
            security_group_id=group.id,
            description="Between the pods: connection pool, DNS",
            ip_protocol="-1",
            referenced_security_group_id=group.id,
            opts=child,
        )
        self.security_group_id = group.id
        self.register_outputs({"securityGroupId": group.id})
