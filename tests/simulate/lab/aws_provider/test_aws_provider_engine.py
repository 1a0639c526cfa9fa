"""The provider under the real Pulumi engine, before moto: a small program, and the project's own stacks."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from pulumi import automation

from simulate.lab.aws_server import pod_identity
from simulate.lab.layout import PLUGINS
from tests.simulate.lab.aws_provider.aws_provider_harness import REGION, aws_server

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[4]
PROGRAM = """
import json
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
names = config.get("names") or "first"
weight = config.require_int("weight")
action = json.loads(config.get("action") or "{}")

vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16")
subnets = [
    aws.ec2.Subnet(f"subnet-{zone}", vpc_id=vpc.id, cidr_block=f"10.0.{i}.0/24", availability_zone=f"us-east-1{zone}")
    for i, zone in enumerate("ab")
]
balancer = aws.lb.LoadBalancer("balancer", name="edge", subnets=[subnet.id for subnet in subnets])
blue, green = (
    aws.lb.TargetGroup(colour, name=f"{names}-{colour}", port=80, protocol="HTTP", target_type="ip", vpc_id=vpc.id)
    for colour in ("blue", "green")
)
listener = aws.lb.Listener(
    "listener",
    load_balancer_arn=balancer.arn,
    port=80,
    protocol="HTTP",
    default_actions=[{"type": "fixed-response", "fixed_response": {"content_type": "text/plain", "status_code": "403"}}],
)
rule = aws.lb.ListenerRule(
    "rule",
    listener_arn=listener.arn,
    priority=100,
    conditions=[{"http_header": {"http_header_name": "X-Verify", "values": [config.require_secret("origin")]}}],
    actions=[
        {
            "type": "forward",
            "forward": {
                "target_groups": [{"arn": blue.arn, "weight": 100 - weight}, {"arn": green.arn, "weight": weight}],
                "stickiness": {"enabled": False, "duration": 1},
            },
            **action,
        }
    ],
)
pulumi.export("rule", rule.arn)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with aws_server(managed_policies=True) as endpoint:
        yield endpoint


@pytest.fixture
def environment(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("PATH", f"{PLUGINS}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "state").mkdir()
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


@pytest.fixture
def stack(environment: dict[str, str], tmp_path: Path) -> automation.Stack:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (project / "__main__.py").write_text(PROGRAM)
    options = automation.LocalWorkspaceOptions(env_vars=environment)
    stack = automation.create_stack("test", work_dir=str(project), opts=options)
    stack.set_all_config(
        {
            "aws:region": automation.ConfigValue(REGION),
            "weight": automation.ConfigValue("5"),
            "origin": automation.ConfigValue("open sesame", secret=True),
        }
    )
    return stack


def changes(
    result: automation.UpResult | automation.RefreshResult | automation.DestroyResult,
) -> dict[str, int]:
    return {str(kind): count for kind, count in (result.summary.resource_changes or {}).items()}


def rules_of(endpoint: str, arn: str) -> dict[str, Any]:
    elbv2 = botocore.session.get_session().create_client(
        "elbv2", REGION, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )
    rule: dict[str, Any] = elbv2.describe_rules(RuleArns=[arn])["Rules"][0]
    return rule


def weights_of(endpoint: str, arn: str) -> list[int]:
    groups = rules_of(endpoint, arn)["Actions"][0]["ForwardConfig"]["TargetGroups"]
    return [group["Weight"] for group in groups]


def test_a_small_program_from_creation_to_destruction(
    stack: automation.Stack, endpoint: str, tmp_path: Path
) -> None:
    made = stack.up()
    assert changes(made) == {"create": 9}
    rule = made.outputs["rule"].value
    assert weights_of(endpoint, rule) == [95, 5]
    (state,) = tmp_path.glob("state/.pulumi/stacks/small/test.json")
    assert rule in state.read_text()
    assert "open sesame" not in state.read_text()
    assert dict(stack.preview().change_summary) == {"same": 9}

    # A weight moves in place.
    stack.set_config("weight", automation.ConfigValue("25"))
    assert changes(stack.up()) == {"same": 8, "update": 1}
    assert weights_of(endpoint, rule) == [75, 25]

    # Nobody changed anything, so a refresh sees nothing; then somebody does.
    assert changes(stack.refresh()) == {"same": 9}
    elbv2 = botocore.session.get_session().create_client(
        "elbv2", REGION, endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )
    actions = rules_of(endpoint, rule)["Actions"]
    actions[0]["ForwardConfig"]["TargetGroups"][0]["Weight"] = 0
    elbv2.modify_rule(RuleArn=rule, Actions=actions)
    assert changes(stack.refresh()) == {"same": 8, "update": 1}
    assert changes(stack.up()) == {"same": 8, "update": 1}
    assert weights_of(endpoint, rule) == [75, 25]

    # A rule that somebody deleted is made again.
    elbv2.delete_rule(RuleArn=rule)
    assert changes(stack.refresh()) == {"same": 8, "delete": 1}
    again = stack.up()
    assert changes(again) == {"same": 8, "create": 1}
    rule = again.outputs["rule"].value

    # Another name needs another target group, made before the old one goes.
    stack.set_config("names", automation.ConfigValue("second"))
    assert changes(stack.up()) == {"same": 6, "update": 1, "replace": 2}
    assert len(weights_of(endpoint, rule)) == 2

    assert changes(stack.destroy()) == {"delete": 9}
    assert elbv2.describe_load_balancers()["LoadBalancers"] == []
    assert elbv2.describe_target_groups()["TargetGroups"] == []


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"fixedResponce": {}}, "unknown property fixedResponce of aws:lb/listenerRule:ListenerRule"),
        ({"order": 0}, "actions[0].order: must be 1 to 50000"),
    ],
)
def test_a_mistake_is_named_before_anything_is_made(
    action: dict[str, Any], words: str, stack: automation.Stack
) -> None:
    stack.set_config("action", automation.ConfigValue(json.dumps(action)))
    with pytest.raises(automation.CommandError) as failed:
        stack.preview()
    assert words in str(failed.value)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project itself with the lab's configuration."""
    project = tmp_path / "simple378"
    project.mkdir()
    (project / "Pulumi.yaml").symlink_to(ROOT / "Pulumi.yaml")
    shutil.copytree(ROOT / "infra", project / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    for config in (ROOT / "simulate/lab/stacks").glob("*.yaml"):
        shutil.copy(config, project)
    return project


def assert_settled(stack: automation.Stack) -> None:
    previewed = stack.preview(diff=True)
    # What is read are other stacks' outputs.
    assert set(previewed.change_summary) <= {"same", "read"}, previewed.stdout


def test_the_projects_stacks_settle(project: Path, environment: dict[str, str], endpoint: str) -> None:
    pod_identity.make_cluster("123456789012", REGION)
    options = automation.LocalWorkspaceOptions(
        env_vars={**environment, "PULUMI_CONFIG_PASSPHRASE": "lab"}  # of the lab's stack files
    )
    stacks = [
        automation.create_or_select_stack(name, work_dir=str(project), opts=options)
        for name in ("local-limits", "local", "local-traffic")
    ]
    for stack in stacks:
        assert set(changes(stack.up())) == {"create"}
        assert_settled(stack)
        refreshed = changes(stack.refresh())
        # The foundation and the traffic stack read their own last outputs, which a refresh updates.
        assert set(refreshed) - {"update"} == {"same"}
        assert refreshed.get("update", 0) <= (stack.name != "local-limits")
        assert_settled(stack)
    traffic = stacks[-1]
    traffic.set_config("simple378:candidateWeight", automation.ConfigValue("5"))
    traffic.set_config("simple378:generation", automation.ConfigValue("2"))
    moved = traffic.up()
    assert changes(moved)["update"] == 1
    assert weights_of(endpoint, moved.outputs["ruleArn"].value) == [95, 5]
    _upgrade(stacks[1])
    stacks[1].set_config("simple378:advertisedRateLimit", automation.ConfigValue("900"))
    assert changes(stacks[1].up())["update"] == 1, "the policy of the headers, and nothing else"
    for stack in reversed(stacks):
        assert set(changes(stack.destroy())) <= {"delete", "discard"}
    # Nothing that was destroyed is in the way of what comes after it.
    for stack in stacks[:2]:
        assert set(changes(stack.up())) == {"create"}
    for stack in reversed(stacks[:2]):
        assert set(changes(stack.destroy())) <= {"delete", "discard"}


def _upgrade(foundation: automation.Stack) -> None:
    """A major version more, asked for as a person would; it moves the database and its parameter group only."""
    foundation.set_config("simple378:databaseEngineVersion", automation.ConfigValue("16"))
    with pytest.raises(automation.CommandError, match="simple378:databaseAllowMajorUpgrade true"):
        foundation.preview()
    foundation.set_config("simple378:databaseAllowMajorUpgrade", automation.ConfigValue("true"))
    upgraded = changes(foundation.up())
    assert (upgraded["update"], upgraded["replace"]) == (1, 1), upgraded
    foundation.remove_config("simple378:databaseAllowMajorUpgrade")
    assert changes(foundation.up())["update"] == 1
    assert_settled(foundation)
