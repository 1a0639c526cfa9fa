"""Saved queries of CloudWatch Logs Insights, which moto 5.2.5 does not have: kept and described, never run."""

from __future__ import annotations

import json
import uuid
import weakref

from moto.core.exceptions import JsonRESTError
from moto.logs.models import LogsBackend
from moto.logs.responses import LogsResponse

_saved: weakref.WeakKeyDictionary[LogsBackend, dict[str, dict[str, object]]] = weakref.WeakKeyDictionary()


class _NotFound(JsonRESTError):
    code = 400

    def __init__(self) -> None:
        super().__init__("ResourceNotFoundException", "The specified query definition does not exist.")


def install() -> None:
    """Adds the calls to moto in this process."""
    for method in (put_query_definition, describe_query_definitions, delete_query_definition):
        setattr(LogsResponse, method.__name__, method)


def _definitions(response: LogsResponse) -> dict[str, dict[str, object]]:
    return _saved.setdefault(response.logs_backend, {})


def put_query_definition(self: LogsResponse) -> str:
    known, key = _definitions(self), self._get_param("queryDefinitionId")
    if key is not None and key not in known:
        raise _NotFound
    key = key or str(uuid.uuid4())
    known[key] = {
        "queryDefinitionId": key,
        "name": self._get_param("name"),
        "queryString": self._get_param("queryString"),
        "logGroupNames": self._get_param("logGroupNames") or [],
    }
    return json.dumps({"queryDefinitionId": key})


def describe_query_definitions(self: LogsResponse) -> str:
    prefix = self._get_param("queryDefinitionNamePrefix") or ""
    found = [each for each in _definitions(self).values() if str(each["name"]).startswith(prefix)]
    return json.dumps({"queryDefinitions": found})


def delete_query_definition(self: LogsResponse) -> str:
    if _definitions(self).pop(self._get_param("queryDefinitionId"), None) is None:
        raise _NotFound
    return json.dumps({"success": True})
