"""The CloudFront distribution and its WebACL as they were declared, read through AWS's API into plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: CloudFront's defaults: seconds that it waits for an origin, and that it keeps an origin's error.
DEFAULT_READ_TIMEOUT_S = 30
DEFAULT_ERROR_TTL_S = 10
#: AWS's managed cache policy that keeps answers; every other one is taken to keep none.
_CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
#: How the name of the program's function for deep links ends; what it does stands in HAProxy's words in `edge_config`.
_DEEP_LINKS = "-deep-links"
#: The statuses of an origin that CloudFront keeps: "How CloudFront processes HTTP 4xx and 5xx status codes".
KEPT_ERRORS = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Origin:
    """``bucket`` is the S3 bucket of an S3 origin, empty for any other, whose ``domain`` is then forwarded to.

    ``read_timeout_s`` is how long the edge waits for the origin's next byte before it answers 504.
    """

    id: str
    domain: str
    path: str
    headers: tuple[tuple[str, str], ...]
    bucket: str
    port: int
    read_timeout_s: int = DEFAULT_READ_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Requests whose path matches ``pattern`` go to an origin. The default behaviour has the pattern ``*``.

    ``deep_links``: the program's function runs on them, which makes the page of every path without an extension. ``caches``:
    answers are kept, by path alone. ``headers`` are added to every answer.
    """

    pattern: str
    origin: str
    deep_links: bool = False
    caches: bool = False
    compresses: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RateRule:
    """At most ``limit`` requests of one client in ``window_s`` seconds; more are answered ``status``."""

    name: str
    metric: str
    limit: int
    window_s: int
    block: bool
    status: int
    content_type: str
    body: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WebAcl:
    """``ignored`` names the rules that the lab does not emulate; they match nothing."""

    metric: str
    rate_rules: tuple[RateRule, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Distribution:
    """``behaviours`` in the order they are tried, the default one last. ``error_ttls`` is the seconds for which an origin's
    error is kept, by status. ``invalidations`` counts those that were asked for; ``ignored`` names the functions that the lab
    does not emulate."""

    id: str
    domain: str
    aliases: tuple[str, ...]
    root_object: str
    origins: tuple[Origin, ...]
    behaviours: tuple[Behaviour, ...]
    web_acl: WebAcl | None
    error_ttls: Mapping[int, int] = field(default_factory=dict)
    invalidations: int = 0
    ignored: tuple[str, ...] = ()


class EdgeReader:
    """Reads through boto3 clients of CloudFront and WAFv2. Blocking; botocore's errors pass through."""

    def __init__(self, cloudfront: Any, wafv2: Any) -> None:
        self.cloudfront = cloudfront
        self.wafv2 = wafv2

    def distributions(self) -> list[Distribution]:
        """All enabled distributions, the one made last first."""
        items = self.cloudfront.list_distributions()["DistributionList"].get("Items") or []
        return [self._distribution(item) for item in reversed(items) if item["Enabled"]]

    def _distribution(self, item: Mapping[str, Any]) -> Distribution:
        config = self.cloudfront.get_distribution_config(Id=item["Id"])["DistributionConfig"]
        declared = [
            *(config.get("CacheBehaviors", {}).get("Items") or ()),
            {**config["DefaultCacheBehavior"], "PathPattern": "*"},
        ]
        acl = config.get("WebACLId") or ""
        return Distribution(
            id=item["Id"],
            domain=item["DomainName"],
            aliases=tuple(config.get("Aliases", {}).get("Items") or ()),
            root_object=config.get("DefaultRootObject") or "",
            origins=tuple(_origin(o) for o in config["Origins"]["Items"]),
            behaviours=tuple(self._behaviour(b) for b in declared),
            web_acl=self._web_acl(acl) if acl else None,
            error_ttls=_error_ttls(config),
            invalidations=self._invalidations(item["Id"]),
            ignored=tuple(arn for b in declared for arn in _functions(b) if not arn.endswith(_DEEP_LINKS)),
        )

    def _behaviour(self, behaviour: Mapping[str, Any]) -> Behaviour:
        caches = behaviour.get("CachePolicyId") == _CACHING_OPTIMIZED
        return Behaviour(
            pattern=behaviour["PathPattern"],
            origin=behaviour["TargetOriginId"],
            deep_links=any(arn.endswith(_DEEP_LINKS) for arn in _functions(behaviour)),
            caches=caches,
            # CloudFront compresses only what its cache policy lets it ask for.
            compresses=caches and bool(behaviour.get("Compress")),
            headers=self._headers(behaviour.get("ResponseHeadersPolicyId") or ""),
        )

    def _headers(self, policy: str) -> tuple[tuple[str, str], ...]:
        """The custom headers of a policy; those that AWS manages have none."""
        if not policy:
            return ()
        try:
            shown = self.cloudfront.get_response_headers_policy(Id=policy)["ResponseHeadersPolicy"]
        except self.cloudfront.exceptions.NoSuchResponseHeadersPolicy:
            return ()
        custom = shown["ResponseHeadersPolicyConfig"].get("CustomHeadersConfig", {})
        return tuple((h["Header"], h["Value"]) for h in custom.get("Items") or ())

    def _invalidations(self, distribution: str) -> int:
        pages = self.cloudfront.get_paginator("list_invalidations").paginate(DistributionId=distribution)
        return sum(len(page["InvalidationList"].get("Items") or ()) for page in pages)

    def _web_acl(self, arn: str) -> WebAcl:
        # arn:aws:wafv2:us-east-1:<account>:global/webacl/<name>/<id>
        name, identifier = arn.split("/")[-2:]
        acl = self.wafv2.get_web_acl(Name=name, Scope="CLOUDFRONT", Id=identifier)["WebACL"]
        bodies = acl.get("CustomResponseBodies") or {}
        rules = sorted(acl.get("Rules") or (), key=lambda rule: int(rule["Priority"]))
        understood = {rule["Name"]: _rate_rule(rule, bodies) for rule in rules}
        return WebAcl(
            metric=acl["VisibilityConfig"]["MetricName"],
            rate_rules=tuple(rule for rule in understood.values() if rule is not None),
            ignored=tuple(name for name, rule in understood.items() if rule is None),
        )


def _functions(behaviour: Mapping[str, Any]) -> list[str]:
    return [f["FunctionARN"] for f in behaviour.get("FunctionAssociations", {}).get("Items") or ()]


def _error_ttls(config: Mapping[str, Any]) -> dict[int, int]:
    declared = {
        int(response["ErrorCode"]): int(response.get("ErrorCachingMinTTL", DEFAULT_ERROR_TTL_S))
        for response in config.get("CustomErrorResponses", {}).get("Items") or ()
    }
    return dict.fromkeys(KEPT_ERRORS, DEFAULT_ERROR_TTL_S) | declared


def _origin(origin: Mapping[str, Any]) -> Origin:
    domain: str = origin["DomainName"]
    custom: Mapping[str, Any] = origin.get("CustomOriginConfig") or {}
    bucket, found, _ = domain.partition(".s3.")
    headers = origin.get("CustomHeaders", {}).get("Items") or ()
    return Origin(
        id=origin["Id"],
        domain=domain,
        path=origin.get("OriginPath") or "",
        headers=tuple((h["HeaderName"], h["HeaderValue"]) for h in headers),
        bucket=bucket if found and domain.endswith(".amazonaws.com") else "",
        port=int(custom.get("HTTPPort", 80)),
        read_timeout_s=int(custom.get("OriginReadTimeout", DEFAULT_READ_TIMEOUT_S)),
    )


def _rate_rule(rule: Mapping[str, Any], bodies: Mapping[str, Any]) -> RateRule | None:
    """A rate rule by client address; ``None`` for anything else."""
    statement = rule["Statement"].get("RateBasedStatement")
    if statement is None or statement.get("AggregateKeyType") != "IP" or "ScopeDownStatement" in statement:
        return None
    response = rule.get("Action", {}).get("Block", {}).get("CustomResponse") or {}
    body = bodies.get(response.get("CustomResponseBodyKey") or "", {})
    return RateRule(
        name=rule["Name"],
        metric=rule["VisibilityConfig"]["MetricName"],
        limit=int(statement["Limit"]),
        window_s=int(statement.get("EvaluationWindowSec") or 300),
        block="Block" in rule.get("Action", {}),
        status=int(response.get("ResponseCode") or 403),
        content_type=_CONTENT_TYPES.get(body.get("ContentType", ""), "text/plain"),
        body=body.get("Content") or "",
        headers=tuple((h["Name"], h["Value"]) for h in response.get("ResponseHeaders") or ()),
    )


_CONTENT_TYPES = {
    "APPLICATION_JSON": "application/json",
    "TEXT_HTML": "text/html",
    "TEXT_PLAIN": "text/plain",
}
