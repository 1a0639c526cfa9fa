"""A small asyncio client for the Kubernetes API: plain JSON objects, and a watch that reconnects after every failure.

async with KubeApi.from_environment() as api:
    async for change in api.watch("/api/v1/pods", fieldSelector="spec.nodeName=lab-node"):
        print(change.kind, change.object["metadata"]["name"])
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]

#: Seconds that one request may take (a watch excepted), and how long a watch is kept open.
REQUEST_LIMIT_S = 20.0
WATCH_S = 300
_RETRY_S = 0.5


class KubeError(Exception):
    """The API server refused. `status`: the HTTP status, callers handle 404 and 409."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Kind(StrEnum):
    """The kind of a watch's change. `SYNCED` carries no object: all that existed at the start has been reported."""

    CHANGED = "changed"
    DELETED = "deleted"
    SYNCED = "synced"


@dataclass(frozen=True, slots=True)
class Change:
    """One change reported by a watch."""

    kind: Kind
    object: Json


class KubeApi:
    """One user's connection to one API server."""

    def __init__(self, server: str, token: str, authority: Path) -> None:
        self._server = server
        self._token = token
        self._authority = authority
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_environment(cls) -> KubeApi:
        """The cluster of the lab's kubeconfig, named by KUBECONFIG."""
        document = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        return cls(cluster["server"], user["token"], Path(cluster["certificate-authority"]))

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=self._authority)
        self._session = aiohttp.ClientSession(
            self._server,
            headers={"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=REQUEST_LIMIT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str) -> Json:
        return await self._request("GET", path, query=query)

    async def post(self, path: str, body: Json) -> Json:
        return await self._request("POST", path, body)

    async def put(self, path: str, body: Json) -> Json:
        return await self._request("PUT", path, body)

    async def patch(self, path: str, body: Json) -> Json:
        """A strategic merge patch: lists such as a pod's conditions are merged by their key."""
        return await self._request("PATCH", path, body, "application/strategic-merge-patch+json")

    async def merge_patch(self, path: str, body: Json) -> Json:
        """A plain merge patch, the only one that custom resources take."""
        return await self._request("PATCH", path, body, "application/merge-patch+json")

    async def delete(self, path: str, body: Json | None = None) -> Json:
        return await self._request("DELETE", path, body)

    async def watch(self, path: str, **query: str) -> AsyncIterator[Change]:
        """All objects of a collection, then their changes, for ever.

        After a lost connection or an expired version it lists again; objects that vanished meanwhile are reported as deleted.
        """
        known: dict[str, Json] = {}
        while True:
            try:
                listed = await self.get(path, **query)
                current = {item["metadata"]["uid"]: item for item in listed["items"]}
                for uid in known.keys() - current.keys():
                    yield Change(Kind.DELETED, known[uid])
                known = current
                for item in current.values():
                    yield Change(Kind.CHANGED, item)
                yield Change(Kind.SYNCED, {})
                version = listed["metadata"]["resourceVersion"]
                async for event in self._events(path, version, query):
                    item, uid = event["object"], event["object"]["metadata"]["uid"]
                    if event["type"] == "DELETED":
                        known.pop(uid, None)
                        yield Change(Kind.DELETED, item)
                    else:
                        known[uid] = item
                        yield Change(Kind.CHANGED, item)
            except (aiohttp.ClientError, TimeoutError, KubeError):
                await asyncio.sleep(_RETRY_S)

    async def _events(self, path: str, version: str, query: Mapping[str, str]) -> AsyncIterator[Json]:
        """Watch from `version` on, resuming at the end of each connection; returns when that is impossible."""
        while True:
            parameters = {
                **query,
                "watch": "true",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(WATCH_S),
            }
            async with self._open.get(
                path, params=parameters, timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**22
            ) as response:
                if response.status != HTTPStatus.OK:
                    return
                while line := await response.content.readline():
                    event: Json = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use it as `async with`")
        return self._session

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": content_type}
        async with self._open.request(method, path, data=data, headers=headers, params=query) as response:
            answer: Json = await response.json(content_type=None)
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise KubeError(response.status, answer.get("message", "no message"))
            return answer
