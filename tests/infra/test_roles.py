"""The roles: what each may do, held against IAM's own list of actions, and who may become them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.operations.rights import ROLES
from infra.settings import SettingsError
from tests.infra.engine import Recording, Registered, deploy
from tests.infra.examples import FOUNDATION, GUARDIAN, SECRET_OUTPUTS, STACKS, TRAFFIC_OUTPUTS
from tests.infra.iam import problems, writes

PEOPLE = ["arn:aws:iam::123456789012:role/devops"]
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
ACCESS: dict[str, Any] = {
    "people": PEOPLE,
    "pipeline": {"provider": PROVIDER, "subject": "repo:simple378/backend:environment:prod"},
    "store": "s3://releases/simple378",
    "state": "s3://state",
    "stateKey": "arn:aws:kms:eu-central-1:123456789012:key/0a1b",
}
BALANCER = (
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/edge-balancer/50dc6c495c0c9188"
)
RULES = BALANCER.replace(":loadbalancer/", ":listener-rule/") + "/*"
ROLE, POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"


def deployed(access: dict[str, Any] | None) -> Recording:
    more = {"simple378:access": json.dumps(access)} if access else {}
    return deploy("prod", FOUNDATION | more, STACKS, SECRET_OUTPUTS)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return deployed(ACCESS)


@pytest.fixture(scope="module")
def rights(recording: Recording) -> dict[str, dict[str, Any]]:
    return {
        each.inputs["name"]: json.loads(each.inputs["policy"])
        for each in recording.of_type(POLICY)
        if each.parent == "roles"
    }


def actions(document: dict[str, Any]) -> dict[str, list[str]]:
    """Resources by action."""
    found: dict[str, list[str]] = {}
    for statement in document["Statement"]:
        for action in statement["Action"]:
            found.setdefault(action, []).extend(statement["Resource"])
    return found


def people(recording: Recording) -> list[Registered]:
    """The roles that people and pipelines take; AWS Backup and the pods have roles of their own."""
    return [each for each in recording.of_type(ROLE) if each.parent == "roles"]


def test_a_role_for_each_purpose(recording: Recording, rights: dict[str, dict[str, Any]]) -> None:
    assert set(rights) == set(ROLES)
    names = {each.inputs["name"] for each in people(recording)}
    assert names == {f"simple378-prod-{role}" for role in ROLES}
    assert set(recording.outputs["roleArns"]) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_iam_knows_every_action_its_resources_and_conditions(
    role: str, rights: dict[str, dict[str, Any]]
) -> None:
    assert list(problems(rights[role])) == []
    assert len(json.dumps(rights[role], separators=(",", ":"))) < 10_240


def test_the_guardians_rights_too() -> None:
    made = deploy("prod-guardian", GUARDIAN, {**STACKS, "prod-traffic": TRAFFIC_OUTPUTS})
    assert list(problems(json.loads(made.one(POLICY).inputs["policy"]))) == []


def test_the_check_notices_what_is_wrong() -> None:
    def found(action: str, resource: str, **more: Any) -> list[str]:
        return list(problems({"Statement": [{"Action": [action], "Resource": [resource], **more}]}))

    assert found("elasticloadbalancing:ModifyRules", "*") == [
        "elasticloadbalancing:ModifyRules is no action of IAM"
    ]
    assert "can be limited" in found("elasticloadbalancing:ModifyRule", "*")[0]
    assert "takes arn" in found("sns:Publish", "arn:aws:s3:::bucket/*")[0]
    condition = {"StringEquals": {"s3:prefix": "a"}}
    assert found("sns:Publish", "arn:aws:sns:eu-central-1:123456789012:a", Condition=condition) == [
        "sns:Publish knows no condition s3:prefix"
    ]


def test_what_each_role_may_change(rights: dict[str, dict[str, Any]]) -> None:
    assert writes(rights["operator"]) == {"sts:AssumeRole", "kms:Decrypt"}
    assert writes(rights["break-glass"]) == {"elasticloadbalancing:ModifyRule"}
    assert writes(rights["ci"]) == {"s3:PutObject", "s3:DeleteObject", "kms:Encrypt", "kms:Decrypt"}
    changes = writes(rights["rollout"])
    assert changes == {
        "elasticloadbalancing:ModifyRule",
        "elasticloadbalancing:SetRulePriorities",
        "kms:Decrypt",
        "kms:Encrypt",
        "s3:DeleteObject",
        "s3:PutObject",
        "sns:Publish",
        "wafv2:UpdateWebACL",
    }


@pytest.mark.parametrize("role", ["rollout", "break-glass"])
def test_of_the_load_balancer_only_the_tagged_rule_is_changed(
    role: str, rights: dict[str, dict[str, Any]]
) -> None:
    changing = [
        statement
        for statement in rights[role]["Statement"]
        if "elasticloadbalancing:ModifyRule" in statement["Action"]
    ]
    assert [statement["Resource"] for statement in changing] == [[RULES]]
    assert changing[0]["Condition"] == {
        "StringEquals": {
            "aws:ResourceTag/simple378:environment": "prod",
            "aws:ResourceTag/simple378:role": "traffic-rule",
        }
    }


def test_a_pipeline_writes_the_state_of_the_colours_alone(rights: dict[str, dict[str, Any]]) -> None:
    written = actions(rights["ci"])["s3:PutObject"]
    assert "arn:aws:s3:::state/.pulumi/stacks/simple378/prod-blue.json*" in written
    assert not [each for each in written if "prod-traffic" in each or "simple378/prod." in each]
    moved = actions(rights["rollout"])["s3:PutObject"]
    assert "arn:aws:s3:::state/.pulumi/stacks/simple378/prod-traffic.json*" in moved
    assert "arn:aws:s3:::releases/simple378/prod/*" in moved


def test_pre_flight_may_read_whatever_the_foundation_declares(
    recording: Recording, rights: dict[str, dict[str, Any]]
) -> None:
    services = {"lb": "elasticloadbalancing", "vpc": "ec2"}
    declared = {each.type.split(":")[1].partition("/")[0] for each in recording.cloud}
    readable = {action.partition(":")[0] for action in actions(rights["rollout"])}
    assert {services.get(each, each) for each in declared} <= readable


def test_pre_flight_may_read_what_a_wildcard_does_not_cover(rights: dict[str, dict[str, Any]]) -> None:
    """What the provider's refresh of Pod Identity associations, the prefix list and the site's bucket calls besides Describe and GetBucket."""
    granted = {action for each in rights["rollout"]["Statement"] for action in each["Action"]}
    assert granted >= {
        "ec2:GetManagedPrefixListEntries",
        "eks:DescribePodIdentityAssociation",
        "s3:GetAccelerateConfiguration",
        "s3:GetReplicationConfiguration",
        "s3:ListBucket",
    }


def test_a_missing_object_is_told_from_a_forbidden_one(rights: dict[str, dict[str, Any]]) -> None:
    """S3 answers 403, not 404, for a missing key to whom may not list its bucket; a condition on the prefix never holds there."""
    made = deploy("prod-guardian", GUARDIAN, {**STACKS, "prod-traffic": TRAFFIC_OUTPUTS})
    for document in (rights["rollout"], rights["ci"], json.loads(made.one(POLICY).inputs["policy"])):
        listing = [each for each in document["Statement"] if "s3:ListBucket" in each["Action"]]
        assert listing and not [each for each in listing if "Condition" in each]


def test_who_may_become_them(recording: Recording) -> None:
    trusts = {
        each.inputs["name"].removeprefix("simple378-prod-"): json.loads(each.inputs["assumeRolePolicy"])[
            "Statement"
        ][0]
        for each in recording.of_type(ROLE)
    }
    for role in ("operator", "rollout", "break-glass"):
        assert trusts[role]["Principal"] == {"AWS": PEOPLE}
    assert trusts["ci"]["Principal"] == {"Federated": PROVIDER}
    assert trusts["ci"]["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:simple378/backend:environment:prod",
    }


def test_without_the_setting_there_are_none_and_without_a_pipeline_no_ci() -> None:
    assert people(deployed(None)) == []
    made = deployed({key: value for key, value in ACCESS.items() if key not in ("pipeline", "stateKey")})
    assert len(people(made)) == 3
    assert "kms" not in made.one(POLICY, "roles-rollout-rights").inputs["policy"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": []}, "simple378:access.people"),
        ({"people": ["*"]}, "simple378:access.people[0]"),
        ({"store": "releases"}, "simple378:access.store"),
        (
            {"pipeline": {"provider": PROVIDER, "subject": "repo:simple378/*"}},
            "simple378:access.pipeline.subject",
        ),
        ({"operators": []}, "simple378:access.operators"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        deployed(ACCESS | change)
    assert message in str(refused.value)
