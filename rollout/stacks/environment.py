"""The outputs and resources of an environment's stacks, read once before anything is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pulumi.automation import CommandError, StackNotFoundError

from rollout.control.ports import TrafficRefused
from rollout.journal.card import OTHER, Card
from rollout.plan import WHOLE
from rollout.stacks.engine import Engine, engine_problem
from rollout.stacks.project import EnvironmentProblem
from rollout.stacks.traffic import Scope, find_scope

RULE = "aws:lb/listenerRule:ListenerRule"
SECRETS_BESIDE = ("originSecretNext", "originSecretPrevious", "testSecretPrevious")  # while one is rotated
WEB_ACL = "aws:wafv2/webAcl:WebAcl"
_OTHER_ROLE = {"stable": "candidate", "candidate": "stable"}


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment. Maps are by role, ``stable`` and ``candidate``, unless noted otherwise."""

    name: str
    region: str
    colours: Mapping[str, str]
    versions: Mapping[str, str]
    replicas: Mapping[str, int]
    groups: Mapping[str, str]  # ARNs of the users' target groups
    probe_groups: Mapping[str, str]  # ARNs of those of probes and smoke tests
    group_suffixes: Mapping[str, str]
    load_balancer_suffix: str
    rule_arn: str
    deployed_weight: int
    generation: int
    probe_url: str
    base_url: str  # where users go
    test_secret: str
    secrets: tuple[str, ...]  # never to be written anywhere
    topics: Mapping[str, str]  # tier -> ARN
    notify_urls: Mapping[str, Sequence[str]]  # tier -> Apprise URLs, which are secrets
    web_acl: str
    rate_limit: int  # deployed; requests per minute and client
    rule_scope: Scope
    limits_scope: Scope

    @property
    def traffic_stack(self) -> str:
        return f"{self.name}-traffic"

    @property
    def limits_stack(self) -> str:
        return f"{self.name}-limits"

    def named(self, role: str) -> str:
        """``green 2.0.0``."""
        return f"{self.colours[role]} {self.versions[role]}"

    def exchanged(self) -> Environment:
        """The same environment with stable and candidate exchanged, in every map that goes by role."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, Mapping) and set(value) == set(_OTHER_ROLE):
                values[name] = {role: value[other] for role, other in _OTHER_ROLE.items()}
        return Environment(**values | {"deployed_weight": WHOLE - self.deployed_weight})


async def read_environment(engine: Engine, env: str, colours: Mapping[str, str] | None = None) -> Environment:
    """Reads the stacks. ``colours`` gives the roles of a rollout under way, else the traffic stack does.

    Raises :class:`EnvironmentProblem`.
    """
    names = [env, f"{env}-traffic", f"{env}-limits", f"{env}-blue", f"{env}-green"]
    outputs = dict(zip(names, await _all(*(_outputs(engine, name) for name in names)), strict=True))
    states = await _all(*(_state(engine, f"{env}-{layer}") for layer in ("traffic", "limits")))
    traffic, foundation = outputs[f"{env}-traffic"], outputs[env]
    if "probeTargetGroups" not in foundation:
        raise EnvironmentProblem(
            f"stack {env} has no target groups for probes yet: `pulumi up -s {env}`, then `pulumi up -s {env}-blue` and "
            f"`pulumi up -s {env}-green`, as no probe passes before"
        )
    try:
        stable = (colours or traffic)["stable"]
        roles = {"stable": stable, "candidate": OTHER[stable]}
        sides = {role: outputs[f"{env}-{colour}"] for role, colour in roles.items()}
        groups = foundation["targetGroups"]
        notify_urls = foundation.get("notifyUrls", {})  # a stack of an earlier version has none
        return Environment(
            name=env,
            region=foundation["region"],
            colours=roles,
            versions={role: str(side["version"]) for role, side in sides.items()},
            replicas={role: int(side["replicas"]) for role, side in sides.items()},
            groups={role: groups[colour]["arn"] for role, colour in roles.items()},
            probe_groups={
                role: foundation["probeTargetGroups"][colour]["arn"] for role, colour in roles.items()
            },
            group_suffixes={role: groups[colour]["arnSuffix"] for role, colour in roles.items()},
            load_balancer_suffix=foundation["albArnSuffix"],
            rule_arn=traffic["ruleArn"],
            deployed_weight=int(traffic["candidateWeight"]),
            generation=int(traffic["generation"]),
            probe_url=str(foundation["probeUrl"]).rstrip("/"),
            base_url=str(foundation["baseUrl"]).rstrip("/"),
            test_secret=foundation["testSecret"],
            secrets=(
                *(foundation[key] for key in ("testSecret", "originSecret", "databasePassword")),
                *filter(
                    None, [foundation.get("databaseAppPassword")]
                ),  # not every application has a login of its own
                *(foundation[key] for key in SECRETS_BESIDE if key in foundation),
                *(url for urls in notify_urls.values() for url in urls),
            ),
            topics=foundation["topics"],
            notify_urls=notify_urls,
            web_acl=outputs[f"{env}-limits"]["webAclName"],
            rate_limit=int(outputs[f"{env}-limits"]["rateLimit"]),
            rule_scope=find_scope(states[0], RULE, f"{env}-traffic"),
            limits_scope=find_scope(states[1], WEB_ACL, f"{env}-limits"),
        )
    except KeyError as error:
        raise EnvironmentProblem(
            f"the stacks of {env} lack the output {error}: bring them up to date with `pulumi up -s STACK`"
        ) from None
    except (AttributeError, TypeError, ValueError) as error:
        raise EnvironmentProblem(
            f"the outputs of the stacks of {env} are not what this version of rollout reads ({error})"
        ) from None
    except TrafficRefused as error:
        raise EnvironmentProblem(str(error)) from None


async def read_card(engine: Engine, env: str) -> Card:
    """What an abort needs, of two stacks: when any other output or stack is not as it should be. Raises :class:`EnvironmentProblem`."""
    foundation, traffic = await _all(_outputs(engine, env), _outputs(engine, f"{env}-traffic"))
    try:
        stable, groups = traffic["stable"], foundation["targetGroups"]
        roles = {"stable": stable, "candidate": OTHER[stable]}
        arns = {role: groups[colour]["arn"] for role, colour in roles.items()}
        return Card(env, foundation["region"], traffic["ruleArn"], arns, roles)
    except (KeyError, TypeError) as error:
        raise EnvironmentProblem(f"the outputs of the stacks of {env} lack {error}") from None


async def _all(*work: Awaitable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Awaits all together; raises the first error once every engine has ended."""
    results = []
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


async def _outputs(engine: Engine, stack: str) -> Mapping[str, Any]:
    try:
        outputs = await engine.outputs(stack)
    except StackNotFoundError:
        raise EnvironmentProblem(
            f"there is no stack {stack}: create it with `pulumi stack init {stack}` and `pulumi up -s {stack}`, "
            "or name another environment with --env"
        ) from None
    except CommandError as error:
        raise EnvironmentProblem(
            f"the outputs of stack {stack} cannot be read: {engine_problem(error)}"
        ) from None
    if not outputs:
        raise EnvironmentProblem(f"stack {stack} is not deployed: `pulumi up -s {stack}`")
    return outputs


async def _state(engine: Engine, stack: str) -> Mapping[str, Any]:
    try:
        state: Mapping[str, Any] = await engine.json(stack, "stack", "export")
    except CommandError as error:
        raise EnvironmentProblem(
            f"the state of stack {stack} cannot be read: {engine_problem(error)}"
        ) from None
    return state
