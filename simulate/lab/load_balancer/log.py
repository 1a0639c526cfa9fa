"""HAProxy's log lines as typed records. The formats are in ``config`` and ``edge_config``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """Who made the status of an answer."""

    TARGET = "target"
    LOAD_BALANCER = "load balancer"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class AlbRequest:
    """One request at the load balancer.

    ``at`` is in seconds of the epoch, when the answer's headers were there; ``group`` is empty where no target group
    was chosen, and ``target`` is false where no target of it could be. ``response_s`` is from sending the request
    to the target until its headers came, ``None`` if they never did.
    """

    at: float
    rule: str
    group: str
    target: bool
    status: int
    origin: Origin
    response_s: float | None
    connection_failed: bool


@dataclass(frozen=True, slots=True)
class EdgeRequest:
    """One request at the edge. ``rule`` is the metric name of the WAF rule that blocked it, ``ALLOW``, or empty
    without a WebACL."""

    at: float
    rule: str
    status: int


def parse(line: str) -> AlbRequest | EdgeRequest | None:
    """One line of the log; ``None`` for HAProxy's own messages."""
    match line.split("|"):
        case ["alb", at, rule, group, server, status, termination, response_ms]:
            return _alb(int(at) / 1000, rule, group, server, int(status), termination, int(response_ms))
        case ["edge", at, rule, status]:
            return EdgeRequest(int(at) / 1000, "" if rule == "-" else rule, int(status))
    return None


def _alb(
    at: float, rule: str, group: str, server: str, status: int, termination: str, response_ms: int
) -> AlbRequest:
    answered = response_ms >= 0
    # The first character is who ended it: C the client, S the server, s a timeout at the server's side; the second
    # in which phase: C while connecting.
    if answered:
        origin = Origin.TARGET
    elif termination[:1] in "Cc" and status not in (502, 503, 504):
        origin = Origin.CLIENT
    else:
        origin = Origin.LOAD_BALANCER
    return AlbRequest(
        at=at,
        rule="" if rule == "-" else rule,
        group="" if group == "-" else group,
        target=server not in ("<NOSRV>", "-"),
        status=status,
        origin=origin,
        response_s=response_ms / 1000 if answered else None,
        connection_failed=termination[:2] in ("SC", "sC") and server != "<NOSRV>",
    )
