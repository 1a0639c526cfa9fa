"""Pulumi's property values in protobuf Structs, to and from plain Python.

The provider declares that it takes no secrets, so the engine unwraps them before a call and marks the same properties
of the answer as secret again; no secret is written to the state in plain text. Unknown values of a preview come
as marker strings and become `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from google.protobuf import struct_pb2


class Unknown(Enum):
    UNKNOWN = "unknown until the update has run"


UNKNOWN = Unknown.UNKNOWN

# sdk/go/common/resource/plugin/rpc.go
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWN_MARKERS = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Null members are dropped: Pulumi treats them as absent."""
    plain = {key: _from_value(value) for key, value in struct.fields.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _from_value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWN_MARKERS else value.string_value
        case "bool_value":
            return value.bool_value
    return None


def to_struct(props: Mapping[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(_to_plain(props))
    return struct


def _to_plain(value: Any) -> Any:
    if value is UNKNOWN:
        return _UNKNOWN_STRING
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    return value


def has_unknown(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN
