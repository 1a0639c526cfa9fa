"""From what an ALB publishes to requests and errors of one colour.

An Application Load Balancer counts requests and answers per target group, but its own 502, 503 and 504 only per load
balancer. What of them belongs to a colour is inferred:

- unanswered = RequestCount - sum of HTTPCode_Target_2XX..5XX
- errors = HTTPCode_Target_5XX + min(ELB_502 + ELB_504, unanswered) + ELB_503 if the colour has no usable target
- requests = RequestCount + that ELB_503

A colour has a usable target when HealthyHostCount stayed at 1 or more; it is not published without registered
targets. 429 is a 4XX and never an error. An answer count that is missing is 0 (they exist only when nonzero),
RequestCount is never filled in.

Probes go to target groups of their own, so no count of a colour's target group holds one. The load balancer's own errors
are shared by all target groups: those that a probe met are taken out again, whosever probe it was. A request of ours that
goes the users' way is in every count of the colour that answered, and is taken out of them; when it was counted in the
period next to the one it is put in here, one remains at either end, and so few requests count as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Counts:
    """What was published of one colour in one period; ``None`` is no datapoint. ``elb_*`` are the load balancer's."""

    request_count: float | None = None
    target_2xx: float | None = None
    target_3xx: float | None = None
    target_4xx: float | None = None
    target_5xx: float | None = None
    p95: float | None = None
    healthy_hosts: float | None = None
    db_connection_errors: float | None = None
    elb_502: float | None = None
    elb_503: float | None = None
    elb_504: float | None = None


_BY_TARGET = ("target_2xx", "target_3xx", "target_4xx", "target_5xx")
#: Published per load balancer only.
SHARED = ("elb_502", "elb_503", "elb_504")
_LEFT_AT_THE_ENDS = 2


def counted_in(status: int, *, by_target: bool, as_user: bool) -> tuple[str, ...]:
    """The fields of :class:`Counts` in which an answer to a request of ours is counted among the users'.

    ``as_user``: the request went the users' way and not to a target group for probes.
    """
    name = f"target_{status // 100}xx" if by_target else f"elb_{status}"
    if name not in (*_BY_TARGET, *SHARED):
        return ()
    if not as_user:
        return (name,) if name in SHARED else ()
    # A 503 is an answer for which no target could be chosen.
    return (name,) if name == "elb_503" else ("request_count", name)


def without_ours(counts: Counts, ours: Mapping[str, int]) -> Counts:
    """What the users' requests were. ``ours``: field of :class:`Counts` -> our own requests in it, in this period."""
    published = {name: value for name in ours if (value := getattr(counts, name)) is not None}
    left = replace(counts, **{name: max(value - ours[name], 0) for name, value in published.items()})
    if "request_count" in published and (left.request_count or 0) <= _LEFT_AT_THE_ENDS:
        return replace(left, request_count=0.0, p95=None, **dict.fromkeys(_BY_TARGET, None))
    return left


@dataclass(frozen=True, slots=True)
class Attribution:
    """Requests and errors of one colour in one period, and how the errors came about."""

    requests: int
    errors: int
    target_5xx: int
    gateway: int  # of the load balancer's 502 and 504
    unavailable: int  # of the load balancer's 503
    unanswered: int


def attribute(counts: Counts) -> Attribution:
    """Attributes the errors of a period. Its RequestCount may be missing only when everything was a 503."""

    def filled(value: float | None) -> int:
        return round(value or 0)

    routed = filled(counts.request_count)
    failed = filled(counts.target_5xx)
    answered = failed + sum(filled(n) for n in (counts.target_2xx, counts.target_3xx, counts.target_4xx))
    unanswered = max(routed - answered, 0)  # below 0 when an answer falls into the period after its request
    gateway = min(filled(counts.elb_502) + filled(counts.elb_504), unanswered)
    usable = counts.healthy_hosts is not None and counts.healthy_hosts >= 1
    unavailable = 0 if usable else filled(counts.elb_503)
    return Attribution(
        # A target's answer counted in the next period can leave more errors than requests in this one.
        requests=max(routed, failed + gateway) + unavailable,
        errors=failed + gateway + unavailable,
        target_5xx=failed,
        gateway=gateway,
        unavailable=unavailable,
        unanswered=unanswered,
    )


def accounted_for(counts: Counts) -> bool:
    """Whether a period is published in full: latency is there, and every request has an answer or an error of the load balancer.

    Websockets never have one (101 is not counted), nor has a period whose counts are still arriving.
    """
    found = attribute(counts)
    return counts.request_count is not None and counts.p95 is not None and found.unanswered <= found.gateway
