"""The alarms of one colour: the criteria of the guide's Strategy 2 and the immediate alerts of its Strategy 5."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.operations.alarms import Alarm, Metric
from infra.operations.topics import Tier
from infra.stacks import METRIC_NAMESPACE, Colour

# The guide's limits; a breach is a value above them. Three of them have a warning at a lower value.
ERROR_RATE_PERCENT = 1.0
ERROR_RATE_WARNING_PERCENT = 0.5
LATENCY_P95_SECONDS = 2.0
LATENCY_P95_WARNING_SECONDS = 1.0
# Of a colour's targets; the load balancer's own have the same limit.
SERVER_ERRORS_PER_MINUTE = 10
DATABASE_ERRORS_PER_MINUTE = 5
WEBSOCKET_DROPS_PERCENT = 10.0
WEBSOCKET_DROPS_WARNING_PERCENT = 5.0

_ELB = "AWS/ApplicationELB"
_APPLICATION = METRIC_NAMESPACE


def error_rate(
    suffix: str,
    limit: float,
    tier: Tier,
    target: Mapping[str, pulumi.Input[str]],
    balancer: Mapping[str, pulumi.Input[str]],
) -> Alarm:
    """The percentage of a colour's requests that failed.

    An Application Load Balancer counts its own 502, 503 and 504 for all target groups together, so this colour's share of
    them is inferred: a request that reached one of its targets and was not answered is at most one 502 or 504; a 503
    counts for the colour while it has no usable target. A minute without requests has no value. Missing errors count as
    0, missing requests do not.
    """

    def per_group(name: str, stat: str = "Sum") -> Metric:
        return Metric(_ELB, name, target, stat)

    def per_balancer(name: str) -> Metric:
        return Metric(_ELB, name, balancer, "Sum")

    return Alarm(
        suffix=suffix,
        description=f"More than {limit:g} % of the colour's requests failed in a minute",
        tier=tier,
        threshold=limit,
        rollback=tier is Tier.IMMEDIATE,
        metrics={
            "routed": per_group("RequestCount"),
            "answered2xx": per_group("HTTPCode_Target_2XX_Count"),
            "answered3xx": per_group("HTTPCode_Target_3XX_Count"),
            "answered4xx": per_group("HTTPCode_Target_4XX_Count"),
            "answered5xx": per_group("HTTPCode_Target_5XX_Count"),
            "healthy": per_group("HealthyHostCount", "Minimum"),
            "balancer502": per_balancer("HTTPCode_ELB_502_Count"),
            "balancer503": per_balancer("HTTPCode_ELB_503_Count"),
            "balancer504": per_balancer("HTTPCode_ELB_504_Count"),
        },
        expressions={
            # Negative when an answer falls into the minute after its request.
            "difference": "FILL(routed, 0) - FILL(answered2xx, 0) - FILL(answered3xx, 0) - FILL(answered4xx, 0)"
            " - FILL(answered5xx, 0)",
            "unanswered": "IF(difference > 0, difference, 0)",
            "gateway": "FILL(balancer502, 0) + FILL(balancer504, 0)",
            "unusable": "IF(FILL(healthy, 0) < 1, FILL(balancer503, 0), 0)",
            "errors": "FILL(answered5xx, 0) + MIN([gateway, unanswered]) + unusable",
            "requests": "FILL(routed, 0) + unusable",
            "errorrate": "IF(requests > 0, 100 * errors / requests)",
        },
    )


def colour_alarms(
    colour: Colour, target_group: pulumi.Input[str], load_balancer: pulumi.Input[str]
) -> tuple[Alarm, ...]:
    """The alarms of one colour; `target_group` and `load_balancer` are the ARNs' suffixes, CloudWatch's dimensions."""
    balancer = {"LoadBalancer": load_balancer}
    target = {**balancer, "TargetGroup": target_group}
    application = {"Colour": colour.value}
    database_errors = Metric(_APPLICATION, "DatabaseConnectionErrors", application, "Sum")
    return (
        error_rate("error-rate", ERROR_RATE_PERCENT, Tier.IMMEDIATE, target, balancer),
        error_rate("error-rate-warning", ERROR_RATE_WARNING_PERCENT, Tier.WARNING, target, balancer),
        _latency("latency-p95", LATENCY_P95_SECONDS, Tier.IMMEDIATE, target),
        _latency("latency-p95-warning", LATENCY_P95_WARNING_SECONDS, Tier.WARNING, target),
        Alarm(
            suffix="server-errors",
            description=f"The colour answered 5xx more than {SERVER_ERRORS_PER_MINUTE} times in a minute",
            tier=Tier.IMMEDIATE,
            threshold=SERVER_ERRORS_PER_MINUTE,
            metrics={"errors": Metric(_ELB, "HTTPCode_Target_5XX_Count", target, "Sum")},
        ),
        # A single one rolls a release back but pages nobody outside a release; Strategy 5 pages above 5 a minute.
        Alarm(
            suffix="database-connection-error",
            description="The colour could not connect to the database at least once in a minute",
            tier=Tier.WARNING,
            threshold=0,
            rollback=True,
            metrics={"errors": database_errors},
        ),
        Alarm(
            suffix="database-connection-errors",
            description=f"The colour failed to connect to the database more than {DATABASE_ERRORS_PER_MINUTE} times in "
            "a minute",
            tier=Tier.IMMEDIATE,
            threshold=DATABASE_ERRORS_PER_MINUTE,
            metrics={"errors": database_errors},
        ),
        Alarm(
            suffix="unhealthy-hosts",
            description="A registered target of the colour fails the load balancer's health check",
            tier=Tier.WARNING,
            threshold=0,
            rollback=True,
            metrics={"unhealthy": Metric(_ELB, "UnHealthyHostCount", target, "Maximum")},
        ),
        _websocket_drops("websocket-drops", WEBSOCKET_DROPS_PERCENT, Tier.IMMEDIATE, application),
        _websocket_drops(
            "websocket-drops-warning", WEBSOCKET_DROPS_WARNING_PERCENT, Tier.WARNING, application
        ),
    )


def _latency(suffix: str, limit: float, tier: Tier, target: Mapping[str, pulumi.Input[str]]) -> Alarm:
    return Alarm(
        suffix=suffix,
        description=f"95 % of the colour's requests take up to more than {limit:g} s",
        tier=tier,
        threshold=limit,
        rollback=tier is Tier.IMMEDIATE,
        metrics={"p95": Metric(_ELB, "TargetResponseTime", target, "p95")},
    )


def _websocket_drops(
    suffix: str, limit: float, tier: Tier, application: Mapping[str, pulumi.Input[str]]
) -> Alarm:
    """The share of websockets that dropped, of those open at the start of the minute (still open or dropped)."""
    return Alarm(
        suffix=suffix,
        description=f"More than {limit:g} % of the colour's websockets dropped in a minute",
        tier=tier,
        threshold=limit,
        # Every pod publishes both once a minute, so the sums are the colour's.
        metrics={
            "drops": Metric(_APPLICATION, "WebSocketDrops", application, "Sum"),
            "open": Metric(_APPLICATION, "WebSocketConnections", application, "Sum"),
        },
        expressions={"dropped": "IF(drops + open > 0, 100 * drops / (drops + open))"},
    )
