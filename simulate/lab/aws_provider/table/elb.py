"""Application load balancers and their target groups."""

from __future__ import annotations

from collections.abc import Iterator

from ..spec import (
    BOOLEAN,
    INTEGER,
    SAME_LEVEL,
    STRING,
    Attributes,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Mode,
    Props,
    ResourceType,
    TagCalls,
    Update,
    output,
)
from .rules import known, matches, one_of, table, within

TAGS = TagCalls(
    add=Call("add_tags", {"ResourceArns": ["{id}"]}),
    remove=Call("remove_tags", {"ResourceArns": ["{id}"]}),
    list=Call("describe_tags", {"ResourceArns": ["{id}"]}),
    path="TagDescriptions.0.Tags",
)

_NAME = matches(
    r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)", "1 to 32 letters, digits and hyphens, no hyphen at an end"
)
IDS = ListOf(STRING, unordered=True)


def arn_suffix(arn: str) -> str:
    """How CloudWatch names a load balancer (app/name/id) or a target group (targetgroup/name/id)."""
    resource = arn.split(":", 5)[5]
    return resource.removeprefix("loadbalancer/")


def _load_balancer_rules(inputs: Props) -> Iterator[Failure]:
    subnets = inputs["subnets"]
    if known(subnets) and len(subnets) < 2:
        yield Failure(
            "subnets",
            f"an application load balancer needs at least 2 subnets in different zones, has {len(subnets)}",
        )


LOAD_BALANCER = ResourceType(
    token="aws:lb/loadBalancer:LoadBalancer",
    service="elbv2",
    fields=(
        Field("name", "Name", required=True, replace=True, checks=(_NAME,)),
        Field(
            "loadBalancerType", "Type", default="application", replace=True, checks=(one_of("application"),)
        ),
        Field(
            "internal",
            "Scheme",
            BOOLEAN,
            default=False,
            replace=True,
            encode=lambda internal: "internal" if internal else "internet-facing",
            decode=lambda scheme: scheme == "internal",
        ),
        Field("ipAddressType", "IpAddressType", default="ipv4"),
        Field("securityGroups", "SecurityGroups", IDS, mode=Mode.EITHER),
        Field("subnets", "Subnets", IDS, required=True),
        Field(
            "idleTimeout",
            type=INTEGER,
            default=60,
            attribute="idle_timeout.timeout_seconds",
            checks=(within(1, 4000),),
        ),
        Field(
            "clientKeepAlive",
            type=INTEGER,
            default=3600,
            attribute="client_keep_alive.seconds",
            checks=(within(60, 604800),),
        ),
        Field(
            "enableDeletionProtection", type=BOOLEAN, default=False, attribute="deletion_protection.enabled"
        ),
        Field("enableHttp2", type=BOOLEAN, default=True, attribute="routing.http2.enabled"),
        Field(
            "dropInvalidHeaderFields",
            type=BOOLEAN,
            default=False,
            attribute="routing.http.drop_invalid_header_fields.enabled",
        ),
        Field(
            "preserveHostHeader",
            type=BOOLEAN,
            default=False,
            attribute="routing.http.preserve_host_header.enabled",
        ),
        Field(
            "desyncMitigationMode",
            default="defensive",
            attribute="routing.http.desync_mitigation_mode",
            checks=(one_of("monitor", "defensive", "strictest"),),
        ),
        output("arn", "LoadBalancerArn"),
        output("arnSuffix", "LoadBalancerArn", decode=arn_suffix),
        output("dnsName", "DNSName"),
        output("vpcId", "VpcId"),
        output("zoneId", "CanonicalHostedZoneId"),
    ),
    create=Create(
        "create_load_balancer",
        id="LoadBalancers.0.LoadBalancerArn",
        ready=lambda operation: (
            operation.aws.call("describe_load_balancers", LoadBalancerArns=[operation.id])["LoadBalancers"][
                0
            ]["State"]["Code"]
            == "active"
        ),
    ),
    read=Describe(
        Call("describe_load_balancers", {"LoadBalancerArns": ["{id}"]}),
        "LoadBalancers.0",
        gone=("LoadBalancerNotFound",),
        more=lambda operation, api: {
            "Name": api["LoadBalancerName"],
            "Subnets": [zone["SubnetId"] for zone in api["AvailabilityZones"]],
        },
    ),
    update=(
        Update(Call("set_security_groups", {"LoadBalancerArn": "{id}"}), ("securityGroups",)),
        Update(Call("set_subnets", {"LoadBalancerArn": "{id}"}), ("subnets",)),
        Update(Call("set_ip_address_type", {"LoadBalancerArn": "{id}"}), ("ipAddressType",)),
    ),
    delete=Call("delete_load_balancer", {"LoadBalancerArn": "{id}"}),
    attributes=Attributes(
        modify=Call("modify_load_balancer_attributes", {"LoadBalancerArn": "{id}"}),
        describe=Call("describe_load_balancer_attributes", {"LoadBalancerArn": "{id}"}),
    ),
    tags=TAGS,
    unique=("name",),
    rules=_load_balancer_rules,
)

_STICKINESS = Block(
    (
        Field("enabled", type=BOOLEAN, default=True, attribute="stickiness.enabled"),
        Field(
            "type", required=True, attribute="stickiness.type", checks=(one_of("lb_cookie", "app_cookie"),)
        ),
        Field(
            "cookieDuration",
            type=INTEGER,
            default=86400,
            attribute="stickiness.lb_cookie.duration_seconds",
            checks=(within(1, 604800),),
        ),
    )
)

_HEALTH_CHECK = Block(
    (
        Field("enabled", "HealthCheckEnabled", BOOLEAN, default=True),
        Field("protocol", "HealthCheckProtocol", default="HTTP", checks=(one_of("HTTP", "HTTPS"),)),
        Field(
            "port",
            "HealthCheckPort",
            default="traffic-port",
            checks=(matches(r"traffic-port|\d{1,5}", "traffic-port or a port"),),
        ),
        Field(
            "path",
            "HealthCheckPath",
            default="/",
            checks=(matches(r"/.{0,1023}", "a path of at most 1024 characters"),),
        ),
        Field(
            "matcher",
            "Matcher.HttpCode",
            default="200",
            checks=(matches(r"[2-4]\d\d([,-][2-4]\d\d)*", "codes such as 200,202 or 200-299"),),
        ),
        Field("interval", "HealthCheckIntervalSeconds", INTEGER, default=30, checks=(within(5, 300),)),
        Field("timeout", "HealthCheckTimeoutSeconds", INTEGER, mode=Mode.EITHER, checks=(within(2, 120),)),
        Field("healthyThreshold", "HealthyThresholdCount", INTEGER, default=3, checks=(within(2, 10),)),
        Field("unhealthyThreshold", "UnhealthyThresholdCount", INTEGER, default=3, checks=(within(2, 10),)),
    )
)


def _target_group_rules(inputs: Props) -> Iterator[Failure]:
    health = inputs.get("healthCheck", {})
    if known(health):
        interval, timeout = health.get("interval"), health.get("timeout")
        if known(interval) and known(timeout) and timeout >= interval:
            yield Failure("healthCheck.timeout", f"must be below the interval of {interval} s, is {timeout}")


TARGET_GROUP = ResourceType(
    token="aws:lb/targetGroup:TargetGroup",
    service="elbv2",
    fields=(
        Field("name", "Name", required=True, replace=True, checks=(_NAME,)),
        Field("port", "Port", INTEGER, required=True, replace=True, checks=(within(1, 65535),)),
        Field("protocol", "Protocol", required=True, replace=True, checks=(one_of("HTTP", "HTTPS"),)),
        Field(
            "protocolVersion",
            "ProtocolVersion",
            default="HTTP1",
            replace=True,
            checks=(one_of("HTTP1", "HTTP2", "GRPC"),),
        ),
        Field(
            "targetType", "TargetType", default="instance", replace=True, checks=(one_of("instance", "ip"),)
        ),
        Field("vpcId", "VpcId", required=True, replace=True),
        Field("ipAddressType", "IpAddressType", mode=Mode.EITHER, replace=True),
        Field("healthCheck", SAME_LEVEL, _HEALTH_CHECK, mode=Mode.EITHER),
        Field(
            "deregistrationDelay",
            type=INTEGER,
            default=300,
            attribute="deregistration_delay.timeout_seconds",
            checks=(within(0, 3600),),
        ),
        Field(
            "slowStart",
            type=INTEGER,
            default=0,
            attribute="slow_start.duration_seconds",
            checks=(
                lambda value: (
                    None if value == 0 or 30 <= value <= 900 else f"must be 0 or 30 to 900, is {value}"
                ),
            ),
        ),
        Field(
            "loadBalancingAlgorithmType",
            default="round_robin",
            attribute="load_balancing.algorithm.type",
            checks=(one_of("round_robin", "least_outstanding_requests", "weighted_random"),),
        ),
        Field("stickiness", type=_STICKINESS, mode=Mode.EITHER),
        output("arn", "TargetGroupArn"),
        output("arnSuffix", "TargetGroupArn", decode=arn_suffix),
        output("loadBalancerArns", "LoadBalancerArns", ListOf(STRING, unordered=True)),
    ),
    create=Create("create_target_group", id="TargetGroups.0.TargetGroupArn"),
    read=Describe(
        Call("describe_target_groups", {"TargetGroupArns": ["{id}"]}),
        "TargetGroups.0",
        gone=("TargetGroupNotFound",),
        more=lambda operation, api: {"Name": api["TargetGroupName"]},
    ),
    update=(Update(Call("modify_target_group", {"TargetGroupArn": "{id}"}), ("healthCheck",), whole=True),),
    delete=Call("delete_target_group", {"TargetGroupArn": "{id}"}),
    attributes=Attributes(
        modify=Call("modify_target_group_attributes", {"TargetGroupArn": "{id}"}),
        describe=Call("describe_target_group_attributes", {"TargetGroupArn": "{id}"}),
    ),
    tags=TAGS,
    unique=("name",),
    rules=_target_group_rules,
)

TABLE = table(LOAD_BALANCER, TARGET_GROUP)
