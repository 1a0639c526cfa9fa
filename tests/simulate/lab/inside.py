"""Runs inside a lab for the tests outside: reads one HTTP request a line, writes one answer a line, both as JSON.

A request is {"method", "url", "body", "type"}; a url that begins with / goes to the Kubernetes API. The answer is
{"status", "headers", "text"}, with status 0 when there was no answer at all.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def ask(request: dict[str, Any]) -> dict[str, Any]:
    config = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
    cluster, headers = config["clusters"][0]["cluster"], {}
    url = request["url"]
    if url.startswith("/"):
        url = cluster["server"] + url
        headers["Authorization"] = "Bearer " + config["users"][0]["user"]["token"]
    body = request.get("body")
    if body is not None:
        headers["Content-Type"] = request.get("type", "application/json")
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        connection = http.client.HTTPSConnection(parts.netloc, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(
            request.get("method", "GET"), path, None if body is None else json.dumps(body), headers
        )
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        return {"status": answer.status, "headers": dict(answer.getheaders()), "text": text}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "headers": {}, "text": str(error)}
    finally:
        connection.close()


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(ask(json.loads(line))), flush=True)
