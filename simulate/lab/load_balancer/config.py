"""A load balancer as HAProxy's configuration, in two parts.

``structure`` is the text of the configuration file: it changes when listeners, rules, conditions or target groups do,
and a change of it needs a reload. What moves during a release is outside of it, in ``Dynamic``: the weights and the
fault map (map files, changed by ``set map``) and the servers (changed by ``set server``), so that it takes effect at
once, for the next request of every connection, and drops none.

Weights: for each request one number is drawn (``rand``) and compared with the rule's cumulative bounds, read from
a map. So each request is an independent draw, as at an ALB, whatever the connection.

Variables record how an answer got its status: ``txn.rule`` and ``txn.tg`` are what was chosen; ``txn.answered`` is
set only by a response of a target. HAProxy answers a failed connection 503; an ALB 502, or 504 when it timed out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulate.lab.load_balancer.model import (
    Condition,
    FixedResponse,
    Forward,
    LoadBalancer,
    Rule,
    TargetGroup,
)
from simulate.lab.load_balancer.text import anonymous, quoted

#: The draw is a whole number below this, so that bounds of weights up to 999 are exact to one in a million.
DRAW = 1_000_000
CONNECT_TIMEOUT_S = 10

#: Stands in the structure where a backend's servers come.
_SERVERS = "  # servers of "
LOG_FORMAT = "alb|%[date(0,ms)]|%[var(txn.rule)]|%[var(txn.tg)]|%s|%ST|%ts|%Tr"

_SAMPLES = {
    "path-pattern": ("path", False),
    "host-header": ("req.hdr(host),host_only", True),
    "http-request-method": ("method", False),
}


@dataclass(frozen=True, slots=True)
class Server:
    """One server slot. ``state`` is HAProxy's: ready, drain (no new requests) or maint (nothing at all)."""

    ip: str = "127.0.0.1"
    port: int = 1
    state: str = "maint"


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What changes without a reload: maps by name, and servers by (backend, slot)."""

    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    servers: Mapping[tuple[str, str], Server] = field(default_factory=dict)


def backend_name(group: TargetGroup) -> str:
    return f"tg-{group.name}"


def slot(number: int) -> str:
    return f"t{number}"


def bounds(weights: Sequence[tuple[str, int]]) -> list[int]:
    """The cumulative bounds below which a draw chooses each target group; all 0 where every weight is 0."""
    total = sum(weight for _, weight in weights)
    seen, result = 0, []
    for _, weight in weights:
        seen += weight
        result.append(seen * DRAW // total if total else 0)
    return result


def weight_map(load_balancer: LoadBalancer) -> dict[str, str]:
    """The map of the bounds: ``<rule>/<index of the target group>`` -> bound."""
    return {
        f"{rule.key}/{index}": str(bound)
        for listener in load_balancer.listeners
        for rule in listener.rules
        if isinstance(rule.action, Forward)
        for index, bound in enumerate(bounds(rule.action.weights))
    }


def unreachable_map(load_balancer: LoadBalancer, settings: Mapping[str, str] | None) -> dict[str, str]:
    """The map of the lab's ``targets-unreachable`` switch: ``<rule>/<target group>`` of what must not get through.

    It cuts the target group off for one rule (``rule``), or for all that share their traffic between several target
    groups; a route to a single one, as the test routes are, stays whole.
    """
    if settings is None:
        return {}
    groups = {group.arn: group for group in load_balancer.target_groups}
    group = groups.get(settings.get("target_group", ""))
    if group is None:
        return {}
    return {
        f"{rule.key}/{backend_name(group)}": "cut"
        for listener in load_balancer.listeners
        for rule in listener.rules
        if isinstance(rule.action, Forward)
        and group.arn in dict(rule.action.weights)
        and (rule.arn == settings["rule"] if "rule" in settings else len(rule.action.weights) > 1)
    }


def listeners(load_balancer: LoadBalancer, address: str, maps: Path) -> list[str]:
    """The frontends."""
    groups = {group.arn: group for group in load_balancer.target_groups}
    lines: list[str] = []
    for listener in load_balancer.listeners:
        lines += [
            f"frontend alb-{listener.port}",
            f"  bind {address}:{listener.port}",
            f"  log-format {quoted(LOG_FORMAT)}",
            "  option forwardfor",
            "  http-request set-var(txn.began) date(0,ms)",
            f"  http-request set-header X-Forwarded-Port {listener.port}",
            "  http-request set-header X-Forwarded-Proto http",
            f"  http-request set-var(txn.draw) rand({DRAW})",
        ]
        for rule in listener.rules:
            chosen = [
                *(_condition(condition) for condition in rule.conditions),
                "!{ var(txn.rule) -m found }",
            ]
            lines.append(f"  http-request set-var(txn.rule) str({rule.key}) if {' '.join(chosen)}")
        for rule in listener.rules:
            lines += _actions(rule, groups, maps)
        lines += [
            "  http-request set-var(txn.route) var(txn.rule),concat(/,txn.tg)",
            f"  http-request set-var(txn.cut) var(txn.route),map_str({maps / 'unreachable.map'})",
            # All weights 0: no target group can be chosen.
            "  http-request return status 503 unless { var(txn.tg) -m found }",
            "  http-response set-var(txn.answered) bool(true)",
            "  http-after-response set-var(txn.took) date(0,ms),sub(txn.began)",
            f"  http-after-response set-status 504 if {_CONNECTION_FAILED} {_TIMED_OUT}",
            f"  http-after-response set-status 502 if {_CONNECTION_FAILED}",
            "  use_backend unreachable if { var(txn.cut) -m found }",
            "  use_backend %[var(txn.tg)]",
        ]
    return lines


_TIMED_OUT = f"{{ var(txn.took) -m int ge {CONNECT_TIMEOUT_S * 1000} }}"
_CONNECTION_FAILED = "{ status 503 } { srv_name -m found } !{ var(txn.answered) -m bool }"


def backends(load_balancer: LoadBalancer) -> list[str]:
    """The target groups, without their servers."""
    timeout = round(load_balancer.idle_timeout_s)
    lines: list[str] = []
    for group in load_balancer.target_groups:
        name = backend_name(group)
        lines += [
            f"backend {name}",
            f"  balance {'leastconn' if group.algorithm == 'least_outstanding_requests' else 'roundrobin'}",
            f"  timeout server {timeout}s",
            f"  timeout tunnel {timeout}s",
            f"{_SERVERS}{name}",
        ]
    # A closed port, which refuses connections: for the lab's targets-unreachable switch.
    return [*lines, "backend unreachable", "  server closed 127.0.0.1:1"]


def with_servers(structure: str, servers: Mapping[tuple[str, str], Server]) -> str:
    """The structure with the servers as they are now, so that a new worker serves from its first moment."""
    lines: list[str] = []
    for line in structure.splitlines():
        if not line.startswith(_SERVERS):
            lines.append(line)
            continue
        name = line.removeprefix(_SERVERS)
        lines += [
            f"  server {slot} {server.ip}:{server.port}{'' if server.state == 'ready' else ' disabled'}"
            for (backend, slot), server in servers.items()
            if backend == name
        ]
    return "\n".join(lines) + "\n"


def _condition(condition: Condition) -> str:
    if condition.kind == "http-header":
        return anonymous(f"req.fhdr({condition.header})", condition.values, ignore_case=True)
    if condition.kind == "source-ip":
        return f"{{ src {' '.join(condition.values)} }}"
    if condition.kind in _SAMPLES:
        sample, ignore_case = _SAMPLES[condition.kind]
        return anonymous(sample, condition.values, ignore_case=ignore_case)
    # Nothing else is emulated, and a condition that is not understood must not match.
    return "FALSE"


def _actions(rule: Rule, groups: Mapping[str, TargetGroup], maps: Path) -> list[str]:
    chosen = f"{{ var(txn.rule) -m str {rule.key} }}"
    match rule.action:
        case FixedResponse(status, content_type, body):
            answer = f"content-type {quoted(content_type)} string {quoted(body)}" if body else ""
            return [f"  http-request return status {status} {answer} if {chosen}"]
        case Forward(weights):
            lines = []
            for index, (arn, _) in enumerate(weights):
                bound = f"str({rule.key}/{index}),map_str_int({maps / 'weights.map'},0)"
                below = "{ var(txn.draw),sub(txn.bound) -m int lt 0 } !{ var(txn.tg) -m found }"
                lines += [
                    f"  http-request set-var(txn.bound) {bound} if {chosen}",
                    f"  http-request set-var(txn.tg) str({backend_name(groups[arn])}) if {chosen} {below}",
                ]
            return lines
        case None:
            body = quoted("this action is not emulated in the lab")
            return [f"  http-request return status 501 content-type text/plain string {body} if {chosen}"]
