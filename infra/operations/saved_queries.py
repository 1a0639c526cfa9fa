"""A query of CloudWatch Logs Insights for each risk of the guide, to be opened by its name when the risk occurs."""

from __future__ import annotations

from dataclasses import dataclass

from infra.operations.log_alarms import Source

_OURS = 'filter kubernetes.namespace_name like "simple378-"'
_LINES = "fields @timestamp, kubernetes.namespace_name, kubernetes.pod_name, log"
_NEWEST = "sort @timestamp desc | limit 200"
_DATABASE_LINES = "fields @timestamp, @message"


@dataclass(frozen=True, slots=True)
class Query:
    """`name` begins with the risk's number; `sources` are the logs that are searched."""

    name: str
    sources: tuple[Source, ...]
    text: str


def _application(name: str, pattern: str) -> Query:
    text = f"{_LINES} | {_OURS} | filter log like /(?i)({pattern})/ | {_NEWEST}"
    return Query(name, (Source.APPLICATION,), text)


QUERIES = (
    _application("risk-1-migration", "migrat|alembic|UndefinedTable|UndefinedColumn|SyntaxError|timed out"),
    Query(
        "risk-1-database-errors",
        (Source.DATABASE,),
        f"{_DATABASE_LINES} | filter @message like /ERROR:|FATAL:|PANIC:/ | {_NEWEST}",
    ),
    _application("risk-2-unavailable", "connection refused|503|health"),
    # The CDN's own log is in the log bucket; the application sees only what passed it.
    _application("risk-3-frontend", r"404|/assets/|index\.html"),
    _application("risk-4-rate-limit", "429|too many requests|retry"),
    _application("risk-5-websockets", "websocket|ConnectionClosed|1006"),
    _application(
        "risk-6-pool", "too many connections|too many clients|remaining connection slots|query_wait_timeout"
    ),
    Query(
        "risk-6-refused",
        (Source.DATABASE,),
        f"{_DATABASE_LINES} | filter @message like /too many|remaining connection slots/ | stats count() by bin(1m)",
    ),
    _application("risk-7-memory", "MemoryError|out of memory|OOMKilled|restart"),
    Query(
        "risk-8-slow-statements",
        (Source.DATABASE,),
        f"{_DATABASE_LINES} | parse @message /duration: (?<ms>[0-9.]+) ms +(?<statement>.*)/ | filter ispresent(ms)"
        " | stats count(), avg(ms), max(ms) by statement | sort max(ms) desc | limit 50",
    ),
    _application("risk-9-page-loads", "page_load|time_to_interactive|bundle"),
    Query(
        "errors-by-version",
        (Source.APPLICATION,),
        f"{_OURS} | filter log like /ERROR|CRITICAL|Traceback/ | stats count() by kubernetes.namespace_name, bin(5m)",
    ),
)
