"""The alarms of one colour: the criteria of the guide's Strategy 2, the immediate alerts of its Strategy 5, and what its
72-hour watch warns of. A warning's band ends where the page begins: it is a composite alarm, silent while the page is out."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.operations.alarms import Alarm, Composite, Metric
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
POOL_PERCENT = 80.0
# Seconds, of the pages that the guide names in Risk 8: "takes 5+ seconds", slow, "times out" (the load balancer's idle time).
SLOW_PAGES = {"dashboard": 5.0, "search": 2.0, "report": 20.0}

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
        guide="Strategy 5, 72 hours: error rate > 1 %"
        if tier is Tier.IMMEDIATE
        else "72 hours: error rate 0.5-1 %",
        tier=tier,
        threshold=limit,
        rollback=tier is Tier.IMMEDIATE,
        quiet=tier is not Tier.IMMEDIATE,
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
) -> tuple[Alarm | Composite, ...]:
    """The alarms of one colour; `target_group` and `load_balancer` are the ARNs' suffixes, CloudWatch's dimensions."""
    balancer = {"LoadBalancer": load_balancer}
    target = {**balancer, "TargetGroup": target_group}
    application = {"Colour": colour.value}
    database_errors = Metric(_APPLICATION, "DatabaseConnectionErrors", application, "Sum")
    return (
        error_rate("error-rate", ERROR_RATE_PERCENT, Tier.IMMEDIATE, target, balancer),
        error_rate("error-rate-elevated", ERROR_RATE_WARNING_PERCENT, Tier.WARNING, target, balancer),
        _latency("latency-p95", LATENCY_P95_SECONDS, Tier.IMMEDIATE, target),
        _latency("latency-p95-elevated", LATENCY_P95_WARNING_SECONDS, Tier.WARNING, target),
        Alarm(
            suffix="server-errors",
            description=f"The colour answered 5xx more than {SERVER_ERRORS_PER_MINUTE} times in a minute",
            guide="Strategy 5: service unavailable (500 errors > 10/minute)",
            tier=Tier.IMMEDIATE,
            threshold=SERVER_ERRORS_PER_MINUTE,
            metrics={"errors": Metric(_ELB, "HTTPCode_Target_5XX_Count", target, "Sum")},
        ),
        # A single one rolls a release back but pages nobody outside a release; Strategy 5 pages above 5 a minute.
        Alarm(
            suffix="database-connection-error",
            description="The colour could not connect to the database at least once in a minute",
            guide="Strategy 2: database connection errors",
            tier=Tier.WARNING,
            threshold=0,
            rollback=True,
            metrics={"errors": database_errors},
        ),
        Alarm(
            suffix="database-connection-errors",
            description=f"The colour failed to connect to the database more than {DATABASE_ERRORS_PER_MINUTE} times in "
            "a minute",
            guide="Strategy 5: database connection errors > 5/minute",
            tier=Tier.IMMEDIATE,
            threshold=DATABASE_ERRORS_PER_MINUTE,
            metrics={"errors": database_errors},
        ),
        Alarm(
            suffix="unhealthy-hosts",
            description="A registered target of the colour fails the load balancer's health check",
            guide="Strategy 2: service health check failing",
            tier=Tier.WARNING,
            threshold=0,
            rollback=True,
            metrics={"unhealthy": Metric(_ELB, "UnHealthyHostCount", target, "Maximum")},
        ),
        # Of a stopped colour there is neither count. Fewer than one is healthy, and one at least is registered.
        Alarm(
            suffix="down",
            description="None of the colour's registered targets is healthy",
            guide="72 hours: any service down",
            tier=Tier.IMMEDIATE,
            threshold=0,
            breaches=2,
            of=2,
            metrics={
                "healthy": Metric(_ELB, "HealthyHostCount", target, "Maximum"),
                "unhealthy": Metric(_ELB, "UnHealthyHostCount", target, "Minimum"),
            },
            expressions={"down": "IF(unhealthy > 0 AND FILL(healthy, 0) < 1, 1, 0)"},
        ),
        _websocket_drops("websocket-drops", WEBSOCKET_DROPS_PERCENT, Tier.IMMEDIATE, application),
        _websocket_drops(
            "websocket-drops-elevated", WEBSOCKET_DROPS_WARNING_PERCENT, Tier.WARNING, application
        ),
        _band("error-rate", "error rate", f"{ERROR_RATE_WARNING_PERCENT:g}-{ERROR_RATE_PERCENT:g} %"),
        _band("latency-p95", "P95", f"{LATENCY_P95_WARNING_SECONDS:g}-{LATENCY_P95_SECONDS:g} s"),
        _band(
            "websocket-drops",
            "websocket drops",
            f"{WEBSOCKET_DROPS_WARNING_PERCENT:g}-{WEBSOCKET_DROPS_PERCENT:g} %",
        ),
        # The load balancer's numbers may come a few minutes before the application's.
        Alarm(
            suffix="application-silent",
            description="The colour has requests, and its application reports no metrics: nothing that is counted by it is watched",
            guide="24 hours before: monitoring systems operational",
            tier=Tier.WARNING,
            threshold=0,
            breaches=5,
            of=5,
            metrics={
                "routed": Metric(_ELB, "RequestCount", target, "Sum"),
                "reports": Metric(_APPLICATION, "DatabaseConnectionErrors", application, "SampleCount"),
            },
            expressions={"silent": "IF(routed > 0, IF(FILL(reports, 0) < 1, 1, 0))"},
        ),
        Alarm(
            suffix="pool-usage",
            description=f"More than {POOL_PERCENT:g} % of a pgbouncer's connections to the database are in use",
            guide="Risk 6: monitor connection pool usage",
            tier=Tier.WARNING,
            threshold=POOL_PERCENT,
            breaches=3,
            of=3,
            metrics={"used": Metric(_APPLICATION, "PoolUsedPercent", application, "Maximum")},
        ),
        Alarm(
            suffix="pool-waiting",
            description="Requests of the colour wait for a connection of its pool, minute after minute",
            guide="Risk 6: new requests unable to connect",
            tier=Tier.WARNING,
            threshold=0,
            breaches=2,
            of=3,
            metrics={"waiting": Metric(_APPLICATION, "PoolClientsWaiting", application, "Maximum")},
        ),
        *(
            Alarm(
                suffix=f"slow-{page}",
                description=f"95 % of the colour's {page} requests take up to more than {limit:g} s",
                guide="Risk 8: dashboard 5+ seconds, search slow, report times out",
                tier=Tier.WARNING,
                threshold=limit,
                period=300,
                breaches=2,
                of=2,
                metrics={"p95": Metric(_APPLICATION, "PageSeconds", {**application, "Page": page}, "p95")},
            )
            for page, limit in SLOW_PAGES.items()
        ),
    )


def _band(suffix: str, words: str, limits: str) -> Composite:
    """The warning between two limits."""
    return Composite(
        suffix=f"{suffix}-warning",
        description=f"The colour's {words}: {limits}",
        guide=f"72 hours: {words} {limits}",
        tier=Tier.WARNING,
        all_of=(f"{suffix}-elevated",),
        none_of=(suffix,),
    )


def _latency(suffix: str, limit: float, tier: Tier, target: Mapping[str, pulumi.Input[str]]) -> Alarm:
    return Alarm(
        suffix=suffix,
        description=f"95 % of the colour's requests take up to more than {limit:g} s",
        guide="Strategy 5, 72 hours: P95 latency > 2 seconds"
        if tier is Tier.IMMEDIATE
        else "72 hours: P95 1-2 seconds",
        tier=tier,
        threshold=limit,
        rollback=tier is Tier.IMMEDIATE,
        quiet=tier is not Tier.IMMEDIATE,
        metrics={"p95": Metric(_ELB, "TargetResponseTime", target, "p95")},
    )


def _websocket_drops(
    suffix: str, limit: float, tier: Tier, application: Mapping[str, pulumi.Input[str]]
) -> Alarm:
    """The share of websockets that dropped, of those open at the start of the minute (still open or dropped)."""
    return Alarm(
        suffix=suffix,
        description=f"More than {limit:g} % of the colour's websockets dropped in a minute",
        guide="Strategy 5: WebSocket connections dropping > 10%/minute"
        if tier is Tier.IMMEDIATE
        else "72 hours: WebSocket drops > 5%",
        tier=tier,
        threshold=limit,
        quiet=tier is not Tier.IMMEDIATE,
        # Every pod publishes both once a minute, so the sums are the colour's.
        metrics={
            "drops": Metric(_APPLICATION, "WebSocketDrops", application, "Sum"),
            "open": Metric(_APPLICATION, "WebSocketConnections", application, "Sum"),
        },
        expressions={"dropped": "IF(drops + open > 0, 100 * drops / (drops + open))"},
    )
