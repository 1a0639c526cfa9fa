"""The roles of people and pipelines, each with what it may do and who may become it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.operations.rights import (
    ROLES,
    Document,
    Facts,
    documents,
    role_name,
    text,
    trust_people,
    trust_pipeline,
)

# Seconds: a release and its watch in one session.
_SESSION = 12 * 3600


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline by its OIDC token; `provider` is the ARN of the account's identity provider."""

    provider: str
    audience: str
    subject: str


@dataclass(frozen=True, slots=True)
class RolesArgs:
    """`people` are principals that may become operator, rollout and break-glass; `pipeline` becomes ci, if there is one. The rest as in
    :class:`infra.operations.rights.Facts`."""

    environment: str
    prefix: str
    people: Sequence[str]
    pipeline: Pipeline | None
    balancer_arn: pulumi.Input[str]
    rule_tags: Mapping[str, str]
    topics: Sequence[pulumi.Input[str]]
    store: str
    state: str
    state_key: str


class Roles(pulumi.ComponentResource):
    """One role each, with one inline policy."""

    arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: RolesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("simple378:operations:Roles", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        rights = pulumi.Output.all(balancer=args.balancer_arn, topics=list(args.topics)).apply(
            lambda known: _documents(args, known)
        )
        self.arns = {}
        for role, trust in _trusts(args).items():
            made = aws.iam.Role(
                f"{name}-{role}",
                name=role_name(args.prefix, role),
                description=ROLES[role],
                assume_role_policy=text(trust),
                max_session_duration=_SESSION if role == "rollout" else 3600,
                opts=child,
            )
            aws.iam.RolePolicy(
                f"{name}-{role}-rights",
                name=role,
                role=made.name,
                policy=rights[role],
                opts=child,
            )
            self.arns[role] = made.arn
        self.register_outputs({"arns": self.arns})


def _trusts(args: RolesArgs) -> dict[str, Document]:
    people = {role: trust_people(args.people) for role in ("operator", "rollout", "break-glass")}
    if args.pipeline is None:
        return people
    pipeline = args.pipeline
    return people | {"ci": trust_pipeline(pipeline.provider, pipeline.audience, pipeline.subject)}


def _documents(args: RolesArgs, known: Mapping[str, object]) -> dict[str, str]:
    where = "s3://"
    facts = Facts(
        environment=args.environment,
        rule_tags=args.rule_tags,
        store=args.store.removeprefix(where),
        state=args.state.removeprefix(where),
        state_key=args.state_key,
        **known,  # type: ignore[arg-type]
    )
    return {role: text(document) for role, document in documents(facts).items()}
