"""Lambda functions and who may invoke them. The emulated AWS keeps a function and its code; nothing there runs it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..aws import ApiError, ProviderError
from ..spec import (
    ARCHIVE,
    INTEGER,
    STRING,
    Api,
    Block,
    Call,
    Create,
    Describe,
    Failure,
    Field,
    ListOf,
    MapOf,
    Operation,
    Props,
    ResourceType,
    TagCalls,
    output,
)
from .rules import known, matches, one_of, table, within

_GONE = ("ResourceNotFoundException",)
_RUNTIMES = tuple(f"python3.{minor}" for minor in range(10, 15))
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same files give the same zip


def zipped(archive: Mapping[str, Any]) -> bytes:
    """The files of an archive of assets, as the engine hands it over, as a zip. Raises ProviderError."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name, asset in sorted((archive.get("assets") or {}).items()):
            text = asset.get("text")
            path = asset.get("path")
            if text is None and not path:
                raise ProviderError(
                    f"the lab's provider reads archives of files and texts, {name} is neither"
                )
            data = Path(path).read_bytes() if path else text.encode()
            target.writestr(zipfile.ZipInfo(name, _ZIP_TIME), data)
    return packed.getvalue()


def _update(operation: Operation) -> None:
    inputs = operation.inputs
    if operation.changed("code"):
        operation.aws.call("update_function_code", FunctionName=operation.id, ZipFile=zipped(inputs["code"]))
    if operation.changed("description", "role", "handler", "runtime", "timeout", "memorySize", "environment"):
        operation.aws.call(
            "update_function_configuration",
            FunctionName=operation.id,
            Description=inputs.get("description", ""),
            Role=inputs["role"],
            Handler=inputs["handler"],
            Runtime=inputs["runtime"],
            Timeout=inputs["timeout"],
            MemorySize=inputs["memorySize"],
            Environment={"Variables": (inputs.get("environment") or {}).get("variables", {})},
        )


def _rules(inputs: Props) -> Iterator[Failure]:
    environment = inputs.get("environment")
    variables = environment.get("variables") if known(environment) else None
    if known(variables) and all(known(value) for value in variables.values()):
        size = sum(len(name) + len(value) for name, value in variables.items())
        if size > 4096:
            yield Failure("environment", f"variables have {size} bytes, at most 4096 are allowed")


FUNCTION = ResourceType(
    token="aws:lambda/function:Function",
    service="lambda",
    fields=(
        Field(
            "name",
            "FunctionName",
            required=True,
            replace=True,
            checks=(matches(r"[a-zA-Z0-9_-]{1,64}", "1 to 64 letters, digits, hyphens and underscores"),),
        ),
        Field("description", "Description"),
        Field("role", "Role", required=True),
        Field("runtime", "Runtime", required=True, checks=(one_of(*_RUNTIMES),)),
        Field("handler", "Handler", required=True),
        Field("code", "Code.ZipFile", ARCHIVE, required=True, shown=False, encode=zipped),
        Field("timeout", "Timeout", INTEGER, default=3, checks=(within(1, 900),)),
        Field("memorySize", "MemorySize", INTEGER, default=128, checks=(within(128, 10_240),)),
        Field("architectures", "Architectures", ListOf(STRING, at_least=1, at_most=1), replace=True),
        Field("environment", "Environment", Block((Field("variables", "Variables", MapOf()),))),
        output("arn", "FunctionArn"),
    ),
    create=Create("create_function", id="FunctionName"),
    read=Describe(
        Call("get_function", {"FunctionName": "{id}"}),
        "Configuration",
        gone=_GONE,
    ),
    update=(_update,),
    delete=Call("delete_function", {"FunctionName": "{id}"}),
    tags=TagCalls(
        add=Call("tag_resource", {"Resource": "{arn}"}),
        remove=Call("untag_resource", {"Resource": "{arn}"}),
        list=Call("list_tags", {"Resource": "{arn}"}),
        path="Tags",
        mapped=True,
    ),
    unique=("name",),
    rules=_rules,
)


def _read_permission(operation: Operation) -> Api | None:
    function = operation.inputs.get("function") or operation.state["function"]
    try:
        policy = json.loads(operation.aws.call("get_policy", FunctionName=function)["Policy"])
    except ApiError as error:
        if error.code in _GONE:
            return None
        raise
    for statement in policy["Statement"]:
        if statement["Sid"] == operation.id:
            condition = statement.get("Condition", {})
            return {
                "FunctionName": function,
                "StatementId": statement["Sid"],
                "Action": statement["Action"],
                "Principal": statement["Principal"]["Service"],
                "SourceArn": condition.get("ArnLike", {}).get("AWS:SourceArn"),
            }
    return None


PERMISSION = ResourceType(
    token="aws:lambda/permission:Permission",
    service="lambda",
    fields=(
        Field("function", "FunctionName", required=True, replace=True),
        Field("statementId", "StatementId", required=True, replace=True),
        Field("action", "Action", required=True, replace=True),
        Field("principal", "Principal", required=True, replace=True),
        Field("sourceArn", "SourceArn", replace=True),
    ),
    create=Create("add_permission", id="{statementId}"),
    read=_read_permission,
    delete=Call("remove_permission", {"FunctionName": "{function}", "StatementId": "{id}"}),
    delete_gone=_GONE,
    unique=("function", "statementId"),
)

TABLE = table(FUNCTION, PERMISSION)
