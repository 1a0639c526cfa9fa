"""`rollout doctor`: whether this machine could release, roll back and look, without touching anything."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rollout.aws.clients import Clients, clients
from rollout.aws.elb import OriginSecret
from rollout.aws.failures import AWS_ERRORS, failure
from rollout.aws.tagged import find
from rollout.control.ports import TrafficError
from rollout.procedure.preflight import Finding
from rollout.stacks.engine import Engine, EngineMissing
from rollout.stacks.environment import Environment, read_environment
from rollout.stacks.project import EnvironmentProblem, check_project

COMMAND_LIMIT = 30.0  # seconds for one command of Pulumi
PROGRAMS = ("pulumi-language-python",)  # what the engine starts besides plugins
PLUGINS = ("aws",)  # of the stacks that a rollout updates


def _topics(aws: Clients, environment: Environment) -> None:
    for arn in environment.topics.values():
        aws.sns.get_topic_attributes(TopicArn=arn)


# Names of rights, and the call that shows whether this login has each.
_READS: tuple[tuple[str, Callable[[Clients, Environment], object]], ...] = (
    (
        "elasticloadbalancing:DescribeRules",
        lambda aws, env: aws.elbv2.describe_rules(RuleArns=[env.rule_arn]),
    ),
    (
        "elasticloadbalancing:DescribeTargetHealth",
        lambda aws, env: aws.elbv2.describe_target_health(TargetGroupArn=env.groups["stable"]),
    ),
    ("cloudwatch:ListMetrics", lambda aws, env: aws.cloudwatch.list_metrics(Namespace="AWS/ApplicationELB")),
    ("cloudwatch:DescribeAlarms", lambda aws, env: aws.cloudwatch.describe_alarms(MaxRecords=1)),
    ("sns:GetTopicAttributes", _topics),
    (
        "secretsmanager:GetSecretValue",
        lambda aws, env: OriginSecret(aws.secretsmanager, env.name).fetch(),
    ),
)
WRITES = (
    "elasticloadbalancing:ModifyRule",
    "elasticloadbalancing:SetRulePriorities",
    "sns:Publish",
)  # not to be tried without doing something


def examine(project_dir: Path, env: str) -> Iterator[Finding]:
    """Each check as soon as it is made; those that need a failed one are left out, or warnings that they were not made."""
    try:
        check_project(project_dir, env)
        yield Finding("folder", detail=str(project_dir.resolve()))
    except EnvironmentProblem as error:
        yield Finding("folder", str(error))
        return
    try:
        engine = Engine(project_dir)
        yield Finding("engine", detail=f"pulumi at {shutil.which('pulumi')}")
    except EngineMissing as error:
        yield Finding("engine", str(error))
        for name in ("login", "plugins", "stacks", "credentials", "rights"):
            yield Finding(name, "not checked, because that needs pulumi", warning=True)
        return
    login = _login(project_dir)
    yield login
    yield _plugins(project_dir)
    if login.problem:
        return
    try:
        environment = asyncio.run(read_environment(engine, env))
    except EnvironmentProblem as error:
        yield Finding("stacks", str(error))
        return
    roles = ", ".join(
        f"{role} {environment.colours[role]} {environment.versions[role]}" for role in environment.colours
    )
    yield Finding("stacks", detail=roles)
    yield from _aws(environment)


def _pulumi(project_dir: Path, *args: str) -> str:
    """What a command of Pulumi prints. Raises ``OSError`` and ``subprocess.SubprocessError``."""
    ran = subprocess.run(
        ["pulumi", "--non-interactive", *args],
        cwd=project_dir,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=COMMAND_LIMIT,
    )
    return ran.stdout


def _problem(error: Exception) -> str:
    output = getattr(error, "stderr", None)
    return " ".join(str(output or error).split())[-300:]


def _login(project_dir: Path) -> Finding:
    try:
        who = json.loads(_pulumi(project_dir, "whoami", "--json"))
        return Finding("login", detail=f"{who.get('user')} at {who.get('url')}")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Finding("login", f"{_problem(error)}; log in with `pulumi login`")


def _plugins(project_dir: Path) -> Finding:
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    try:
        installed = {plugin["name"] for plugin in json.loads(_pulumi(project_dir, "plugin", "ls", "--json"))}
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
        return Finding("plugins", f"cannot be listed: {_problem(error)}")
    missing += [n for n in PLUGINS if n not in installed and not shutil.which(f"pulumi-resource-{n}")]
    if missing:
        return Finding(
            "plugins", f"{', '.join(missing)} missing; `make setup`, or `pulumi install` in the project"
        )
    return Finding("plugins", detail=", ".join((*PROGRAMS, *PLUGINS)))


def _aws(environment: Environment) -> Iterator[Finding]:
    aws = clients(environment.region)
    caller: dict[str, Any] = {}
    who = "these credentials"
    problem = _tried("sts:GetCallerIdentity", who, lambda: caller.update(aws.sts.get_caller_identity()))
    yield Finding(
        "credentials",
        problem,
        detail=f"{caller.get('Arn', '')} in {environment.region}",
    )
    if problem:
        return
    for right, call in _READS:
        problem = _tried(right, f"environment {environment.name}", partial(call, aws, environment))
        yield Finding(f"right {right}", problem)
    yield _tags(environment, aws)


def _tags(environment: Environment, aws: Clients) -> Finding:
    """An abort without journal and Pulumi finds the rule by them."""
    try:
        found = asyncio.run(
            find(aws.elbv2, environment.name, environment.region, environment.colours["stable"])
        )
    except TrafficError as error:
        return Finding(
            "tags", f"{error}; `pulumi up -s {environment.name}` and `-s {environment.traffic_stack}`"
        )
    astray = found.rule_arn != environment.rule_arn or found.groups != environment.groups
    return Finding(
        "tags", "another rule or other target groups have the tags of this environment" if astray else ""
    )


def _tried(action: str, resource: str, work: Callable[[], object]) -> str:
    try:
        work()
    except AWS_ERRORS as error:
        return failure(error, action, resource)
    return ""
