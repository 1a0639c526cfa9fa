"""Examples of networks and load balancers."""

from __future__ import annotations

from tests.simulate.lab.aws_provider.aws_provider_prerequisites import FORBIDDEN, Example, header, weighted

NETWORK: dict[str, Example] = {
    "aws:ec2/vpc:Vpc": Example(
        lambda _: {
            "cidrBlock": "10.1.0.0/16",
            "enableDnsHostnames": True,
            "enableDnsSupport": True,
            "tags": {"Name": "main", "old": "x"},
        },
        lambda _: {"enableDnsHostnames": False, "tags": {"Name": "other", "new": "y"}},
        lambda _: {"cidrBlock": "10.2.0.0/16"},
    ),
    "aws:ec2/subnet:Subnet": Example(
        lambda w: {
            "vpcId": w.vpc,
            "cidrBlock": "10.0.9.0/24",
            "availabilityZone": "us-east-1a",
            "mapPublicIpOnLaunch": False,
            "tags": {"Name": "a"},
        },
        lambda _: {"mapPublicIpOnLaunch": True, "tags": {"Name": "b"}},
        lambda _: {"cidrBlock": "10.0.10.0/24"},
        collision=lambda _: {"availabilityZone": "us-east-1b"},
    ),
    "aws:ec2/internetGateway:InternetGateway": Example(
        lambda w: {"vpcId": w.vpc, "tags": {"Name": "a"}}, lambda _: {"tags": {}}
    ),
    "aws:ec2/eip:Eip": Example(
        lambda _: {"domain": "vpc", "tags": {"Name": "a"}}, lambda _: {"tags": {"Name": "b"}}
    ),
    "aws:ec2/natGateway:NatGateway": Example(
        lambda w: {"allocationId": w.address, "subnetId": w.subnets[0], "tags": {"Name": "a"}},
        lambda _: {"tags": {"Name": "b"}},
        lambda w: {"subnetId": w.subnets[1], "allocationId": w.make("aws:ec2/eip:Eip").id},
    ),
    "aws:ec2/routeTable:RouteTable": Example(
        lambda w: {
            "vpcId": w.vpc,
            "routes": [{"cidrBlock": "0.0.0.0/0", "gatewayId": w.gateway}],
            "tags": {"Name": "a"},
        },
        lambda w: {"routes": [{"cidrBlock": "0.0.0.0/0", "natGatewayId": w.nat}]},
    ),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Example(
        lambda w: {"subnetId": w.subnets[0], "routeTableId": w.route_table},
        replacement=lambda w: {"subnetId": w.subnets[1]},
        collision=lambda w: {"routeTableId": w.make("aws:ec2/routeTable:RouteTable", vpcId=w.vpc).id},
    ),
    "aws:ec2/securityGroup:SecurityGroup": Example(
        lambda w: {"name": "edge", "description": "the edge", "vpcId": w.vpc, "tags": {"Name": "a"}},
        lambda _: {"tags": {"Name": "b"}},
        lambda _: {"name": "other"},
        collision=lambda _: {"description": "another"},
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Example(
        lambda w: {
            "securityGroupId": w.group,
            "description": "from CloudFront",
            "ipProtocol": "tcp",
            "fromPort": 80,
            "toPort": 80,
            "prefixListId": w.prefix_list,
        },
        lambda _: {"toPort": 90, "description": "more of it"},
        lambda w: {
            "securityGroupId": w.make("aws:ec2/securityGroup:SecurityGroup", name="b", vpcId=w.vpc).id
        },
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Example(
        lambda w: {
            "securityGroupId": w.group,
            "description": "to pods",
            "ipProtocol": "tcp",
            "fromPort": 8000,
            "toPort": 8000,
            "referencedSecurityGroupId": w.group,
        },
        lambda _: {"fromPort": 7000, "toPort": 7000},
    ),
    "aws:lb/loadBalancer:LoadBalancer": Example(
        lambda w: {
            "name": "edge",
            "internal": False,
            "loadBalancerType": "application",
            "securityGroups": [w.group],
            "subnets": w.subnets[:2],
            "dropInvalidHeaderFields": True,
            "enableDeletionProtection": False,
            "desyncMitigationMode": "defensive",
            "idleTimeout": 60,
            "tags": {"Name": "a"},
        },
        lambda w: {
            "idleTimeout": 120,
            "subnets": w.subnets,
            "dropInvalidHeaderFields": False,
            "tags": {"b": "c"},
        },
        lambda _: {"name": "other"},
        collision=lambda _: {"internal": True},
    ),
    "aws:lb/targetGroup:TargetGroup": Example(
        lambda w: {
            "name": "blue",
            "port": 8000,
            "protocol": "HTTP",
            "protocolVersion": "HTTP1",
            "targetType": "ip",
            "vpcId": w.vpc,
            "deregistrationDelay": 30,
            "loadBalancingAlgorithmType": "round_robin",
            "stickiness": {"type": "lb_cookie", "enabled": False},
            "healthCheck": {
                "enabled": True,
                "path": "/ready",
                "protocol": "HTTP",
                "port": "traffic-port",
                "matcher": "200",
                "interval": 5,
                "timeout": 2,
                "healthyThreshold": 2,
                "unhealthyThreshold": 2,
            },
        },
        lambda _: {
            "deregistrationDelay": 3,
            "healthCheck": {"path": "/health", "interval": 10, "timeout": 5},
        },
        lambda _: {"name": "other"},
        collision=lambda _: {"port": 8001},
    ),
    "aws:lb/listener:Listener": Example(
        lambda w: {
            "loadBalancerArn": w.balancer,
            "port": 80,
            "protocol": "HTTP",
            "defaultActions": [FORBIDDEN],
        },
        lambda w: {"port": 8080, "defaultActions": [{"type": "forward", "targetGroupArn": w.targets[0]}]},
        lambda w: {
            "loadBalancerArn": w.make("aws:lb/loadBalancer:LoadBalancer", name="b", subnets=w.subnets).id
        },
    ),
    "aws:lb/listenerRule:ListenerRule": Example(
        lambda w: {
            "listenerArn": w.listener,
            "priority": 100,
            "conditions": [header("X-Origin-Verify", "origin secret"), header("X-Other", "b")],
            "actions": weighted(95, 5, w.targets),
            "tags": {"Name": "a"},
        },
        lambda w: {
            "priority": 99,
            "actions": weighted(75, 25, w.targets),
            "conditions": [header("X-Third", "c")],
        },
        lambda w: {
            "listenerArn": w.make(
                "aws:lb/listener:Listener",
                loadBalancerArn=w.balancer,
                port=81,
                protocol="HTTP",
                defaultActions=[FORBIDDEN],
            ).id
        },
    ),
}
