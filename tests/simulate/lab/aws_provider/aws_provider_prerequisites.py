"""What the examples of resources are made of: what is around them, and the words that several use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.simulate.lab.aws_provider.aws_provider_harness import REGION, Engine, Made

Props = dict[str, Any]

CLOUDFRONT_LIST = "com.amazonaws.global.cloudfront.origin-facing"


class Prerequisites:
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
    def attachable(self) -> str:
        """The name of a role; the policies of POLICY_ARNS are there, too."""
        for arn in POLICY_ARNS:
            name = arn.rpartition("/")[2]
            self.engine.aws("iam").create_policy(
                PolicyName=name, PolicyDocument=allow("rds:DescribeDBInstances")
            )
        return self.role

    @cached_property
    def backup_plan(self) -> str:
        return self.make("aws:backup/plan:Plan", name="around", rules=[backup_rule(35)]).id

    @cached_property
    def restore_testing_plan(self) -> str:
        token = "aws:backup/restoreTestingPlan:RestoreTestingPlan"
        return self.make(token, name="around", **restore_testing("cron(0 9 ? * MON *)")).id

    @cached_property
    def uploaded(self) -> list[str]:
        for key in ("first", "second"):
            self.engine.aws("s3").put_object(Bucket=self.bucket, Key=key, Body=key.encode())
        return ["first", "second"]

    @cached_property
    def topic(self) -> str:
        return self.make("aws:sns/topic:Topic", name="around").id

    # Names; `arn_of` makes ARNs of them.

    @cached_property
    def role(self) -> str:
        return self.make(
            "aws:iam/role:Role", name="around", assumeRolePolicy=trust("lambda.amazonaws.com")
        ).id

    @cached_property
    def function(self) -> str:
        return self.make("aws:lambda/function:Function", **function(self) | {"name": "around"}).id

    @cached_property
    def schedule(self) -> str:
        token = "aws:cloudwatch/eventRule:EventRule"
        return self.make(token, name="around", scheduleExpression="rate(1 minute)").id

    @cached_property
    def alarm(self) -> str:
        alarm = {
            "name": "around",
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 1,
            "threshold": 1,
        }
        metric = {"namespace": "N", "metricName": "around", "period": 60, "statistic": "Sum"}
        return self.make("aws:cloudwatch/metricAlarm:MetricAlarm", **alarm, **metric).id

    @cached_property
    def log_group(self) -> str:
        return self.make("aws:cloudwatch/logGroup:LogGroup", name="/around").id

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
    def pods_role(self) -> str:
        return self._role("pods-around")

    @cached_property
    def other_pods_role(self) -> str:
        return self._role("other-pods-around")

    def _role(self, name: str) -> str:
        create = self.engine.aws("iam").create_role
        made = create(RoleName=name, AssumeRolePolicyDocument=trust("pods.eks.amazonaws.com"))
        return str(made["Role"]["Arn"])

    @cached_property
    def cluster(self) -> str:
        role = "arn:aws:iam::123456789012:role/cluster"
        made = self.engine.aws("eks").create_cluster(name="around", roleArn=role, resourcesVpcConfig={})
        return str(made["cluster"]["name"])

    @cached_property
    def prefix_list(self) -> str:
        token = "aws:ec2/getManagedPrefixList:getManagedPrefixList"
        return str(self.engine.invoke(token, {"name": CLOUDFRONT_LIST})["id"])


# How the engine marks assets and archives (sdk/go/common/resource).
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_ASSET, _ARCHIVE = "c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7"
POLICY_ARNS = ("arn:aws:iam::123456789012:policy/one", "arn:aws:iam::123456789012:policy/two")
ROLE_ARN = "arn:aws:iam::123456789012:role/backup"


def backup_rule(days: int) -> Props:
    copy = "arn:aws:backup:us-west-2:123456789012:backup-vault:copies"
    return {
        "ruleName": "daily",
        "targetVaultName": "around",
        "schedule": "cron(0 16 * * ? *)",
        "startWindow": 60,
        "completionWindow": 180,
        "lifecycle": {"deleteAfter": days},
        "copyActions": [{"destinationVaultArn": copy, "lifecycle": {"deleteAfter": days}}],
    }


def restore_testing(schedule: str) -> Props:
    return {
        "scheduleExpression": schedule,
        "recoveryPointSelection": {
            "algorithm": "LATEST_WITHIN_WINDOW",
            "includeVaults": ["arn:aws:backup:us-east-1:123456789012:backup-vault:around"],
            "recoveryPointTypes": ["SNAPSHOT"],
            "selectionWindowDays": 7,
        },
    }


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


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def archive(**files: str) -> Props:
    """As the engine hands over an archive of texts."""
    assets = {name: {_SIGNATURE: _ASSET, "hash": text, "text": text} for name, text in files.items()}
    return {_SIGNATURE: _ARCHIVE, "hash": str(sorted(files.items())), "assets": assets}


def arn_of(service: str, name: str) -> str:
    """Of what moto makes for the tests."""
    return f"arn:aws:{service}:{'' if service == 'iam' else REGION}:123456789012:{name}"


def function(needs: Prerequisites) -> Props:
    return {
        "name": "watch",
        "description": "watches",
        "role": arn_of("iam", f"role/{needs.role}"),
        "runtime": "python3.13",
        "handler": "watch.handle",
        "code": archive(watch="def handle(event, context): ..."),
        "timeout": 30,
        "memorySize": 256,
        "architectures": ["arm64"],
        "environment": {"variables": {"AFTER": "600"}},
        "tags": {"a": "b"},
    }


@dataclass(frozen=True)
class Example:
    inputs: Callable[[Prerequisites], Props]
    change: Callable[[Prerequisites], Props] | None = None  # made in place
    replacement: Callable[[Prerequisites], Props] = field(default=lambda needs: {})  # needs a new resource
    # Needs a new resource, too, that AWS would refuse beside the old one.
    collision: Callable[[Prerequisites], Props] | None = None
