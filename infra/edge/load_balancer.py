"""The load balancer and its listener, closed to everything but CloudFront."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_aws as aws

from infra.edge.colour_alarms import SERVER_ERRORS_PER_MINUTE
from infra.operations.alarms import Alarm, Metric, create_alarms
from infra.operations.topics import Tier

# The addresses from which CloudFront calls origins, kept up to date by AWS.
CLOUDFRONT_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"
# TLS 1.3 and 1.2 with forward secrecy.
_TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


@dataclass(frozen=True, slots=True)
class LoadBalancerArgs:
    """`probe_cidrs` are the addresses besides CloudFront's that may call the listener: those of the rollout's probes.
    Without `certificate_arn` the listener speaks HTTP. `target_port` is the pods'. `idle_timeout` is the seconds without a
    byte before a connection is closed: a request that hangs that long is answered 504, and websockets must ping more often."""

    name: str
    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    workload_security_group_id: pulumi.Input[str]
    target_port: int
    probe_cidrs: Sequence[IPv4Network]
    certificate_arn: str | None
    idle_timeout: int
    topics: Mapping[Tier, pulumi.Input[str]]
    protect: bool


class LoadBalancer(pulumi.ComponentResource):
    """An internet-facing Application Load Balancer. Its listener answers 403 unless a rule lets a request in."""

    arn: pulumi.Output[str]
    arn_suffix: pulumi.Output[str]
    dns_name: pulumi.Output[str]
    listener_arn: pulumi.Output[str]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:edge:LoadBalancer", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        protected = pulumi.ResourceOptions(parent=self, protect=args.protect)
        port, protocol = (443, "HTTPS") if args.certificate_arn else (80, "HTTP")

        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=f"{args.name}-load-balancer",
            description="Load balancer of Simple378: reached by CloudFront and the probes",
            vpc_id=args.vpc_id,
            tags={"Name": f"{args.name}-load-balancer"},
            opts=child,
        )
        cloudfront = aws.ec2.get_managed_prefix_list_output(
            name=CLOUDFRONT_PREFIX_LIST, opts=pulumi.InvokeOutputOptions(parent=self)
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-cloudfront",
            security_group_id=group.id,
            description="CloudFront",
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            prefix_list_id=cloudfront.id,
            opts=child,
        )
        for cidr in args.probe_cidrs:
            aws.vpc.SecurityGroupIngressRule(
                f"{name}-from-probes-{cidr}".replace("/", "-"),
                security_group_id=group.id,
                description="Probes of the rollout",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                cidr_ipv4=str(cidr),
                opts=child,
            )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-workload",
            security_group_id=group.id,
            description="Pods",
            ip_protocol="tcp",
            from_port=args.target_port,
            to_port=args.target_port,
            referenced_security_group_id=args.workload_security_group_id,
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-into-workload",
            security_group_id=args.workload_security_group_id,
            description="Load balancer of Simple378",
            ip_protocol="tcp",
            from_port=args.target_port,
            to_port=args.target_port,
            referenced_security_group_id=group.id,
            opts=child,
        )

        balancer = aws.lb.LoadBalancer(
            f"{name}-balancer",
            name=args.name,
            load_balancer_type="application",
            internal=False,
            security_groups=[group.id],
            subnets=args.subnet_ids,
            idle_timeout=args.idle_timeout,
            drop_invalid_header_fields=True,
            desync_mitigation_mode="defensive",
            enable_deletion_protection=args.protect,
            opts=protected,
        )
        listener = aws.lb.Listener(
            f"{name}-listener",
            load_balancer_arn=balancer.arn,
            port=port,
            protocol=protocol,
            certificate_arn=args.certificate_arn,
            ssl_policy=_TLS_POLICY if args.certificate_arn else None,
            default_actions=[
                aws.lb.ListenerDefaultActionArgs(
                    type="fixed-response",
                    fixed_response=aws.lb.ListenerDefaultActionFixedResponseArgs(
                        content_type="text/plain", message_body="Forbidden", status_code="403"
                    ),
                )
            ],
            opts=protected,
        )
        create_alarms(
            name, balancer_alarms(balancer.arn_suffix), prefix=args.name, topics=args.topics, parent=self
        )

        self.arn = balancer.arn
        self.arn_suffix = balancer.arn_suffix
        self.dns_name = balancer.dns_name
        self.listener_arn = listener.arn
        self.register_outputs(
            {
                "arn": self.arn,
                "arnSuffix": self.arn_suffix,
                "dnsName": self.dns_name,
                "listenerArn": self.listener_arn,
            }
        )


def balancer_alarms(suffix: pulumi.Input[str]) -> tuple[Alarm, ...]:
    """The alarms of what the load balancer answers by itself; `suffix` is its ARN's, CloudWatch's dimension."""
    return (
        Alarm(
            suffix="server-errors",
            description="The load balancer itself answers 5xx: no target, refused or timed-out connections",
            guide="Strategy 5: service unavailable (500 errors > 10/minute)",
            tier=Tier.IMMEDIATE,
            threshold=SERVER_ERRORS_PER_MINUTE,
            metrics={
                "errors": Metric(
                    "AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", {"LoadBalancer": suffix}, "Sum"
                )
            },
        ),
    )
