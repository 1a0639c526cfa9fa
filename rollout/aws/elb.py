"""The load balancer's own API: the weights in force, break-glass, target health."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from rollout.aws.failures import AWS_ERRORS, failure
from rollout.aws.forward import forward_actions
from rollout.control.ports import TrafficError
from rollout.journal.card import Card

T = TypeVar("T")
# As infra/edge/rules.py declares them.
ORIGIN_HEADER = "X-Origin-Verify"
PRIORITY = 100
WHOLE_LIMIT = 5.0  # seconds, for what a decrease is not to wait for


class RuleMissing(TrafficError):
    """The load balancer has no such rule (any more)."""


async def call(action: str, resource: str, work: Callable[[], T], service: str = "elasticloadbalancing") -> T:
    """Calls AWS in a thread; ``action`` and ``resource`` are for the message of a :class:`TrafficError`."""
    try:
        return await asyncio.to_thread(work)
    except AWS_ERRORS as error:
        raise TrafficError(failure(error, f"{service}:{action}", resource)) from error


@dataclass(frozen=True, slots=True)
class OriginSecret:
    """What CloudFront sends with every request; read when it is needed, and never kept."""

    secretsmanager: Any
    env: str

    @property
    def _name(self) -> str:
        return f"simple378/{self.env}/origin"

    def fetch(self) -> str:
        """Blocking; raises botocore's errors."""
        return str(self.secretsmanager.get_secret_value(SecretId=self._name)["SecretString"])

    async def read(self) -> str:
        """Raises :class:`TrafficError`."""
        return await call("GetSecretValue", self._name, self.fetch, "secretsmanager")


@dataclass(frozen=True, slots=True)
class WeightedRule:
    """The listener rule with the weights. ``groups`` are target group ARNs by role (stable, candidate).

    ``origin``: what its condition asks for; without it only the weights are known.
    """

    elbv2: Any
    arn: str
    groups: Mapping[str, str]
    origin: OriginSecret | None = None

    @property
    def _id(self) -> str:
        """The last part of the ARN, which is enough for a message."""
        return self.arn.rpartition("/")[2]

    async def read_weight(self) -> float:
        """The candidate's share in percent. Raises :class:`TrafficError`."""
        weights = _weights((await self._rule())["Actions"])
        total = sum(weights.values())
        unknown = set(weights) - set(self.groups.values())
        if unknown or not total:
            shown = ", ".join(f"{group} with weight {weight}" for group, weight in weights.items())
            raise TrafficError(
                f"rule {self._id} forwards to {shown}, and not to the target groups of stable and candidate alone; "
                "bring the traffic stack in line with `pulumi up --refresh`"
            )
        return 100 * weights.get(self.groups["candidate"], 0) / total

    async def write_weight(self, weight: int) -> None:
        """Sets the candidate's weight (percent), ends stickiness and whatever else the rule did. Raises :class:`TrafficError`."""
        await self._modify(Actions=forward_actions(self.groups, weight))

    async def make_whole(self) -> Mapping[str, str]:
        """Writes back conditions and priority where they are not what the program declares.

        Never raises, and takes a few seconds at most: it comes after the weights. Returns ``written_back`` with what was, or
        ``not_written_back`` with why not; nothing when there was nothing to do.
        """
        if self.origin is None:
            return {}
        written: list[str] = []
        problem = ""
        try:
            async with asyncio.timeout(WHOLE_LIMIT):
                await self._write_back(self.origin, written)
        except TrafficError as error:
            problem = str(error)
        except TimeoutError:
            problem = f"no answer within {WHOLE_LIMIT:g} s"
        told = {"written_back": ", ".join(written), "not_written_back": problem}
        return {key: text for key, text in told.items() if text}

    async def _write_back(self, origin: OriginSecret, written: list[str]) -> None:
        secret, rule = await asyncio.gather(origin.read(), self._rule())
        wanted = {"HttpHeaderName": ORIGIN_HEADER, "Values": [secret]}
        held = [condition.get("HttpHeaderConfig") or {} for condition in rule["Conditions"]]
        # While the secret is rotated the rule lets in more than one value.
        beside = [value for of in held for value in of.get("Values", ()) if secret in of["Values"]]
        if held != [wanted | {"Values": beside}]:
            await self._modify(Conditions=[{"Field": "http-header", "HttpHeaderConfig": wanted}])
            written.append("conditions")
        if rule["Priority"] != str(PRIORITY):

            def put() -> None:
                self.elbv2.set_rule_priorities(RulePriorities=[{"RuleArn": self.arn, "Priority": PRIORITY}])

            await call("SetRulePriorities", f"rule {self._id}", put)
            written.append("priority")

    async def _modify(self, **changes: Any) -> None:
        def modify() -> None:
            self.elbv2.modify_rule(RuleArn=self.arn, **changes)

        await call("ModifyRule", f"rule {self._id}", modify)

    async def _rule(self) -> Mapping[str, Any]:
        def describe() -> list[dict[str, Any]]:
            rules: list[dict[str, Any]] = self.elbv2.describe_rules(RuleArns=[self.arn])["Rules"]
            return rules

        try:
            rules = await call("DescribeRules", f"rule {self._id}", describe)
        except TrafficError as error:
            answer = getattr(error.__cause__, "response", {})
            if answer.get("Error", {}).get("Code") != "RuleNotFound":
                raise
            rules = []
        if not rules:
            raise RuleMissing(
                f"the load balancer has no rule {self._id}; bring the traffic stack in line with `pulumi up --refresh`"
            )
        return rules[0]


def modify_rule_line(card: Card, weight: int = 0) -> str:
    """The command line that does what :meth:`WeightedRule.write_weight` does, for whoever has to do it by hand."""
    actions = json.dumps(forward_actions(card.groups, weight))
    place = ["--region", card.region, "--rule-arn", card.rule_arn]
    return shlex.join(["aws", "elbv2", "modify-rule", *place, "--actions", actions])


def _forward(actions: list[dict[str, Any]]) -> Mapping[str, Any]:
    for action in actions:
        if action["Type"] == "forward":
            return action
    kinds = ", ".join(action["Type"] for action in actions)
    raise TrafficError(f"the rule with the weights does not forward requests: its actions are {kinds}")


def _weights(actions: list[dict[str, Any]]) -> dict[str, int]:
    forward = _forward(actions)
    if "ForwardConfig" not in forward:
        return {forward["TargetGroupArn"]: 1}
    return {
        group["TargetGroupArn"]: group.get("Weight", 1) for group in forward["ForwardConfig"]["TargetGroups"]
    }


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """Registered targets of a target group."""

    healthy: int
    others: Mapping[str, str]  # address -> state and reason

    @property
    def problem(self) -> str:
        """'' when every registered target is healthy and there is one."""
        if self.others:
            return "; ".join(f"{address} is {state}" for address, state in sorted(self.others.items()))
        return "" if self.healthy else "no target is registered"

    @property
    def serving(self) -> bool:
        """Whether users can be served: one that is still being registered beside healthy ones keeps nobody from it."""
        return self.healthy > 0 and all(state.startswith("initial") for state in self.others.values())


async def target_health(elbv2: Any, group: str) -> TargetHealth:
    """The health of every registered target but those that drain already. Raises :class:`TrafficError`."""

    def describe() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = elbv2.describe_target_health(TargetGroupArn=group)[
            "TargetHealthDescriptions"
        ]
        return found

    others, healthy = {}, 0
    for target in await call("DescribeTargetHealth", f"target group {group}", describe):
        state = target["TargetHealth"]["State"]
        if state == "healthy":
            healthy += 1
        elif state != "draining":
            address = f"{target['Target']['Id']}:{target['Target'].get('Port', '')}"
            reason = target["TargetHealth"].get("Reason")
            others[address] = f"{state} ({reason})" if reason else state
    return TargetHealth(healthy, others)
