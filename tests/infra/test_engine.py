"""The program on the real Pulumi engine; AWS's control plane is the lab's, behind the lab's provider."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest

from infra.edge.managed_rules import GROUPS
from infra.operations import guardian
from rollout.procedure.rules import broken, planned
from simulate.lab.layout import PLUGINS
from simulate.lab.load_balancer.edge_model import EdgeReader

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

CHECKOUT = Path(__file__).resolve().parents[2]
TRAFFIC = "local-traffic"
GUARDIAN = "local-guardian"


@dataclass(frozen=True, slots=True)
class Project:
    """The lab's stacks in a folder of their own."""

    folder: Path
    environment: dict[str, str]

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"pulumi {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done

    def up(self, stack: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", stack, check=check)

    def outputs(self, stack: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json", "--stack", stack).stdout)
        return found

    def set_traffic(self, **settings: object) -> None:
        pairs = [
            word for key, value in settings.items() for word in ("--plaintext", f"simple378:{key}={value}")
        ]
        self.pulumi("config", "set-all", *pairs, "--stack", TRAFFIC)

    def load_balancing(self) -> Any:
        return self.aws("elbv2")

    def aws(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="lab",
            aws_secret_access_key="lab",
        )

    def weights(self) -> dict[str, int]:
        """What the load balancer itself says, by colour."""
        rule_arn = self.outputs(TRAFFIC)["ruleArn"]
        (rule,) = self.load_balancing().describe_rules(RuleArns=[rule_arn])["Rules"]
        groups = self.outputs("local")["targetGroups"]
        colours = {group["arn"]: colour for colour, group in groups.items()}
        forward = rule["Actions"][0]["ForwardConfig"]
        assert forward["TargetGroupStickinessConfig"]["Enabled"] is False
        return {colours[group["TargetGroupArn"]]: group["Weight"] for group in forward["TargetGroups"]}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    for name in ("infra", "Pulumi.yaml"):
        (folder / name).symlink_to(CHECKOUT / name)
    for file in (CHECKOUT / "simulate" / "lab" / "stacks").glob("Pulumi.*.yaml"):
        shutil.copy(file, folder)
    (folder / "state").mkdir()
    port = _free_port()
    environment = {
        **os.environ,
        "PATH": f"{PLUGINS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder}/state?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE": "lab",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
    }
    log = (folder / "moto.log").open("w")
    moto = subprocess.Popen(
        [sys.executable, "-m", "simulate.lab.aws_server", "--port", str(port)],
        stdout=log,
        stderr=log,
    )
    try:
        _await_answer(f"http://127.0.0.1:{port}/moto-api/")
        made = Project(folder, environment)
        for stack in ("local-limits", "local", TRAFFIC, GUARDIAN):
            made.pulumi("stack", "init", stack)
            made.up(stack)
        yield made
    finally:
        moto.terminate()
        moto.wait()
        log.close()


@pytest.mark.parametrize("stack", ["local-limits", "local", TRAFFIC, GUARDIAN])
def test_a_second_deployment_changes_nothing(project: Project, stack: str) -> None:
    # Compared with what AWS says, not with what the engine remembers.
    project.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", stack)


def test_the_engines_preview_shows_what_the_rules_of_production_ask_for(project: Project) -> None:
    preview = json.loads(project.pulumi("preview", "--show-sames", "--json", "--stack", "local").stdout)
    found = {resource.name: resource for resource in planned(preview)}
    assert found["edge-listener"].inputs["protocol"] == "HTTP"
    assert broken("local", found.values()) == []
    assert "edge-listener: a listener speaks HTTPS (rule tls)" in broken("prod", found.values())


def test_secrets_are_not_in_the_state_in_clear(project: Project) -> None:
    for stack in ("local", TRAFFIC):
        state = project.pulumi("stack", "export", "--stack", stack).stdout
        assert "lab-origin-secret" not in state
        assert "lab-database-password" not in state


def test_weights_promotion_and_a_stale_checkout(project: Project) -> None:
    assert project.weights() == {"blue": 100, "green": 0}
    project.set_traffic(candidateWeight=25, generation=2)
    project.up(TRAFFIC)
    assert project.weights() == {"blue": 75, "green": 25}
    project.set_traffic(candidateWeight=100, generation=3)
    project.up(TRAFFIC)

    # Promotion: the roles are swapped, the rule is not touched.
    project.set_traffic(stable="green", candidateWeight=0, generation=4)
    steps = json.loads(project.pulumi("preview", "--json", "--stack", TRAFFIC).stdout)["steps"]
    assert {step["op"] for step in steps} <= {"same", "read"}
    project.up(TRAFFIC)
    assert project.weights() == {"blue": 0, "green": 100}
    promoted = project.outputs(TRAFFIC)
    assert (promoted["stable"], promoted["candidate"], promoted["generation"]) == ("green", "blue", 4)

    # A checkout that missed all of it, then a change that nobody numbered.
    for stale, why in (
        ({"generation": 2}, "is older than what is deployed"),
        ({"candidateWeight": 50}, "is not what"),
    ):
        project.set_traffic(**{"stable": "green", "candidateWeight": 0, "generation": 4, **stale})
        refused = project.up(TRAFFIC, check=False)
        assert refused.returncode != 0
        assert why in refused.stdout
        assert "Traceback" not in refused.stdout + refused.stderr
        assert project.weights() == {"blue": 0, "green": 100}
        assert project.outputs(TRAFFIC) == promoted
    project.set_traffic(stable="green", candidateWeight=0, generation=4)
    project.pulumi("preview", "--expect-no-changes", "--stack", TRAFFIC)


def test_a_rule_changed_past_the_stack_is_repaired_without_a_new_generation(project: Project) -> None:
    before, outputs = project.weights(), project.outputs(TRAFFIC)
    groups = [
        {"TargetGroupArn": group["arn"], "Weight": 50}
        for group in project.outputs("local")["targetGroups"].values()
    ]
    stickiness = {"Enabled": False, "DurationSeconds": 1}
    project.load_balancing().modify_rule(
        RuleArn=outputs["ruleArn"],
        Actions=[
            {
                "Type": "forward",
                "Order": 1,
                "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": stickiness},
            }
        ],
    )
    assert project.weights() == {"blue": 50, "green": 50}
    project.pulumi("up", "--refresh", "--yes", "--skip-preview", "--stack", TRAFFIC)
    assert project.weights() == before
    assert project.outputs(TRAFFIC) == outputs


def test_the_guardians_code_is_the_checkouts_and_nothing_of_it_is_left(project: Project) -> None:
    functions, name = project.aws("lambda"), project.outputs(GUARDIAN)["functionName"]
    assert functions.get_function(FunctionName=name)["Configuration"]["Handler"] == guardian.HANDLER
    project.pulumi("config", "set", "simple378:after", "300", "--stack", GUARDIAN)
    steps = json.loads(project.pulumi("preview", "--json", "--stack", GUARDIAN).stdout)["steps"]
    assert [step["urn"].rpartition("::")[2] for step in steps if step["op"] == "update"] == [
        "guardian-function"
    ]
    project.up(GUARDIAN)
    variables = functions.get_function(FunctionName=name)["Configuration"]["Environment"]["Variables"]
    assert variables["SIMPLE378_AFTER"] == "300"
    assert variables["SIMPLE378_RULE"] == project.outputs(TRAFFIC)["ruleArn"]

    project.pulumi("destroy", "--yes", "--skip-preview", "--stack", GUARDIAN)
    assert functions.list_functions()["Functions"] == []
    assert project.aws("events").list_rules()["Rules"] == []
    roles = {role["RoleName"] for role in project.aws("iam").list_roles(PathPrefix="/")["Roles"]}
    assert not [role for role in roles if "guardian" in role], "the others are the foundation's"
    project.up(GUARDIAN)


def test_a_missing_key_leaves_everything_as_it_was(project: Project) -> None:
    before = project.outputs("local")
    project.pulumi("config", "rm", "simple378:originSecret", "--stack", "local")
    refused = project.up("local", check=False)
    project.pulumi(
        "config", "set", "--secret", "simple378:originSecret", "lab-origin-secret", "--stack", "local"
    )
    assert refused.returncode != 0
    assert "simple378:originSecret is missing; set it with `pulumi config set --secret" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr
    assert project.outputs("local") == before


def test_the_labs_edge_does_what_the_distribution_declares(project: Project) -> None:
    (read,) = EdgeReader(project.aws("cloudfront"), project.aws("wafv2")).distributions()
    releases, *api, pages = read.behaviours
    assert (releases.pattern, releases.deep_links, releases.caches) == ("/releases/*", False, True)
    assert (pages.deep_links, pages.caches, pages.compresses) == (True, True, True)
    assert not any(behaviour.caches or behaviour.deep_links for behaviour in api)
    assert {behaviour.headers for behaviour in read.behaviours} == {
        (("RateLimit-Policy", '"client";q=1000;w=60'),)
    }
    assert read.ignored == ()
    assert read.web_acl is not None
    assert [rule.limit for rule in read.web_acl.rate_rules] == [1000]
    assert set(read.web_acl.ignored) == set(GROUPS), "the managed rules match nothing"


def test_the_frontends_release_is_one_object(project: Project) -> None:
    stack, s3 = "local-frontend", project.aws("s3")
    bucket = project.outputs("local")["bucketName"]

    def page() -> tuple[str, str]:
        shown = s3.get_object(Bucket=bucket, Key="index.html")
        return shown["Body"].read().decode(), shown["CacheControl"]

    project.pulumi("stack", "init", stack)
    refused = project.up(stack, check=False)
    assert refused.returncode != 0
    assert "release 1.0.0 of the frontend is not in the bucket" in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr
    for release in ("1.0.0", "2.0.0"):
        s3.put_object(Bucket=bucket, Key=f"releases/{release}/index.html", Body=f"page of {release}".encode())
    project.up(stack)
    assert page() == ("page of 1.0.0", "no-cache")
    project.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", stack)

    project.pulumi("config", "set", "simple378:frontendRelease", "2.0.0", "--stack", stack)
    steps = json.loads(project.pulumi("preview", "--json", "--stack", stack).stdout)["steps"]
    assert [step["urn"].rpartition("::")[2] for step in steps if step["op"] not in ("same", "read")] == [
        "frontend-page"
    ]
    project.up(stack)
    assert page() == ("page of 2.0.0", "no-cache")
    project.pulumi("destroy", "--yes", "--skip-preview", "--stack", stack)
    left = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == ["releases/1.0.0/index.html", "releases/2.0.0/index.html"]
