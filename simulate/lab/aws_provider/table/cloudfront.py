"""CloudFront distributions and origin access controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..convert import encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    SAME_LEVEL,
    STRING,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    Mode,
    Operation,
    Props,
    ResourceType,
    TagCalls,
    output,
)
from .rules import known, matches, one_of, table, within


def _strings(at_least: int = 0) -> ListOf:
    return ListOf(STRING, unordered=True, quantity=True, at_least=at_least)


_FUNCTION = Block(
    (
        Field("eventType", "EventType", required=True, checks=(one_of("viewer-request", "viewer-response"),)),
        Field("functionArn", "FunctionARN", required=True),
    )
)
_BEHAVIOR_FIELDS = (
    Field("targetOriginId", "TargetOriginId", required=True),
    Field(
        "viewerProtocolPolicy",
        "ViewerProtocolPolicy",
        required=True,
        checks=(one_of("allow-all", "https-only", "redirect-to-https"),),
    ),
    Field("allowedMethods", "AllowedMethods", _strings(2), required=True),
    Field("cachedMethods", "AllowedMethods.CachedMethods", _strings(2), required=True),
    Field("compress", "Compress", BOOLEAN, default=False),
    # Optional in the official provider only beside the older forwardedValues.
    Field("cachePolicyId", "CachePolicyId", required=True),
    Field("originRequestPolicyId", "OriginRequestPolicyId", shown=False),
    Field("responseHeadersPolicyId", "ResponseHeadersPolicyId", shown=False),
    Field(
        "functionAssociations",
        "FunctionAssociations",
        ListOf(_FUNCTION, unordered=True, key="eventType", quantity=True, at_most=2),
    ),
)
_BEHAVIOR = Block(_BEHAVIOR_FIELDS)
_ORDERED_BEHAVIOR = Block((Field("pathPattern", "PathPattern", required=True), *_BEHAVIOR_FIELDS))

_METHODS = (
    {"GET", "HEAD"},
    {"GET", "HEAD", "OPTIONS"},
    {"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"},
)

_CUSTOM_ORIGIN = Block(
    (
        Field("httpPort", "HTTPPort", INTEGER, required=True, checks=(within(1, 65535),)),
        Field("httpsPort", "HTTPSPort", INTEGER, required=True, checks=(within(1, 65535),)),
        Field(
            "originProtocolPolicy",
            "OriginProtocolPolicy",
            required=True,
            checks=(one_of("http-only", "https-only", "match-viewer"),),
        ),
        Field("originSslProtocols", "OriginSslProtocols", _strings(1), required=True),
        Field("originReadTimeout", "OriginReadTimeout", INTEGER, default=30, checks=(within(1, 120),)),
        Field(
            "originKeepaliveTimeout", "OriginKeepaliveTimeout", INTEGER, default=5, checks=(within(1, 120),)
        ),
    )
)
_HEADERS = Block((Field("name", "HeaderName", required=True), Field("value", "HeaderValue", required=True)))
_ORIGIN = Block(
    (
        Field("originId", "Id", required=True, checks=(matches(r".{1,128}", "1 to 128 characters"),)),
        Field(
            "domainName",
            "DomainName",
            required=True,
            checks=(matches(r"[^/:]+", "a host name without scheme"),),
        ),
        Field(
            "originPath",
            "OriginPath",
            default="",
            checks=(matches(r"(/.*[^/])?", "empty, or from / and not to /"),),
        ),
        Field("customHeaders", "CustomHeaders", ListOf(_HEADERS, unordered=True, key="name", quantity=True)),
        Field("customOriginConfig", "CustomOriginConfig", _CUSTOM_ORIGIN),
        Field("originAccessControlId", "OriginAccessControlId", shown=False),
        Field("connectionAttempts", "ConnectionAttempts", INTEGER, default=3, checks=(within(1, 3),)),
        Field("connectionTimeout", "ConnectionTimeout", INTEGER, default=10, checks=(within(1, 10),)),
    )
)


def _make_origins(origins: list[dict[str, Any]]) -> dict[str, Any]:
    """The API needs one of the two kinds of origin; an S3 origin under an access control has an empty identity."""
    items = [
        encode(_ORIGIN, origin)
        | ({} if "customOriginConfig" in origin else {"S3OriginConfig": {"OriginAccessIdentity": ""}})
        for origin in origins
    ]
    return {"Quantity": len(items), "Items": items}


_CERTIFICATE = Block(
    (
        Field("cloudfrontDefaultCertificate", "CloudFrontDefaultCertificate", BOOLEAN),
        Field("acmCertificateArn", "ACMCertificateArn"),
        Field("sslSupportMethod", "SSLSupportMethod", mode=Mode.EITHER),
        Field("minimumProtocolVersion", "MinimumProtocolVersion", mode=Mode.EITHER),
    )
)

# From "How CloudFront processes HTTP 4xx and 5xx status codes from your origin".
_ERROR_CODES = (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
_ERROR_RESPONSE = Block(
    (
        Field("errorCode", "ErrorCode", INTEGER, required=True, checks=(one_of(*_ERROR_CODES),)),
        Field("errorCachingMinTtl", "ErrorCachingMinTTL", INTEGER, default=10, checks=(within(0, 31536000),)),
    )
)

_CONFIG = (
    Field("enabled", "Enabled", BOOLEAN, required=True),
    Field("comment", "Comment", default=""),
    Field("aliases", "Aliases", _strings()),
    Field("defaultRootObject", "DefaultRootObject", default=""),
    Field(
        "httpVersion",
        "HttpVersion",
        default="http2",
        checks=(one_of("http1.1", "http2", "http3", "http2and3"),),
    ),
    Field("isIpv6Enabled", "IsIPV6Enabled", BOOLEAN, default=False),
    Field(
        "priceClass",
        "PriceClass",
        default="PriceClass_All",
        checks=(one_of("PriceClass_100", "PriceClass_200", "PriceClass_All"),),
    ),
    Field("webAclId", "WebACLId", default=""),
    Field(
        "origins",
        "Origins",
        ListOf(_ORIGIN, unordered=True, key="originId", quantity=True, at_least=1),
        required=True,
        encode=_make_origins,
    ),
    Field("defaultCacheBehavior", "DefaultCacheBehavior", _BEHAVIOR, required=True),
    Field("orderedCacheBehaviors", "CacheBehaviors", ListOf(_ORDERED_BEHAVIOR, quantity=True)),
    Field(
        "customErrorResponses",
        "CustomErrorResponses",
        ListOf(_ERROR_RESPONSE, unordered=True, key="errorCode", quantity=True),
    ),
    Field(
        "restrictions",
        "Restrictions",
        Block(
            (
                Field(
                    "geoRestriction",
                    "GeoRestriction",
                    Block(
                        (
                            Field("restrictionType", "RestrictionType", required=True),
                            Field("locations", SAME_LEVEL, _strings(), default=[]),
                        )
                    ),
                    required=True,
                ),
            )
        ),
        required=True,
    ),
    Field("viewerCertificate", "ViewerCertificate", _CERTIFICATE, required=True),
)
_CONFIG_NAMES = tuple(field.name for field in _CONFIG)


def _current(operation: Operation) -> tuple[str, dict[str, Any]]:
    shown = operation.aws.call("get_distribution_config", Id=operation.id)
    return str(shown["ETag"]), shown["DistributionConfig"]


def _deployed(operation: Operation) -> bool:
    status = operation.aws.call("get_distribution", Id=operation.id)["Distribution"]["Status"]
    return bool(status == "Deployed")


def _update_distribution(operation: Operation) -> None:
    """What the program does not declare is sent as AWS showed it; what it no longer declares is sent empty."""
    if not operation.changed(*_CONFIG_NAMES):
        return
    etag, config = _current(operation)
    empty: Props = {"aliases": [], "orderedCacheBehaviors": []}
    config |= encode(DISTRIBUTION.block, {**empty, **operation.inputs}, _CONFIG_NAMES)
    operation.aws.call("update_distribution", Id=operation.id, IfMatch=etag, DistributionConfig=config)
    operation.wait("deployment of the distribution", lambda: _deployed(operation))


def _delete_distribution(operation: Operation) -> None:
    """AWS deletes a distribution only after it was disabled everywhere."""
    etag, config = _current(operation)
    if config["Enabled"]:
        operation.aws.call(
            "update_distribution",
            Id=operation.id,
            IfMatch=etag,
            DistributionConfig=config | {"Enabled": False},
        )
        operation.wait("switching the distribution off", lambda: _deployed(operation))
        etag, _ = _current(operation)
    operation.aws.call("delete_distribution", Id=operation.id, IfMatch=etag)


def _behavior_rules(behavior: Any, origins: set[Any] | None, path: str) -> Iterator[Failure]:
    if not known(behavior):
        return
    for name, allowed in (("allowedMethods", _METHODS), ("cachedMethods", _METHODS[:2])):
        methods = behavior[name]
        if known(methods) and all(known(each) for each in methods) and set(methods) not in allowed:
            choices = ", or ".join(" ".join(sorted(each)) for each in allowed)
            yield Failure(f"{path}.{name}", f"must be {choices}")
    origin = behavior["targetOriginId"]
    if known(origin) and origins is not None and origin not in origins:
        yield Failure(f"{path}.targetOriginId", f"{origin} is not the originId of an origin")


def _some(value: Any) -> bool:
    return known(value) and bool(value)


def _distribution_rules(inputs: Props) -> Iterator[Failure]:
    origins: set[Any] | None = None
    if known(inputs["origins"]) and all(
        known(each) and known(each["originId"]) for each in inputs["origins"]
    ):
        origins = {each["originId"] for each in inputs["origins"]}
    yield from _behavior_rules(inputs["defaultCacheBehavior"], origins, "defaultCacheBehavior")
    ordered = inputs.get("orderedCacheBehaviors")
    for index, behavior in enumerate(ordered if known(ordered) else ()):
        yield from _behavior_rules(behavior, origins, f"orderedCacheBehaviors[{index}]")
    certificate = inputs["viewerCertificate"]
    if known(certificate):
        given = [
            certificate.get(name) not in (None, False)
            for name in ("cloudfrontDefaultCertificate", "acmCertificateArn")
        ]
        if sum(given) != 1:
            yield Failure(
                "viewerCertificate", "needs one of cloudfrontDefaultCertificate and acmCertificateArn"
            )
        elif "acmCertificateArn" in certificate and "sslSupportMethod" not in certificate:
            yield Failure("viewerCertificate.sslSupportMethod", "is needed beside acmCertificateArn")
        if certificate.get("cloudfrontDefaultCertificate") is True and _some(inputs.get("aliases")):
            yield Failure("aliases", "need a certificate of their own: CloudFront's does not cover them")


DISTRIBUTION = ResourceType(
    token="aws:cloudfront/distribution:Distribution",
    service="cloudfront",
    global_service=True,
    fields=(
        *_CONFIG,
        output("arn", "ARN"),
        output("callerReference", "CallerReference"),
        output("domainName", "DomainName"),
        output("etag", "ETag"),
        output("hostedZoneId", "HostedZoneId"),
        output("status", "Status"),
    ),
    create=Create(
        "create_distribution",
        id="Distribution.Id",
        inside="DistributionConfig",
        fixed={"DistributionConfig": {"CallerReference": "{token}"}},
        ready=_deployed,
    ),
    read=Describe(
        Call("get_distribution", {"Id": "{id}"}),
        "",
        gone=("NoSuchDistribution",),
        # Z2FDTNDATAQYW2 is CloudFront's own hosted zone, the same for all distributions.
        more=lambda operation, api: (
            api["Distribution"]
            | api["Distribution"]["DistributionConfig"]
            | {"HostedZoneId": "Z2FDTNDATAQYW2"}
        ),
    ),
    update=(_update_distribution,),
    delete=_delete_distribution,
    tags=TagCalls(
        add=Call("tag_resource", {"Resource": "{arn}"}),
        remove=Call("untag_resource", {"Resource": "{arn}"}),
        list=Call("list_tags_for_resource", {"Resource": "{arn}"}),
        path="Tags.Items",
        on_create="",
        envelope="Items",
    ),
    rules=_distribution_rules,
)

_CONTROL = (
    Field("name", "Name", required=True, checks=(matches(r".{1,64}", "1 to 64 characters"),)),
    Field("description", "Description", default="Managed by Pulumi"),
    Field("originAccessControlOriginType", "OriginAccessControlOriginType", required=True),
    Field("signingBehavior", "SigningBehavior", required=True),
    Field("signingProtocol", "SigningProtocol", required=True),
)
_CONTROL_NAMES = tuple(field.name for field in _CONTROL)


def _control_etag(operation: Operation) -> str:
    return str(operation.aws.call("get_origin_access_control", Id=operation.id)["ETag"])


def _update_control(operation: Operation) -> None:
    if operation.changed(*_CONTROL_NAMES):
        config = encode(Block(_CONTROL), operation.inputs)
        operation.aws.call(
            "update_origin_access_control",
            Id=operation.id,
            IfMatch=_control_etag(operation),
            OriginAccessControlConfig=config,
        )


ORIGIN_ACCESS_CONTROL = ResourceType(
    token="aws:cloudfront/originAccessControl:OriginAccessControl",
    service="cloudfront",
    global_service=True,
    fields=(*_CONTROL, output("etag", "ETag")),
    create=Create(
        "create_origin_access_control", id="OriginAccessControl.Id", inside="OriginAccessControlConfig"
    ),
    read=Describe(
        Call("get_origin_access_control", {"Id": "{id}"}),
        "",
        gone=("NoSuchOriginAccessControl",),
        more=lambda operation, api: api["OriginAccessControl"]["OriginAccessControlConfig"],
    ),
    update=(_update_control,),
    delete=lambda operation: operation.aws.call(
        "delete_origin_access_control", Id=operation.id, IfMatch=_control_etag(operation)
    ),
    unique=("name",),
)

TABLE = table(DISTRIBUTION, ORIGIN_ACCESS_CONTROL)
