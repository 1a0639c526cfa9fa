"""What the provider refuses before anything is touched, because AWS or pulumi-aws would."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from simulate.lab.aws_provider.check import check
from simulate.lab.aws_provider.spec import Failure
from simulate.lab.aws_provider.table import resource_type
from simulate.lab.aws_provider.wire import UNKNOWN
from tests.infra import examples
from tests.infra.engine import Recording, deploy
from tests.simulate.lab.aws_provider.aws_provider_examples import EXAMPLES, rate_rule
from tests.simulate.lab.aws_provider.aws_provider_harness import REGION

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
BUCKET = "aws:s3/bucket:Bucket"
DATABASE = "aws:rds/instance:Instance"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
LISTENER = "aws:lb/listener:Listener"
RULE = "aws:lb/listenerRule:ListenerRule"
TARGETS = "aws:lb/targetGroup:TargetGroup"
WEB_ACL = "aws:wafv2/webAcl:WebAcl"

Props = dict[str, Any]


class _Anything:
    """Ids of resources that nobody made."""

    def __getattr__(self, name: str) -> Any:
        several = {"subnets": 3, "targets": 2}.get(name)
        return [f"{name}-{at}" for at in range(several)] if several else f"{name}-id"


def example(token: str) -> Props:
    return copy.deepcopy(EXAMPLES[token].inputs(_Anything()))  # type: ignore[arg-type]


def put(inputs: Props, path: str, value: Any) -> Props:
    """Sets, or with None removes, `actions[0].forward`."""
    *outer, last = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", path)]
    place: Any = inputs
    for part in outer:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return inputs


def failures(token: str, inputs: Props, region: str = REGION) -> list[Failure]:
    return check(resource_type(token), inputs, region)[1]


@pytest.mark.parametrize("token", EXAMPLES)
def test_the_examples_are_accepted(token: str) -> None:
    assert failures(token, example(token)) == []


_FORWARD = "actions[0].forward"
_RATE = "rules[0].statement.rateBasedStatement"
REFUSED = [
    # Names and types, at every depth.
    (RULE, "weight", 5, "weight", "unknown property weight of aws:lb/listenerRule:ListenerRule"),
    (RULE, "listnerArn", "arn:x", "listnerArn", "did you mean listenerArn?"),
    (
        RULE,
        f"{_FORWARD}.targetGroups[0].wieght",
        5,
        f"{_FORWARD}.targetGroups[0].wieght",
        "did you mean weight?",
    ),
    (RULE, "arn", "arn:x", "arn", "is an output"),
    (RULE, "priority", "100", "priority", "must be a whole number"),
    (RULE, "priority", 1.5, "priority", "must be a whole number"),
    (RULE, "priority", True, "priority", "must be a whole number"),
    (RULE, "actions", {}, "actions", "must be a list"),
    (RULE, _FORWARD, [], _FORWARD, "must be an object"),
    (RULE, "listenerArn", None, "listenerArn", "is required"),
    (RULE, f"{_FORWARD}.targetGroups[1].arn", None, f"{_FORWARD}.targetGroups[1].arn", "is required"),
    (RULE, "tags", {"a": 1}, "tags.a", "must be a string"),
    (BALANCER, "dropInvalidHeaderFields", "true", "dropInvalidHeaderFields", "must be true or false"),
    ("aws:s3/bucketPolicy:BucketPolicy", "policy", "{", "policy", "is no JSON document"),
    # Weights and rules of listeners.
    (
        RULE,
        f"{_FORWARD}.targetGroups[0].weight",
        1000,
        f"{_FORWARD}.targetGroups[0].weight",
        "must be 0 to 999",
    ),
    (
        RULE,
        f"{_FORWARD}.targetGroups[0].weight",
        -1,
        f"{_FORWARD}.targetGroups[0].weight",
        "must be 0 to 999",
    ),
    (
        RULE,
        f"{_FORWARD}.targetGroups",
        [{"arn": "a", "weight": 0}, {"arn": "b", "weight": 0}],
        f"{_FORWARD}.targetGroups",
        "a weight above 0",
    ),
    (RULE, f"{_FORWARD}.targetGroups", [{"arn": "a"}, {"arn": "a"}], f"{_FORWARD}.targetGroups", "twice"),
    (
        RULE,
        f"{_FORWARD}.targetGroups",
        [{"arn": str(i)} for i in range(6)],
        f"{_FORWARD}.targetGroups",
        "at most 5",
    ),
    (RULE, f"{_FORWARD}.stickiness.duration", 0, f"{_FORWARD}.stickiness.duration", "must be 1 to 604800"),
    (RULE, "priority", 50001, "priority", "must be 1 to 50000"),
    (RULE, "actions[0].targetGroupArn", "arn:x", f"{_FORWARD}", "exactly one of targetGroupArn, forward"),
    (
        RULE,
        "actions[0].type",
        "fixed-response",
        f"{_FORWARD}",
        "does not belong to an action of type fixed-response",
    ),
    (RULE, "actions", [], "actions", "at least 1"),
    (RULE, "conditions[0].httpHeader.values", list("abcdef"), "conditions", "5 condition values"),
    (RULE, "conditions[0].httpHeader.values", ["x" * 129], "conditions[0].httpHeader.values", "at most 128"),
    (
        RULE,
        "conditions[0].httpHeader.httpHeaderName",
        "X Y",
        "conditions[0].httpHeader.httpHeaderName",
        "header name",
    ),
    (RULE, "conditions[0].hostHeader", {"values": ["a"]}, "conditions[0].httpHeader", "exactly one of"),
    (LISTENER, "protocol", "HTTPS", "certificateArn", "is needed by an HTTPS listener"),
    (LISTENER, "sslPolicy", "ELBSecurityPolicy-2016-08", "sslPolicy", "does not belong to an HTTP listener"),
    (LISTENER, "port", 65536, "port", "must be 1 to 65535"),
    # Load balancers and target groups.
    (BALANCER, "name", "x" * 33, "name", "1 to 32"),
    (BALANCER, "name", "internal-x", "name", "1 to 32"),
    (BALANCER, "subnets", ["one"], "subnets", "at least 2 subnets"),
    (BALANCER, "idleTimeout", 4001, "idleTimeout", "must be 1 to 4000"),
    (BALANCER, "ipAddressType", "ipv6", "ipAddressType", "must be one of ipv4"),
    (TARGETS, "name", "x" * 33, "name", "1 to 32"),
    (TARGETS, "name", "under_score", "name", "1 to 32"),
    (TARGETS, "healthCheck.interval", 4, "healthCheck.interval", "must be 5 to 300"),
    (TARGETS, "healthCheck.interval", 301, "healthCheck.interval", "must be 5 to 300"),
    (TARGETS, "healthCheck.timeout", 5, "healthCheck.timeout", "must be below the interval of 5 s"),
    (TARGETS, "healthCheck.matcher", "5xx", "healthCheck.matcher", "codes such as"),
    (TARGETS, "healthCheck.path", "ready", "healthCheck.path", "a path"),
    (TARGETS, "healthCheck.unhealthyThreshold", 1, "healthCheck.unhealthyThreshold", "must be 2 to 10"),
    (TARGETS, "deregistrationDelay", 3601, "deregistrationDelay", "must be 0 to 3600"),
    (TARGETS, "slowStart", 10, "slowStart", "must be 0 or 30 to 900"),
    # Web ACLs.
    (WEB_ACL, f"{_RATE}.limit", 9, f"{_RATE}.limit", "must be 10 to"),
    (
        WEB_ACL,
        f"{_RATE}.evaluationWindowSec",
        30,
        f"{_RATE}.evaluationWindowSec",
        "must be one of 60, 120, 300, 600",
    ),
    (WEB_ACL, "rules[0].action.allow", {}, "rules[0].action", "exactly one of allow, block, count"),
    (WEB_ACL, "defaultAction", {}, "defaultAction", "exactly one of allow, block"),
    (
        WEB_ACL,
        "rules[0].action.block.customResponse.customResponseBodyKey",
        "missing",
        "rules[0].action.block.customResponse.customResponseBodyKey",
        "missing is not among customResponseBodies",
    ),
    (WEB_ACL, "name", "a b", "name", "1 to 128"),
    (WEB_ACL, "rules", [rate_rule(10), rate_rule(20)], "rules[1].name", "another rule's"),
    # Networks.
    ("aws:ec2/vpc:Vpc", "cidrBlock", "10.0.0.1/16", "cidrBlock", "is no CIDR block"),
    ("aws:ec2/vpc:Vpc", "cidrBlock", "10.0.0.0/8", "cidrBlock", "must be a /16 to a /28"),
    ("aws:ec2/vpc:Vpc", "enableDnsSupport", False, "enableDnsHostnames", "needs enableDnsSupport"),
    (
        "aws:ec2/natGateway:NatGateway",
        "allocationId",
        None,
        "allocationId",
        "is needed by a public NAT gateway",
    ),
    (
        "aws:ec2/routeTable:RouteTable",
        "routes[0].natGatewayId",
        "nat-1",
        "routes[0].natGatewayId",
        "exactly one of",
    ),
    ("aws:ec2/securityGroup:SecurityGroup", "name", "sg-mine", "name", "not from sg-"),
    ("aws:ec2/securityGroup:SecurityGroup", "description", "it's", "description", "at most 255"),
    (INGRESS, "cidrIpv4", "0.0.0.0/0", "prefixListId", "exactly one of"),
    (INGRESS, "toPort", 79, "toPort", "must be at least fromPort 80"),
    (INGRESS, "fromPort", None, "fromPort", "is needed by a rule for tcp"),
    (INGRESS, "ipProtocol", "-1", "fromPort", "does not belong to a rule for all protocols"),
    # Databases, buckets, secrets, topics.
    (DATABASE, "password", "short", "password", "8 to 128"),
    (DATABASE, "skipFinalSnapshot", False, "finalSnapshotIdentifier", "is needed unless"),
    (DATABASE, "maxAllocatedStorage", 10, "maxAllocatedStorage", "at least allocatedStorage 20"),
    (DATABASE, "identifier", "Main", "identifier", "lower-case"),
    (DATABASE, "maintenanceWindow", "Sun:05:00-Sun:06:00", "maintenanceWindow", "ddd:hh:mm"),
    (BUCKET, "bucket", "b-1", "bucket", "one of bucket and bucketPrefix"),
    (BUCKET, "bucketPrefix", "Site-", "bucketPrefix", "lower-case"),
    ("aws:secretsmanager/secret:Secret", "recoveryWindowInDays", 5, "recoveryWindowInDays", "0 or 7 to 30"),
    ("aws:sns/topicSubscription:TopicSubscription", "endpoint", "nobody", "endpoint", "an e-mail address"),
    # Alarms.
    (ALARM, "statistic", "Sum", "extendedStatistic", "exactly one of statistic, extendedStatistic"),
    (
        ALARM,
        "comparisonOperator",
        "GreaterThan",
        "comparisonOperator",
        "must be one of GreaterThanOrEqualToThreshold",
    ),
    (ALARM, "datapointsToAlarm", 4, "datapointsToAlarm", "at most evaluationPeriods 3"),
    (ALARM, "period", 45, "period", "multiple of 60"),
    (ALARM, "metricName", None, "metricName", "is needed by an alarm without metricQueries"),
    (ALARM, "treatMissingData", "ignored", "treatMissingData", "must be one of missing"),
    # Distributions.
    (
        DISTRIBUTION,
        "defaultCacheBehavior.targetOriginId",
        "x",
        "defaultCacheBehavior.targetOriginId",
        "not the originId",
    ),
    (
        DISTRIBUTION,
        "defaultCacheBehavior.allowedMethods",
        ["GET", "PUT"],
        "defaultCacheBehavior.allowedMethods",
        "must be",
    ),
    (DISTRIBUTION, "aliases", ["a.example.org"], "aliases", "need a certificate of their own"),
    (DISTRIBUTION, "viewerCertificate", {}, "viewerCertificate", "needs one of"),
    (DISTRIBUTION, "origins[1].domainName", "http://x", "origins[1].domainName", "without scheme"),
    (DISTRIBUTION, "priceClass", "PriceClass_1", "priceClass", "must be one of"),
]


@pytest.mark.parametrize(
    ("token", "path", "value", "blamed", "words"), REFUSED, ids=lambda value: str(value)[-60:]
)
def test_a_value_that_aws_would_refuse_is_refused_by_name(
    token: str, path: str, value: Any, blamed: str, words: str
) -> None:
    found = failures(token, put(example(token), path, value))
    assert [failure for failure in found if failure.path == blamed and words in failure.reason], found


def test_a_web_acl_of_cloudfront_lives_in_us_east_1() -> None:
    (found,) = failures(WEB_ACL, example(WEB_ACL), "eu-central-1")
    assert found.path == "scope"


def test_a_refused_password_is_not_printed() -> None:
    (found,) = failures(DATABASE, put(example(DATABASE), "password", "pass word with spaces"))
    assert "pass word" not in found.reason


@pytest.mark.parametrize("token", EXAMPLES)
def test_a_preview_may_know_nothing_yet(token: str) -> None:
    """Every property, and every one of every block, unknown in turn."""

    def paths(value: Any, path: str) -> list[str]:
        if isinstance(value, dict):
            return [
                deep for key, item in value.items() for deep in paths(item, f"{path}.{key}" if path else key)
            ] + [path]
        if isinstance(value, list):
            return [deep for at, item in enumerate(value) for deep in paths(item, f"{path}[{at}]")] + [path]
        return [path]

    for path in paths(example(token), ""):
        # A name that looks like a path (a tag, a dimension) is no path.
        if path and not re.search(r"(tags|dimensions)\.", path):
            assert failures(token, put(example(token), path, UNKNOWN)) == [], path


def test_defaults_are_those_of_aws() -> None:
    group = {"name": "a", "port": 1, "protocol": "HTTP", "vpcId": "v", "healthCheck": {"path": "/ready"}}
    inputs, found = check(resource_type(TARGETS), group, REGION)
    assert found == []
    assert inputs["deregistrationDelay"] == 300
    assert inputs["healthCheck"]["interval"] == 30


def test_a_policy_may_be_an_object_and_its_layout_means_nothing() -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    entry = resource_type("aws:s3/bucketPolicy:BucketPolicy")
    inputs, found = check(entry, {"bucket": "b", "policy": policy}, REGION)
    assert found == []
    assert json.loads(inputs["policy"]) == policy


def _recordings() -> list[Recording]:
    stacks: dict[str, Any] = {"stacks": examples.STACKS, "secret_outputs": examples.SECRET_OUTPUTS}
    certificates = {
        "simple378:certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/a",
        "simple378:originDomain": "origin.example.org",
        "simple378:domainAliases": '["app.example.org"]',
        "simple378:cdnCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/b",
    }
    return [
        deploy("prod", examples.FOUNDATION, **stacks),
        deploy("prod", examples.FOUNDATION | certificates, **stacks),
        deploy("prod-traffic", examples.TRAFFIC, **stacks),
        deploy("prod-limits", examples.LIMITS, **stacks),
        deploy(
            "prod-guardian",
            examples.GUARDIAN,
            {**examples.STACKS, "prod-traffic": examples.TRAFFIC_OUTPUTS},
        ),
        deploy("prod-frontend", examples.FRONTEND, objects=["releases/2.1.0/index.html"], **stacks),
    ]


def test_all_that_the_program_declares_is_served_and_accepted() -> None:
    seen = set()
    for recording in _recordings():
        for resource in recording.cloud:
            if resource.type.startswith("aws:"):
                seen.add(resource.type)
                assert failures(resource.type, resource.inputs) == [], resource.name
    assert seen == set(EXAMPLES)  # and no type is served that nothing uses
