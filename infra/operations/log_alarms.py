"""What is counted in the logs, as data: metric filters for the guide's symptoms, and the alarms on them.

The application's group is that of Container Insights (Fluent Bit): JSON with the pod's namespace and, in `log`, its line. The
database's is RDS's own, plain text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from infra.operations.alarms import Alarm, Metric
from infra.operations.topics import Tier


def namespace(prefix: str) -> str:
    """Of the metrics of the environment whose names begin with `prefix`."""
    return f"{prefix}/logs"


class Source(Enum):
    """Whose log; the value is how people call it."""

    APPLICATION = "application"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a line holds that is worth counting: any of `words`. `metric` counts such lines."""

    name: str
    source: Source
    metric: str
    words: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """As CloudWatch Logs takes it, by the form of the source's lines."""
        if self.source is Source.DATABASE:
            quoted = [f'"{word}"' for word in self.words]
            return quoted[0] if len(quoted) == 1 else " ".join(f"?{word}" for word in quoted)
        found = " || ".join(f'($.log = "*{word}*")' for word in self.words)
        return f'{{ ($.kubernetes.namespace_name = "simple378-*") && ({found}) }}'


SIGNATURES = (
    Signature("errors", Source.APPLICATION, "Errors", ("ERROR", "CRITICAL", "Traceback")),
    Signature(
        "too-many-connections",
        Source.APPLICATION,
        "TooManyConnections",
        (
            "too many connections",
            "too many clients",
            "remaining connection slots",
            "no more connections allowed",
        ),
    ),
    Signature(
        "time-outs", Source.APPLICATION, "TimeOuts", ("timed out", "query_wait_timeout", "TimeoutError")
    ),
    Signature(
        "sql-errors", Source.APPLICATION, "SqlErrors", ("UndefinedTable", "UndefinedColumn", "SyntaxError")
    ),
    Signature("out-of-memory", Source.APPLICATION, "OutOfMemory", ("MemoryError", "out of memory")),
    Signature("websockets-closed", Source.APPLICATION, "WebSocketErrors", ("ConnectionClosedError",)),
    # `log_min_duration_statement` writes them (infra.data.database).
    Signature("slow-statements", Source.DATABASE, "SlowStatements", ("duration:",)),
    Signature(
        "connections-refused",
        Source.DATABASE,
        "ConnectionsRefused",
        ("too many clients", "remaining connection slots", "too many connections"),
    ),
    Signature("statement-time-outs", Source.DATABASE, "StatementTimeOuts", ("canceling statement due to",)),
    Signature("logins-refused", Source.DATABASE, "LoginsRefused", ("password authentication failed",)),
)
# What has a signature of its own: the rest of the errors is new.
_KNOWN = tuple(s for s in SIGNATURES if s.source is Source.APPLICATION and s.name != "errors")


def log_alarms(prefix: str, sources: frozenset[Source]) -> tuple[Alarm, ...]:
    """The alarms on the logs that there are."""

    def count(metric: str) -> Metric:
        return Metric(namespace(prefix), metric, {}, "Sum")

    def once(suffix: str, description: str, guide: str, metric: str) -> Alarm:
        return Alarm(
            suffix=suffix,
            description=description,
            guide=guide,
            tier=Tier.WARNING,
            threshold=0,
            metrics={"lines": count(metric)},
        )

    alarms = {
        Source.APPLICATION: (
            Alarm(
                suffix="errors",
                description="The application writes more than 10 error lines a minute",
                guide="First 7 days: review error logs",
                tier=Tier.WARNING,
                threshold=10,
                breaches=3,
                of=5,
                metrics={"lines": count("Errors")},
            ),
            Alarm(
                suffix="errors-unknown",
                description="The application writes error lines that no known signature explains",
                guide="First 7 days: review error logs",
                tier=Tier.NOTICE,
                threshold=5,
                breaches=3,
                of=5,
                metrics={"lines": count("Errors")} | {f"known{s.metric}": count(s.metric) for s in _KNOWN},
                expressions={"unknown": " - ".join(["lines", *(f"known{s.metric}" for s in _KNOWN)])},
            ),
            once(
                "too-many-connections",
                "The application was refused a connection to the database or the pool",
                'Risk 6: "too many connections" error',
                "TooManyConnections",
            ),
            Alarm(
                suffix="time-outs",
                description="The application waited in vain more than 5 times a minute",
                guide="Risk 1: timeout errors; Risk 6: connection timeout errors",
                tier=Tier.WARNING,
                threshold=5,
                breaches=2,
                of=3,
                metrics={"lines": count("TimeOuts")},
            ),
            once(
                "sql-errors",
                "The application asks for what the database does not have: schema and version do not fit",
                "Risk 1: SQL errors in deployment logs",
                "SqlErrors",
            ),
            once(
                "out-of-memory",
                "The application ran out of memory",
                "Risk 7: out-of-memory error",
                "OutOfMemory",
            ),
            Alarm(
                suffix="websockets-closed",
                description="More than 10 websockets a minute closed unexpectedly",
                guide="Risk 5: connection closed unexpectedly",
                tier=Tier.NOTICE,
                threshold=10,
                breaches=2,
                of=3,
                metrics={"lines": count("WebSocketErrors")},
            ),
        ),
        Source.DATABASE: (
            Alarm(
                suffix="slow-statements",
                description="More than 20 statements in five minutes took over a second",
                guide="Risk 8: slow query log filling up",
                tier=Tier.WARNING,
                threshold=20,
                period=300,
                breaches=2,
                of=2,
                metrics={"lines": count("SlowStatements")},
            ),
            once(
                "connections-refused",
                "The database refused connections: max_connections is reached",
                'Risk 6: "too many connections" error',
                "ConnectionsRefused",
            ),
            once(
                "statement-time-outs",
                "The database ended statements that took too long",
                "Risk 8: report generation times out",
                "StatementTimeOuts",
            ),
            once(
                "logins-refused",
                "A login to the database failed: a password is wrong, or somebody tries",
                "72 hours: authentication failures",
                "LoginsRefused",
            ),
        ),
    }
    return tuple(alarm for source, group in alarms.items() if source in sources for alarm in group)
