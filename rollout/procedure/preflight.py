"""What must be true before a rollout touches anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from rollout.aws.clients import Clients
from rollout.aws.cloudwatch import APPLICATION, read_alarms
from rollout.aws.elb import target_health
from rollout.aws.failures import AWS_ERRORS, failure
from rollout.aws.notify import unknown_services
from rollout.aws.probes import VERSION_HEADER
from rollout.control.ports import Probes, Round, TrafficError
from rollout.plan import Plan
from rollout.policy.events import FRONT_DOOR
from rollout.procedure import baseline, drift
from rollout.stacks import stackfile
from rollout.stacks.engine import Engine
from rollout.stacks.environment import Environment
from rollout.stacks.traffic import StackTraffic


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``problem`` is '' when it passed and then ``detail`` says what was found; a ``warning`` stops nobody."""

    name: str
    problem: str = ""
    warning: bool = False
    detail: str = ""

    def in_words(self) -> str:
        """One line."""
        mark = "ok" if not self.problem else "warning" if self.warning else "PROBLEM"
        more = self.problem or self.detail
        return f"  {mark:<8}{self.name}" + (f": {more}" if more else "")


async def check(
    environment: Environment, aws: Clients, probes: Probes, traffic: StackTraffic, plan: Plan, *, moving: bool
) -> list[Finding]:
    """All checks, those that depend on nothing at once. ``moving`` is False for a dry run, which may watch anything."""
    credentials = await _credentials(aws)
    if credentials.problem:
        return [credentials]
    checks: list[Awaitable[list[Finding]]] = [
        _both_sides(environment, aws),
        _probe(environment, probes),
        _front_door(environment, probes),
        _metrics(environment, aws, plan),
        _application_metrics(environment, aws, plan),
        _alarms(environment, aws, plan),
        _services(environment),
    ]
    if moving:
        checks += [_weights(environment, traffic, plan), _foundation(environment, traffic.engine)]
    return [credentials, *(finding for findings in await asyncio.gather(*checks) for finding in findings)]


async def _credentials(aws: Clients) -> Finding:
    name = "AWS credentials"
    try:
        await asyncio.to_thread(aws.sts.get_caller_identity)
    except AWS_ERRORS as error:
        return Finding(name, failure(error, "sts:GetCallerIdentity", "these credentials"))
    return Finding(name)


async def _both_sides(environment: Environment, aws: Clients) -> list[Finding]:
    replicas, findings = environment.replicas, []
    problem = ""
    if replicas["candidate"] != replicas["stable"]:
        candidate = f"{environment.name}-{environment.colours['candidate']}"
        problem = (
            f"candidate has {replicas['candidate']} replicas, stable {replicas['stable']}; "
            f"`pulumi config set simple378:replicas {replicas['stable']} -s {candidate}` and `pulumi up -s {candidate}`"
        )
    findings.append(Finding("replicas", problem))
    for role in environment.colours:
        findings.append(await _targets("targets", role, environment.groups[role], environment, aws))
        findings.append(
            await _targets("probes' targets", role, environment.probe_groups[role], environment, aws)
        )
    same = environment.versions["candidate"] == environment.versions["stable"]
    problem = f"candidate and stable are both version {environment.versions['stable']}" if same else ""
    return [*findings, Finding("version", problem, warning=True)]


async def _targets(what: str, role: str, group: str, environment: Environment, aws: Clients) -> Finding:
    """Every target of a group is healthy, and there is one for each replica."""
    colour, replicas = environment.colours[role], environment.replicas[role]
    try:
        health = await target_health(aws.elbv2, group)
        problem = health.problem
        if not problem and health.healthy < replicas:
            problem = f"{health.healthy} of {replicas} targets are registered"
    except TrafficError as error:
        problem = str(error)
    if problem:
        problem += f"; look at the pods of namespace simple378-{colour} and `pulumi up -s {environment.name}-{colour}`"
    return Finding(f"{what} of {role} ({colour})", problem)


async def _probe(environment: Environment, probes: Probes) -> list[Finding]:
    findings = []
    for role, found in zip(
        environment.colours,
        await asyncio.gather(*(probes.round(role) for role in environment.colours)),
        strict=True,
    ):
        problem = ""
        if found.failed:
            problem = (
                f"{', '.join(found.failed)} failed at {environment.probe_url} through the test route; "
                "is this machine's address in simple378:probeCidrs, and is the colour up?"
            )
        findings.append(Finding(f"probes of {role}", problem))
        if not problem:
            findings.append(_identity(environment, role, found))
    return findings


def _identity(environment: Environment, role: str, found: Round) -> Finding:
    """What answers is what was deployed. An application that does not say what it is stops nobody."""
    name, deployed = f"version of {role}", environment.versions[role]
    if not found.versions:
        return Finding(
            name,
            f"it does not say its version: one that is deployed during the rollout would go unnoticed; send "
            f"{VERSION_HEADER} (docs/application-contract.md)",
            warning=True,
        )
    others = [version for version in found.versions if version.partition("@")[0] != deployed]
    problem = ""
    if others:
        stack = f"{environment.name}-{environment.colours[role]}"
        problem = f"{', '.join(others)} answers, {stack} deployed {deployed}: `pulumi up -s {stack}`, and wait for its pods"
    return Finding(name, problem, detail=", ".join(found.versions))


async def _front_door(environment: Environment, probes: Probes) -> list[Finding]:
    if FRONT_DOOR not in probes.roles:
        return []
    found, problem = await probes.round(FRONT_DOOR), ""
    if found.failed:
        problem = (
            f"{found.why or ', '.join(found.failed)} at {environment.base_url}, where users go; `/health` comes through the "
            f"CDN and the traffic rule (`pulumi up --refresh -s {environment.traffic_stack}`), `/` is index.html in the bucket "
            f"of `pulumi stack output bucketName -s {environment.name}`"
        )
    return [Finding("front door", problem, detail=environment.base_url)]


async def _metrics(environment: Environment, aws: Clients, plan: Plan) -> list[Finding]:
    name = "metrics of stable"
    try:
        found = await baseline.requests_per_minute(aws.cloudwatch, environment, plan)
    except AWS_ERRORS as error:
        return [Finding(name, failure(error, "cloudwatch:GetMetricData", "requests to stable"))]
    problem = (
        "" if found else "no requests in the last 15 periods: without traffic every stage is inconclusive"
    )
    return [Finding(name, problem, warning=True, detail=f"{baseline.median(found):,} requests a minute")]


async def _application_metrics(environment: Environment, aws: Clients, plan: Plan) -> list[Finding]:
    """What only the application can say and every stage waits for, of the colour that has published it all along."""
    colour = environment.colours["stable"]
    name = f"application metrics of stable ({colour})"
    try:
        missing = ", ".join(await baseline.unpublished(aws.cloudwatch, colour, plan))
    except AWS_ERRORS as error:
        return [Finding(name, failure(error, "cloudwatch:GetMetricData", f"namespace {APPLICATION}"))]
    problem = ""
    if missing:
        problem = (
            f"no {missing} in the last {baseline.PERIODS} periods (namespace {APPLICATION}, dimension Colour={colour}): without it "
            "no stage passes. The application publishes it each period, also 0 (docs/application-contract.md); its pods need "
            f"credentials for that (simple378:clusterName, `pulumi up -s {environment.name}`, then `pulumi up -s "
            f"{environment.name}-{colour}`). Pods that have just started need a period"
        )
    return [Finding(name, problem)]


async def _alarms(environment: Environment, aws: Clients, plan: Plan) -> list[Finding]:
    """The environment's alarms can be read, and those that the plan names are there."""
    name, prefix = "alarms", f"simple378-{environment.name}-"
    try:
        states = await asyncio.to_thread(read_alarms, aws.cloudwatch, prefix, plan.alarms)
    except AWS_ERRORS as error:
        return [Finding(name, failure(error, "cloudwatch:DescribeAlarms", f"alarms {prefix}*"))]
    missing = [alarm for alarm in plan.alarms if alarm not in {alarm["AlarmName"] for alarm in states}]
    problem = ""
    if missing:
        problem = (
            f"the plan names {', '.join(missing)}, and there is no such alarm in {environment.region}; correct the plan's "
            f"`alarms`, or deploy it (`pulumi up -s {environment.name}`)"
        )
    standing = [alarm["AlarmName"] for alarm in states if alarm["StateValue"] == "ALARM"]
    return [
        Finding(name, problem),
        Finding("alarms are quiet", f"in ALARM: {', '.join(standing)}" if standing else "", warning=True),
    ]


async def _services(environment: Environment) -> list[Finding]:
    """People can be told by the services that the stack names. Nothing is sent."""
    if not any(environment.notify_urls.values()):
        return []
    problems = await asyncio.to_thread(unknown_services, environment.notify_urls)
    return [Finding("notification services", "; ".join(problems))]


async def _foundation(environment: Environment, engine: Engine) -> list[Finding]:
    """Listener, target groups, security groups: changed by hand, they would be changed again by whoever deploys next."""
    return [Finding("foundation", await drift.problem(engine, environment.name))]


async def _weights(environment: Environment, traffic: StackTraffic, plan: Plan) -> list[Finding]:
    """Declared, deployed and real weights agree at 0 %, and the first step would touch the rule alone."""
    stack = environment.traffic_stack
    path = stackfile.stack_file(traffic.engine.project_dir, stack)
    findings = []
    try:
        declared = stackfile.read_config(path)
        wanted = {
            "stable": environment.colours["stable"],
            "candidateWeight": environment.deployed_weight,
            "generation": environment.generation,
        }
        astray = [key for key, value in wanted.items() if declared.get(key) != value]
        problem = ""
        if astray:
            stale = ", ".join(f"{key} {declared.get(key)}, deployed {wanted[key]}" for key in astray)
            problem = f"{path.name} says {stale}; get the current file, or `pulumi up -s {stack}` if the file is right"
        findings.append(Finding("declared weights", problem))
        seen = await traffic.read_weight()
        problem = ""
        if seen != environment.deployed_weight:
            problem = f"the load balancer has {seen:g} %, the stack {environment.deployed_weight} %; "
            problem += f"`pulumi up --refresh -s {stack}`"
        elif seen:
            problem = (
                f"the candidate already has {seen:g} % of the traffic: another rollout runs or was left; "
            )
            problem += "`rollout status`, then `rollout resume` or `rollout abort`"
        findings.append(Finding("weights read back", problem))
        if not any(finding.problem for finding in findings):
            await traffic.foresee(plan.stages[0].weight)
            findings.append(Finding("preview of the first step"))
    except (TrafficError, stackfile.StackFileError) as error:
        findings.append(Finding("traffic", str(error)))
    return findings
