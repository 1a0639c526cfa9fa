"""What distributions refer to: functions, and policies for the headers of responses."""

from __future__ import annotations

from ..convert import encode
from ..spec import (
    BOOLEAN,
    INTEGER,
    Api,
    Block,
    Call,
    Create,
    Describe,
    Field,
    ListOf,
    Operation,
    ResourceType,
    output,
)
from .rules import at_most, matches, one_of, table

_FUNCTION_NAME = matches(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, hyphens and underscores")
_LARGEST_FUNCTION = 10_240  # bytes


def _stage(operation: Operation, stage: str) -> Api:
    return operation.aws.call("describe_function", Name=operation.inputs["name"], Stage=stage)


def _publish(operation: Operation) -> None:
    if operation.inputs["publish"]:
        etag = _stage(operation, "DEVELOPMENT")["ETag"]
        operation.aws.call("publish_function", Name=operation.inputs["name"], IfMatch=etag)


def _function_more(operation: Operation, api: Api) -> Api:
    code = operation.aws.call("get_function", Name=operation.inputs["name"], Stage="DEVELOPMENT")[
        "FunctionCode"
    ]
    text = code if isinstance(code, bytes) else code.read()
    live = {"LiveStageETag": _stage(operation, "LIVE")["ETag"]} if operation.inputs["publish"] else {}
    return {"FunctionCode": text.decode(), **live}


def _update_function(operation: Operation) -> None:
    if operation.changed("code", "comment", "runtime"):
        operation.aws.call(
            "update_function",
            Name=operation.id,
            IfMatch=_stage(operation, "DEVELOPMENT")["ETag"],
            **encode(Block(_FUNCTION_FIELDS), operation.inputs, ("code", "comment", "runtime")),
        )
    if operation.changed("code", "comment", "runtime", "publish"):
        _publish(operation)


_FUNCTION_FIELDS = (
    Field("name", "Name", required=True, replace=True, checks=(_FUNCTION_NAME,)),
    Field(
        "code",
        "FunctionCode",
        required=True,
        checks=(
            lambda text: (
                None
                if len(text.encode()) <= _LARGEST_FUNCTION
                else f"must have at most {_LARGEST_FUNCTION} bytes, has {len(text.encode())}"
            ),
        ),
        encode=str.encode,
    ),
    Field("comment", "FunctionConfig.Comment", default="", checks=(at_most(128),)),
    Field(
        "runtime",
        "FunctionConfig.Runtime",
        required=True,
        checks=(one_of("cloudfront-js-1.0", "cloudfront-js-2.0"),),
    ),
    Field("publish", type=BOOLEAN, default=True, shown=False),
)

FUNCTION = ResourceType(
    token="aws:cloudfront/function:Function",
    service="cloudfront",
    global_service=True,
    fields=(
        *_FUNCTION_FIELDS,
        output("arn", "FunctionMetadata.FunctionARN"),
        output("etag", "ETag"),
        output("liveStageEtag", "LiveStageETag"),
        output("status", "Status"),
    ),
    create=Create("create_function", id="FunctionSummary.Name", then=_publish),
    read=Describe(
        Call("describe_function", {"Name": "{id}", "Stage": "DEVELOPMENT"}),
        "",
        gone=("NoSuchFunctionExists",),
        more=lambda operation, api: api["FunctionSummary"] | _function_more(operation, api),
    ),
    update=(_update_function,),
    delete=lambda operation: operation.aws.call(
        "delete_function", Name=operation.id, IfMatch=_stage(operation, "DEVELOPMENT")["ETag"]
    ),
    delete_gone=("NoSuchFunctionExists",),
    unique=("name",),
    import_inputs=lambda given: {"name": given},
)

_OVERRIDE = Field("override", "Override", BOOLEAN, required=True)
_SECURITY = Block(
    (
        Field("contentTypeOptions", "ContentTypeOptions", Block((_OVERRIDE,))),
        Field(
            "frameOptions",
            "FrameOptions",
            Block((_OVERRIDE, Field("frameOption", "FrameOption", required=True))),
        ),
        Field(
            "referrerPolicy",
            "ReferrerPolicy",
            Block((_OVERRIDE, Field("referrerPolicy", "ReferrerPolicy", required=True))),
        ),
        Field(
            "strictTransportSecurity",
            "StrictTransportSecurity",
            Block(
                (
                    _OVERRIDE,
                    Field("accessControlMaxAgeSec", "AccessControlMaxAgeSec", INTEGER, required=True),
                    Field("includeSubdomains", "IncludeSubdomains", BOOLEAN),
                    Field("preload", "Preload", BOOLEAN),
                )
            ),
        ),
        Field(
            "xssProtection",
            "XSSProtection",
            Block(
                (
                    _OVERRIDE,
                    Field("protection", "Protection", BOOLEAN, required=True),
                    Field("modeBlock", "ModeBlock", BOOLEAN),
                )
            ),
        ),
    )
)
_CUSTOM = Block(
    (
        Field(
            "items",
            ".",
            ListOf(
                Block(
                    (
                        Field("header", "Header", required=True),
                        Field("value", "Value", required=True),
                        _OVERRIDE,
                    )
                ),
                unordered=True,
                key="header",
                quantity=True,
            ),
        ),
    )
)
_POLICY_FIELDS = (
    Field(
        "name", "Name", required=True, checks=(matches(r"[\w-]{1,128}", "1 to 128 letters, digits, - and _"),)
    ),
    Field("comment", "Comment", default=""),
    Field("securityHeadersConfig", "SecurityHeadersConfig", _SECURITY),
    Field("customHeadersConfig", "CustomHeadersConfig", _CUSTOM),
)


def _policy_etag(operation: Operation) -> str:
    return str(operation.aws.call("get_response_headers_policy", Id=operation.id)["ETag"])


def _update_policy(operation: Operation) -> None:
    if operation.changed(*(field.name for field in _POLICY_FIELDS)):
        operation.aws.call(
            "update_response_headers_policy",
            Id=operation.id,
            IfMatch=_policy_etag(operation),
            ResponseHeadersPolicyConfig=encode(Block(_POLICY_FIELDS), operation.inputs),
        )


RESPONSE_HEADERS_POLICY = ResourceType(
    token="aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy",
    service="cloudfront",
    global_service=True,
    fields=(*_POLICY_FIELDS, output("etag", "ETag")),
    create=Create(
        "create_response_headers_policy", id="ResponseHeadersPolicy.Id", inside="ResponseHeadersPolicyConfig"
    ),
    read=Describe(
        Call("get_response_headers_policy", {"Id": "{id}"}),
        "",
        gone=("NoSuchResponseHeadersPolicy",),
        more=lambda operation, api: api["ResponseHeadersPolicy"]["ResponseHeadersPolicyConfig"],
    ),
    update=(_update_policy,),
    delete=lambda operation: operation.aws.call(
        "delete_response_headers_policy", Id=operation.id, IfMatch=_policy_etag(operation)
    ),
    unique=("name",),
)

TABLE = table(FUNCTION, RESPONSE_HEADERS_POLICY)
