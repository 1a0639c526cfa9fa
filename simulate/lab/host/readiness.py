"""When a service of the lab is ready: checked at the service itself, never assumed after a time."""

from __future__ import annotations

import http.client
import os
import ssl
import subprocess
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

#: Seconds that one check may take; the supervisor makes them between its other duties.
PATIENCE_S = 1.0


class Readiness(Protocol):
    """One check, repeated until it succeeds."""

    def check(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class HttpAnswers:
    """`url` answers with status 200. `authority`: CA file for https. `token`: bearer token."""

    url: str
    authority: Path | None = None
    token: str = field(default="", repr=False)

    def check(self) -> bool:
        parts = urlsplit(self.url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.authority)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=PATIENCE_S, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_S)
        try:
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request("GET", parts.path or "/", headers=headers)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class FileExists:
    """The service has written this file."""

    path: Path

    def check(self) -> bool:
        return self.path.exists()


@dataclass(frozen=True, slots=True)
class CommandSucceeds:
    """This command exits with 0."""

    argv: tuple[str, ...]

    def check(self) -> bool:
        # Started directly, as the supervisor reaps every child itself.
        with open(os.devnull, "r+b") as nothing:
            process = subprocess.Popen(self.argv, stdin=nothing, stdout=nothing, stderr=nothing)
            try:
                return process.wait(timeout=5 * PATIENCE_S) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return False


@dataclass(frozen=True, slots=True)
class Ended:
    """A step, not a service: ready when its process has exited with 0, which the supervisor sees by itself."""

    def check(self) -> bool:
        return False
