"""Notifications by SNS: which topic, and a subject that SNS accepts."""

from __future__ import annotations

import asyncio
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from rollout.aws.notify import SnsNotifier
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
