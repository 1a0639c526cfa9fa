"""Notifications: by SNS which topic and a subject that it accepts; by other services; what happens when some are down."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import boto3
import pytest
from botocore.stub import Stubber

from rollout.aws.notify import SnsNotifier, notifier, unknown_services
from rollout.control.ports import PortError

TOPICS = {tier: f"arn:aws:sns:us-east-1:123456789012:{tier}" for tier in ("immediate", "warning", "notice")}


@pytest.fixture
def sns() -> Any:
    return boto3.client("sns", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("traffic to 5 %: started", "[prod] traffic to 5 %: started"),
        ("Größe", "[prod] Gr??e"),
        ("x" * 200, "[prod] " + "x" * 93),
        ("two\nlines", "[prod] two lines"),
    ],
)
def test_a_subject_is_one_line_of_at_most_a_hundred_ascii_characters(
    sns: Any, subject: str, sent: str
) -> None:
    with Stubber(sns) as stub:
        stub.add_response(
            "publish",
            {"MessageId": "1"},
            {"TopicArn": TOPICS["warning"], "Subject": sent, "Message": "Größe\nand more"},
        )
        asyncio.run(SnsNotifier(sns, TOPICS, "prod").send("warning", subject, "Größe\nand more"))


def test_a_failure_is_raised(sns: Any) -> None:
    with Stubber(sns) as stub:
        stub.add_client_error("publish", "AuthorizationErrorException", "no")
        with pytest.raises(
            PortError, match=f"sns:Publish of topic {TOPICS['warning']} failed: access denied"
        ):
            asyncio.run(SnsNotifier(sns, TOPICS, "prod").send("warning", "subject", "body"))


# --- other services


class Service(BaseHTTPRequestHandler):
    """A service on loopback that takes JSON, or answers 500."""

    status = 200
    received: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.end_headers()
        self.received.append(json.loads(body))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Service.status, Service.received = 200, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"json://user:s3cr3t@127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


def tell(sns: Any, urls: dict[str, list[str]], tier: str = "immediate") -> str:
    return asyncio.run(notifier(sns, TOPICS, urls, "prod").send(tier, "held at 5 %", "somebody must decide"))


def test_every_service_of_the_tier_is_told(sns: Any, url: str) -> None:
    with Stubber(sns) as stub:
        stub.add_response("publish", {"MessageId": "1"})
        assert tell(sns, {"immediate": [url, url], "notice": [url]}) == ""
    assert [message["type"] for message in Service.received] == ["failure", "failure"]
    assert Service.received[0]["title"] == "[prod] held at 5 %"
    assert Service.received[0]["message"] == "somebody must decide"


@pytest.mark.parametrize("down", ["sns", "service"])
def test_one_that_accepts_is_enough_and_the_others_are_named(sns: Any, url: str, down: str) -> None:
    Service.status = 500 if down == "service" else 200
    with Stubber(sns) as stub:
        if down == "sns":
            stub.add_client_error("publish", "InternalError", "later")
        else:
            stub.add_response("publish", {"MessageId": "1"})
        refused = tell(sns, {"immediate": [url]})
    named = (
        "sns:Publish of topic"
        if down == "sns"
        else "JSON did not accept the message (notifyUrls.immediate[0])"
    )
    assert named in refused
    assert len(Service.received) == 1


def test_when_none_accepts_it_is_an_error_that_shows_no_secret(sns: Any, url: str) -> None:
    Service.status = 500
    with Stubber(sns) as stub:
        stub.add_client_error("publish", "InternalError", "later")
        with pytest.raises(PortError) as caught:
            tell(sns, {"immediate": [url]})
    assert "sns:Publish" in str(caught.value)
    assert "notifyUrls.immediate[0]" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_an_address_of_no_service_is_named_by_its_place() -> None:
    urls = {"immediate": ["json://example.org"], "warning": ["json://example.org", "slack://s3cr3t"]}
    (problem,) = unknown_services(urls)
    assert problem.startswith("simple378:notifyUrls.warning[1] is not a URL of a service")
    assert "s3cr3t" not in problem
