"""What each role may do, as IAM policy documents: plain data, so that a check reads them without an engine.

The rule whose weights move belongs to another stack, which is deployed later. It is the one that carries the tags of the traffic rule
among the rules of this environment's load balancer. No role may change IAM, pass a role or deploy the foundation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
PROJECT = "simple378"
# The roles, and what people use them for.
ROLES = {
    "operator": "Looks at releases, and may become the roles that move traffic",
    "rollout": "rollout run, resume, abort, undo and watch",
    "break-glass": "Describes, and modifies the one rule: for the day on which nothing else works",
    "ci": "Deploys a release to the idle colour, without a terminal",
}
# Calls that have no resources.
_RULES = (
    "elasticloadbalancing:DescribeListeners",
    "elasticloadbalancing:DescribeRules",
    "elasticloadbalancing:DescribeTags",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
)
_METRICS = ("cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:ListMetrics")
# What `pulumi preview --refresh` of the foundation, part of pre-flight, reads. Reading has no secrets here: their values are named below.
_DECLARED = (
    "backup:Describe*",
    "backup:Get*",
    "backup:ListTags",
    "cloudfront:Describe*",
    "cloudfront:Get*",
    "cloudfront:List*",
    "cloudwatch:Describe*",
    "cloudwatch:Get*",
    "cloudwatch:List*",
    "ec2:Describe*",
    "ec2:GetManagedPrefixListEntries",
    "eks:DescribePodIdentityAssociation",
    "eks:ListTagsForResource",
    "elasticloadbalancing:Describe*",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:ListRoleTags",
    "logs:Describe*",
    "logs:ListTagsForResource",
    "rds:Describe*",
    "rds:ListTagsForResource",
    "route53:Get*",
    "route53:List*",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListTagsForResource",
    "wafv2:Get*",
    "wafv2:List*",
)
# Stacks that a rollout updates, and that a release's deployment updates.
_MOVED = ("traffic", "limits", "blue", "green")
_DEPLOYED = ("blue", "green")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the documents name. `store` and `state` are places such as `bucket/folder`; `state_key` encrypts the stacks' secrets ('': a
    passphrase does); `balancer` is the load balancer's ARN, `rule_tags` mark the rule."""

    environment: str
    balancer: str
    rule_tags: Mapping[str, str]
    topics: Sequence[str]
    store: str
    state: str
    state_key: str = ""

    @property
    def account(self) -> str:
        return self.balancer.split(":")[4]

    @property
    def prefix(self) -> str:
        return f"{PROJECT}-{self.environment}"


def role_name(facts_prefix: str, role: str) -> str:
    """The role's name in AWS."""
    return f"{facts_prefix}-{role}"


def documents(facts: Facts) -> dict[str, Document]:
    """By role."""
    look = [_allow([*_RULES, *_METRICS], "*"), *_read_store(facts), *_read_state(facts)]
    return {
        "operator": _document(
            *look,
            _allow(
                ["sts:AssumeRole"],
                *(
                    f"arn:aws:iam::{facts.account}:role/{role_name(facts.prefix, role)}"
                    for role in ("rollout", "break-glass")
                ),
            ),
        ),
        "rollout": _document(
            _allow(list(_DECLARED), "*"),
            *_read_store(facts),
            *_read_state(facts),
            *_write_state(facts, _MOVED),
            *_move(facts),
            _allow(["s3:PutObject"], *_objects(f"{facts.store}/{facts.environment}")),
            _allow(["secretsmanager:GetSecretValue"], _secrets(facts)),
            _allow(["sns:Publish"], *facts.topics),
            _allow(
                ["wafv2:UpdateWebACL"],
                f"arn:aws:wafv2:us-east-1:{facts.account}:global/webacl/{facts.prefix}-limits/*",
            ),
            _allow(["eks:DescribeCluster"], f"arn:aws:eks:*:{facts.account}:cluster/*"),
        ),
        "break-glass": _document(_allow(list(_RULES), "*"), _move(facts)[0]),
        "ci": _document(
            *_read_state(facts),
            *_write_state(facts, _DEPLOYED),
            _allow(["eks:DescribeCluster"], f"arn:aws:eks:*:{facts.account}:cluster/*"),
            _allow(["ecr:DescribeImages"], f"arn:aws:ecr:*:{facts.account}:repository/*"),
        ),
    }


def trust_people(principals: Sequence[str]) -> Document:
    """Who may become a role."""
    return _document({"Effect": "Allow", "Principal": {"AWS": list(principals)}, "Action": "sts:AssumeRole"})


def trust_pipeline(provider: str, audience: str, subject: str) -> Document:
    """A pipeline whose OIDC token is for `audience` and says that it is `subject`; `provider` is the identity provider's ARN."""
    issuer = provider.partition("oidc-provider/")[2]
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"Federated": provider},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{issuer}:aud": audience, f"{issuer}:sub": subject}},
        }
    )


def _move(facts: Facts) -> list[Document]:
    """Changing the traffic rule, and no other rule of any load balancer."""
    rules = f"{facts.balancer.replace(':loadbalancer/', ':listener-rule/')}/*"
    tagged = {f"aws:ResourceTag/{key}": value for key, value in facts.rule_tags.items()}
    return [
        {
            **_allow([f"elasticloadbalancing:{action}"], rules),
            "Condition": {"StringEquals": tagged},
        }
        for action in ("ModifyRule", "SetRulePriorities")
    ]


def _secrets(facts: Facts) -> str:
    region = facts.balancer.split(":")[3]
    return f"arn:aws:secretsmanager:{region}:{facts.account}:secret:{PROJECT}/{facts.environment}/*"


def _objects(place: str) -> tuple[str]:
    return (f"arn:aws:s3:::{place.strip('/')}/*",)


def _list(place: str) -> Document:
    """The whole bucket: with a condition on the prefix S3 would answer 403, not 404, for a missing key."""
    return _allow(["s3:ListBucket"], f"arn:aws:s3:::{place.partition('/')[0]}")


def _read_store(facts: Facts) -> list[Document]:
    place = f"{facts.store.strip('/')}/{facts.environment}"
    return [_allow(["s3:GetObject"], *_objects(place)), _list(place)]


def _read_state(facts: Facts) -> list[Document]:
    key = [_allow(["kms:Decrypt", "kms:DescribeKey"], facts.state_key)] if facts.state_key else []
    return [_allow(["s3:GetObject"], *_objects(facts.state)), _list(facts.state), *key]


def _write_state(facts: Facts, layers: Sequence[str]) -> list[Document]:
    """Updating these stacks of the environment, as Pulumi's S3 backend lays them out."""
    state = f"arn:aws:s3:::{facts.state.strip('/')}/.pulumi"
    stacks = [f"{facts.environment}-{layer}" for layer in layers]
    places = [
        f"{state}/{place}/{stack}{rest}"
        for stack in stacks
        for place, rest in (
            (f"stacks/{PROJECT}", ".json*"),
            (f"backups/{PROJECT}", "/*"),
            (f"history/{PROJECT}", "/*"),
            (f"locks/organization/{PROJECT}", "/*"),
        )
    ]
    key = [_allow(["kms:Encrypt"], facts.state_key)] if facts.state_key else []
    return [_allow(["s3:PutObject", "s3:DeleteObject"], *places), *key]


def _allow(actions: list[str], *resources: str) -> Document:
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def _document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def text(document: Document) -> str:
    """As IAM takes it: its limit of 10,240 characters counts no spaces."""
    return json.dumps(document, separators=(",", ":"))
