"""One resource of each type as the program declares it, a change that AWS makes in place, and one that it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.lab.aws_provider_harness import REGION, Engine, Made

Props = dict[str, Any]

CLOUDFRONT_LIST = "com.amazonaws.global.cloudfront.origin-facing"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"  # AWS-managed policies
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"


class World:
    """What an example needs around it, made when it is asked for."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def make(self, token: str, **inputs: Any) -> Made:
        return self.engine.create(token, inputs)

    # What nearly every test needs comes from AWS's API itself, which takes a third of the time.

    @cached_property
    def vpc(self) -> str:
        return str(self.engine.aws("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])

    @cached_property
    def subnets(self) -> list[str]:
        create = self.engine.aws("ec2").create_subnet
        zones = ((f"10.0.{i}.0/24", f"{REGION}{'abc'[i]}") for i in range(3))
        return [
            create(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for block, zone in zones
        ]

    @cached_property
    def group(self) -> str:
        create = self.engine.aws("ec2").create_security_group
        return str(create(GroupName="around", Description="around", VpcId=self.vpc)["GroupId"])

    @cached_property
    def balancer(self) -> str:
        made = self.engine.aws("elbv2").create_load_balancer(Name="around", Subnets=self.subnets[:2])
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    @cached_property
    def listener(self) -> str:
        answer = {"StatusCode": "403", "ContentType": "text/plain"}
        made = self.engine.aws("elbv2").create_listener(
            LoadBalancerArn=self.balancer,
            Port=80,
            Protocol="HTTP",
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": answer}],
        )
        return str(made["Listeners"][0]["ListenerArn"])

    @cached_property
    def targets(self) -> list[str]:
        create = self.engine.aws("elbv2").create_target_group
        return [
            create(Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc)["TargetGroups"][0]["TargetGroupArn"]
            for name in ("blue-around", "green-around")
        ]

    @cached_property
    def gateway(self) -> str:
        return self.make("aws:ec2/internetGateway:InternetGateway", vpcId=self.vpc).id

    @cached_property
    def address(self) -> str:
        return self.make("aws:ec2/eip:Eip").id

    @cached_property
    def nat(self) -> str:
        token = "aws:ec2/natGateway:NatGateway"
        return self.make(token, subnetId=self.subnets[0], allocationId=self.address).id

    @cached_property
    def route_table(self) -> str:
        return self.make("aws:ec2/routeTable:RouteTable", vpcId=self.vpc).id

    @cached_property
    def bucket(self) -> str:
        return self.make("aws:s3/bucket:Bucket", bucket="around", forceDestroy=True).id

    @cached_property
    def topic(self) -> str:
        return self.make("aws:sns/topic:Topic", name="around").id

    @cached_property
    def secret(self) -> str:
        return self.make("aws:secretsmanager/secret:Secret", name="around", recoveryWindowInDays=0).id

    @cached_property
    def subnet_group(self) -> str:
        return self.make("aws:rds/subnetGroup:SubnetGroup", name="around", subnetIds=self.subnets[:2]).id

    @cached_property
    def access_control(self) -> str:
        return self.make("aws:cloudfront/originAccessControl:OriginAccessControl", **ACCESS_CONTROL).id

    @cached_property
    def prefix_list(self) -> str:
        token = "aws:ec2/getManagedPrefixList:getManagedPrefixList"
        return str(self.engine.invoke(token, {"name": CLOUDFRONT_LIST})["id"])


FORBIDDEN = {
    "type": "fixed-response",
    "fixedResponse": {"contentType": "text/plain", "messageBody": "forbidden", "statusCode": "403"},
}
ACCESS_CONTROL = {
    "name": "site",
    "description": "the site's bucket",
    "originAccessControlOriginType": "s3",
    "signingBehavior": "always",
    "signingProtocol": "sigv4",
}


def header(name: str, value: str) -> Props:
    return {"httpHeader": {"httpHeaderName": name, "values": [value]}}


def weighted(blue: int, green: int, targets: list[str]) -> list[Props]:
    groups = [{"arn": arn, "weight": weight} for arn, weight in zip(targets, (blue, green), strict=True)]
    return [
        {
            "type": "forward",
            "forward": {"targetGroups": groups, "stickiness": {"enabled": False, "duration": 1}},
        }
    ]


def rate_rule(limit: int) -> Props:
    response = {
        "responseCode": 429,
        "customResponseBodyKey": "slow-down",
        "responseHeaders": [{"name": "Retry-After", "value": "60"}],
    }
    return {
        "name": "rate",
        "priority": 1,
        "action": {"block": {"customResponse": response}},
        "statement": {
            "rateBasedStatement": {"limit": limit, "aggregateKeyType": "IP", "evaluationWindowSec": 60}
        },
        "visibilityConfig": visibility("rate"),
    }


def visibility(name: str) -> Props:
    return {"cloudwatchMetricsEnabled": True, "metricName": name, "sampledRequestsEnabled": True}


def _policy(sid: str) -> str:
    statement = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::around/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _behavior(origin: str, policy: str, **more: Any) -> Props:
    return {
        "targetOriginId": origin,
        "viewerProtocolPolicy": "redirect-to-https",
        "allowedMethods": ["GET", "HEAD", "OPTIONS"],
        "cachedMethods": ["GET", "HEAD"],
        "compress": True,
        "cachePolicyId": policy,
        "responseHeadersPolicyId": SECURITY_HEADERS,
        **more,
    }


def _distribution(world: World) -> Props:
    site = {
        "originId": "site",
        "domainName": "around.s3.us-east-1.amazonaws.com",
        "originAccessControlId": world.access_control,
    }
    api = {
        "originId": "api",
        "domainName": "around.us-east-1.elb.amazonaws.com",
        "customOriginConfig": {
            "httpPort": 80,
            "httpsPort": 443,
            "originProtocolPolicy": "http-only",
            "originSslProtocols": ["TLSv1.2"],
            "originReadTimeout": 30,
            "originKeepaliveTimeout": 5,
        },
        "customHeaders": [{"name": "X-Origin-Verify", "value": "origin secret"}],
    }
    everything = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    return {
        "enabled": True,
        "isIpv6Enabled": True,
        "httpVersion": "http2and3",
        "priceClass": "PriceClass_100",
        "comment": "the site",
        "aliases": [],
        "defaultRootObject": "index.html",
        "webAclId": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/limits/1",
        "origins": [site, api],
        "defaultCacheBehavior": _behavior("site", CACHING_OPTIMIZED),
        "orderedCacheBehaviors": [
            _behavior(
                "api",
                CACHING_DISABLED,
                pathPattern="/api/*",
                originRequestPolicyId=ALL_VIEWER,
                allowedMethods=everything,
            )
        ],
        "restrictions": {"geoRestriction": {"restrictionType": "none"}},
        "viewerCertificate": {"cloudfrontDefaultCertificate": True},
        "tags": {"tier": "edge"},
    }


def _rds_instance(world: World) -> Props:
    return {
        "identifier": "main",
        "engine": "postgres",
        "engineVersion": "16.4",
        "instanceClass": "db.t4g.medium",
        "allocatedStorage": 20,
        "maxAllocatedStorage": 100,
        "storageType": "gp3",
        "storageEncrypted": True,
        "dbName": "simple378",
        "username": "simple378",
        "password": "a-long-password",
        "port": 5432,
        "multiAz": True,
        "dbSubnetGroupName": world.subnet_group,
        "vpcSecurityGroupIds": [world.group],
        "publiclyAccessible": False,
        "backupRetentionPeriod": 7,
        "backupWindow": "03:00-04:00",
        "maintenanceWindow": "sun:05:00-sun:06:00",
        "copyTagsToSnapshot": True,
        "deletionProtection": False,
        "deleteAutomatedBackups": False,
        "skipFinalSnapshot": True,
        "performanceInsightsEnabled": True,
        "enabledCloudwatchLogsExports": ["postgresql"],
        "autoMinorVersionUpgrade": False,
        "applyImmediately": True,
        "caCertIdentifier": "rds-ca-rsa2048-g1",
    }


def _alarm(world: World) -> Props:
    return {
        "name": "errors",
        "alarmDescription": "too many",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 3,
        "datapointsToAlarm": 2,
        "threshold": 1,
        "treatMissingData": "notBreaching",
        "alarmActions": [world.topic],
        "okActions": [world.topic],
        "namespace": "AWS/ApplicationELB",
        "metricName": "TargetResponseTime",
        "dimensions": {"LoadBalancer": "app/a/1", "TargetGroup": "targetgroup/b/2"},
        "period": 60,
        "extendedStatistic": "p95",
        "evaluateLowSampleCountPercentiles": "evaluate",
        "tags": {"tier": "immediate"},
    }


def queries(limit: str) -> list[Props]:
    metric = {
        "namespace": "AWS/ApplicationELB",
        "period": 60,
        "stat": "Sum",
        "dimensions": {"LoadBalancer": "a"},
    }
    return [
        {"id": "rate", "expression": f"100 * errors / {limit}", "label": "error rate", "returnData": True},
        {"id": "errors", "returnData": False, "metric": metric | {"metricName": "HTTPCode_Target_5XX_Count"}},
        {"id": "requests", "returnData": False, "metric": metric | {"metricName": "RequestCount"}},
    ]


@dataclass(frozen=True)
class Example:
    inputs: Callable[[World], Props]
    change: Callable[[World], Props] | None = None  # made in place
    replacement: Callable[[World], Props] = field(default=lambda world: {})  # needs a new resource
    # Needs a new resource, too, that AWS would refuse beside the old one.
    collision: Callable[[World], Props] | None = None


EXAMPLES: dict[str, Example] = {
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
    "aws:rds/subnetGroup:SubnetGroup": Example(
        lambda w: {"name": "main", "description": "private", "subnetIds": w.subnets[:2]},
        None,  # moto loses a subnet group that is modified
        lambda _: {"name": "other"},
    ),
    "aws:rds/parameterGroup:ParameterGroup": Example(
        lambda _: {
            "name": "main",
            "family": "postgres16",
            "description": "ours",
            "parameters": [
                {"name": "log_min_duration_statement", "value": "1000", "applyMethod": "immediate"}
            ],
        },
        lambda _: {
            "parameters": [
                {"name": "log_min_duration_statement", "value": "500"},
                {"name": "max_connections", "value": "400", "applyMethod": "pending-reboot"},
            ]
        },
        lambda _: {"name": "other"},
        collision=lambda _: {"family": "postgres15"},
    ),
    "aws:rds/instance:Instance": Example(
        _rds_instance,
        lambda _: {
            "allocatedStorage": 30,
            "password": "another-password",
            "enabledCloudwatchLogsExports": ["postgresql", "upgrade"],
            "backupRetentionPeriod": 14,
            "tags": {"a": "b"},
        },
        lambda _: {"identifier": "other"},
        collision=lambda _: {"storageEncrypted": False},
    ),
    "aws:s3/bucket:Bucket": Example(
        lambda _: {"bucketPrefix": "site-", "forceDestroy": True, "tags": {"a": "b"}},
        lambda _: {"forceDestroy": False, "tags": {}},
        lambda _: {"bucketPrefix": "other-"},
    ),
    "aws:s3/bucketVersioning:BucketVersioning": Example(
        lambda w: {"bucket": w.bucket, "versioningConfiguration": {"status": "Enabled"}},
        lambda _: {"versioningConfiguration": {"status": "Suspended"}},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": Example(
        lambda w: {
            "bucket": w.bucket,
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
        lambda _: {"blockPublicPolicy": False},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:s3/bucketPolicy:BucketPolicy": Example(
        lambda w: {"bucket": w.bucket, "policy": _policy("a")},
        lambda _: {"policy": _policy("b")},
        lambda w: {"bucket": w.make("aws:s3/bucket:Bucket", bucket="other").id},
    ),
    "aws:cloudfront/originAccessControl:OriginAccessControl": Example(
        lambda _: ACCESS_CONTROL, lambda _: {"description": "another"}
    ),
    "aws:cloudfront/distribution:Distribution": Example(
        _distribution,
        lambda _: {
            "comment": "another",
            "webAclId": "",
            "tags": {"tier": "other"},
            "orderedCacheBehaviors": [],
        },
    ),
    "aws:sns/topic:Topic": Example(
        lambda _: {"name": "immediate", "displayName": "now"},
        lambda _: {"displayName": "at once"},
        lambda _: {"name": "other"},
    ),
    "aws:sns/topicSubscription:TopicSubscription": Example(
        lambda w: {"topic": w.topic, "protocol": "email", "endpoint": "oncall@example.org"},
        None,
        lambda _: {"endpoint": "other@example.org"},
    ),
    "aws:secretsmanager/secret:Secret": Example(
        lambda _: {
            "name": "database",
            "description": "its password",
            "recoveryWindowInDays": 0,
            "tags": {"a": "b"},
        },
        lambda _: {"description": "another", "tags": {"a": "c"}},
        lambda _: {"name": "other"},
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Example(
        lambda w: {"secretId": w.secret, "secretString": "hush"},
        None,
        lambda _: {"secretString": "hush again"},
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Example(
        _alarm, lambda _: {"threshold": 2.5, "tags": {"tier": "warning"}}, lambda _: {"name": "other"}
    ),
    "aws:wafv2/webAcl:WebAcl": Example(
        lambda _: {
            "name": "limits",
            "description": "rate",
            "scope": "CLOUDFRONT",
            "defaultAction": {"allow": {}},
            "customResponseBodies": [
                {"key": "slow-down", "content": "slow down", "contentType": "TEXT_PLAIN"}
            ],
            "rules": [rate_rule(1000)],
            "visibilityConfig": visibility("limits"),
        },
        lambda _: {"rules": [rate_rule(2000)], "description": "more"},
        lambda _: {"name": "other"},
    ),
}
