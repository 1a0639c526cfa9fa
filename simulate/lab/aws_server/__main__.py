"""Runs the lab's AWS server until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

# Read by moto at import: the AWS-managed policies exist in every account.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from simulate.lab.aws_server import (
    alarms,
    backup,
    bucket_policy,
    cloudfront,
    cloudwatch,
    composite_alarms,
    databases,
    failing,
    lab_api,
    observers,
    pod_identity,
    query_definitions,
    target_health,
)
from simulate.lab.aws_server.switches import CHANGES
from simulate.lab.layout import AWS_REGION

_ACCOUNT = "123456789012"  # as moto names it
_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
_SERVICES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch"}
_READS = ("Describe", "Get", "List", "Head", "PutMetricData")


class Application:
    """moto's dispatcher, one request at a time (its models are plain dicts, not made for threads), and ``/lab/``."""

    def __init__(self, lock: threading.RLock) -> None:
        self.moto: Any = DomainDispatcherApplication(create_backend_app)
        self.lock = lock

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(lab_api.PREFIX):
            return lab_api.handle(environ, start_response)
        # Read before the lock is taken, so that a slow sender holds up nobody else.
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        called = _changing(environ, body)
        if called and (refusal := failing.refusal(*called)):
            return failing.answer(refusal, start_response)
        with self.lock:
            answer: Iterable[bytes] = self.moto(environ, start_response)
        if called:
            CHANGES.note(called[0])
        return answer


def _changing(environ: dict[str, Any], body: bytes) -> tuple[str, str] | None:
    """The service and the action of a request that may change something, ``None`` for a request that only reads."""
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None or environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return None
    action = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    if not action and str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        action = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    if not action:
        action = environ["PATH_INFO"].rpartition("/operation/")[2]
    if action.startswith(_READS):
        return None
    return _SERVICES.get(found.group(1), found.group(1)), action


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="simulate.lab.aws_server", description="AWS's control-plane API of the lab"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    # AWS answers Throttling for every service; moto warns that no service model lists it.
    warnings.filterwarnings("ignore", message="Exception.*does not match an error shape")
    time_scale = float(os.environ.get("SIMPLE378_TIME_SCALE", "1"))
    lock = threading.RLock()
    backup.install()
    cloudfront.install()
    cloudwatch.install()
    composite_alarms.install()
    query_definitions.install()
    target_health.install()
    bucket_policy.install()
    pod_identity.install()
    pod_identity.make_cluster(_ACCOUNT, AWS_REGION)
    server = make_server(
        args.host, args.port, Application(lock), threaded=True, request_handler=MotoRequestHandler
    )
    server.daemon_threads = True  # type: ignore[attr-defined]
    evaluator = alarms.Evaluator(_ACCOUNT, AWS_REGION, time_scale, lock)
    evaluator.start()
    if "SIMPLE378_LAB" in os.environ:
        databases.Databases(_ACCOUNT, AWS_REGION, lock).start()
        observers.Observers(_ACCOUNT, AWS_REGION, time_scale, lock).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"AWS API of the lab on http://{args.host}:{args.port}", flush=True)
    server.serve_forever()
    evaluator.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
