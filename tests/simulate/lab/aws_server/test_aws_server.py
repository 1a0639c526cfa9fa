"""What the lab's AWS server adds to moto, in this process."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

import pytest

from simulate.lab.aws_server import bucket_policy, failing, lab_api
from simulate.lab.aws_server.__main__ import _changing
from simulate.lab.aws_server.switches import Changes, Switches
from simulate.lab.aws_server.target_health import BadReport, Health, MeasuredHealth


def ask(method: str, path: str, body: object = None) -> tuple[str, Any]:
    """An answer of the lab's own endpoints."""
    path, _, query = path.partition("?")
    sent = b"" if body is None else json.dumps(body).encode()
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(sent)),
        "wsgi.input": io.BytesIO(sent),
    }
    [answer] = lab_api.handle(environ, lambda status, _headers: said.append(status))
    return said[0], json.loads(answer)


def test_switches_by_http() -> None:
    assert ask("PUT", "/lab/faults/metrics-failing", {"code": "Throttling"})[0] == "200 OK"
    assert ask("GET", "/lab/faults")[1] == {"metrics-failing": {"code": "Throttling"}}
    assert ask("DELETE", "/lab/faults/metrics-failing")[1] == {}
    status, answer = ask("PUT", "/lab/faults/gremlins", {})
    assert status.startswith("404")
    assert "metrics-missing" in answer["error"]
    assert ask("PUT", "/lab/faults/metrics-missing", [1])[0].startswith("400")
    assert ask("GET", "/lab/nothing")[0].startswith("404")
    assert ask("POST", "/lab/target-health", {"arn": [{"id": "10.0.0.1"}]})[0].startswith("400")


def test_changes_wake_who_waits() -> None:
    changes = Changes()
    changes.note("elbv2")
    assert changes.since(0, 0) == (1, ["elbv2"])
    assert changes.since(1, 0.01) == (1, [])
    assert changes.since(99, 0) == (1, ["elbv2"]), "a server started anew"
    threading.Timer(0.05, changes.note, ["wafv2"]).start()
    assert changes.since(1, 10) == (2, ["wafv2"])


def test_switches_hold_settings() -> None:
    switches = Switches()
    switches.set("metrics-missing", {})
    assert switches.active("metrics-missing") == {}
    switches.set("metrics-missing", None)
    assert switches.active("metrics-missing") is None


@pytest.mark.parametrize(
    ("service", "body", "headers", "changed"),
    [
        ("elasticloadbalancing", b"Action=ModifyRule&Version=1", {}, "elbv2"),
        ("elasticloadbalancing", b"Action=DescribeRules&Version=1", {}, None),
        ("wafv2", b"{}", {"HTTP_X_AMZ_TARGET": "AWSWAF_20190729.UpdateWebACL"}, "wafv2"),
        ("wafv2", b"{}", {"HTTP_X_AMZ_TARGET": "AWSWAF_20190729.GetWebACL"}, None),
        ("cloudfront", b"<x/>", {}, "cloudfront"),
        ("cloudfront", b"", {"REQUEST_METHOD": "GET"}, None),
        ("monitoring", b"Action=PutMetricData", {}, None),
    ],
)
def test_which_requests_change_something(
    service: str, body: bytes, headers: dict[str, str], changed: str | None
) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "CONTENT_TYPE": "application/x-www-form-urlencoded" if body.startswith(b"Action") else "text/plain",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/{service}/aws4_request, x",
        **headers,
    }
    found = _changing(environ, body)
    assert (found and found[0]) == changed


def test_one_action_of_a_service_can_be_refused() -> None:
    settings = {"service": "elbv2", "action": "ModifyRule", "code": "Throttling", "status": 400}
    assert ask("PUT", "/lab/faults/calls-failing", settings)[0] == "200 OK"
    try:
        refused = failing.refusal("elbv2", "ModifyRule")
        assert refused == failing.Refusal(400, "Throttling")
        assert failing.refusal("elbv2", "CreateRule") is None
        assert failing.refusal("sns", "ModifyRule") is None
    finally:
        ask("DELETE", "/lab/faults/calls-failing")
    assert failing.refusal("elbv2", "ModifyRule") is None
    said: list[str] = []
    [payload] = failing.answer(refused, lambda status, _headers: said.append(status))
    assert said == ["400 Refused"]
    assert b"<Code>Throttling</Code><Message>Rate exceeded</Message>" in payload


def test_measured_health_is_replaced_as_a_whole_or_not_at_all() -> None:
    measured = MeasuredHealth()
    measured.report({"arn": [{"id": "10.0.0.1", "port": 8000, "state": "healthy"}]})
    with pytest.raises(BadReport, match="wonderful"):
        measured.report({"arn": [], "other": [{"id": "10.0.0.1", "port": 8000, "state": "wonderful"}]})
    assert measured.of("arn") == {("10.0.0.1", 8000): Health("healthy")}
    measured.forget("arn", [("10.0.0.1", 8000)])
    assert measured.of("arn") == {}


class FakeBucket:
    def __init__(self, *statements: dict[str, Any]) -> None:
        self.policy: bytes | None = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()


ALL = "arn:aws:s3:::site/*"
IN_CLEAR = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": ALL,
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
CLOUDFRONT = {
    "Effect": "Allow",
    "Principal": {"Service": "cloudfront.amazonaws.com"},
    "Action": "s3:GetObject",
    "Resource": ALL,
    "Condition": {"StringEquals": {"AWS:SourceArn": "arn:aws:cloudfront::1:distribution/E"}},
}
DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": ALL}


@pytest.mark.parametrize(
    ("statements", "action", "wanted"),
    [
        ((IN_CLEAR,), "s3:GetObject", "NEUTRAL"),
        ((IN_CLEAR, CLOUDFRONT), "s3:GetObject", "PERMITTED"),
        ((IN_CLEAR, CLOUDFRONT), "s3:PutObject", "NEUTRAL"),
        ((IN_CLEAR, DENY), "s3:DeleteObject", "DENIED"),
    ],
)
def test_bucket_policies(statements: tuple[dict[str, Any], ...], action: str, wanted: str) -> None:
    bucket: Any = FakeBucket(*statements)
    assert bucket_policy._get_permission(bucket, action, "arn:aws:s3:::site/index.html").name == wanted


def test_a_bucket_without_a_policy_is_neutral() -> None:
    bucket: Any = FakeBucket()
    bucket.policy = None
    assert bucket_policy._get_permission(bucket, "s3:GetObject", ALL).name == "NEUTRAL"
