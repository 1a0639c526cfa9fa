"""The edge as HAProxy's configuration: a stand-in for one CloudFront distribution with its WebACL.

A client is its source address; a request with ``X-Lab-Client: <address>`` counts as that client's, so that one load
generator can be many. The limit of a rate rule is in a map, so a changed one takes effect at once and drops nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulate.lab.layout import AWS_REGION, CLIENT_HEADER
from simulate.lab.load_balancer.edge_model import Distribution, Origin, RateRule
from simulate.lab.load_balancer.text import anonymous, quoted

#: HAProxy tracks a request in at most three tables; the third is for the errors that are kept.
MAX_RATE_RULES = 2
_ERRORS_SLOT = 2
#: CloudFront signs its requests to a private bucket (origin access control); the lab's S3 checks who signed, not the signature.
_ORIGIN_ACCESS = f"AWS4-HMAC-SHA256 Credential=lab/20260101/{AWS_REGION}/s3/aws4_request, SignedHeaders=host, Signature=none"
LOG_FORMAT = "edge|%[date(0,ms)]|%[var(txn.waf)]|%ST"


def limit_map(distribution: Distribution | None, time_scale: float) -> dict[str, str]:
    """The map of the rate rules' limits per scaled window; the rate per second is what was declared."""
    if distribution is None or distribution.web_acl is None:
        return {}
    return {
        f"rule{index}": str(max(1, round(rule.limit / time_scale)))
        for index, rule in enumerate(distribution.web_acl.rate_rules[:MAX_RATE_RULES])
    }


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the edge listens and what it forwards to: the load balancer (any custom origin) and the lab's S3."""

    edge: str
    edge_port: int
    load_balancer: str
    s3: str


def structure(distribution: Distribution, addresses: Addresses, maps: Path, time_scale: float) -> list[str]:
    """The edge's frontend, its rate tables and its origins. ``time_scale`` shortens the rate rules' windows."""
    rules = distribution.web_acl.rate_rules[:MAX_RATE_RULES] if distribution.web_acl else ()
    tables: list[str] = []
    lines = [
        "frontend edge",
        f"  bind {addresses.edge}:{addresses.edge_port}",
        f"  log-format {quoted(LOG_FORMAT)}",
        "  http-request set-var(txn.client) src",
        f"  http-request set-var(txn.client) req.hdr_ip({CLIENT_HEADER}) if {{ req.hdr({CLIENT_HEADER}) -m found }}",
        f"  http-request del-header {CLIENT_HEADER}",
    ]
    if distribution.web_acl is not None:
        lines.append("  http-request set-var(txn.waf) str(ALLOW)")
    for index, rule in enumerate(rules):
        window = max(1, round(rule.window_s * 1000 / time_scale))
        tables += [
            f"backend waf-rule{index}",
            f"  stick-table type ipv6 size 200k expire {2 * window}ms store http_req_rate({window}ms)",
        ]
        lines += [
            f"  http-request track-sc{index} var(txn.client) table waf-rule{index}",
            f"  http-request set-var(txn.limit) str(rule{index}),map_str_int({maps / 'limits.map'},0)",
            f"  http-request set-var(txn.rate) sc_http_req_rate({index})",
            *_enforce(rule),
        ]
    lines += [
        "  http-request set-header X-Forwarded-For %[var(txn.client)]",
    ]
    kept, error_tables = _kept_errors(distribution, time_scale)
    lines += kept
    tables += error_tables
    numbers = {origin.id: number for number, origin in enumerate(distribution.origins)}
    for behaviour in distribution.behaviours[:-1]:
        number = numbers[behaviour.origin]
        # CloudFront takes a pattern with or without its leading slash.
        wildcards = "/" + behaviour.pattern.removeprefix("/")
        lines.append(f"  use_backend origin-{number} if {anonymous('path', [wildcards])}")
    lines.append(f"  default_backend origin-{numbers[distribution.behaviours[-1].origin]}")
    return [*lines, *tables, *_origins(distribution, addresses)]


def _kept_errors(distribution: Distribution, time_scale: float) -> tuple[list[str], list[str]]:
    """Frontend lines and tables that keep an origin's error for its time, by path and query, and answer with it."""
    by_ttl: dict[int, list[int]] = {}
    for status, ttl in sorted(distribution.error_ttls.items()):
        if ttl:
            by_ttl.setdefault(ttl, []).append(status)
    lines, tables = [], []
    for ttl, statuses in by_ttl.items():
        table, expire = f"kept-errors-{ttl}", max(1, round(ttl * 1000 / time_scale))
        tables += [
            f"backend {table}",
            f"  stick-table type string len 512 size 100k expire {expire}ms store gpt0",
        ]
        failed = f"{{ status {' '.join(map(str, statuses))} }} {{ var(txn.readable) -m bool }}"
        lines += [
            "  http-request set-var(txn.url) pathq",
            "  http-request set-var(txn.readable) bool(true) if METH_GET",
            f"  http-request set-var(txn.kept) var(txn.url),table_gpt0({table})",
            *(
                f"  http-request return status {status} if {{ var(txn.readable) -m bool }} {{ var(txn.kept) -m int {status} }}"
                for status in statuses
            ),
            f"  http-response track-sc{_ERRORS_SLOT} var(txn.url) table {table} if {failed}",
            f"  http-response sc-set-gpt0({_ERRORS_SLOT}) status if {failed}",
        ]
    return lines, tables


def _enforce(rule: RateRule) -> list[str]:
    over = "{ var(txn.rate),sub(txn.limit) -m int gt 0 }"
    if not rule.block:
        return []
    answer = f"content-type {quoted(rule.content_type)} string {quoted(rule.body)}" if rule.body else ""
    headers = " ".join(
        f"hdr {quoted(name)} {quoted(value.replace('%', '%%'))}" for name, value in rule.headers
    )
    return [
        f"  http-request set-var(txn.waf) str({rule.metric}) if {over}",
        f"  http-request return status {rule.status} {answer} {headers} if {over}",
    ]


def _origins(distribution: Distribution, addresses: Addresses) -> list[str]:
    lines: list[str] = []
    for number, origin in enumerate(distribution.origins):
        lines.append(f"backend origin-{number}")
        lines += [
            f"  http-request set-header {quoted(name)} {quoted(value.replace('%', '%%'))}"
            for name, value in origin.headers
        ]
        if origin.bucket:
            lines += _bucket(origin, distribution.root_object, addresses.s3)
        else:
            lines += _custom(origin, addresses.load_balancer)
    return lines


def _custom(origin: Origin, load_balancer: str) -> list[str]:
    return [
        f"  http-request set-header Host {origin.domain}",
        *([f"  http-request set-path {origin.path}%[path]"] if origin.path else []),
        f"  timeout server {origin.read_timeout_s}s",
        f"  server alb {load_balancer}:{origin.port}",
    ]


def _bucket(origin: Origin, root_object: str, s3: str) -> list[str]:
    """Objects of a bucket, from the lab's S3."""
    return [
        *([f"  http-request set-path /{root_object} if {{ path / }}"] if root_object else []),
        f"  http-request set-path /{origin.bucket}{origin.path}%[path]",
        "  http-request set-header Host s3.amazonaws.com",
        f"  http-request set-header Authorization {quoted(_ORIGIN_ACCESS)}",
        f"  server s3 {s3}",
    ]
