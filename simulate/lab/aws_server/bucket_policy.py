"""Bucket policies with conditions: moto 5.2.5 denies every request that a conditional statement covers, whether or not the condition is met.

The lab's requests stand for authorised requests over TLS. So a statement about requests without TLS
(``aws:SecureTransport: false``) does not apply to them, and the condition of one that allows a service (CloudFront's
access to its origin) counts as met. moto evaluates all other conditions.
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
