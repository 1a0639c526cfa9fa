"""The alarms of the service as users see it, whichever colour serves: outages, trends, sessions, and the 72 hours' error budget."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.operations.alarms import Alarm, Composite, Metric, Missing
from infra.operations.topics import Tier

AUTHENTICATION_FAILURES_PER_MINUTE = 10
RETRIES_PERCENT = 5.0
# Times the configured baseline (Strategy 5, information).
SESSIONS_FACTOR = 2
# Percent of requests that may fail in the 72 hours (the guide's target).
BUDGET_PERCENT = 0.1
# How much faster than that the budget is burned: this fast for an hour is a tenth of it, for six hours a quarter.
FAST_BURN = 7.2
SLOW_BURN = 3.0
# A trend is a rise in each of so many periods on end: the P95 by percent of itself, the error rate by points an hour.
LATENCY_GROWTH_PERCENT = 5.0
ERROR_RATE_SLOPE = 0.05

_ELB = "AWS/ApplicationELB"
_APPLICATION = "Simple378"


def service_alarms(
    target_groups: Mapping[str, pulumi.Input[str]],
    load_balancer: pulumi.Input[str],
    session_baseline: int | None,
) -> tuple[Alarm | Composite, ...]:
    """`target_groups` by colour and `load_balancer` are the ARNs' suffixes; `session_baseline` is how many users are usual."""
    balancer = {"LoadBalancer": load_balancer}

    def of_groups(name: str, stat: str, prefix: str) -> dict[str, Metric]:
        return {
            f"{prefix}{colour.title()}": Metric(_ELB, name, {**balancer, "TargetGroup": group}, stat)
            for colour, group in target_groups.items()
        }

    def of_application(name: str, prefix: str) -> dict[str, Metric]:
        return {
            f"{prefix}{colour.title()}": Metric(_APPLICATION, name, {"Colour": colour}, "Sum")
            for colour in target_groups
        }

    def total(metrics: Mapping[str, Metric]) -> str:
        return " + ".join(metrics)

    healthy = of_groups("HealthyHostCount", "Maximum", "healthy")
    failures = of_application("AuthenticationFailures", "failures")
    retries = of_application("ClientRetries", "retries")
    users = of_application("ActiveUsers", "users")
    requests = of_groups("RequestCount", "Sum", "requests")
    errors = of_groups("HTTPCode_Target_5XX_Count", "Sum", "errors")
    own = {"balancer": Metric(_ELB, "HTTPCode_ELB_5XX_Count", balancer, "Sum")}
    # The load balancer's own 5xx of probes count too: they are few, and no metric tells them apart.
    rate = f"100 * ({total(errors)} + balancer) / ({total(requests)} + balancer)"

    def burn(suffix: str, speed: float, seconds: int, words: str) -> Alarm:
        return Alarm(
            suffix=suffix,
            description=f"More than {speed * BUDGET_PERCENT:g} % of requests failed in {words}",
            guide="72 hours: error rate (target: < 0.1%)",
            tier=Tier.NOTICE,
            threshold=round(speed * BUDGET_PERCENT, 4),
            period=seconds,
            quiet=True,
            metrics={**requests, **errors, **own},
            expressions={"rate": rate},
        )

    page_is_out = tuple(f"{colour}-error-rate" for colour in target_groups)
    sessions = (
        (
            Alarm(
                suffix="sessions",
                description=f"More than {SESSIONS_FACTOR} times as many users as usual ({session_baseline})",
                guide="Strategy 5: user session increase > 2x baseline",
                tier=Tier.NOTICE,
                threshold=SESSIONS_FACTOR * session_baseline,
                breaches=5,
                of=5,
                metrics=users,
                expressions={"users": total(users)},
            ),
        )
        if session_baseline
        else ()
    )
    return (
        # No colour has a healthy target, or the load balancer reports none at all: also when nobody asks for anything.
        Alarm(
            suffix="service-down",
            description="No colour has a healthy target",
            guide="72 hours: any service down",
            tier=Tier.IMMEDIATE,
            threshold=1,
            breaches=3,
            of=3,
            below=True,
            missing=Missing.BAD,
            metrics=healthy,
            expressions={"healthy": total(healthy)},
        ),
        Alarm(
            suffix="authentication-failures",
            description=f"More than {AUTHENTICATION_FAILURES_PER_MINUTE} logins failed in a minute",
            guide="72 hours: authentication failures > 10/minute",
            tier=Tier.IMMEDIATE,
            threshold=AUTHENTICATION_FAILURES_PER_MINUTE,
            metrics=failures,
            expressions={"failures": total(failures)},
        ),
        Alarm(
            suffix="client-retries",
            description=f"More than {RETRIES_PERCENT:g} % of requests are repetitions",
            guide="Risk 4: client-side retries increasing",
            tier=Tier.WARNING,
            threshold=RETRIES_PERCENT,
            breaches=2,
            of=3,
            metrics={**retries, **requests},
            expressions={"share": f"100 * ({total(retries)}) / ({total(requests)})"},
        ),
        *sessions,
        Alarm(
            suffix="latency-trend",
            description=f"P95 rose by more than {LATENCY_GROWTH_PERCENT:g} % in each of three quarters of an hour",
            guide="Strategy 5: latency increasing gradually; 72 hours: latency trending up",
            tier=Tier.NOTICE,
            threshold=LATENCY_GROWTH_PERCENT,
            period=900,
            breaches=3,
            of=3,
            metrics={"p95": Metric(_ELB, "TargetResponseTime", balancer, "p95")},
            expressions={"growth": "100 * DIFF(p95) / (p95 - DIFF(p95))"},
        ),
        Alarm(
            suffix="error-rate-trend",
            description=f"The error rate rose by more than {ERROR_RATE_SLOPE:g} points an hour in each of three half hours",
            guide="Strategy 5: error rate increasing gradually; 72 hours: error rate trending up",
            tier=Tier.NOTICE,
            threshold=ERROR_RATE_SLOPE,
            period=1800,
            breaches=3,
            of=3,
            metrics={**requests, **errors, **own},
            expressions={"rate": rate, "slope": "3600 * RATE(rate)"},
        ),
        burn("burn-fast-hour", FAST_BURN, 3600, "an hour"),
        burn("burn-fast-now", FAST_BURN, 300, "five minutes"),
        burn("burn-slow-hours", SLOW_BURN, 6 * 3600, "six hours"),
        burn("burn-slow-now", SLOW_BURN, 1800, "half an hour"),
        Composite(
            suffix="burn-rate-fast",
            description="A tenth of the 72 hours' error budget is gone in an hour, and it still burns",
            guide="72 hours: error rate (target: < 0.1%)",
            tier=Tier.IMMEDIATE,
            all_of=("burn-fast-hour", "burn-fast-now"),
            none_of=page_is_out,
        ),
        Composite(
            suffix="burn-rate-slow",
            description="A quarter of the 72 hours' error budget is gone in six hours, and it still burns",
            guide="72 hours: error rate (target: < 0.1%)",
            tier=Tier.WARNING,
            all_of=("burn-slow-hours", "burn-slow-now"),
            none_of=(*page_is_out, "burn-rate-fast"),
        ),
    )
