"""Endpoints that the lab needs and AWS does not have: JSON over HTTP under ``/lab/``. Nothing in rollout/ or
infra/ may use it.

    GET  /lab/changes?since=12&timeout=20   {"version": 15, "services": ["elbv2"]}; waits for a change
    GET  /lab/faults                        {"metrics-missing": {}}
    PUT  /lab/faults/NAME                   body: the switch's settings, {} for none
    DELETE /lab/faults/NAME
    POST /lab/target-health                 {"<target group arn>": [{"id", "port", "state", "reason", "description"}]}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from simulate.lab.aws_server.switches import CHANGES, SWITCHES
from simulate.lab.aws_server.target_health import MEASURED, BadReport
from simulate.lab.faults import SWITCH_NAMES

PREFIX = "/lab/"
StartResponse = Callable[..., Any]


def handle(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI application for the paths under ``/lab/``."""
    status, body = _answer(environ)
    payload = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))])
    return [payload]


def _answer(environ: dict[str, Any]) -> tuple[str, Any]:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(PREFIX).rstrip("/")
    match method, path.split("/"):
        case "GET", ["changes"]:
            query = parse_qs(environ.get("QUERY_STRING", ""))
            since, timeout = int(query.get("since", ["0"])[0]), float(query.get("timeout", ["20"])[0])
            version, services = CHANGES.since(since, min(timeout, 60.0))
            return "200 OK", {"version": version, "services": services}
        case "GET", ["faults"]:
            return "200 OK", SWITCHES.all()
        case (("PUT" | "DELETE"), ["faults", name]):
            if name not in SWITCH_NAMES:
                return "404 Not Found", {"error": f"no switch {name!r}: use one of {', '.join(SWITCH_NAMES)}"}
            settings = _json(environ) if method == "PUT" else None
            if method == "PUT" and not isinstance(settings, dict):
                return "400 Bad Request", {"error": "the body must be a JSON object, {} for no settings"}
            SWITCHES.set(name, settings)
            CHANGES.note("faults")
            return "200 OK", SWITCHES.all()
        case "POST", ["target-health"]:
            report = _json(environ)
            if not isinstance(report, dict):
                return "400 Bad Request", {"error": "the body must be a JSON object by target group ARN"}
            try:
                MEASURED.report(report)
            except BadReport as error:
                return "400 Bad Request", {"error": str(error)}
            return "200 OK", {}
    return "404 Not Found", {"error": f"{method} {environ['PATH_INFO']} is not one of the lab's endpoints"}


def _json(environ: dict[str, Any]) -> Any:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    try:
        return json.loads(environ["wsgi.input"].read(length) or b"null")
    except ValueError:
        return None
