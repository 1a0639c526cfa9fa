"""What stops a rollout before anything is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from rollout.aws.clients import Clients
from rollout.control.testing import FakeProbes
from rollout.plan import Rollback, load_plan
from rollout.policy.events import ROLES
from rollout.procedure import baseline
from rollout.procedure.preflight import Finding, check
from rollout.session import _show
from rollout.stacks.environment import Environment
from rollout.stacks.project import EnvironmentProblem, check_project
from rollout.stacks.traffic import Scope
from rollout.terminal.view import Screen

PLAN = load_plan("phase-c")
NOWHERE = Scope("", ())
ENVIRONMENT = Environment(
    name="prod",
    region="us-east-1",
    colours={"stable": "blue", "candidate": "green"},
    versions={"stable": "1.0.0", "candidate": "2.0.0"},
    replicas={"stable": 2, "candidate": 2},
    groups={"stable": "arn:blue", "candidate": "arn:green"},
    probe_groups={"stable": "arn:blue-probe", "candidate": "arn:green-probe"},
    group_suffixes={"stable": "targetgroup/blue/1", "candidate": "targetgroup/green/1"},
    load_balancer_suffix="app/prod/1",
    rule_arn="arn:rule",
    deployed_weight=0,
    generation=7,
    probe_url="http://lb",
    base_url="https://app.example",
    test_secret="",
    secrets=(),
    topics={},
    notify_urls={},
    web_acl="acl",
    rate_limit=1000,
    rule_scope=NOWHERE,
    limits_scope=NOWHERE,
)


class FakeTraffic:
    """Stand-in for the traffic of an environment: what is read back, and the weights that were foreseen."""

    def __init__(self, folder: Path, weight: float = 0) -> None:
        self.engine = SimpleNamespace(project_dir=folder, json=self.preview)
        self.steps: list[dict[str, str]] = []
        self.weight = weight
        self.foreseen: list[int] = []

    async def read_weight(self) -> float:
        return self.weight

    async def preview(self, stack: str, *args: str) -> Mapping[str, Any]:
        return {"steps": self.steps}

    async def foresee(self, weight: int) -> None:
        self.foreseen.append(weight)


class Aws:
    """Stand-in for boto3's clients."""

    def __init__(self) -> None:
        self.healthy = {"arn:blue": 2, "arn:green": 2, "arn:blue-probe": 2, "arn:green-probe": 2}
        self.requests = [100.0]
        self.published = {"DatabaseConnectionErrors"}
        self.asked: list[Mapping[str, Any]] = []
        self.identity: Exception | None = None
        self.query: Exception | None = None
        self.alarms: dict[str, str] | Exception = {"simple378-prod-cpu": "OK"}

    def get_caller_identity(self) -> None:
        if self.identity:
            raise self.identity

    def describe_target_health(self, **request: Any) -> Mapping[str, Any]:
        count = self.healthy[request["TargetGroupArn"]]
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": str(n)}, "TargetHealth": {"State": "healthy"}} for n in range(count)
            ]
        }

    def get_metric_data(self, **request: Any) -> Mapping[str, Any]:
        if self.query:
            raise self.query
        (metric, *_) = (query["MetricStat"]["Metric"] for query in request["MetricDataQueries"])
        if metric["Namespace"] == "Simple378":
            return self._own(request)
        self.asked.append(request)
        times = [datetime(2025, 12, 20, 2, minute, tzinfo=UTC) for minute in range(len(self.requests))]
        return {"MetricDataResults": [{"Values": self.requests, "Timestamps": times}]}

    def _own(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the application published of what is asked for."""
        results = []
        for query in request["MetricDataQueries"]:
            metric = query["MetricStat"]["Metric"]
            assert metric["Dimensions"] == [{"Name": "Colour", "Value": "blue"}]
            values = [0.0] if metric["MetricName"] in self.published else []
            results.append({"Id": query["Id"], "Values": values, "Timestamps": [0] * len(values)})
        return {"MetricDataResults": results}

    def describe_alarms(self, **request: Any) -> Mapping[str, Any]:
        if isinstance(self.alarms, Exception):
            raise self.alarms
        names = request.get("AlarmNames")
        found = [
            name for name in self.alarms if (name in names if names else name.startswith("simple378-prod-"))
        ]
        return {"MetricAlarms": [{"AlarmName": name, "StateValue": self.alarms[name]} for name in found]}

    @property
    def clients(self) -> Clients:
        return Clients(self, self, self, None, self, self, self)


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = ENVIRONMENT
        self.aws = Aws()
        self.probes = FakeProbes(
            answering=lambda role, time: [ENVIRONMENT.versions.get(role, "x")], seconds=0
        )
        self.traffic = FakeTraffic(folder)
        self.plan = PLAN
        self.declare()

    def declare(self, stable: str = "blue", weight: int = 0, generation: int = 7) -> None:
        (self.folder / "Pulumi.prod-traffic.yaml").write_text(
            f"config:\n  simple378:stable: {stable}\n  simple378:candidateWeight: {weight}\n"
            f"  simple378:generation: {generation}\n"
        )

    def problems(self, *, moving: bool = True) -> dict[str, str]:
        return {finding.name: finding.problem for finding in self.findings(moving=moving) if finding.problem}

    def finding(self, name: str) -> Finding:
        return next(finding for finding in self.findings() if finding.name == name)

    def findings(self, *, moving: bool = True) -> list[Finding]:
        return asyncio.run(
            check(
                self.environment,
                self.aws.clients,
                self.probes,
                self.traffic,  # type: ignore[arg-type]
                self.plan,
                moving=moving,
            )
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_all_is_well(world: World) -> None:
    assert world.problems() == {}
    assert world.traffic.foreseen == [5]


def test_without_credentials_nothing_else_is_asked(world: World) -> None:
    world.aws.identity = NoCredentialsError()
    problems = world.problems()
    assert list(problems) == ["AWS credentials"]
    assert "log in, or set AWS_PROFILE" in problems["AWS credentials"]


def test_both_sides_need_the_same_replicas(world: World) -> None:
    world.environment = replace(ENVIRONMENT, replicas={"stable": 4, "candidate": 2})
    world.aws.healthy["arn:blue"] = 4
    assert (
        "candidate has 2 replicas, stable 4; `pulumi config set simple378:replicas 4 -s prod-green`"
        in (world.problems()["replicas"])
    )


@pytest.mark.parametrize(
    ("count", "problem"), [(0, "no target is registered"), (1, "1 of 2 targets are registered")]
)
@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("arn:green", "targets of candidate (green)"),
        ("arn:green-probe", "probes' targets of candidate (green)"),
    ],
)
def test_targets_must_be_there(world: World, count: int, problem: str, group: str, name: str) -> None:
    world.aws.healthy[group] = count
    (said,) = (words for found, words in world.problems().items() if found == name)
    assert said.startswith(problem)
    assert "look at the pods of namespace simple378-green" in said


def test_probes_must_pass(world: World) -> None:
    world.probes.failing = lambda role, time: ["deep"] if role == "candidate" else []
    assert world.problems()["probes of candidate"].startswith(
        "deep failed at http://lb through the test route"
    )


def test_what_answers_must_be_what_was_deployed(world: World) -> None:
    world.probes.answering = lambda role, time: (
        ["2.0.0", "2.0.1"] if role == "candidate" else ["1.0.0@sha256:aa"]
    )
    assert world.problems() == {
        "version of candidate": "2.0.1 answers, prod-green deployed 2.0.0: `pulumi up -s prod-green`, and wait for its pods"
    }
    assert not world.finding("version of candidate").warning


def test_an_application_that_does_not_say_its_version_is_a_warning(world: World) -> None:
    world.probes.answering = lambda role, time: []
    found = world.finding("version of stable")
    assert found.warning
    assert "send X-Simple378-Version (docs/application-contract.md)" in found.problem


def test_metrics_must_be_readable_and_may_be_empty(world: World) -> None:
    world.aws.requests = []
    assert "without traffic every stage is inconclusive" in world.problems()["metrics of stable"]
    world.aws.query = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetMetricData")
    assert (
        "cloudwatch:GetMetricData of requests to stable failed: access denied (no)"
        in world.problems()["metrics of stable"]
    )


def test_stable_must_publish_the_metrics_that_the_plan_judges(world: World) -> None:
    """Without them no stage could pass, and a release would stand at 5 % until somebody looks."""
    assert world.finding("application metrics of stable (blue)").in_words().startswith("  ok ")
    world.aws.published = set()
    found = world.finding("application metrics of stable (blue)")
    assert found.problem.startswith(
        "no DatabaseConnectionErrors in the last 15 periods (namespace Simple378, dimension Colour=blue): without it no stage "
        "passes"
    )
    assert "`pulumi up -s prod-blue`" in found.problem
    assert not found.warning
    world.aws.query = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetMetricData")
    assert "access denied" in world.problems()["application metrics of stable (blue)"]


def test_the_front_door_must_let_users_in(world: World) -> None:
    world.probes.roles = (*ROLES, "front_door")
    assert world.finding("front door").in_words() == "  ok      front door: https://app.example"
    world.probes.failing = lambda role, time: ["page"] if role == "front_door" else []
    said = world.problems()["front door"]
    assert said.startswith("page at https://app.example, where users go; ")
    assert "`pulumi up --refresh -s prod-traffic`" in said
    assert "bucket of `pulumi stack output bucketName -s prod`" in said


@pytest.mark.parametrize(
    ("requests", "period", "median"),
    [
        ([], 60, 0),
        ([1000.0] * 13, 60, 1000),
        ([1000.0] * 7, 60, 0),  # in more than half of the periods nobody came
        ([*[900.0] * 7, *[1100.0] * 9], 60, 1100),
        ([100.0] * 15, 6, 1000),
    ],
)
def test_the_baseline_is_a_median_by_the_minute(
    world: World, requests: list[float], period: int, median: int
) -> None:
    world.aws.requests = requests
    plan = PLAN.scaled(60 / period)
    found = asyncio.run(baseline.requests_per_minute(world.aws, ENVIRONMENT, plan))
    assert baseline.median(found) == median
    (asked,) = world.aws.asked
    assert (asked["EndTime"] - asked["StartTime"]).total_seconds() == 15 * period
    assert [query["Id"] for query in asked["MetricDataQueries"]] == ["stable", "candidate"]


def test_the_same_version_is_only_a_warning(world: World) -> None:
    world.environment = replace(ENVIRONMENT, versions={"stable": "2.0.0", "candidate": "2.0.0"})
    world.probes.answering = lambda role, time: ["2.0.0"]
    assert world.problems() == {"version": "candidate and stable are both version 2.0.0"}


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"generation": 6}, "generation 6, deployed 7"),
        ({"weight": 5}, "candidateWeight 5, deployed 0"),
        ({"stable": "green"}, "stable green, deployed blue"),
    ],
)
def test_the_checkout_must_say_what_is_deployed(world: World, declared: dict[str, Any], problem: str) -> None:
    world.declare(**declared)
    assert problem in world.problems()["declared weights"]
    assert world.traffic.foreseen == []


def test_a_rollout_under_way_is_not_begun_again(world: World) -> None:
    world.environment = replace(ENVIRONMENT, deployed_weight=25)
    world.declare(weight=25)
    world.traffic.weight = 25
    assert (
        "the candidate already has 25 % of the traffic: another rollout runs or was left"
        in (world.problems()["weights read back"])
    )


def test_a_hand_on_the_rule_is_seen(world: World) -> None:
    world.traffic.weight = 10
    assert "the load balancer has 10 %, the stack 0 %" in world.problems()["weights read back"]


def test_the_foundation_must_be_as_declared(world: World) -> None:
    world.traffic.steps = [{"op": "update", "urn": "urn::edge-listener"}]
    assert "an update would update edge-listener" in world.problems()["foundation"]
    assert "foundation" not in world.problems(moving=False)


def test_a_dry_run_asks_nothing_of_the_weights(world: World) -> None:
    world.traffic.weight = 10
    assert world.problems(moving=False) == {}


def test_one_problem_is_named_and_the_others_counted(world: World) -> None:
    world.aws.healthy |= {"arn:blue": 0, "arn:green": 0}
    shown: list[str] = []
    findings = asyncio.run(
        check(world.environment, world.aws.clients, world.probes, world.traffic, PLAN, moving=True)  # type: ignore[arg-type]
    )
    with pytest.raises(EnvironmentProblem, match=r"^targets of stable \(blue\): .* \(and 1 more above\)$"):
        _show(findings, Screen(shown.append, lambda kind, t, body: None))
    assert sum(line.startswith("  PROBLEM") for line in shown) == 2


def test_a_directory_without_an_environment(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=r"no Pulumi\.yaml"):
        check_project(tmp_path, "prod")
    (tmp_path / "Pulumi.yaml").write_text("")
    with pytest.raises(EnvironmentProblem, match="no environment is configured here"):
        check_project(tmp_path, "prod")


@pytest.mark.parametrize(
    ("there", "missing"), [({}, "checkout, simple378-prod-cpu"), ({"checkout": "OK"}, "simple378-prod-cpu")]
)
def test_alarms_that_the_plan_names_must_exist(world: World, there: dict[str, str], missing: str) -> None:
    world.plan = replace(PLAN, alarms={"checkout": Rollback.ABORT, "simple378-prod-cpu": Rollback.PREVIOUS})
    world.aws.alarms = there
    assert world.problems()["alarms"].startswith(
        f"the plan names {missing}, and there is no such alarm in us-east-1"
    )
    world.aws.alarms = {"checkout": "OK", "simple378-prod-cpu": "OK"}
    assert world.problems() == {}


def test_alarms_that_may_not_be_read_stop_a_rollout(world: World) -> None:
    world.aws.alarms = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeAlarms")
    assert (
        "cloudwatch:DescribeAlarms of alarms simple378-prod-* failed: access denied"
        in world.problems()["alarms"]
    )


def test_a_standing_alarm_is_a_warning(world: World) -> None:
    world.aws.alarms = {"simple378-prod-cpu": "ALARM"}
    assert world.problems() == {"alarms are quiet": "in ALARM: simple378-prod-cpu"}


def test_services_that_nobody_knows_stop_a_rollout(world: World) -> None:
    world.environment = replace(ENVIRONMENT, notify_urls={"immediate": ["slack://s3cr3t"]})
    assert world.problems()["notification services"].startswith(
        "simple378:notifyUrls.immediate[0] is not a URL"
    )
    world.environment = replace(ENVIRONMENT, notify_urls={"immediate": ["json://example.org"]})
    assert world.problems() == {}
