"""An application load balancer as it was declared, read through the ELBv2 API into plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule: any of the values must match. ``*`` and ``?`` are wildcards.

    ``kind`` is ``http-header`` (of ``header``), ``path-pattern``, ``host-header``, ``http-request-method`` or
    ``source-ip``.
    """

    kind: str
    values: tuple[str, ...]
    header: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Weights by target group ARN, in the order they were declared."""

    weights: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class FixedResponse:
    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Rule:
    """``action`` is ``None`` where the lab does not emulate what was declared."""

    arn: str
    conditions: tuple[Condition, ...]
    action: Forward | FixedResponse | None

    @property
    def key(self) -> str:
        """The rule's short name in HAProxy's configuration and log."""
        return self.arn.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Listener:
    """``rules`` in the order they are tried; the last one is the default and has no conditions."""

    arn: str
    port: int
    protocol: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Seconds as declared; the lab's time scale is applied where they are used."""

    path: str
    port: int | None
    interval_s: float
    timeout_s: float
    healthy_threshold: int
    unhealthy_threshold: int
    matcher: str


@dataclass(frozen=True, slots=True)
class Target:
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class TargetGroup:
    arn: str
    name: str
    check: HealthCheck
    deregistration_delay_s: float
    algorithm: str
    targets: tuple[Target, ...]

    @property
    def suffix(self) -> str:
        """The TargetGroup dimension of its metrics."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    arn: str
    dns_name: str
    idle_timeout_s: float
    listeners: tuple[Listener, ...]
    target_groups: tuple[TargetGroup, ...]

    @property
    def suffix(self) -> str:
        """The LoadBalancer dimension of its metrics."""
        return self.arn.partition("loadbalancer/")[2]

    def used_target_groups(self) -> frozenset[str]:
        """ARNs of the target groups that some rule forwards to, whatever the weight."""
        return frozenset(
            arn
            for listener in self.listeners
            for rule in listener.rules
            if isinstance(rule.action, Forward)
            for arn, _ in rule.action.weights
        )


class Reader:
    """Reads the load balancer through an ELBv2 client of boto3. Blocking; botocore's errors pass through."""

    def __init__(self, elbv2: Any) -> None:
        self.elbv2 = elbv2

    def dns_names(self) -> list[str]:
        return [lb["DNSName"] for lb in self._load_balancers()]

    def load_balancer(self) -> LoadBalancer | None:
        """The newest application load balancer that listens: the lab has one address for it.

        Target groups are read even while nothing forwards to them, so that their targets can be reported unused.
        """
        groups = tuple(self._target_group(g) for g in self._all("describe_target_groups", "TargetGroups"))
        for lb in sorted(self._load_balancers(), key=lambda lb: str(lb["CreatedTime"]), reverse=True):
            arn = lb["LoadBalancerArn"]
            listeners = self._all("describe_listeners", "Listeners", LoadBalancerArn=arn)
            if listeners:
                attributes = _attributes(self.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn))
                return LoadBalancer(
                    arn=arn,
                    dns_name=lb["DNSName"],
                    idle_timeout_s=float(attributes.get("idle_timeout.timeout_seconds", 60)),
                    listeners=tuple(self._listener(listener) for listener in listeners),
                    target_groups=groups,
                )
        return None

    def _load_balancers(self) -> list[dict[str, Any]]:
        found = self._all("describe_load_balancers", "LoadBalancers")
        return [lb for lb in found if lb["Type"] == "application"]

    def _all(self, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
        return [
            item for page in self.elbv2.get_paginator(operation).paginate(**arguments) for item in page[key]
        ]

    def _listener(self, listener: Mapping[str, Any]) -> Listener:
        rules = self._all("describe_rules", "Rules", ListenerArn=listener["ListenerArn"])
        rules.sort(key=lambda r: float("inf") if r["Priority"] == "default" else int(r["Priority"]))
        return Listener(
            arn=listener["ListenerArn"],
            port=int(listener["Port"]),
            protocol=listener["Protocol"],
            rules=tuple(
                Rule(rule["RuleArn"], _conditions(rule["Conditions"]), _action(rule["Actions"]))
                for rule in rules
            ),
        )

    def _target_group(self, group: Mapping[str, Any]) -> TargetGroup:
        arn = group["TargetGroupArn"]
        attributes = _attributes(self.elbv2.describe_target_group_attributes(TargetGroupArn=arn))
        health = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        port = group["HealthCheckPort"]
        return TargetGroup(
            arn=arn,
            name=group["TargetGroupName"],
            check=HealthCheck(
                path=group.get("HealthCheckPath") or "/",
                port=None if port == "traffic-port" else int(port),
                interval_s=float(group["HealthCheckIntervalSeconds"]),
                timeout_s=float(group["HealthCheckTimeoutSeconds"]),
                healthy_threshold=int(group["HealthyThresholdCount"]),
                unhealthy_threshold=int(group["UnhealthyThresholdCount"]),
                matcher=group.get("Matcher", {}).get("HttpCode", "200"),
            ),
            deregistration_delay_s=float(attributes.get("deregistration_delay.timeout_seconds", 300)),
            algorithm=attributes.get("load_balancing.algorithm.type", "round_robin"),
            targets=tuple(
                Target(t["Target"]["Id"], int(t["Target"]["Port"]))
                for t in health
                if t["TargetHealth"]["State"] != "draining"
            ),
        )


def _attributes(answer: Mapping[str, Any]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in answer["Attributes"]}


def _conditions(declared: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    conditions = []
    for condition in declared:
        kind = condition["Field"]
        config: Mapping[str, Any] = next((v for key, v in condition.items() if key.endswith("Config")), {})
        values = tuple(config.get("Values") or condition.get("Values") or ())
        conditions.append(Condition(kind, values, config.get("HttpHeaderName", "")))
    return tuple(conditions)


def _action(actions: Iterable[Mapping[str, Any]]) -> Forward | FixedResponse | None:
    last = max(actions, key=lambda action: int(action.get("Order") or 0))
    match last["Type"]:
        case "forward":
            groups = last.get("ForwardConfig", {}).get("TargetGroups") or [
                {"TargetGroupArn": last["TargetGroupArn"], "Weight": 1}
            ]
            # A target group without a weight counts 1, as in AWS; a weight of 0 is a weight.
            weights = (
                (g["TargetGroupArn"], int(w if (w := g.get("Weight")) is not None else 1)) for g in groups
            )
            return Forward(tuple(weights))
        case "fixed-response":
            config = last["FixedResponseConfig"]
            return FixedResponse(
                int(config["StatusCode"]),
                config.get("ContentType") or "text/plain",
                config.get("MessageBody") or "",
            )
    return None


def code_matches(matcher: str, status: int) -> bool:
    """Whether a status is one of a target group's success codes, e.g. ``200``, ``200,204`` or ``200-299``."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
