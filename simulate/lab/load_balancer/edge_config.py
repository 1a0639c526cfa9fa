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
#: Seconds that an answer is kept at most; CloudFront's default for one that does not say.
_LONGEST_S = 86_400
#: The most common of the types that CloudFront compresses.
_COMPRESSED = (
    "text/html text/css text/plain text/javascript application/javascript application/json image/svg+xml"
)
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
    lines += _behaviours(distribution)
    kept, error_tables = _kept_errors(distribution, time_scale)
    lines += kept
    tables += error_tables
    numbers = {origin.id: number for number, origin in enumerate(distribution.origins)}
    for index, behaviour in enumerate(distribution.behaviours[:-1]):
        lines.append(f"  use_backend origin-{numbers[behaviour.origin]} if {_taken(index)}")
    lines.append(f"  default_backend origin-{numbers[distribution.behaviours[-1].origin]}")
    return [*lines, *tables, *_cache(distribution), *_origins(distribution, addresses)]


def _taken(index: int) -> str:
    return f"{{ var(txn.behaviour) -m int {index} }}"


def _behaviours(distribution: Distribution) -> list[str]:
    """The first behaviour whose pattern matches is in ``txn.behaviour``, and what it does to request and answer is done."""
    lines = []
    for index, behaviour in enumerate(distribution.behaviours):
        # CloudFront takes a pattern with or without its leading slash.
        wildcards = "/" + behaviour.pattern.removeprefix("/")
        matched = "" if behaviour.pattern == "*" else anonymous("path", [wildcards])
        lines.append(
            f"  http-request set-var(txn.behaviour) int({index}) if !{{ var(txn.behaviour) -m found }} {matched}"
        )
    for index, behaviour in enumerate(distribution.behaviours):
        taken = _taken(index)
        if behaviour.deep_links:
            # infra/edge/deep_links.js, held against it by a test.
            lines.append(f"  http-request set-path /index.html if {taken} !{{ path -m reg [.][^/]*$ }}")
        if behaviour.caches:
            # What is not in the key of the cache does not reach the origin, and no viewer can go round the cache.
            lines += [
                f"  http-request set-var(txn.caches) bool(true) if {taken}",
                f"  http-request set-uri %[path] if {taken}",
                *(
                    f"  http-request del-header {header} if {taken}"
                    for header in ("Cache-Control", "Pragma", "Authorization", "Cookie")
                ),
            ]
        lines += [
            f"  http-response set-header {quoted(name)} {quoted(value.replace('%', '%%'))} if {taken}"
            for name, value in behaviour.headers
        ]
    return lines


def _cache_name(distribution: Distribution) -> str:
    """Another one after an invalidation: the reload that a changed name brings empties all of it."""
    return f"edge-{distribution.invalidations}"


def _cache(distribution: Distribution) -> list[str]:
    if not any(behaviour.caches for behaviour in distribution.behaviours):
        return []
    return [
        f"cache {_cache_name(distribution)}",
        "  total-max-size 64",
        "  max-object-size 10000000",
        f"  max-age {_LONGEST_S}",
        "  process-vary on",
    ]


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
            lines += _bucket(origin, distribution, addresses.s3)
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


def _bucket(origin: Origin, distribution: Distribution, s3: str) -> list[str]:
    """Objects of a bucket, from the edge's cache or the lab's S3."""
    root, served = (
        distribution.root_object,
        [b for b in distribution.behaviours if b.origin == origin.id],
    )
    cache = _cache_name(distribution) if any(behaviour.caches for behaviour in served) else ""
    kept = "{ var(txn.caches) -m bool }"
    return [
        *([f"  filter cache {cache}"] if cache else []),
        *(
            ["  filter compression", "  compression algo gzip", f"  compression type {_COMPRESSED}"]
            if any(behaviour.compresses for behaviour in served)
            else []
        ),
        *([f"  http-request set-path /{root} if {{ path / }}"] if root else []),
        f"  http-request set-path /{origin.bucket}{origin.path}%[path]",
        "  http-request set-header Host s3.amazonaws.com",
        *([f"  http-request cache-use {cache} if {kept}"] if cache else []),
        f"  http-request set-header Authorization {quoted(_ORIGIN_ACCESS)}",
        *([f"  http-response cache-store {cache} if {kept}"] if cache else []),
        f"  server s3 {s3}",
    ]
