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
    rule, *_ = acl.inputs["rules"]
    assert rule["statement"]["rateBasedStatement"] == {
        "limit": 1000,
        "aggregateKeyType": "IP",
        "evaluationWindowSec": 60,
    }
    response = rule["action"]["block"]["customResponse"]
    assert response["responseCode"] == 429
    assert response["responseHeaders"] == [
        {"name": "Retry-After", "value": "60"},
        {"name": "RateLimit-Policy", "value": '"client";q=1000;w=60'},
    ]
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
    rule, *_ = recording.one(ACL).inputs["rules"]
    assert rule["statement"]["rateBasedStatement"]["limit"] == 1500
    assert not recording.one(ACL).protect


@pytest.mark.parametrize(
    ("mode", "override"),
    [(None, {"count": {}}), ("count", {"count": {}}), ("block", {"none": {}}), ("off", None)],
)
def test_managed_rules_count_until_somebody_lets_them_block(
    mode: str | None, override: dict[str, object] | None
) -> None:
    config = LIMITS if mode is None else {**LIMITS, "simple378:managedRules": mode}
    rate, *managed = deploy("prod-limits", config).one(ACL).inputs["rules"]
    assert "overrideAction" not in rate
    assert [rule["overrideAction"] for rule in managed] == ([override] * 4 if override else [])
    assert all(rule["priority"] > rate["priority"] and "action" not in rule for rule in managed)
    assert len({rule["priority"] for rule in managed}) == len(managed)


def test_elsewhere_than_in_us_east_1_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"aws:region is 'eu-central-1'.*us-east-1 only; set it with `pulumi config"
    ):
        deploy("prod-limits", {**LIMITS, "aws:region": "eu-central-1"})
