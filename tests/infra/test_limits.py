"""The limits layer."""

from __future__ import annotations

import json

import pytest

from infra.settings import SettingsError
from tests.infra.engine import deploy
from tests.infra.examples import LIMITS

ACL = "aws:wafv2/webAcl:WebAcl"


def test_a_thousand_requests_a_minute_and_client() -> None:
    recording = deploy("prod-limits", {"aws:region": "us-east-1"})
    acl = recording.one(ACL)
    assert [resource.type for resource in recording.cloud] == [ACL]
    assert acl.protect
    assert acl.inputs["scope"] == "CLOUDFRONT"
    assert acl.inputs["defaultAction"] == {"allow": {}}
    (rule,) = acl.inputs["rules"]
    assert rule["statement"]["rateBasedStatement"] == {
        "limit": 1000,
        "aggregateKeyType": "IP",
        "evaluationWindowSec": 60,
    }
    response = rule["action"]["block"]["customResponse"]
    assert response["responseCode"] == 429
    assert response["responseHeaders"] == [{"name": "Retry-After", "value": "60"}]
    (body,) = acl.inputs["customResponseBodies"]
    assert body["key"] == response["customResponseBodyKey"]
    assert json.loads(body["content"])["error"] == "too many requests"
    assert recording.outputs == {
        "webAclArn": "arn:limit-acl",
        "webAclName": "simple378-prod-limits",
        "rateLimit": 1000,
    }


def test_the_limit_is_configuration() -> None:
    recording = deploy("prod-limits", {**LIMITS, "simple378:rateLimit": "1500", "simple378:protect": "false"})
    (rule,) = recording.one(ACL).inputs["rules"]
    assert rule["statement"]["rateBasedStatement"]["limit"] == 1500
    assert not recording.one(ACL).protect


def test_elsewhere_than_in_us_east_1_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"aws:region is 'eu-central-1'.*us-east-1 only; set it with `pulumi config"
    ):
        deploy("prod-limits", {**LIMITS, "aws:region": "eu-central-1"})
