"""AWS credentials of the backend's pods: what lets them publish the application's metrics, and nothing else.

Nodes of EKS give pods no credentials of their own (IMDS hop limit 1). Without these, no DatabaseConnectionErrors comes, and
no stage of a release can pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.stacks import METRIC_NAMESPACE, SERVICE_ACCOUNT, Colour


@dataclass(frozen=True, slots=True)
class PodRoleArgs:
    """One of `cluster_name` (EKS Pod Identity) and `oidc_provider` (IAM roles for service accounts, by the ARN of the cluster's
    OIDC provider) is given."""

    name: str
    cluster_name: str | None
    oidc_provider: str | None


class PodRole(pulumi.ComponentResource):
    """The role of the backend's service account in both colours' namespaces."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: PodRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:workload:PodRole", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        namespaces = [colour.namespace for colour in Colour]
        role = aws.iam.Role(
            f"{name}-role",
            name=args.name,
            description="Pods of the backend of Simple378: publish its metrics",
            assume_role_policy=web_identity_trust(args.oidc_provider, namespaces)
            if args.oidc_provider
            else pod_identity_trust(namespaces),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-metrics", name="metrics", role=role.name, policy=metrics_policy(), opts=child
        )
        if args.cluster_name:
            for namespace in namespaces:
                aws.eks.PodIdentityAssociation(
                    f"{name}-{namespace}",
                    cluster_name=args.cluster_name,
                    namespace=namespace,
                    service_account=SERVICE_ACCOUNT,
                    role_arn=role.arn,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
                )
        self.arn = role.arn
        self.register_outputs({"arn": self.arn})


def metrics_policy() -> str:
    """PutMetricData knows no resources; the condition restricts it to the application's namespace."""
    condition = {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}}
    return _document({"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": condition})


def pod_identity_trust(namespaces: Sequence[str]) -> str:
    """EKS takes the role for pods of these namespaces' service account; it tells both as tags of the session."""
    return _document(
        {
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/kubernetes-namespace": [*namespaces],
                    "aws:RequestTag/kubernetes-service-account": SERVICE_ACCOUNT,
                }
            },
        }
    )


def web_identity_trust(provider: str, namespaces: Sequence[str]) -> str:
    """Pods show a token of the cluster, whose OIDC provider has this ARN."""
    issuer = provider.partition(":oidc-provider/")[2]
    accounts = [f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}" for namespace in namespaces]
    return _document(
        {
            "Principal": {"Federated": provider},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": accounts}},
        }
    )


def _document(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
