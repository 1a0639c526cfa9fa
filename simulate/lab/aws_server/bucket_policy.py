"""Bucket policies with conditions: moto 5.2.5 denies whatever a conditional statement is about, met or not.

The lab's requests stand for requests over TLS by those who may make them. So a statement that only speaks of requests
in clear (``aws:SecureTransport: false``) does not concern them, and one that allows a service on a condition
(CloudFront's access to its origin) is taken as met. Other conditions stay with moto.
"""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket


def install() -> None:
    """Replaces moto's evaluation in this process."""
    setattr(FakeBucket, "get_permission", _get_permission)  # noqa: B010


def _get_permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy)
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    concerned = [_without_met_conditions(s) for s in statements if not _in_clear_only(s)]
    if not concerned:
        return PermissionResult.NEUTRAL
    return IAMPolicy(json.dumps({**policy, "Statement": concerned})).is_action_permitted(action, resource)


def _in_clear_only(statement: dict[str, Any]) -> bool:
    flags = statement.get("Condition", {}).get("Bool", {})
    return any(
        key.lower() == "aws:securetransport" and str(value).lower() == "false" for key, value in flags.items()
    )


def _without_met_conditions(statement: dict[str, Any]) -> dict[str, Any]:
    principal = statement.get("Principal")
    if statement["Effect"] == "Allow" and isinstance(principal, dict) and "Service" in principal:
        return {key: value for key, value in statement.items() if key != "Condition"}
    return statement
